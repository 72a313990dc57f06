/* The gate: which files may be opened because an image names them. The one place to be strict. */
#ifndef IMAGE_GATE_H
#define IMAGE_GATE_H

#include "image/image.h"

/* A backing image by the name that `overlay` stores: any name that a user could type. */
int gate_backing(const struct image *overlay, const char *name, struct err *e);

/* A part of `img` itself (data file, extent): local files only. */
int gate_member(const struct image *img, const char *name, struct err *e);

#endif
