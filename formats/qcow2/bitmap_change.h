/*
 * Changing the persistent bitmaps of an image that is there. What is new is written beside what is
 * there: clusters of bits, then tables, then the directory; one write of the header's extension
 * makes all of it the image's. ("Bitmaps")
 *
 *     open ──▶ add, remove, clear, enable, unite … ──▶ commit
 *
 *     commit:  tables, directory, counts ─sync─▶ header extension ─sync─▶ old places are free
 *
 * A stop leaves the bitmaps as they were, or as they are to be; at worst there are leaks. Bits that
 * are united twice are written where they were written first: those places are not the image's yet.
 */
#ifndef FORMATS_QCOW2_BITMAP_CHANGE_H
#define FORMATS_QCOW2_BITMAP_CHANGE_H

#include "formats/qcow2/counts.h"

struct qcow2_bitmap_change;

/* By the counts of q->change while the image is being changed, else by its own. */
int qcow2_bitmap_change_open(struct qcow2 *q, struct qcow2_bitmap_change **out, struct err *e);
void qcow2_bitmap_change_free(struct qcow2_bitmap_change *c); /* NULL is fine */

#define QCOW2_NO_BITMAP UINT32_MAX
/* Indexes stay what they are until commit. */
uint32_t qcow2_bitmap_change_find(const struct qcow2_bitmap_change *c, const char *name);
/* As it is to be; its table is not to be looked at. */
const struct qcow2_bitmap *qcow2_bitmap_change_get(const struct qcow2_bitmap_change *c, uint32_t i);

/* Is there room for one more? The errors of qemu. */
int qcow2_bitmap_change_check(const struct qcow2_bitmap_change *c, const char *name,
                              unsigned granularity_bits, struct err *e);
/* A new one, all clear. */
int qcow2_bitmap_change_add(struct qcow2_bitmap_change *c, const char *name,
                            unsigned granularity_bits, uint32_t flags, struct err *e);
int qcow2_bitmap_change_remove(struct qcow2_bitmap_change *c, uint32_t i, struct err *e);
int qcow2_bitmap_change_clear(struct qcow2_bitmap_change *c, uint32_t i, struct err *e);
void qcow2_bitmap_change_flags(struct qcow2_bitmap_change *c, uint32_t i, uint32_t flags);
/* Set what is set in `bits`, a cluster of bits: those from k * 8 * cluster size on. */
int qcow2_bitmap_change_unite(struct qcow2_bitmap_change *c, uint32_t i, uint64_t k,
                              const uint8_t *bits, struct err *e);
/* The disk had `was` bytes and has another size now. -1 with EFBIG: that would be too many bits. */
int qcow2_bitmap_change_resize(struct qcow2_bitmap_change *c, uint32_t i, uint64_t was,
                               struct err *e);

/* The directory is written anew even if nothing else has changed: it has other flags on storage. */
void qcow2_bitmap_change_touch(struct qcow2_bitmap_change *c);
/* Then q->bitmaps and the header say what is there; nothing more is to be done but free. */
int qcow2_bitmap_change_commit(struct qcow2_bitmap_change *c, struct err *e);

#endif
