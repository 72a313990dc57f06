/* A small image, whole, by one worker. */
#ifndef FLEET_WHOLE_H
#define FLEET_WHOLE_H

#include <jansson.h>

#include "fleet/rank.h"
#include "mpi/engine.h"

/* Its record for the results, whatever has become of it: new reference; NULL: no memory. `serial`
 * is an engine of the worker's own, `rate` bytes a second what it may move (0: any number). */
json_t *whole_run(struct fleet_rank *r, struct engine *serial, const json_t *record, uint64_t rate,
                  struct err *e);

#endif
