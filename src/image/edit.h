/*
 * Writing to an image that is there already (opened with flags.write), through its driver's
 * edit_ops (formats/edit.h): the driver says where, this moves the bytes.
 *
 *     edit_begin ──▶ edit_write, edit_zero, edit_discard … edit_flush … ──▶ edit_end
 *
 * One thread at a time; reading the image may go on beside it. What was written is on storage after
 * edit_flush or edit_end; a stop before leaves each request done as a whole, or (over data that was
 * there) sector by sector, or not at all, and never anything else.
 */
#ifndef IMAGE_EDIT_H
#define IMAGE_EDIT_H

#include "formats/edit.h"
#include "image/image.h"

struct edit;

/* `img` is borrowed. "... does not support writing" for formats that cannot. */
int edit_begin(struct image *img, struct edit **out, struct err *e);
/* Flush, take back the marks, free. The first error counts. NULL is fine. */
int edit_end(struct edit *d, struct err *e);
/* For AUTO(): edit_end whose errors are not seen, on paths that have failed already. */
void edit_cleanup(struct edit **d);

/* Any range inside the image; sectors that are encrypted are written whole. */
int edit_write(struct edit *d, uint64_t guest, const void *buf, size_t len, struct err *e);
/* The range reads as zeros. */
int edit_zero(struct edit *d, uint64_t guest, uint64_t len, enum edit_zero how, struct err *e);
/* The range is not needed any more: what of it makes whole units is given back. */
int edit_discard(struct edit *d, uint64_t guest, uint64_t len, struct err *e);
int edit_flush(struct edit *d, struct err *e);

/* Several threads write one image: place and link are one thread's, the data in between is
 * anybody's. Whole units; see edit_ops. */
int edit_place(struct edit *d, uint64_t guest, uint64_t length, struct edit_place *out,
               struct err *e);
/* The same where only [guest, guest + len) of those units is going to be written. */
int edit_place_part(struct edit *d, uint64_t guest, uint64_t len, struct edit_place *out,
                    struct err *e);
/* The same for a block that is encoded: `len` bytes of it. Only where the driver has `packing`. */
int edit_place_packed(struct edit *d, uint64_t guest, uint32_t len, struct edit_place *out,
                      struct err *e);
const struct edit_packing *edit_packing(const struct edit *d); /* NULL: cannot */
int edit_link(struct edit *d, const struct edit_place *p, struct err *e);
uint64_t edit_unit(const struct edit *d);
/* Guest bytes that may have to move together: a cluster, where a unit is part of one. */
uint64_t edit_group(const struct edit *d);
struct image *edit_image(const struct edit *d); /* borrowed */

#endif
