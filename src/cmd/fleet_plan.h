/* What fleet --dry-run prints; and whether there is room for it all. */
#ifndef CMD_FLEET_PLAN_H
#define CMD_FLEET_PLAN_H

#include <stdbool.h>

#include "fleet/manifest.h"
#include "fleet/plan.h"
#include "fleet/space.h"

/* The plan as a table, and its totals. `here`: the folder whose name is left out, with a '/'.
 * Returns how many images cannot be made. */
int fleet_plan_print(const struct manifest *m, const struct plan_row *rows, const bool *skip,
                     uint64_t whole_below, const char *here, size_t *wrong, struct err *e);

/* A line for each file system. */
void fleet_space_print(const struct space *s);

/* -1: a file system cannot hold it; the error says which. */
int fleet_space_check(const struct space *s, struct err *e);

#endif
