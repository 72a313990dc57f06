#include "base/bits.h"

#include <string.h>

#include "base/bytes.h"

#define WORD 64u

static uint8_t byte_mask(uint64_t from, uint64_t to)
{
    return (uint8_t)((0xffu << from) & (0xffu >> (8 - to)));
}

/* Each byte of [from, to): those at the ends in part. */
static void bits_fill(uint8_t *bits, uint64_t from, uint64_t to, uint8_t value)
{
    while (from < to && (from % 8 || to - from < 8)) {
        uint64_t in = from % 8, end = to - from < 8 - in ? in + (to - from) : 8;
        uint8_t mask = byte_mask(in, end), *at = &bits[from / 8];
        *at = (uint8_t)((*at & ~mask) | (value & mask));
        from += end - in;
    }
    uint64_t whole = (to - from) / 8;
    memset(bits + from / 8, value, whole);
    if (from + 8 * whole < to)
        bits_fill(bits, from + 8 * whole, to, value);
}

void bits_set(uint8_t *bits, uint64_t from, uint64_t to)
{
    if (from < to)
        bits_fill(bits, from, to, 0xff);
}

void bits_clear(uint8_t *bits, uint64_t from, uint64_t to)
{
    if (from < to)
        bits_fill(bits, from, to, 0);
}

/* The first bit of [at, end) that is set, or with flip ~0 the first that is clear; end if none. */
static uint64_t bits_next(const uint8_t *bits, uint64_t at, uint64_t end, uint64_t flip)
{
    while (at < end) {
        uint64_t in = at % 8, step = 8 - in;
        uint64_t word = (uint64_t)(uint8_t)(bits[at / 8] ^ flip) >> in;
        if (!in && end - at >= WORD) {
            word = le64_load(bits + at / 8) ^ flip;
            step = WORD;
        }
        if (word) {
            at += (unsigned)__builtin_ctzll(word);
            return at < end ? at : end;
        }
        at += step;
    }
    return end;
}

bool bits_run(const uint8_t *bits, uint64_t at, uint64_t end, uint64_t *from, uint64_t *to)
{
    *from = bits_next(bits, at, end, 0);
    *to = bits_next(bits, *from, end, UINT64_MAX);
    return *from < end;
}

bool bits_or(uint8_t *a, const uint8_t *b, size_t n)
{
    uint64_t changed = 0;
    for (; n >= 8; n -= 8, a += 8, b += 8) {
        uint64_t was = le64_load(a), is = was | le64_load(b);
        changed |= was ^ is;
        le64_store(a, is);
    }
    for (; n; n--, a++, b++) {
        changed |= *b & ~*a;
        *a |= *b;
    }
    return changed;
}

bool bits_full(const uint8_t *bits, size_t n)
{
    return !n || (bits[0] == 0xff && !memcmp(bits, bits + 1, n - 1));
}
