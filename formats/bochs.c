/*
 * bochs: the growing disk image ("redolog") of the Bochs emulator, read only.
 *
 *   header | catalog: an entry an extent | extent: bitmap of its sectors, then the sectors | ...
 *
 * All numbers are little-endian. What the bitmap or the catalog does not show reads as zeros.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"
#include "formats/slices.h"

#define BOCHS_SECTOR      512u
#define BOCHS_ABSENT      0xffffffffu
#define BOCHS_CATALOG_MAX 0x100000u
#define BOCHS_EXTENT_MAX  0x800000u
#define BOCHS_VERSION_1   0x00010000u
#define BOCHS_VERSION_2   0x00020000u

struct bochs_header {
    uint32_t version, header_size, entries, bitmap_size, extent_size;
    uint64_t disk_size;
};

struct bochs {
    struct bochs_header header;
    uint32_t bitmap_area; /* bytes of an extent's bitmap, whole sectors */
    uint64_t extents;     /* where the first one begins */
    uint32_t *catalog;
    struct slices *bitmaps;
};

/* ---- header ---------------------------------------------------------------------------------- */

static bool bochs_has_text(const uint8_t *head, size_t at, const char *text)
{
    return memcmp(head + at, text, strlen(text) + 1) == 0;
}

static bool bochs_is_ours(const uint8_t *head, size_t n)
{
    if (n < 68 || !bochs_has_text(head, 0, "Bochs Virtual HD Image") ||
        !bochs_has_text(head, 32, "Redolog") || !bochs_has_text(head, 48, "Growing"))
        return false;
    uint32_t version = le32_load(head + 64);
    return version == BOCHS_VERSION_1 || version == BOCHS_VERSION_2;
}

static int bochs_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return bochs_is_ours(head, n) ? 100 : 0;
}

static void bochs_header_load(struct bochs_header *h, const uint8_t *p)
{
    h->version = le32_load(p + 64);
    h->header_size = le32_load(p + 68);
    h->entries = le32_load(p + 72);
    h->bitmap_size = le32_load(p + 76);
    h->extent_size = le32_load(p + 80);
    h->disk_size = le64_load(p + (h->version == BOCHS_VERSION_1 ? 84 : 88));
}

/* The bits that an extent needs must be in its bitmap, or in what fills the bitmap's last sector.
 */
static bool bochs_bitmap_fits(const struct bochs_header *h)
{
    uint64_t bits = num_up(h->bitmap_size, BOCHS_SECTOR) * 8;
    return h->bitmap_size <= BOCHS_EXTENT_MAX && bits >= h->extent_size / BOCHS_SECTOR;
}

static int bochs_header_check(const struct bochs_header *h, struct err *e)
{
    if (h->entries > BOCHS_CATALOG_MAX)
        return err_set(e, EFBIG, "Catalog size is too large");
    if (h->extent_size < BOCHS_SECTOR)
        return err_set(e, EINVAL, "Extent size must be at least 512");
    if (!num_is_pow2(h->extent_size))
        return err_set(e, EINVAL, "Extent size %u is not a power of two", h->extent_size);
    if (h->extent_size > BOCHS_EXTENT_MAX)
        return err_set(e, EINVAL, "Extent size %u is too large", h->extent_size);
    if (h->entries < num_div_up(num_down(h->disk_size, BOCHS_SECTOR), h->extent_size))
        return err_set(e, EINVAL, "Catalog size is too small for this disk size");
    if (!bochs_bitmap_fits(h))
        return err_set(e, EINVAL, "Bitmap size %u does not fit an extent of %u bytes",
                       h->bitmap_size, h->extent_size);
    return 0;
}

