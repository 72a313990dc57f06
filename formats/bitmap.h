/* Persistent dirty bitmaps (qcow2 v3), as convert --bitmaps carries them over. */
#ifndef FORMATS_BITMAP_H
#define FORMATS_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bitmap {
    char *name;                /* owned */
    unsigned granularity_bits; /* log2 of the guest bytes a bit stands for */
    bool enabled;              /* "auto" */
    bool inconsistent;         /* "in-use": not to be trusted */
    uint8_t *bits; /* owned; NULL until read. Bit k of the guest's granule k, LSB first */
    uint64_t n_bits;
};

static inline uint64_t bitmap_bits(uint64_t guest_size, unsigned granularity_bits)
{
    uint64_t granule = (uint64_t)1 << granularity_bits;
    return guest_size / granule + (guest_size % granule != 0);
}

void bitmap_list_free(struct bitmap *list, size_t n); /* formats/bitmap.c */

#endif
