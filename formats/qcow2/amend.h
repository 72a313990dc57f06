/*
 * Amending: what is asked for, and what it comes to.
 *
 *   amend_plan.c   options → plan; may it be?
 *   amend.c        plan → one switch
 *   expand.c       clusters of zeros become data
 *   recount.c      refcounts of another width
 */
#ifndef FORMATS_QCOW2_AMEND_H
#define FORMATS_QCOW2_AMEND_H

#include "formats/amend.h"
#include "formats/qcow2/state.h"

/* The image as it is to be; what was not asked for is as it was. */
struct qcow2_plan {
    uint32_t version;
    unsigned refcount_order;
    uint64_t size;
    bool lazy;
    const char *data_file; /* borrowed; NULL: the name stays */
    bool data_raw;
    struct luks_amend *keys; /* owned; NULL: they stay */
};

/* All checks, in the original's order; nothing is written. */
int qcow2_plan_make(struct image *img, const struct amend_request *r, struct qcow2_plan *out,
                    struct err *e);
void qcow2_plan_release(struct qcow2_plan *p);

extern const struct option_def qcow2_amend_options[];
extern const struct amend_ops qcow2_amend;

#endif
