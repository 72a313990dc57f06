/* The bitmap directory's entries and their limits, as fresh images and changes write them. */
#ifndef FORMATS_QCOW2_BITMAP_LAYOUT_H
#define FORMATS_QCOW2_BITMAP_LAYOUT_H

#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/qcow2/state.h"

/* "Bitmap directory" */
#define BITMAP_ENTRY_FIXED          24u
#define BITMAP_NAME_MAX             1023u
#define BITMAP_TYPE_DIRTY           1u
#define BITMAP_GRANULARITY_MIN_BITS 9u
#define BITMAP_GRANULARITY_MAX_BITS 31u
/* qemu's limits: on a bitmap's table, on its bits, on the directory */
#define BITMAP_TABLE_MAX     UINT64_C(0x8000000)
#define BITMAP_BYTES_MAX     UINT64_C(0x20000000)
#define BITMAP_DIRECTORY_MAX ((uint64_t)QCOW2_MAX_BITMAPS * 1024)

static inline uint64_t bitmap_entry_size(size_t name_length)
{
    return num_up(BITMAP_ENTRY_FIXED + name_length, 8);
}

/* An entry without extra data at p, which has bitmap_entry_size zeroed bytes; returns that size. */
static inline uint64_t bitmap_entry_store(const struct qcow2_bitmap *b, uint8_t *p)
{
    size_t length = strlen(b->name);
    be64_store(p, b->table_offset);
    be32_store(p + 8, b->table_entries);
    be32_store(p + 12, b->flags);
    p[16] = BITMAP_TYPE_DIRTY;
    p[17] = (uint8_t)b->granularity_bits;
    be16_store(p + 18, (uint16_t)length);
    memcpy(p + BITMAP_ENTRY_FIXED, b->name, length);
    return bitmap_entry_size(length);
}

#endif
