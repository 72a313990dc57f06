/*
 * commit: what an overlay holds goes into an image below it.
 *
 *     top, and those between ──▶ chunks ──▶ base (grown before, if it is shorter) ──flush──▶ top
 *                                                                                     emptied
 *
 * Safe at every write: the top is emptied when the base has all of it on storage. Stopped before,
 * the top reads as it did, and the commit can be begun again.
 */
#ifndef FLOW_COMMIT_H
#define FLOW_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/progress.h"
#include "image/image.h"
#include "mpi/engine.h"

struct commit_options {
    const char *name;    /* of the top, for messages */
    struct image *image; /* rank 0: the top, opened for writing with its chain. Its chain ends above
                          * the base afterwards */
    const char *base;    /* the image that takes it; NULL: the one right below, and then the top is
                          * emptied unless ... */
    bool drop;           /* ... it is not wanted any more */
    uint64_t rate_limit; /* bytes a second; 0 = none */
    uint64_t memory;     /* 0 = 256 MiB */
};

/* Every rank calls it; rank 0 does the work. The error text is whole. */
int commit_run(struct engine *g, const struct commit_options *o, const struct progress *p,
               struct err *e);

#endif
