/* edit_ops of what changes an image as a whole: see formats/edit.h. */
#ifndef FORMATS_QCOW2_WHOLE_H
#define FORMATS_QCOW2_WHOLE_H

#include "formats/edit.h"
#include "formats/qcow2/state.h"

int qcow2_snapshot_create(struct image *img, const char *name, uint64_t seconds,
                          uint32_t nanoseconds, struct err *e);
int qcow2_snapshot_apply(struct image *img, const char *id, struct err *e);
int qcow2_snapshot_delete(struct image *img, const char *id, const char *name, struct err *e);

/* empty.c */
int qcow2_empty(struct image *img, struct err *e);

/* resize.c */
int qcow2_resize(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e);
int qcow2_set_backing(struct image *img, const char *name, const char *format, struct err *e);

#endif
