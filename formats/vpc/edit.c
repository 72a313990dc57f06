/*
 * Changing a VHD in place.
 *
 * The footer stands where the next block will. Before that is written, another footer goes far
 * behind it, so that the file ends with one at any time without a sync for each block; the end
 * takes it back to just behind the last block. A block's bitmap is all ones before its entry is
 * written: what the guest has not written of it is zeros, or copied from the parent.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/slices.h"
#include "formats/vpc/vpc.h"

#define RESERVE (64 * MIB) /* or an eighth of the file: how far a footer is put ahead */

/* ---- the footer ------------------------------------------------------------------------------ */

static int footer_write(struct image *img, uint64_t at, struct err *e)
{
    struct vpc *v = img->state;
    if (file_write(img->file, v->footer_bytes, VPC_FOOTER_SIZE, at, e) || file_sync(img->file, e))
        return -1;
    v->data_end = at;
    return 0;
}

static int vpc_reserve(struct image *img, uint64_t end, struct err *e)
{
    struct vpc *v = img->state;
    uint64_t stride = (uint64_t)v->lead + v->header.block_size;
    uint64_t ahead = num_max(RESERVE, end / 8) / stride * stride;
    if (end <= v->data_end)
        return 0;
    v->moved = true;
    return footer_write(img, end + ahead, e);
}

/* As it is, whatever it says. */
static int footer_read(struct image *img, struct vpc *v, struct err *e)
{
    struct vpc_footer f;
    if (file_read_padded(img->file, v->footer_bytes, VPC_FOOTER_SIZE, 0, NULL, e))
        return -1;
    if (vpc_footer_load(v->footer_bytes, &f) == VPC_FOOTER_GOOD)
        return 0;
    return file_read_padded(img->file, v->footer_bytes, VPC_FOOTER_SIZE, v->data_end, NULL, e);
}

/* ---- bitmaps --------------------------------------------------------------------------------- */

static int bitmap_fill(struct image *img, uint64_t at, struct err *e)
{
    struct vpc *v = img->state;
    uint8_t ones[VPC_SECTOR];
    memset(ones, 0xff, sizeof ones);
    for (uint64_t done = 0; done < v->lead; done += sizeof ones)
        if (file_write(img->file, ones, sizeof ones, at + done, e))
            return -1;
    return 0;
}

/* The map of a differencing image reads bitmaps: it is to see this one. */
static int bitmap_store(struct vpc *v, uint64_t at, struct err *e)
{
    const uint64_t ones = UINT64_MAX;
    slices_grown(v->bitmaps, at, v->lead);
    for (uint64_t done = 0; done < v->lead; done += sizeof ones)
        if (slices_store(v->bitmaps, at + done, &ones, sizeof ones, e))
            return -1;
    return 0;
}

static int vpc_count(struct image *img, struct err *e)
{
    struct vpc *v = img->state;
    if (!v->bitmaps || !slices_changed(v->bitmaps))
        return 0;
    /* in a block that was there, the bits are the entries: its data goes first */
    return file_sync(img->file, e) || slices_flush(v->bitmaps, e) ? -1 : 0;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

struct survey {
    uint64_t end;
    uint64_t stride;
};

static void survey_see(void *ctx, uint64_t block, uint64_t raw)
{
    struct survey *s = ctx;
    (void)block;
    if (raw != VPC_ABSENT)
        s->end = num_max(s->end, raw * VPC_SECTOR + s->stride);
}

/* The parent's names stand anywhere. */
static uint64_t locators_end(const struct file *f, const struct vpc_header *h)
{
    uint64_t end = 0;
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        const struct vpc_locator *l = &h->locators[i];
        if (num_inside(l->offset, l->length, file_size(f)))
            end = num_max(end, l->offset + l->length);
    }
    return end;
}

