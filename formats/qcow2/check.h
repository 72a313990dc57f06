/*
 * Checking: references counted from the tables against the refcounts that the image stores.
 *
 *   check.c        the stations of a check, in qemu-img's order of lines
 *   check_walk.c   L1 and L2 tables: what they refer to, and their "copied" flags
 *   tally.c        the two numbers of each cluster
 *   repair.c       what -r does then, and repair_counts.c, rebuild.c, repair_snapshots.c, guard.c
 *
 * Where the clusters do not fit the memory that we may use, the walk runs again for each window of
 * the file. Only the first run speaks and counts faults of the tables; a cluster's own lines come
 * with its window. The line of a refcount block with several references is one of them, so in such
 * an image it follows the lines of the windows before.
 */
#ifndef FORMATS_QCOW2_CHECK_H
#define FORMATS_QCOW2_CHECK_H

#include "formats/qcow2/tally.h"

/* Clusters behind the end of the file of which a check knows whether something refers to them. */
#define CHECK_BEYOND 65536u

struct check {
    struct qcow2 *q;
    const struct check_sink *sink;
    struct check_result *r;
    struct tally tally;
    bool counted;         /* the tally holds the references of its window */
    bool speak;           /* the first run */
    bool aloud;           /* a cluster speaks in the run of its window */
    uint64_t wrong_flags; /* "copied" flags of the active tables that do not fit the refcounts */
    uint64_t too_low;     /* refcounts below the references, among the corruptions */
    uint64_t highest;     /* the last cluster in use */

    enum check_fix fix;               /* what is asked for */
    enum check_fix mend;              /* what the comparison does of it now */
    uint8_t beyond[CHECK_BEYOND / 8]; /* clusters behind the file's end that are referred to */
    bool rebuild;                     /* the refcount structures are beyond repair in place */
    bool bare;                        /* count without them */
    bool mends_flags;
    bool told_block;            /* that a refcount block cannot be read */
    bool writes;                /* something has been written */
    struct rebuild *rebuilding; /* rebuild.c */
    uint8_t *touched;  /* refcount blocks whose cells are not what the storage has; or NULL */
    uint64_t *guarded; /* guard.c */
    size_t n_guarded;
    uint64_t snapshot_faults; /* of the table's entries; what -r all stores anew has none */
};

/* A line, and one fault more if `counter` is not NULL; nothing unless c->speak. */
void check_fault(struct check *c, uint64_t *counter, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* "Repairing ..." or "ERROR ...", and a corruption that is repaired or not. */
void check_verdict(struct check *c, bool mends, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* A line of what makes the check impossible: the sink's error. */
void check_error(struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The error of a check that cannot be done: the text of an errno, after a line that says why. */
int check_refuse(int no, struct err *e);

/* One more reference to all clusters of [host, host + size). */
void check_refer(struct check *c, uint64_t host, uint64_t size);
/* Would it be counted? Not if it ends a cluster or more behind the file. */
bool check_inside(const struct check *c, uint64_t host, uint64_t size);

/* Count, window by window, and visit each. Counting speaks if it is `aloud`. */
int check_windows(struct check *c, bool aloud, int (*visit)(struct check *c, struct err *e),
                  struct err *e);
/* References against refcounts for the window; mends what c->mend says: see repair.c. */
int check_compare(struct check *c, struct err *e);

/* All references of an L1 table, of its own clusters too. */
int check_walk_count(struct check *c, uint64_t l1_offset, uint64_t l1_entries, bool active,
                     struct err *e);
/* Tell which flags of the active tables are wrong. A repair: of those that point into the window,
 * by the cells of the tally, and mend them if c->mends_flags. */
int check_walk_flags(struct check *c, struct err *e);

/* ---- repair.c ... ---------------------------------------------------------------------------- */

/* After the first comparison: do what c->fix says. */
int repair_run(struct check *c, struct err *e);
/* To be called before each write. */
int repair_writes(struct check *c, struct err *e);

/* repair_counts.c: a cell of the window is to be the stored refcount. */
int repair_set(struct check *c, uint64_t cluster, uint64_t refcount, struct err *e);
/* Write the blocks of the window that were touched. */
int repair_store(struct check *c, struct err *e);

/* rebuild.c: new refcount structures from the references, switched over to by one write. */
int repair_rebuild(struct check *c, struct err *e);

/* repair_snapshots.c: read the table, leaving out what is too much; then, when all else is done,
 * store it anew if it has to be. */
int repair_snapshots_read(struct check *c, struct err *e);
int repair_snapshots_store(struct check *c, struct err *e);

/* guard.c: may [host, host + bytes) be written, where the image's own structures are known to be
 * there `times` times (0: an L2 table, 1: L1)? Not if something else is there too, nor behind the
 * end of the file. -1 if out of memory. */
int repair_guard(struct check *c, uint64_t host, uint64_t bytes, unsigned times, struct err *e);

#endif
