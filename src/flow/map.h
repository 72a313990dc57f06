/* map: the extents of an image as text, formatted on all workers, printed in guest order. */
#ifndef FLOW_MAP_H
#define FLOW_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "image/image.h"
#include "mpi/engine.h"

struct map_options {
    const char *name;
    json_t *spec;       /* borrowed */
    const char *driver; /* -f, or NULL */
    bool force_share;
    struct safety_rules safety;
    bool json;
    uint64_t start, length; /* -s, -l; length UINT64_MAX = to the end */
    struct secrets *secrets;
};

/* Writes to `out` on rank 0. The error text is whole. */
int map_run(struct engine *g, const struct map_options *o, FILE *out, struct err *e);

#endif
