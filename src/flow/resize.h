/* resize: an image that is there gets another size. */
#ifndef FLOW_RESIZE_H
#define FLOW_RESIZE_H

#include <stdint.h>

#include "base/err.h"
#include "formats/edit.h"
#include "image/image.h"

/* The largest size that any image can get. */
#define RESIZE_MAX UINT64_C(0x7fffffffc0000000)

/* `img` is opened for writing, with its backing chain. What is added reads as zeros, whatever is
 * below or was there before; the size itself changes by one last write. */
int resize_image(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e);
/* What can be seen of [from, to), which an image is to get larger by, becomes zeros: the end of the
 * last cluster, which has held anything, and what a longer backing image shows. */
int resize_zero_added(struct image *img, uint64_t from, uint64_t to, struct err *e);

#endif
