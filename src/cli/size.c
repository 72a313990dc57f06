#include "cli/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "formats/options.h"

static int size_malformed(const char *what, struct err *e)
{
    return err_set(e, EINVAL,
                   "Invalid %s specified. You may use k, M, G, T, P or E suffixes for\n"
                   "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes.",
                   what);
}

static int size_range(const char *what, uint64_t min, uint64_t max, struct err *e)
{
    return err_set(e, ERANGE, "Invalid %s specified. Must be between %" PRIu64 " and %" PRIu64 ".",
                   what, min, max);
}

/* As qemu-img: 0x4k is taken, but may be meant otherwise. */
static void warn_of_hex(const char *text)
{
    char warning[128];
    snprintf(warning, sizeof warning,
             "Using a multiplier suffix on hex numbers is deprecated: %.60s", text);
    text += strspn(text, " \t\n");
    text += *text == '+';
    if (text[0] != '0' || (text[1] | 0x20) != 'x' ||
        isxdigit((unsigned char)text[strlen(text) - 1]))
        return;
    message_warning(warning);
}

int size_operand(const char *text, const char *what, uint64_t *out, struct err *e)
{
    int rc = size_parse(text, out);
    if (rc == -ERANGE || (rc == 0 && *out > INT64_MAX))
        return size_range(what, 0, INT64_MAX, e);
    if (rc)
        return size_malformed(what, e);
    warn_of_hex(text);
    return 0;
}

int size_count(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *out,
               struct err *e)
{
    char *end;
    errno = 0;
    *out = strtoull(text, &end, 10);
    bool number = text[0] >= '0' && text[0] <= '9' && !*end;
    if (!number || errno || *out < min || *out > max)
        return size_range(what, min, max, e);
    return 0;
}

void size_human(uint64_t bytes, char out[SIZE_HUMAN_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1000 && unit + 1 < sizeof units / sizeof units[0]) {
        value /= 1024;
        unit++;
    }
    snprintf(out, SIZE_HUMAN_MAX, "%0.3g %s", value, units[unit]);
}
