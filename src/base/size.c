#include "base/size.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* log2 of a suffix's factor, -1 if it is none */
static int size_suffix(char c)
{
    static const char letters[] = "BKMGTPE";
    const char *at = c ? strchr(letters, toupper((unsigned char)c)) : NULL;
    return at ? (int)(at - letters) * 10 : -1;
}

/* The decimal digits after a point as a fraction of 2^64. Every suffix of a fraction that has at
 * most 64 binary digits has at most 64 too, so halves come out exactly and round as they should. */
static uint64_t size_fraction(const char *digits, size_t n)
{
    unsigned __int128 f = 0;
    while (n--)
        f = (((unsigned __int128)(unsigned)(digits[n] - '0') << 64) + f) / 10;
    return (uint64_t)f;
}

/* whole * 2^shift + fraction * 2^(shift - 64), the last rounded half up */
static int size_scale(uint64_t whole, uint64_t fraction, int shift, uint64_t *out)
{
    unsigned __int128 v = (unsigned __int128)whole << shift;
    unsigned __int128 part = ((unsigned __int128)fraction << shift) + (UINT64_C(1) << 63);
    v += part >> 64;
    if (v > UINT64_MAX)
        return -ERANGE;
    *out = (uint64_t)v;
    return 0;
}

static bool size_is_hex(const char *text)
{
    return text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
}

/* strtoull takes a sign; sizes have no minus */
static const char *size_skip_lead(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return *text == '+' ? text + 1 : text;
}

int size_parse(const char *text, uint64_t *out)
{
    const char *at = size_skip_lead(text);
    bool hex = size_is_hex(at);
    if (!(hex ? isxdigit((unsigned char)at[2]) : isdigit((unsigned char)at[0])))
        return -EINVAL;
    char *end;
    errno = 0;
    uint64_t whole = strtoull(at, &end, hex ? 16 : 10);
    bool large = errno == ERANGE;
    uint64_t fraction = 0;
    if (*end == '.' && !hex) {
        size_t n = strspn(end + 1, "0123456789");
        fraction = size_fraction(end + 1, n);
        end += 1 + n;
    }
    int shift = size_suffix(*end);
    if (shift >= 0)
        end++;
    if (*end || (fraction && shift <= 0))
        return -EINVAL;
    return large ? -ERANGE : size_scale(whole, fraction, shift < 0 ? 0 : shift, out);
}

bool size_is_doubtful(const char *text)
{
    const char *at = size_skip_lead(text);
    size_t n = strlen(at);
    return size_is_hex(at) && n > 2 && !isxdigit((unsigned char)at[n - 1]);
}

/* ---- with words for what is wrong ------------------------------------------------------------ */

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

int size_take(const char *text, const char *what, uint64_t *out, struct err *e)
{
    int rc = size_parse(text, out);
    if (rc == -ERANGE || (rc == 0 && *out > INT64_MAX))
        return size_range(what, 0, INT64_MAX, e);
    return rc ? size_malformed(what, e) : 0;
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
