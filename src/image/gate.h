/* The gate: which files may be opened because an image names them. The one place to be strict. With
 * --safe it is shut: a second file is opened only where the user has named it. */
#ifndef IMAGE_GATE_H
#define IMAGE_GATE_H

#include "image/image.h"

/* A backing image by the name that `overlay` stores: a plain file name (or
 * "file:..."). Options ("json:") and protocols ("nbd://") only where the user trusts the image:
 * MPI_IMG_TRUST_NAMES=1. */
int gate_backing(const struct image *overlay, const char *name, struct err *e);

/* A part of `img` itself (data file, extent): local files only. */
int gate_member(const struct image *img, const char *name, struct err *e);

#endif
