/*
 * References to clusters, collected in the order of the tables and looked at in the order of the
 * file: each refcount block is then needed once a batch, however scattered the data is.
 *
 *     add … add (until full) ──▶ sort ──▶ of[0 .. n) ──▶ clear ──▶ add …
 */
#ifndef FORMATS_QCOW2_BATCH_H
#define FORMATS_QCOW2_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* n neighbouring clusters; `tag` is the caller's: of the first, and one more for each. */
struct qcow2_ref {
    uint64_t cluster;
    uint32_t n;
    uint32_t tag;
};

struct qcow2_batch {
    struct qcow2_ref *of, *spare;
    size_t n, most;
    unsigned block_bits; /* log2 of the clusters that a refcount block counts */
    uint64_t end;        /* beyond all of their blocks */
};

/* Room for `most` references. */
int qcow2_batch_init(struct qcow2_batch *b, size_t most, unsigned block_bits, struct err *e);
void qcow2_batch_release(struct qcow2_batch *b);

static inline size_t qcow2_batch_room(const struct qcow2_batch *b)
{
    return b->most - b->n;
}

/* There must be room. What follows upon the last one, in the file and by its tag, joins it. */
void qcow2_batch_add(struct qcow2_batch *b, uint64_t cluster, uint32_t n, uint32_t tag);
/* By blocks; in a block as they came. */
int qcow2_batch_sort(struct qcow2_batch *b, struct err *e);
void qcow2_batch_clear(struct qcow2_batch *b);

#endif
