/*
 * Marks: a bit for each block of a file, to find blocks that are used twice.
 *
 * Where they take more memory than there is, the same references are walked several times, each
 * walk with the marks of another window of blocks.
 */
#ifndef FORMATS_MARKS_H
#define FORMATS_MARKS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

struct marks {
    uint8_t *bits;
    uint64_t base, n; /* the window */
};

/* For `blocks` blocks, in at most `memory` bytes (0: no limit). */
static inline int marks_init(struct marks *m, uint64_t blocks, uint64_t memory, struct err *e)
{
    m->base = 0;
    m->n = memory ? num_min(blocks, num_max(memory, 1) * 8) : blocks;
    m->bits = mem_new(m->n / 8 + 1, 1, e);
    return m->bits ? 0 : -1;
}

static inline void marks_release(struct marks *m)
{
    free(m->bits);
    m->bits = NULL;
}

/* To the next window; false when `blocks` ends before it. */
static inline bool marks_next(struct marks *m, uint64_t blocks)
{
    m->base += m->n;
    if (m->base >= blocks)
        return false;
    memset(m->bits, 0, m->n / 8 + 1);
    return true;
}

static inline bool marks_has(const struct marks *m, uint64_t block)
{
    return block >= m->base && block - m->base < m->n;
}

/* Mark a block of the window: was it marked before? */
static inline bool marks_take(struct marks *m, uint64_t block)
{
    uint64_t i = block - m->base;
    uint8_t bit = (uint8_t)(1u << (i & 7));
    bool was = m->bits[i >> 3] & bit;
    m->bits[i >> 3] |= bit;
    return was;
}

#endif
