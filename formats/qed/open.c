#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qed/qed.h"

const struct table_format qed_table_format = {
    .entry_size = 8,
    .place_mask = UINT64_MAX,
    .place_scale = 1,
    .absent = 0,
    .has_zero = true,
    .zero = QED_ZERO_CLUSTER,
};

static int qed_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return n >= 4 && le32_load(head) == QED_MAGIC ? 100 : 0;
}

/* ---- where things are ------------------------------------------------------------------------ */

static int entry_decode(void *ctx, uint64_t block, uint64_t raw, struct table_entry *out,
                        struct err *e)
{
    const struct qed *q = ctx;
    if (raw <= QED_ZERO_CLUSTER) {
        out->kind = raw ? EXTENT_ZERO : EXTENT_HOLE;
        return 0;
    }
    if (!qed_offset_valid(&q->header, raw, q->header.cluster_size, q->limit))
        return err_set(e, EINVAL,
                       "QED cluster offset 0x%" PRIx64 " is invalid (guest offset: 0x%" PRIx64 ")",
                       raw, block * q->header.cluster_size);
    out->kind = EXTENT_DATA;
    out->has_host = true;
    out->host = raw;
    return 0;
}

static int first_decode(void *ctx, uint64_t index, uint64_t raw, uint64_t *host, struct err *e)
{
    const struct qed *q = ctx;
    if (!qed_offset_valid(&q->header, raw, qed_table_bytes(&q->header), q->limit))
        return err_set(e, EINVAL,
                       "QED table offset 0x%" PRIx64 " is invalid (L1 index: %" PRIu64 ")", raw,
                       index);
    *host = raw;
    return 0;
}

static int qed_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                   struct err *e)
{
    const struct qed *q = img->state;
    return table_map(q->map, guest, length, out, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int head_read(struct image *img, struct qed *q, struct err *e)
{
    uint8_t head[QED_HEADER];
    if (file_read_padded(img->file, head, sizeof head, 0, NULL, e) ||
        qed_header_load(head, &q->header, e))
        return -1;
    q->table_entries = qed_table_bytes(&q->header) / 8;
    q->limit = num_up(file_size(img->file), q->header.cluster_size);
    uint64_t whole = num_down(file_size(img->file), q->header.cluster_size);
    if (!qed_offset_valid(&q->header, q->header.l1_offset, qed_table_bytes(&q->header), whole))
        return err_set(e, EINVAL, "QED table offset is invalid");
    return 0;
}

static int backing_read(struct image *img, const struct qed_header *h, struct err *e)
{
    if (!(h->features & QED_BACKING))
        return 0;
    if (h->backing_length > QED_MAX_BACKING)
        return err_set(e, EINVAL, "Failed to read backing filename");
    AUTO_FREE char *name = mem_new(h->backing_length + 1, 1, e);
    if (!name || file_read_padded(img->file, name, h->backing_length, h->backing_offset, NULL, e))
        return -1;
    if (!*name)
        return 0;
    if ((h->features & QED_BACKING_RAW) && !(img->backing_format = mem_strdup("raw", e)))
        return -1;
    img->backing_name = MEM_TAKE(name);
    return 0;
}

/* Bits of which we do not know what they say cannot stay true of an image that is written. */
static int autoclear(struct image *img, struct qed_header *h, struct err *e)
{
    if (!img->flags.write || !h->autoclear_features)
        return 0;
    h->autoclear_features = 0;
    return qed_header_update(img->file, h, e) ? -1 : file_sync(img->file, e);
}

int qed_map_open(struct image *img, struct qed *q, struct err *e)
{
    const struct qed_header *h = &q->header;
    const struct table_params p = {
        .format = &qed_table_format,
        .file = img->file,
        .data_file = img->file,
        .size = h->size,
        .block_size = h->cluster_size,
        .levels = 2,
        .table_entries = q->table_entries,
        .first_offset = h->l1_offset,
        .first_entries = q->table_entries,
        .table_mask = UINT64_MAX,
        .table_scale = 1,
        .budget = img->flags.metadata_budget,
        .tail = h->cluster_size,
        .decode = entry_decode,
        .decode_first = first_decode,
        .ctx = q,
    };
    struct table *map;
    if (table_open(&p, &map, e))
        return -1;
    table_free(q->map);
    q->map = q->edit.table = map;
    return 0;
}

static void qed_close(struct image *img)
{
    struct qed *q = img->state;
    img->state = NULL;
    table_free(q->map);
    free(q);
}

static int qed_open(struct image *img, struct err *e)
{
    struct qed *q = mem_new(1, sizeof *q, e);
    if (!q)
        return -1;
    img->state = q;
    if (head_read(img, q, e) || backing_read(img, &q->header, e) || autoclear(img, &q->header, e) ||
        qed_map_open(img, q, e)) {
        qed_close(img);
        return -1;
    }
    img->size = q->header.size;
    img->cluster_size = q->header.cluster_size;
    return 0;
}

/* ---- what is shown --------------------------------------------------------------------------- */

static int qed_info(struct image *img, struct format_info *out, struct err *e)
{
    (void)img;
    (void)e;
    out->has_dirty = true; /* need-check is not what it tells */
    return 0;
}

/* qemu answers for one L2 table at a time. */
static void qed_status(struct image *img, struct format_status *out)
{
    const struct qed *q = img->state;
    if (!num_mul(q->table_entries, q->header.cluster_size, &out->reach))
        out->reach = 0;
}

const struct format format_qed = {
    .name = "qed",
    .probe = qed_probe,
    .named_only = true,
    .open = qed_open,
    .close = qed_close,
    .map = qed_map,
    .info = qed_info,
    .check = qed_check,
    .status = qed_status,
    .supports_backing = true,
    .create_options = qed_create_options,
    .writer = &qed_writer,
    .edit = &qed_edit,
};
