/*
 * rebase: an image gets another backing image, or none.
 *
 *   safe     what would read differently is copied into the overlay first, in parallel:
 *              differ (flow/differ.h) ──▶ inplace (flow/inplace.h) ──▶ flush ──▶ the new name
 *   unsafe   the new name alone: the caller knows that the two show the same
 *
 * The name is one write to the image's head, behind all data: stopped before it, the image shows
 * through its old backing image what it always did, and after it through the new one.
 */
#ifndef FLOW_REBASE_H
#define FLOW_REBASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/progress.h"
#include "image/image.h"
#include "mpi/engine.h"

struct rebase_options {
    const char *backing;        /* as it is to be stored; NULL (unsafe) or "": none */
    const char *backing_format; /* the same; NULL: not given */
    bool unsafe;
    bool compress;           /* what is copied */
    struct file_cache cache; /* of the new backing images */
    bool force_share;        /* of the new backing images */
    struct secrets *secrets;
    uint64_t memory; /* 0 = default */
};

/* Every rank calls it; rank 0 has the image, opened to be written, unless unsafe with what lies
 * below it. Others may pass NULL. */
int rebase_run(struct engine *g, struct image *img, const struct rebase_options *o,
               const struct progress *p, struct err *e);

#endif
