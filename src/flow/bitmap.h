/* bitmap: a persistent bitmap of an image is made, removed, changed. */
#ifndef FLOW_BITMAP_H
#define FLOW_BITMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "image/image.h"

enum bitmap_act {
    BITMAP_ADD,
    BITMAP_REMOVE,
    BITMAP_CLEAR,
    BITMAP_ENABLE,
    BITMAP_DISABLE,
    BITMAP_MERGE,
    BITMAP_ACTS
};

/* As the options and the messages call them. */
extern const char *const bitmap_act_names[BITMAP_ACTS];

struct bitmap_action {
    enum bitmap_act act;
    const char *source; /* MERGE: the other bitmap's name */
};

struct bitmap_job {
    struct image *image;  /* opened for writing */
    struct image *source; /* where bitmaps are merged from; NULL: the same image */
    const char *name;
    uint64_t granularity; /* of a new one, 0 = by the image's clusters */
    const struct bitmap_action *actions;
    size_t n;
};

/* All actions in their order, by one change of the image. One that fails ends it: those before it
 * are done all the same. The error text is whole. */
int bitmap_run(const struct bitmap_job *job, struct err *e);

#endif
