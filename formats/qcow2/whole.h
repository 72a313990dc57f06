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

/* grow.c */
int qcow2_reach(struct image *img, uint64_t size, struct err *e);
/* The same, whether or not this version may get that size. */
int qcow2_stretch(struct image *img, uint64_t size, struct err *e);
/* Give the guest's clusters that begin in [from, to) their places, which read as zeros. */
int qcow2_reserve(struct image *img, uint64_t from, uint64_t to, enum edit_prealloc how,
                  struct err *e);

/* shrink.c */
int qcow2_shrink(struct image *img, uint64_t size, struct err *e);

/* resize.c */
struct qcow2_switch;
/* May an image of that version get that size? */
int qcow2_resize_check(const struct qcow2 *q, uint32_t version, uint64_t size, struct err *e);
int qcow2_resize(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e);

/* backing.c */
int qcow2_set_backing(struct image *img, const char *name, const char *format, struct err *e);

#endif
