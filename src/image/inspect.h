/* --safe: the checks of formats/safety.h, made and told of. */
#ifndef IMAGE_INSPECT_H
#define IMAGE_INSPECT_H

#include "image/image.h"

/* All that can be said of a file before a driver sees it. The first check that failed is the error:
 * "Safety check 'NAME' failed: ...". Each is added to `told`, if there is one. */
int inspect_file(struct file *f, const struct format *format, bool named, json_t *told,
                 struct err *e);

/* The same for an image that is about to be opened, as its rules say; nothing without them. */
int inspect_before(const struct image *img, struct err *e);
/* What is left to check now that the driver has opened it. */
int inspect_opened(const struct image *img, struct err *e);

/* `size` bytes of guest disk, however they came about (joined sources, a snapshot). */
int inspect_size(const struct safety_rules *rules, uint64_t size, struct err *e);

#endif
