/*
 * What a fleet would do: each image opened and its target measured, on all workers of all ranks.
 */
#ifndef FLEET_PLAN_H
#define FLEET_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "fleet/manifest.h"
#include "fleet/request.h"
#include "mpi/engine.h"

#define PLAN_UNKNOWN UINT64_MAX

struct plan_row {
    char source_format[16]; /* "": the source cannot be opened (yet) */
    uint64_t virtual_size;
    uint64_t target_size; /* as measure has it; PLAN_UNKNOWN: the format cannot be measured, or a
                           * backing image holds the rest */
    uint64_t needs;       /* space that the target takes: its size, or where that is holes too
                           * (raw), or not known, the bytes that are data */
    char *why;            /* why the source cannot be opened or the target not be made; NULL */
};

void plan_rows_free(struct plan_row *rows, size_t n);

/* Every rank calls it; `m` and `skip` (items to leave out) are looked at on rank 0, which gets
 * *rows. An image that cannot be measured is no failure: see its row. */
int plan_make(struct engine *g, const struct manifest *m, const bool *skip,
              const struct request_common *common, struct plan_row **rows, struct err *e);

#endif
