/*
 * Changing the active state of an image that is there: its L1 and L2 tables in memory, over the
 * counts (counts.h). edit.c makes formats/edit.h's operations of it.
 *
 *     flush:  data, counts ─sync─▶ L2 tables ─sync─▶ L1 ─sync─▶ drops are settled
 *
 * An L2 table or a cluster that a snapshot shares (no "copied" flag) is never written to: it gets a
 * copy. Every function locks for itself; mapping goes on beside them.
 */
#ifndef FORMATS_QCOW2_CHANGE_H
#define FORMATS_QCOW2_CHANGE_H

#include "formats/qcow2/counts.h"

struct qcow2_change;

int qcow2_change_open(struct qcow2 *q, uint64_t budget, struct qcow2_change **out, struct err *e);
void qcow2_change_free(struct qcow2_change *c); /* what is not flushed is lost; NULL is fine */
struct qcow2_counts *qcow2_change_counts(struct qcow2_change *c);

/* counts.h's take and drop, beside whoever maps. */
int qcow2_change_take(struct qcow2_change *c, uint64_t n, uint64_t *host, struct err *e);
int qcow2_change_drop(struct qcow2_change *c, uint64_t host, uint64_t bytes, struct err *e);

/* An L2 entry: the word that qcow2_entry_decode takes, and with extended L2 the subclusters' bits
 * (else 0). */
struct qcow2_entry {
    uint64_t word;
    uint64_t bits;
};

/* The entry of a guest cluster; *shared: it must not be written through, since its table is not
 * this state's alone. An absent table is an entry of zeros. *same (may be NULL): how many clusters
 * from this one on have no table, 0 if there is one. */
int qcow2_change_get(struct qcow2_change *c, uint64_t cluster, struct qcow2_entry *out,
                     bool *shared, uint64_t *same, struct err *e);
/* Set it. What the old entry referred to is dropped, unless the new one refers to it too. */
int qcow2_change_set(struct qcow2_change *c, uint64_t cluster, const struct qcow2_entry *entry,
                     struct err *e);

/* Room for `len` encoded bytes, less than a cluster: behind the last ones where that can be,
 * counted as one reference to each cluster it touches. */
int qcow2_change_take_packed(struct qcow2_change *c, uint32_t len, uint64_t *host, struct err *e);

/* All on storage, in order. `data`: the file that guest data was written to. */
int qcow2_change_flush(struct qcow2_change *c, struct file *data, struct err *e);

#endif
