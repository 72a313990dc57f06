#include "cli/size.h"

#include <stdio.h>

#include "cli/message.h"

/* As qemu-img: 0x4k is taken, but may be meant otherwise. */
static void warn_of_hex(const char *text)
{
    char warning[128];
    snprintf(warning, sizeof warning,
             "Using a multiplier suffix on hex numbers is deprecated: %.60s", text);
    if (size_is_doubtful(text))
        message_warning(warning);
}

int size_operand(const char *text, const char *what, uint64_t *out, struct err *e)
{
    if (size_take(text, what, out, e))
        return -1;
    warn_of_hex(text);
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