static int bochs_header_read(struct file *f, struct bochs_header *h, struct err *e)
{
    uint8_t head[BOCHS_SECTOR];
    if (file_read_padded(f, head, sizeof head, 0, NULL, e))
        return err_prefix(e, "Could not read the header: ");
    if (!bochs_is_ours(head, sizeof head))
        return err_set(e, EINVAL, "Image not in Bochs format");
    bochs_header_load(h, head);
    return bochs_header_check(h, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void bochs_free(struct bochs *b)
{
    slices_free(b->bitmaps);
    free(b->catalog);
    free(b);
}

static void bochs_cleanup(struct bochs **b)
{
    if (*b)
        bochs_free(*b);
}

static void bochs_close(struct image *img)
{
    bochs_free(img->state);
    img->state = NULL;
}

/* 4 MiB at most. */
static int bochs_read_catalog(struct bochs *b, struct file *f, struct err *e)
{
    uint32_t n = b->header.entries;
    b->catalog = mem_new(n, sizeof *b->catalog, e);
    if (!b->catalog)
        return -1;
    if (file_read(f, b->catalog, n * sizeof *b->catalog, b->header.header_size, e))
        return err_prefix(e, "Could not read the catalog: ");
    for (uint32_t i = 0; i < n; i++)
        b->catalog[i] = le32_load(&b->catalog[i]);
    return 0;
}

static int bochs_open(struct image *img, struct err *e)
{
    AUTO(bochs_cleanup) struct bochs *b = mem_new(1, sizeof *b, e);
    if (!b || bochs_header_read(img->file, &b->header, e) || bochs_read_catalog(b, img->file, e) ||
        slices_new(img->file, img->flags.metadata_budget, 0, &b->bitmaps, e))
        return -1;
    const struct bochs_header *h = &b->header;
    b->bitmap_area = (uint32_t)num_up(h->bitmap_size, BOCHS_SECTOR);
    b->extents = (uint64_t)h->header_size + h->entries * sizeof *b->catalog;
    img->size = num_down(h->disk_size, BOCHS_SECTOR);
    img->state = MEM_TAKE(b);
    return 0;
}

/* ---- map ------------------------------------------------------------------------------------- */

/* How many extents from `first` on are not there: one answer. */
static uint32_t bochs_absent_run(const struct bochs *b, uint32_t first)
{
    uint32_t i = first;
    while (i < b->header.entries && b->catalog[i] == BOCHS_ABSENT)
        i++;
    return i - first;
}

static int bochs_bitmap_byte(struct bochs *b, struct slice *s, uint64_t offset, uint8_t *byte,
                             struct err *e)
{
    if (slices_move(b->bitmaps, offset, s, e))
        return -1;
    if (offset - s->offset >= s->valid)
        return err_set(e, EIO, "%s", strerror(EIO));
    *byte = s->data[offset - s->offset];
    return 0;
}

/* The sectors [first, *end) that are all stored or all not; *end comes as their limit. */
static int bochs_bitmap_run(struct bochs *b, struct slice *s, uint64_t bitmap, uint32_t first,
                            uint32_t *end, bool *stored, struct err *e)
{
    uint8_t byte = 0;
    for (uint32_t i = first; i < *end;) {
        if ((i == first || i % 8 == 0) && bochs_bitmap_byte(b, s, bitmap + i / 8, &byte, e))
            return -1;
        bool bit = byte >> i % 8 & 1;
        if (i == first)
            *stored = bit;
        if (bit != *stored)
            *end = i;
        else
            i += i % 8 == 0 && byte == (bit ? 0xff : 0) ? 8 : 1;
    }
    return 0;
}

static int bochs_map_extent(struct bochs *b, uint64_t host, uint64_t offset, uint64_t length,
                            struct extent *out, struct err *e)
{
    struct slice s = {0};
    bool stored = false;
    uint32_t first = (uint32_t)(offset / BOCHS_SECTOR);
    uint32_t end =
        (uint32_t)num_div_up(num_min(offset + length, b->header.extent_size), BOCHS_SECTOR);
    int rc = bochs_bitmap_run(b, &s, host, first, &end, &stored, e);
    slices_put(b->bitmaps, &s);
    if (rc)
        return -1;
    out->kind = stored ? EXTENT_DATA : EXTENT_ZERO;
    out->length = (uint64_t)end * BOCHS_SECTOR - offset;
    out->host = stored ? host + b->bitmap_area + offset : 0;
    return 0;
}

static int bochs_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                     struct err *e)
{
    struct bochs *b = img->state;
    uint64_t extent_size = b->header.extent_size, offset = guest % extent_size;
    uint32_t index = (uint32_t)(guest / extent_size);
    uint32_t absent = bochs_absent_run(b, index);
    out->file = img->file;
    if (absent) {
        out->kind = EXTENT_ZERO;
        out->length = absent * extent_size - offset;
        return 0;
    }
    uint64_t host = b->extents + b->catalog[index] * (b->bitmap_area + extent_size);
    return bochs_map_extent(b, host, offset, length, out, e);
}

const struct format format_bochs = {
    .name = "bochs",
    .probe = bochs_probe,
    .named_only = true,
    .open = bochs_open,
    .close = bochs_close,
    .map = bochs_map,
};
