#include "flow/map_text.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define LINE_NUMBERS 192u /* a line of JSON at most; a line for people without its file name */
#define COLUMN       16u

void text_release(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}

static int text_room(struct text *t, size_t n, struct err *e)
{
    if (t->cap - t->len >= n)
        return 0;
    size_t cap = num_max(t->len + n, t->cap ? 2 * t->cap : 4096);
    char *grown = mem_grow(t->data, cap, 1, e);
    if (!grown)
        return -1;
    t->data = grown;
    t->cap = cap;
    return 0;
}

int text_add(struct text *t, const void *bytes, size_t n, struct err *e)
{
    if (text_room(t, n, e) < 0)
        return -1;
    if (n)
        memcpy(t->data + t->len, bytes, n);
    t->len += n;
    return 0;
}

/* ---- numbers --------------------------------------------------------------------------------- */

static char *put_decimal(char *to, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char digits[20];
    size_t at = sizeof digits;
    for (; v >= 100; v /= 100)
        memcpy(digits + (at -= 2), pairs + 2 * (v % 100), 2);
    if (v >= 10)
        memcpy(digits + (at -= 2), pairs + 2 * v, 2);
    else
        digits[--at] = (char)('0' + v);
    memcpy(to, digits + at, sizeof digits - at);
    return to + (sizeof digits - at);
}

/* As printf's "%#-16x": zero is a plain 0. */
static char *put_hex_column(char *to, uint64_t v)
{
    char *begin = to;
    if (v) {
        *to++ = '0';
        *to++ = 'x';
    }
    unsigned digits = v ? (64 - (unsigned)__builtin_clzll(v) + 3) / 4 : 1;
    while (digits-- > 0)
        *to++ = "0123456789abcdef"[v >> (4 * digits) & 15];
    while ((size_t)(to - begin) < COLUMN)
        *to++ = ' ';
    return to;
}

/* ---- lines ----------------------------------------------------------------------------------- */

#define PUT(to, words) ((char *)memcpy(to, words, sizeof(words) - 1) + (sizeof(words) - 1))

static char *put_flags(char *to, uint32_t flags)
{
    to = flags & STATUS_PRESENT ? PUT(to, ", \"present\": true") : PUT(to, ", \"present\": false");
    to = flags & STATUS_ZERO ? PUT(to, ", \"zero\": true") : PUT(to, ", \"zero\": false");
    return flags & STATUS_DATA ? PUT(to, ", \"data\": true") : PUT(to, ", \"data\": false");
}

int text_json(struct text *t, const struct status *s, struct err *e)
{
    if (text_room(t, LINE_NUMBERS, e) < 0)
        return -1;
    char *to = t->data + t->len;
    to = put_decimal(PUT(to, "{ \"start\": "), s->start);
    to = put_decimal(PUT(to, ", \"length\": "), s->length);
    to = put_decimal(PUT(to, ", \"depth\": "), s->depth);
    to = put_flags(to, s->flags);
    if (s->flags & STATUS_PLACE)
        to = put_decimal(PUT(to, ", \"offset\": "), s->offset);
    *to++ = '}';
    t->len = (size_t)(to - t->data);
    return 0;
}

int text_human(struct text *t, const struct status *s, struct err *e)
{
    size_t name = s->file ? strlen(s->file) : 0;
    if (text_room(t, LINE_NUMBERS + name, e) < 0)
        return -1;
    char *to = t->data + t->len;
    to = put_hex_column(to, s->start);
    to = put_hex_column(to, s->length);
    to = put_hex_column(to, s->offset);
    if (name)
        memcpy(to, s->file, name);
    to[name] = '\n';
    t->len = (size_t)(to + name + 1 - t->data);
    return 0;
}
