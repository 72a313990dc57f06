/* What the parts of a check share: see check.c. */
#ifndef FORMATS_QCOW2_CHECK_H
#define FORMATS_QCOW2_CHECK_H

#include "formats/qcow2/state.h"

/* An actual refcount that could not be read. Larger ones than this are kept as CHECK_LARGE. */
#define CHECK_UNREADABLE UINT32_MAX
#define CHECK_LARGE      (UINT32_MAX - 1)

struct check {
    struct qcow2 *q;
    const struct check_sink *sink;
    struct check_result *out;
    uint64_t file_length;
    uint64_t clusters; /* of the file; one more where something reaches over its end */

    uint64_t *reftable;
    uint64_t n_reftable;

    /* The host clusters of this pass, and what was counted and found for each. */
    uint64_t first, n;
    uint32_t *counted;
    uint32_t *actual;
    bool speaks;       /* the first pass: it alone gives lines about tables, and their counters */
    bool copied_wrong; /* some COPIED flag does not fit: lines are due at the end */

    uint8_t *l2;       /* one L2 table */
    uint8_t *block;    /* one refcount block, and which */
    uint64_t in_block; /* UINT64_MAX: none */
};

/* One line for the sink. */
void check_line(const struct check *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A line, and one corruption; only in the first pass. */
#define CHECK_CORRUPT(c, ...)                                                                      \
    do {                                                                                           \
        if ((c)->speaks) {                                                                         \
            check_line(c, __VA_ARGS__);                                                            \
            (c)->out->corruptions++;                                                               \
        }                                                                                          \
    } while (0)

/* A reference to each cluster that [offset, offset + size) touches. */
void check_count(struct check *c, uint64_t offset, uint64_t size);

/* ---- check_refs.c: what the refcount structure says -------------------------------------------
 */

/* Fill c->actual for the pass. */
int check_actual_load(struct check *c, struct err *e);
/* Count the refcount table and its blocks. */
void check_refblocks(struct check *c);
/* Compare counted with actual. *end rises to the last cluster in use. */
void check_compare(struct check *c, uint64_t *end, struct err *e);
/* The refcount of any cluster; false if it cannot be read. */
bool check_refcount(struct check *c, uint64_t cluster, uint64_t *refcount, struct err *e);

/* ---- check_tables.c: what the tables refer to --------------------------------------------------
 */

/* Count an L1 table and all below it. `active`: also look at COPIED flags and fragmentation. */
void check_l1(struct check *c, uint64_t offset, uint64_t entries, bool active, struct err *e);
/* Lines for the COPIED flags of the active L1 that do not fit. */
void check_copied(struct check *c, struct err *e);

#endif
