/*
 * Persistent bitmaps while the image changes: the guest's data, or the size of its disk.
 *
 *     marked in use ─sync─▶ the first change … ──▶ bits stored, marks gone (bitmap_change.h)
 *
 * A stop in between leaves bitmaps that say of themselves that they cannot be trusted, as one of
 * the original does. What was set meanwhile is kept in pages of bits; where they get too many, they
 * are united with the clusters that the image is to have, so that memory is bounded.
 */
#ifndef FORMATS_QCOW2_BITMAP_TRACK_H
#define FORMATS_QCOW2_BITMAP_TRACK_H

#include "formats/qcow2/state.h"

struct qcow2_track;

/* edit_ops.touch: between begin and end. */
int qcow2_track_touch(struct image *img, uint64_t guest, uint64_t length, struct err *e);
/* All that changed is on storage: so may the bitmaps be. */
int qcow2_track_end(struct qcow2 *q, struct err *e);
void qcow2_track_free(struct qcow2 *q); /* without that: they stay in use */

/* The disk is about to get another size. An error if there are bitmaps that are inconsistent. */
int qcow2_bitmaps_hold(struct qcow2 *q, struct err *e);
/* It had `was` bytes, and has what the header says: new bits are clear. One that would be too large
 * stays in use: told to img->flags.repairs. */
int qcow2_bitmaps_fit(struct image *img, uint64_t was, struct err *e);

#endif
