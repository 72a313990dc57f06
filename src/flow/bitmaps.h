/* convert --bitmaps: the persistent bitmaps of the top source image go over to the target. */
#ifndef FLOW_BITMAPS_H
#define FLOW_BITMAPS_H

#include "flow/convert.h"
#include "flow/source.h"
#include "flow/target.h"

/* Before anything is written: can it be done at all? The error texts are whole. */
int bitmaps_check(const struct convert_options *o, const struct source *s, struct err *e);
/* The same of the target, as soon as it is begun. */
int bitmaps_check_target(const struct source *s, const struct target *t, struct err *e);

/* After the data, before the header; an image that is there is not changed otherwise any more.
 * Rank 0. Those that are inconsistent are left out with a warning. */
int bitmaps_copy(const struct convert_report *r, const struct source *s, struct target *t,
                 struct cursor *c, struct err *e);

#endif
