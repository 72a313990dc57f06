/*
 * Refcounts of a fresh image, on rank 0: counted in the order in which clusters get their places,
 * so only the blocks that can still change are in memory.
 */
#ifndef FORMATS_QCOW2_REFS_H
#define FORMATS_QCOW2_REFS_H

#include "formats/qcow2/layout.h"

struct qcow2_refs;

int qcow2_refs_new(const struct qcow2_layout *l, unsigned order, struct file *file,
                   struct qcow2_refs **out, struct err *e);
void qcow2_refs_free(struct qcow2_refs *r);

/* Refcount block `index` is at `host`. Its own cluster is counted by the caller, once all blocks of
 * a placing have come: another one may count it. */
int qcow2_refs_place(struct qcow2_refs *r, uint64_t index, uint64_t host, struct err *e);
/* One more reference to each of n clusters from `host` on. */
int qcow2_refs_add(struct qcow2_refs *r, uint64_t host, uint64_t n, struct err *e);
/* The last reference to the cluster at `host` has gone. */
int qcow2_refs_drop(struct qcow2_refs *r, uint64_t host, struct err *e);

/* Write the blocks that are done with: those below `end`, except the first (it counts the refcount
 * table, which may move) and the one that counts `keep`. */
int qcow2_refs_settle(struct qcow2_refs *r, uint64_t end, uint64_t keep, struct pages *pages,
                      struct err *e);
/* Write all that is left. */
int qcow2_refs_finish(struct qcow2_refs *r, struct pages *pages, struct err *e);

uint64_t qcow2_refs_blocks(const struct qcow2_refs *r);
/* The refcount table: be64 each; `clusters` long. free() it. */
uint8_t *qcow2_refs_table(const struct qcow2_refs *r, uint64_t clusters, struct err *e);
/* Blocks in memory: for tests. */
size_t qcow2_refs_open(const struct qcow2_refs *r);

#endif
