/*
 * Changing a VDI in place.
 *
 * Other programs put the next block at the index that the header's count of blocks says. So the
 * count is written before the entries: a stop between them leaves a count that is too large, never
 * one that leads into a block in use. Places that a stop left unused are taken first, so the count
 * becomes right again.
 */
#include "base/mem.h"
#include "base/num.h"
#include "formats/vdi/vdi.h"

#define AT_ALLOCATED 0x184u

/* ---- which places are in use ----------------------------------------------------------------- */

struct survey {
    uint32_t blocks; /* in use */
    uint32_t top;    /* above all of them */
    uint8_t *bits;   /* those in use, `room` of them; NULL: they are only counted */
    uint32_t room;
};

static void survey_see(void *ctx, uint64_t block, uint64_t raw)
{
    struct survey *s = ctx;
    (void)block;
    if (raw >= VDI_BLOCKS_MAX)
        return;
    s->blocks++;
    s->top = (uint32_t)num_max(s->top, raw + 1);
    if (s->bits && raw < s->room)
        s->bits[raw / 8] |= (uint8_t)(1u << raw % 8);
}

static int survey(struct vdi *v, struct err *e)
{
    struct survey s = {0};
    if (table_edit_scan(v->table, survey_see, &s, e))
        return -1;
    v->top = s.top;
    v->next = v->n_used = 0;
    if (s.blocks == s.top)
        return 0;
    s.room = (uint32_t)num_min(s.top, v->header.blocks);
    free(v->used);
    v->used = s.bits = mem_new(s.room / 8 + 1, 1, e);
    v->n_used = s.room;
    return v->used ? table_edit_scan(v->table, survey_see, &s, e) : -1;
}

static uint64_t vdi_reuse(struct image *img)
{
    struct vdi *v = img->state;
    for (uint32_t i; v->next < v->n_used;) {
        i = v->next++;
        if (!(v->used[i / 8] >> i % 8 & 1))
            return v->header.data_offset + (uint64_t)i * VDI_BLOCK;
    }
    return 0;
}

/* ---- the operations -------------------------------------------------------------------------- */

static int vdi_count(struct image *img, struct err *e)
{
    struct vdi *v = img->state;
    uint64_t begin = v->header.data_offset, linked = num_max(v->edit.linked_end, begin) - begin;
    uint32_t top = (uint32_t)num_max(v->top, linked / VDI_BLOCK);
    uint8_t field[4];
    if (top == v->header.allocated)
        return 0;
    le32_store(field, top);
    if (file_write(img->file, field, sizeof field, AT_ALLOCATED, e))
        return -1;
    v->header.allocated = top;
    return 0;
}

static int vdi_edit_begin(struct image *img, struct err *e)
{
    struct vdi *v = img->state;
    if (survey(v, e))
        return -1;
    v->edit = (struct table_edit){
        .table = v->table,
        .end = v->header.data_offset + (uint64_t)v->top * VDI_BLOCK,
        .align = VDI_BLOCK,
        .entry_max = num_max(v->header.blocks, 1) - 1,
        .keeps_space = v->header.type == VDI_STATIC,
        .reuse = vdi_reuse,
        .count = vdi_count,
    };
    table_edit_begin(img);
    return 0;
}

const struct edit_ops vdi_edit = {
    .begin = vdi_edit_begin,
    .unit = table_edit_unit,
    .place = table_edit_place,
    .link = table_edit_link,
    .zero = table_edit_zero,
    .flush = table_edit_flush,
};
