/*
 * Internal snapshots: listed, made, applied, deleted. `img` is opened for writing, but for the
 * list.
 *
 * Which snapshot a word means is as users of qemu-img know it: applying looks for an id, then for a
 * name; deleting for a name only, and takes the first of several.
 */
#ifndef FLOW_SNAPSHOT_H
#define FLOW_SNAPSHOT_H

#include <jansson.h>

#include "base/err.h"
#include "image/image.h"

/* An array as info shows it; empty for formats without snapshots. New reference. */
json_t *snapshot_list(struct image *img, struct err *e);

/* Of the state as it is, dated now. */
int snapshot_create(struct image *img, const char *name, struct err *e);
int snapshot_apply(struct image *img, const char *id_or_name, struct err *e);
int snapshot_delete(struct image *img, const char *name, struct err *e);

#endif
