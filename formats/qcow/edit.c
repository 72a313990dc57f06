/*
 * Changing a qcow in place: clusters and tables are appended, a compressed cluster that is written
 * to becomes a plain one, and nothing is ever given free but by a commit, after which the image
 * holds nothing.
 */
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow/qcow.h"

#define AT_L1_OFFSET 40u

static int qcow_edit_begin(struct image *img, struct err *e)
{
    struct qcow *q = img->state;
    (void)e;
    q->edit = (struct table_edit){
        .table = q->map,
        .end = num_up(file_size(img->file), qcow_cluster(&q->header)),
        .align = qcow_cluster(&q->header),
        .entry_max = INT64_MAX,
    };
    table_edit_begin(img);
    return 0;
}

static int qcow_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                      struct err *e)
{
    const struct qcow *q = img->state;
    if (table_edit_place(img, guest, length, out, e))
        return -1;
    out->crypt = q->crypt;
    out->crypt_at = out->guest;
    return 0;
}

/* ---- nothing is allocated any more ----------------------------------------------------------- */

/* Behind the header, and the backing file's name. */
static uint64_t name_end(const struct qcow_header *h)
{
    bool has_name = h->backing_offset && h->backing_length;
    return num_max(QCOW_HEADER, has_name ? h->backing_offset + h->backing_length : 0);
}

/* The table moves to where a new image has it, so that the file can be cut behind it. */
static int table_move(struct image *img, struct qcow_header *h, uint64_t bytes, struct err *e)
{
    uint8_t field[8];
    uint64_t at = num_up(name_end(h), 8);
    if (at + bytes > h->l1_offset)
        return 0;
    be64_store(field, at);
    if (file_zero(img->file, at, bytes, FILE_ZERO_KEEP, e) || file_sync(img->file, e) ||
        file_write(img->file, field, sizeof field, AT_L1_OFFSET, e) || file_sync(img->file, e))
        return -1;
    h->l1_offset = at;
    return 0;
}

static int qcow_empty(struct image *img, struct err *e)
{
    struct qcow *q = img->state;
    struct qcow_header *h = &q->header;
    uint64_t bytes = qcow_l1_entries(h) * 8, end;
    if (file_zero(img->file, h->l1_offset, bytes, FILE_ZERO_KEEP, e) || file_sync(img->file, e) ||
        table_move(img, h, bytes, e))
        return -1;
    end = num_max(h->l1_offset + bytes, name_end(h));
    if (file_is_regular(img->file) && file_truncate(img->file, end, e))
        return -1;
    return qcow_map_open(img, q, e) || qcow_edit_begin(img, e) ? -1 : 0;
}

const struct edit_ops qcow_edit = {
    .begin = qcow_edit_begin,
    .unit = table_edit_unit,
    .place = qcow_place,
    .link = table_edit_link,
    .zero = table_edit_zero,
    .flush = table_edit_flush,
    .empty = qcow_empty,
};
