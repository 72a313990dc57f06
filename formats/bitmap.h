/*
 * Persistent dirty bitmaps (qcow2 v3): what changed in the guest since somebody last looked, a bit
 * for each granule.
 *
 * Bit k stands for the guest's granule k, the lowest bit of a byte first. A bitmap may have 512 MiB
 * of bits, so they are read and changed piece by piece and never held whole.
 */
#ifndef FORMATS_BITMAP_H
#define FORMATS_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct image;

struct bitmap {
    char *name;                /* owned */
    unsigned granularity_bits; /* log2 of the guest bytes a bit stands for */
    bool enabled;              /* "auto": writes set bits in it */
    bool inconsistent;         /* "in-use": not to be trusted */
    uint64_t n_bits;
    uint64_t size;   /* guest bytes of the disk that it was made for */
    uint64_t *table; /* owned: the driver's own, kept from the first read on */
};

static inline uint64_t bitmap_bits(uint64_t guest_size, unsigned granularity_bits)
{
    uint64_t granule = (uint64_t)1 << granularity_bits;
    return guest_size / granule + (guest_size % granule != 0);
}

static inline uint64_t bitmap_bytes(const struct bitmap *b)
{
    return b->n_bits / 8 + (b->n_bits % 8 != 0);
}

/* ---- bitmap.c -------------------------------------------------------------------------------- */

void bitmap_release(struct bitmap *b);
void bitmap_list_free(struct bitmap *list, size_t n);

/* The bitmap of that name, without its bits; bitmap_release it. "Dirty bitmap 'x' not found" also
 * where the image's format knows no bitmaps. */
int bitmap_find(struct image *img, const char *name, struct bitmap *out, struct err *e);
int bitmap_not_found(const char *name, struct err *e);
/* 0, or an error for one that cannot be trusted. */
int bitmap_check_usable(const struct bitmap *b, struct err *e);
/* 0, or an error for one that cannot be merged into those of a disk of `size` bytes. */
int bitmap_check_size(const struct bitmap *b, uint64_t size, struct err *e);

/* Or the bits of b that stand for the same guest bytes into the bits [first, first + n) of a bitmap
 * of another granularity, of which `bits` begins with the first. `piece` is scratch. */
#define BITMAP_PIECE 65536u
int bitmap_project(struct image *img, struct bitmap *b, unsigned granularity_bits, uint64_t first,
                   uint64_t n, uint8_t *bits, uint8_t piece[BITMAP_PIECE], struct err *e);

/* ---- changing them --------------------------------------------------------------------------- */

/*
 * What a driver implements for images that are there, opened for writing:
 *
 *     begin ──▶ add, remove, clear, enable, merge … ──▶ commit ──▶ end
 *
 * All of it comes about by commit's one write of a header; before it the image is what it was. Not
 * between edit_ops.begin and end. Errors are whole sentences without the bitmap's operation.
 */
struct bitmap_ops {
    /* Can this image have any? The others only if so. */
    bool (*supported)(struct image *img);
    int (*begin)(struct image *img, struct err *e);
    /* Could a bitmap of this name be kept in the image? Not whether there is one. */
    int (*check)(struct image *img, const char *name, unsigned granularity_bits, struct err *e);
    int (*add)(struct image *img, const char *name, unsigned granularity_bits, bool enabled,
               struct err *e);
    int (*remove)(struct image *img, const char *name, struct err *e);
    int (*clear)(struct image *img, const char *name, struct err *e);
    int (*enable)(struct image *img, const char *name, bool enabled, struct err *e);
    /* Set what is set in `from`'s bitmap b; `from` may be the same image, then b is another bitmap.
     * The disks are of one size. */
    int (*merge)(struct image *img, const char *name, struct image *from, struct bitmap *b,
                 struct err *e);
    /* As bitmap_find, of what the changes so far make. */
    int (*find)(struct image *img, const char *name, struct bitmap *out, struct err *e);
    int (*commit)(struct image *img, struct err *e);
    void (*end)(struct image *img);
};

#endif
