/*
 * Checking: references counted from the tables against the refcounts that the image stores.
 *
 *   check.c        the stations of a check, in qemu-img's order of lines
 *   check_walk.c   L1 and L2 tables: what they refer to, and their "copied" flags
 *   tally.c        the two numbers of each cluster
 *
 * Where the clusters do not fit the memory that we may use, the walk runs again for each window of
 * the file. Only the first run speaks and counts faults of the tables; a cluster's own lines come
 * with its window. The line of a refcount block with several references is one of them, so in such
 * an image it follows the lines of the windows before.
 */
#ifndef FORMATS_QCOW2_CHECK_H
#define FORMATS_QCOW2_CHECK_H

#include "formats/qcow2/tally.h"

struct check {
    struct qcow2 *q;
    const struct check_sink *sink;
    struct check_result *r;
    struct tally tally;
    bool speak;           /* the first run */
    uint64_t wrong_flags; /* "copied" flags of the active tables that do not fit the refcounts */
};

/* A line, and one fault more if `counter` is not NULL; nothing unless c->speak. */
void check_fault(struct check *c, uint64_t *counter, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* One more reference to all clusters of [host, host + size). */
void check_refer(struct check *c, uint64_t host, uint64_t size);

/* All references of an L1 table, of its own clusters too. */
int check_walk_count(struct check *c, uint64_t l1_offset, uint64_t l1_entries, bool active,
                     struct err *e);
/* Tell which flags of the active tables are wrong. */
int check_walk_flags(struct check *c, struct err *e);

#endif
