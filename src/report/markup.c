#include "report/markup.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define REPLACEMENT 0xfffdu
#define PICTURES    0x2400u /* of control characters */
#define PICTURE_DEL 0x2421u

/* ---- characters ------------------------------------------------------------------------------ */

/* How many bytes a character has that begins so; 0 = none begins so. */
static unsigned sequence(unsigned char c)
{
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c < 0xe0)
        return 2;
    if (c >= 0xe0 && c < 0xf0)
        return 3;
    return c >= 0xf0 && c < 0xf5 ? 4 : 0;
}

/* The next character of a text that has not ended. What is no UTF-8 is taken byte by byte. */
static uint32_t next_character(const char **s)
{
    const unsigned char *p = (const unsigned char *)*s;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    unsigned n = sequence(*p);
    uint32_t c = n ? *p & first_bits[n] : REPLACEMENT;
    for (unsigned k = 1; k < n; k++) {
        if ((p[k] & 0xc0) != 0x80)
            n = 0;
        else
            c = c << 6 | (p[k] & 0x3f);
    }
    *s += n ? n : 1;
    if (!n || c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return REPLACEMENT;
    return c;
}

/* What is shown in place of a character that cannot be seen. */
static uint32_t visible(uint32_t c)
{
    if (c < 0x20)
        return PICTURES + c;
    if (c == 0x7f)
        return PICTURE_DEL;
    /* C1 controls, separators of lines, marks that turn the direction of what follows */
    bool unseen = (c >= 0x80 && c < 0xa0) || (c >= 0x2028 && c <= 0x202e) ||
                  (c >= 0x2066 && c <= 0x2069) || c == 0x200e || c == 0x200f || c == 0xfeff ||
                  (c & 0xfffe) == 0xfffe;
    return unseen ? REPLACEMENT : c;
}

static void put_character(FILE *out, uint32_t c)
{
    if (c < 0x80) {
        putc((int)c, out);
        return;
    }
    if (c >= 0x10000) {
        putc((int)(0xf0 | c >> 18), out);
        putc((int)(0x80 | (c >> 12 & 0x3f)), out);
    } else if (c >= 0x800) {
        putc((int)(0xe0 | c >> 12), out);
    }
    putc((int)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6), out);
    putc((int)(0x80 | (c & 0x3f)), out);
}

/* ---- texts ----------------------------------------------------------------------------------- */

static void put_html(FILE *out, uint32_t c)
{
    switch (c) {
    case '<':
        fputs("&lt;", out);
        break;
    case '>':
        fputs("&gt;", out);
        break;
    case '&':
        fputs("&amp;", out);
        break;
    case '"':
        fputs("&quot;", out);
        break;
    case '\'':
        fputs("&#39;", out);
        break;
    default:
        put_character(out, c);
    }
}

static void put_json(FILE *out, uint32_t c)
{
    if (c == '"' || c == '\\')
        fprintf(out, "\\%c", (int)c);
    else if (c == '<' || c == '>' || c == '&')
        fprintf(out, "\\u%04x", (unsigned)c);
    else
        put_character(out, c);
}

static void put_all(FILE *out, const char *s, size_t most, void (*put)(FILE *out, uint32_t c))
{
    while (*s && most--)
        put(out, visible(next_character(&s)));
    if (*s)
        put(out, 0x2026);
}

void markup_text(FILE *out, const char *s)
{
    put_all(out, s, SIZE_MAX, put_html);
}

void markup_cut(FILE *out, const char *s, size_t characters)
{
    put_all(out, s, characters, put_html);
}

void markup_json(FILE *out, const char *s, size_t characters)
{
    putc('"', out);
    put_all(out, s, characters, put_json);
    putc('"', out);
}

/* ---- numbers --------------------------------------------------------------------------------- */

struct shown shown_count(uint64_t n)
{
    struct shown s;
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
    char *to = s.text;
    for (int k = 0; k < len; k++) {
        if (k && (len - k) % 3 == 0)
            *to++ = ',';
        *to++ = digits[k];
    }
    *to = '\0';
    return s;
}

/* Three digits, the next unit from 1000 on, as all of the program shows sizes. */
struct shown shown_size(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    struct shown s;
    for (; bytes >= 999.5 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        bytes /= 1024;
    snprintf(s.text, sizeof s.text, "%.3g %s", bytes, units[unit]);
    return s;
}

struct shown shown_rate(double per_second)
{
    struct shown s = shown_size(per_second);
    size_t n = strlen(s.text);
    snprintf(s.text + n, sizeof s.text - n, "/s");
    return s;
}

/* Two units, the second one left out if there is none of it. */
static struct shown span_of(uint64_t seconds, uint64_t large, const char *large_name,
                            uint64_t small, const char *small_name)
{
    struct shown s;
    uint64_t rest = seconds % large / small;
    int n = snprintf(s.text, sizeof s.text, "%" PRIu64 " %s", seconds / large, large_name);
    if (rest)
        snprintf(s.text + n, sizeof s.text - (size_t)n, " %" PRIu64 " %s", rest, small_name);
    return s;
}

struct shown shown_span(double seconds)
{
    struct shown s;
    if (seconds < 59.95) {
        bool ms = seconds < 0.9995;
        snprintf(s.text, sizeof s.text,
                 ms                ? "%.0f ms"
                 : seconds < 9.995 ? "%.2f s"
                                   : "%.1f s",
                 ms ? seconds * 1000 : seconds);
        return s;
    }
    uint64_t whole = (uint64_t)llround(fmin(seconds, 1e15));
    if (whole < 3600)
        return span_of(whole, 60, "min", 1, "s");
    if (whole < 86400)
        return span_of(whole, 3600, "h", 60, "min");
    return span_of(whole, 86400, "d", 3600, "h");
}

struct shown shown_share(double share)
{
    struct shown s;
    snprintf(s.text, sizeof s.text, "%.3g %%", share * 100);
    return s;
}

static struct shown time_text(double unix_time, const char *fmt)
{
    struct shown s = {"unknown"};
    time_t t = (time_t)unix_time;
    struct tm parts;
    if (unix_time > 0 && localtime_r(&t, &parts) && !strftime(s.text, sizeof s.text, fmt, &parts))
        strcpy(s.text, "unknown");
    return s;
}

struct shown shown_time(double unix_time)
{
    return time_text(unix_time, "%Y-%m-%d %H:%M:%S %Z");
}

struct shown shown_clock(double unix_time)
{
    return time_text(unix_time, "%H:%M:%S");
}

struct shown shown_at(double v)
{
    struct shown s;
    snprintf(s.text, sizeof s.text, "%.3f", v);
    char *end = s.text + strlen(s.text);
    while (end[-1] == '0')
        *--end = '\0';
    if (end[-1] == '.')
        *--end = '\0';
    return s;
}
