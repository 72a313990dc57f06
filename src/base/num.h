/* Checked arithmetic on numbers that come from files or from the command line. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

#define KIB          ((uint64_t)1 << 10)
#define MIB          ((uint64_t)1 << 20)
#define GIB          ((uint64_t)1 << 30)
#define TIB          ((uint64_t)1 << 40)
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* false on overflow; *out is then undefined */
static inline bool num_add(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

static inline bool num_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

/* Does [off, off+len) lie inside [0, size)? Never overflows. */
static inline bool num_inside(uint64_t off, uint64_t len, uint64_t size)
{
    return len <= size && off <= size - len;
}

static inline bool num_is_pow2(uint64_t v)
{
    return v && !(v & (v - 1));
}

/* `align` is a power of two; the caller has made sure that v + align does not overflow */
static inline uint64_t num_up(uint64_t v, uint64_t align)
{
    return (v + align - 1) & ~(align - 1);
}

static inline uint64_t num_down(uint64_t v, uint64_t align)
{
    return v & ~(align - 1);
}

static inline uint64_t num_div_up(uint64_t v, uint64_t by)
{
    return v / by + (v % by != 0);
}

/* num_up and num_down for any `by` > 0 */
static inline uint64_t num_up_to(uint64_t v, uint64_t by)
{
    return num_div_up(v, by) * by;
}

static inline uint64_t num_down_to(uint64_t v, uint64_t by)
{
    return v / by * by;
}

static inline uint64_t num_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t num_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* log2 of a power of two */
static inline unsigned num_log2(uint64_t v)
{
    return (unsigned)__builtin_ctzll(v);
}

#endif
