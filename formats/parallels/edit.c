/*
 * Changing a Parallels image in place.
 *
 * The header says that somebody writes from the beginning to the end. The Format Extension goes
 * before anything changes: the bitmaps in it would not tell of what is written now.
 */
#include "base/num.h"
#include "formats/parallels/parallels.h"

struct survey {
    const struct table_format *format;
    uint64_t cluster, end;
};

static void survey_see(void *ctx, uint64_t block, uint64_t raw)
{
    struct survey *s = ctx;
    (void)block;
    if (raw)
        s->end = num_max(s->end, raw * s->format->place_scale + s->cluster);
}

/* Behind the table, where the header has data begin, and behind all clusters. */
static int find_end(struct image *img, struct parallels *s, uint64_t *end, struct err *e)
{
    const struct parallels_header *h = &s->header;
    uint64_t data = (uint64_t)h->data_offset * PARALLELS_SECTOR;
    struct survey v = {.format = &s->format, .cluster = parallels_cluster_bytes(h)};
    v.end = num_up(PARALLELS_HEADER_SIZE + (uint64_t)h->entries * 4, PARALLELS_SECTOR);
    if (data <= file_size(img->file))
        v.end = num_max(v.end, data);
    if (table_edit_scan(s->table, survey_see, &v, e))
        return -1;
    *end = v.end;
    return 0;
}

static int mark(struct image *img, struct parallels *s, uint32_t in_use, struct err *e)
{
    uint8_t field[8];
    le32_store(field, in_use);
    if (file_write(img->file, field, 4, PARALLELS_AT_IN_USE, e) || file_sync(img->file, e))
        return -1;
    s->header.in_use = in_use;
    if (!in_use || !s->header.ext_offset)
        return 0;
    le64_store(field, 0);
    if (file_write(img->file, field, 8, PARALLELS_AT_EXT_OFFSET, e) || file_sync(img->file, e))
        return -1;
    s->header.ext_offset = 0;
    return 0;
}

static int parallels_edit_begin(struct image *img, struct err *e)
{
    struct parallels *s = img->state;
    uint64_t end;
    if (mark(img, s, PARALLELS_IN_USE, e) || find_end(img, s, &end, e))
        return -1;
    s->edit = (struct table_edit){
        .table = s->table,
        .end = end,
        .align = s->header.old ? PARALLELS_SECTOR : parallels_cluster_bytes(&s->header),
        .entry_max = UINT32_MAX,
    };
    table_edit_begin(img);
    return 0;
}

/* What lies behind the last cluster is a leak to a check. */
static int parallels_edit_end(struct image *img, struct err *e)
{
    struct parallels *s = img->state;
    if (file_is_regular(img->file) && file_size(img->file) > s->edit.end &&
        file_truncate(img->file, s->edit.end, e))
        return -1;
    return mark(img, s, 0, e);
}

const struct edit_ops parallels_edit = {
    .begin = parallels_edit_begin,
    .end = parallels_edit_end,
    .unit = table_edit_unit,
    .place = table_edit_place,
    .link = table_edit_link,
    .zero = table_edit_zero,
    .flush = table_edit_flush,
};