static int vpc_edit_begin(struct image *img, struct err *e)
{
    struct vpc *v = img->state;
    if (!v->table)
        return 0;
    struct survey s = {.stride = (uint64_t)v->lead + v->header.block_size};
    s.end = num_max(v->footer.data_offset + VPC_HEADER_SIZE,
                    v->header.table_offset + (uint64_t)v->header.entries * 4);
    s.end = num_max(s.end, locators_end(img->file, &v->header));
    if (table_edit_scan(v->table, survey_see, &s, e) || footer_read(img, v, e))
        return -1;
    v->moved = false;
    v->edit = (struct table_edit){
        .table = v->table,
        .end = s.end,
        .align = VPC_SECTOR,
        .entry_max = VPC_ABSENT - 1,
        .reserve = vpc_reserve,
        .count = vpc_count,
    };
    table_edit_begin(img);
    return 0;
}

static int vpc_edit_end(struct image *img, struct err *e)
{
    struct vpc *v = img->state;
    uint64_t at = num_up(v->edit.end, VPC_SECTOR);
    if (!v->table || !v->moved)
        return 0;
    v->moved = false;
    if (at < v->data_end && footer_write(img, at, e))
        return -1;
    if (!file_is_regular(img->file))
        return 0;
    return file_truncate(img->file, at + VPC_FOOTER_SIZE, e) || file_sync(img->file, e) ? -1 : 0;
}

/* ---- the operations -------------------------------------------------------------------------- */

static int vpc_flush(struct image *img, struct err *e)
{
    return vpc_of(img)->table ? table_edit_flush(img, e) : file_sync(img->file, e);
}

static uint64_t vpc_unit(struct image *img)
{
    return vpc_of(img)->table ? table_edit_unit(img) : 1;
}

static int place_fixed(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                       struct err *e)
{
    struct extent x = {0};
    if (vpc_map(img, guest, length, &x, e))
        return -1;
    out->file = x.file;
    out->host = x.host;
    out->length = x.length;
    return 0;
}

static int vpc_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                     struct err *e)
{
    const struct vpc *v = vpc_of(img);
    struct extent x = {0};
    if (!v->table)
        return place_fixed(img, guest, length, out, e);
    if (table_edit_place(img, guest, length, out, e))
        return -1;
    if (!v->bitmaps || out->fresh)
        return 0;
    /* a block that has sectors of the parent becomes this image's as a whole */
    uint64_t most = num_min(v->header.block_size, img->size - guest);
    if (vpc_map(img, guest, most, &x, e))
        return -1;
    out->fresh = x.kind != EXTENT_DATA || x.length < most;
    out->length = v->header.block_size;
    return 0;
}

static int vpc_link(struct image *img, const struct edit_place *p, struct err *e)
{
    struct vpc *v = img->state;
    uint64_t bitmap = p->host - v->lead, raw;
    if (v->bitmaps ? bitmap_store(v, bitmap, e) : bitmap_fill(img, bitmap, e))
        return -1;
    if (v->bitmaps && slices_changed(v->bitmaps) * (uint64_t)SLICES_SIZE >= v->edit.most &&
        vpc_flush(img, e))
        return -1;
    if (table_raw(v->table, p->guest / v->header.block_size, &raw, e))
        return -1;
    return raw * VPC_SECTOR == bitmap ? 0 : table_edit_link(img, p, e);
}

static int vpc_zero(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                    uint64_t *done, struct err *e)
{
    *done = 0;
    if (vpc_of(img)->bitmaps)
        return 0;
    if (vpc_of(img)->table)
        return table_edit_zero(img, guest, length, how, done, e);
    struct extent x = {0};
    if (vpc_map(img, guest, length, &x, e))
        return -1;
    *done = x.length;
    return file_zero(x.file, x.host, x.length, FILE_ZERO_KEEP, e);
}

const struct edit_ops vpc_edit = {
    .begin = vpc_edit_begin,
    .end = vpc_edit_end,
    .unit = vpc_unit,
    .place = vpc_place,
    .link = vpc_link,
    .zero = vpc_zero,
    .flush = vpc_flush,
};
