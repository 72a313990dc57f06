/* What counts.c and counts_walk.c share. */
#ifndef FORMATS_QCOW2_COUNTS_IMPL_H
#define FORMATS_QCOW2_COUNTS_IMPL_H

#include "formats/qcow2/counts.h"

/* A refcount block in memory. */
struct block {
    uint64_t index;
    uint8_t *data;
    uint8_t *was; /* shadow, moved: what the storage counts until the switch; else NULL */
    bool dirty;
    bool recent; /* looked at since the clock came by */
};

struct range {
    uint64_t host, bytes;
};

#define QCOW2_RUN_CLASSES 24u

struct ranges {
    struct range *of;
    size_t n, cap;
};

struct qcow2_counts {
    struct qcow2 *q;
    unsigned order;
    uint64_t max;       /* of a count */
    uint64_t per_block; /* clusters that a block counts */

    uint64_t *table;      /* host of each block; 0 = none, or none yet */
    struct block **block; /* in memory, by index */
    uint8_t *moved;       /* shadow: the block has a place that the storage does not know */
    uint64_t *stood;      /* shadow: where the storage has it; 0 = nowhere */
    uint64_t n;           /* entries of these four */
    uint64_t stored;      /* entries that the table on storage has room for */
    bool table_dirty;

    struct block **loaded; /* those in memory, for the clock */
    size_t n_loaded, cap_loaded, hand, most;

    /* Clusters of the image's own tables as it was opened, ascending: their counts cannot be 0,
     * unless it was we who gave them back. */
    uint64_t *own;
    uint8_t *own_gone;
    size_t n_own;
    uint64_t next; /* no cluster before it is free */
    /* Before runs[k] no run of 2^k free clusters begins: small gaps at the front are not walked
     * over again for each large run. */
    uint64_t runs[QCOW2_RUN_CLASSES];

    bool shadow, tracks;
    struct ranges later; /* drops that wait to be settled */
    struct ranges old;   /* shadow: what the header still refers to */
    uint8_t **freed;     /* for punching: a bit a cluster, by the index of its block; may be NULL */
    size_t n_freed;
};

/* The block of that index, read if it has to be; *out NULL: there is no such block. */
int qcow2_counts_block(struct qcow2_counts *c, uint64_t index, struct block **out, struct err *e);
/* Out of memory with it; what has changed is lost. */
void qcow2_counts_unload(struct qcow2_counts *c, struct block *b);
/* This cluster has lost its last reference (counts_walk.c). */
int qcow2_counts_freed(struct qcow2_counts *c, uint64_t cluster, struct err *e);

#endif
