/*
 * convert -n into an image that has tables: chunks that it keeps its own place for, or makes one
 * (inplace.h). Zeros of the source become zeros of the target, whatever it held.
 */
#ifndef FLOW_CONVERT_INPLACE_H
#define FLOW_CONVERT_INPLACE_H

#include "flow/read.h"
#include "flow/target.h"
#include "flow/telling.h"
#include "mpi/engine.h"

/* Every rank calls it; `read`, `t` and `telling` are looked at on rank 0 alone. */
int convert_inplace(struct engine *g, const struct convert_options *o,
                    const struct read_rules *read, const struct target *t, struct telling *telling,
                    struct err *e);

#endif
