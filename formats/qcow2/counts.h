/*
 * Refcounts of an image that is there: read, changed, and clusters found by them. ("Host cluster
 * management")
 *
 * Counts are changed in memory and written by flush. Raising one may reach the storage at any time:
 * too high a count is a leak. Lowering one must wait until nothing on the storage refers to the
 * cluster any more: counts_drop only remembers it, counts_settle does it once the caller has the
 * tables on storage.
 *
 *     take, raise … ──▶ flush ──▶ sync ──▶ (tables) ──▶ sync ──▶ settle
 *
 * For a change of many counts that must come about as a whole (a snapshot), the counts go into
 * shadow: no block or table that the storage has is written to; what changes gets a place of its
 * own, and the header is switched over to it by one write of the caller's:
 *
 *     shadow ──▶ raise, lower, take … ──▶ shadow_write ──▶ sync ──▶ (header) ──▶ sync ──▶ switched
 *
 * For counts of another width (recount.c) all is written anew in place of shadow_write; what there
 * was is free by the new counts, so these are opened in place of switched.
 *
 * Not for several threads.
 */
#ifndef FORMATS_QCOW2_COUNTS_H
#define FORMATS_QCOW2_COUNTS_H

#include "formats/qcow2/state.h"

struct qcow2_counts;

/* `budget`: bytes of blocks in memory; 0 = default. The refcount table is held whole (8 MiB at
 * most). */
int qcow2_counts_open(struct qcow2 *q, uint64_t budget, struct qcow2_counts **out, struct err *e);
void qcow2_counts_free(struct qcow2_counts *c); /* what is not flushed is lost; NULL is fine */

int qcow2_counts_get(struct qcow2_counts *c, uint64_t cluster, uint64_t *count, struct err *e);

/* n neighbouring clusters that nobody uses, counted once from now on; *host = the first. Where the
 * counts are so wrong that it would be the header, a table or the like: an error. */
int qcow2_counts_take(struct qcow2_counts *c, uint64_t n, uint64_t *host, struct err *e);

/* The first of n free clusters in a row at or behind `from`: they are not counted by that. */
int qcow2_counts_find(struct qcow2_counts *c, uint64_t from, uint64_t n, uint64_t *cluster,
                      struct err *e);

/* One more reference to each cluster that [host, host + bytes) touches. They are in use: a count of
 * 0 is an error. "Cannot increase" where the width of a count ends: nothing is changed then. */
int qcow2_counts_raise(struct qcow2_counts *c, uint64_t host, uint64_t bytes, struct err *e);
/* One less, now: only in shadow, or for what nothing on the storage ever referred to. */
int qcow2_counts_lower(struct qcow2_counts *c, uint64_t host, uint64_t bytes, struct err *e);
/* One less, when settled. */
int qcow2_counts_drop(struct qcow2_counts *c, uint64_t host, uint64_t bytes, struct err *e);

/* Write what changed: blocks, then (with a sync between) the table; a table that grew goes to a new
 * place, by a write of the header. The caller syncs before it relies on it. */
int qcow2_counts_flush(struct qcow2_counts *c, struct err *e);
int qcow2_counts_settle(struct qcow2_counts *c, struct err *e);

void qcow2_counts_shadow(struct qcow2_counts *c);
/* Write all that changed to places of its own; then header.reftable_offset and _clusters of the
 * header to be written are these. */
int qcow2_counts_shadow_write(struct qcow2_counts *c, uint64_t *reftable_offset,
                              uint32_t *reftable_clusters, struct err *e);
/* The header is on storage: the old places are free. Out of shadow. */
int qcow2_counts_switched(struct qcow2_counts *c, struct err *e);

/* recount.c: in place of shadow_write, with counts of 2^order bits. "Cannot decrease refcount entry
 * width" if one is too large for that. It changes nothing of what is in shadow. */
int qcow2_counts_recode(struct qcow2_counts *c, unsigned order, uint64_t *reftable_offset,
                        uint32_t *reftable_clusters, struct err *e);

/* From now on remember which clusters lose their last reference. */
void qcow2_counts_track(struct qcow2_counts *c);
/* Those that did since the last call and are free still, for punching holes: calls `freed` for each
 * run of them, ascending. */
int qcow2_counts_each_freed(struct qcow2_counts *c,
                            int (*freed)(void *ctx, uint64_t host, uint64_t bytes, struct err *e),
                            void *ctx, struct err *e);

/* Blocks that count nothing but themselves are given free. Not in shadow, and with nothing that is
 * not flushed; to be flushed again. */
int qcow2_counts_prune(struct qcow2_counts *c, struct err *e);

/* First cluster behind all that have a count, for the file's length. */
int qcow2_counts_end(struct qcow2_counts *c, uint64_t *cluster, struct err *e);
/* The first cluster at or behind `from` that has a count; *count 0: there is none. */
int qcow2_counts_next(struct qcow2_counts *c, uint64_t from, uint64_t *cluster, uint64_t *count,
                      struct err *e);
/* The clusters that hold refcount blocks and tables, what the storage refers to and what shadow has
 * made: each as often as it is counted for that, ascending. free() it. */
int qcow2_counts_held(struct qcow2_counts *c, uint64_t **clusters, size_t *n, struct err *e);

#endif
