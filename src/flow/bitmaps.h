/* convert --bitmaps: the persistent bitmaps of the top source image go over to the target. */
#ifndef FLOW_BITMAPS_H
#define FLOW_BITMAPS_H

#include "flow/convert.h"
#include "flow/source.h"
#include "flow/target.h"

/* Before anything is written: can it be done at all? The error text is whole. */
int bitmaps_check(const struct convert_options *o, const struct source *s, struct err *e);

/* After the data, before the header. Rank 0. */
int bitmaps_copy(const struct convert_options *o, const struct source *s, struct target *t,
                 struct cursor *c, struct err *e);

#endif
