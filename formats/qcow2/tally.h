/*
 * What a check counts: for each host cluster, how often the tables refer to it, beside the refcount
 * that the image stores.
 *
 * Both numbers stand side by side in memory, for a window of the file that fits the budget. Where
 * the window is not the whole file, the check walks the tables once a window.
 */
#ifndef FORMATS_QCOW2_TALLY_H
#define FORMATS_QCOW2_TALLY_H

#include "formats/qcow2/state.h"
#include "formats/slices.h"

struct tally {
    const struct qcow2 *q;
    uint64_t file_size;
    uint64_t file_clusters;
    uint64_t *table; /* refcount table */
    uint64_t n_table;
    unsigned block_bits; /* log2 of the refcounts of a block */
    uint64_t max;        /* largest refcount that the image can store (and we count) */
    unsigned width;      /* bytes of each of the two numbers of a cluster */
    uint8_t *cells;      /* references, refcount */
    uint64_t window;     /* clusters that fit */
    uint64_t base, n;    /* the window now */
    uint64_t end;        /* clusters below may hold something: referred to, or with a block */
    struct slices *slices;
};

int tally_init(struct tally *t, const struct qcow2 *q, uint64_t memory, struct err *e);
void tally_release(struct tally *t);
/* The header has got another refcount table: go by it. The cells stay. */
int tally_switched(struct tally *t, struct err *e);

/* Move the window: references are 0, refcounts as stored. */
int tally_window(struct tally *t, uint64_t base, struct err *e);

/* What the image stores for a cluster, in the window or not. Returns 1 if its refcount block cannot
 * be read, -1 with the error set if the file cannot. */
int tally_stored(struct tally *t, uint64_t cluster, uint64_t *refcount, struct err *e);

/* Place of refcount block `index`; false if there is none, or none that can be read: *bad. */
bool tally_block(const struct tally *t, uint64_t index, uint64_t *host, bool *bad);

static inline bool tally_has(const struct tally *t, uint64_t cluster)
{
    return cluster - t->base < t->n;
}

static inline uint64_t tally_load(const struct tally *t, const uint8_t *p)
{
    uint32_t v;
    if (t->width == 1)
        return *p;
    if (t->width == 2)
        return *(const uint16_t *)(const void *)p;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void tally_store(const struct tally *t, uint8_t *p, uint64_t v)
{
    uint32_t w = (uint32_t)v;
    if (t->width == 1)
        *p = (uint8_t)v;
    else if (t->width == 2)
        *(uint16_t *)(void *)p = (uint16_t)v;
    else
        memcpy(p, &w, sizeof w);
}

static inline uint8_t *tally_cell(const struct tally *t, uint64_t cluster)
{
    return t->cells + (cluster - t->base) * 2 * t->width;
}

static inline uint64_t tally_references(const struct tally *t, uint64_t cluster)
{
    return tally_load(t, tally_cell(t, cluster));
}

/* The stored refcount of a cluster in the window; one too large for its cell is the largest. */
static inline uint64_t tally_refcount(const struct tally *t, uint64_t cluster)
{
    return tally_load(t, tally_cell(t, cluster) + t->width);
}

/* One more reference, if the cluster is in the window; false if there are too many already. */
static inline bool tally_take(struct tally *t, uint64_t cluster)
{
    if (cluster >= t->end)
        t->end = cluster + 1;
    if (!tally_has(t, cluster))
        return true;
    uint8_t *cell = tally_cell(t, cluster);
    uint64_t n = tally_load(t, cell);
    if (n >= t->max)
        return false;
    tally_store(t, cell, n + 1);
    return true;
}

#endif
