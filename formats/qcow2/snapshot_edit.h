/* edit_ops.snapshot_*: see formats/edit.h. */
#ifndef FORMATS_QCOW2_SNAPSHOT_EDIT_H
#define FORMATS_QCOW2_SNAPSHOT_EDIT_H

#include "formats/qcow2/state.h"

int qcow2_snapshot_create(struct image *img, const char *name, uint64_t seconds,
                          uint32_t nanoseconds, struct err *e);
int qcow2_snapshot_apply(struct image *img, const char *id, struct err *e);
int qcow2_snapshot_delete(struct image *img, const char *id, struct err *e);

#endif
