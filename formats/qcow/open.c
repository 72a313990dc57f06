#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/crypt/crypt.h"
#include "formats/qcow/qcow.h"

const struct table_format qcow_table_format = {
    .entry_size = 8,
    .big_endian = true,
    .place_mask = ~QCOW_COMPRESSED,
    .place_scale = 1,
    .absent = 0,
    .packed = QCOW_COMPRESSED,
};

static int qcow_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return n >= 8 && be32_load(head) == QCOW_MAGIC && be32_load(head + 4) == QCOW_VERSION ? 100 : 0;
}

/* ---- where things are ------------------------------------------------------------------------ */

static void packed_decode(const struct qcow *q, uint64_t raw, struct table_entry *out)
{
    unsigned shift = qcow_packed_shift(&q->header);
    out->kind = EXTENT_PACKED;
    out->codec = q->codec;
    out->host = raw & ((UINT64_C(1) << shift) - 1);
    out->packed_len = (uint32_t)((raw & ~QCOW_COMPRESSED) >> shift);
}

static int entry_decode(void *ctx, uint64_t block, uint64_t raw, struct table_entry *out,
                        struct err *e)
{
    const struct qcow *q = ctx;
    if (raw & QCOW_COMPRESSED) {
        packed_decode(q, raw, out);
        return 0;
    }
    if (raw % 512)
        return err_set(e, EIO,
                       "Cluster offset 0x%" PRIx64 " is not aligned (guest offset: 0x%" PRIx64 ")",
                       raw, block << q->header.cluster_bits);
    out->kind = raw ? EXTENT_DATA : EXTENT_HOLE;
    out->has_host = raw;
    out->host = raw;
    return 0;
}

static int qcow_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                    struct err *e)
{
    const struct qcow *q = img->state;
    if (table_map(q->map, guest, length, out, e))
        return -1;
    if (out->kind == EXTENT_DATA) {
        out->crypt = q->crypt;
        out->crypt_at = guest;
    }
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int head_read(struct image *img, struct qcow_header *h, struct err *e)
{
    uint8_t head[QCOW_HEADER];
    return file_read_padded(img->file, head, sizeof head, 0, NULL, e) ||
                   qcow_header_load(head, h, e)
               ? -1
               : 0;
}

static int backing_read(struct image *img, const struct qcow_header *h, struct err *e)
{
    if (!h->backing_offset || !h->backing_length)
        return 0;
    if (!num_inside(h->backing_offset, h->backing_length, file_size(img->file)))
        return err_set(e, EINVAL, "Invalid backing file offset");
    AUTO_FREE char *name = mem_new(h->backing_length + 1, 1, e);
    if (!name || file_read(img->file, name, h->backing_length, h->backing_offset, e))
        return -1;
    img->backing_name = *name ? MEM_TAKE(name) : NULL;
    return 0;
}

int qcow_map_open(struct image *img, struct qcow *q, struct err *e)
{
    const struct qcow_header *h = &q->header;
    const struct table_params p = {
        .format = &qcow_table_format,
        .file = img->file,
        .data_file = img->file,
        .size = h->size,
        .block_size = qcow_cluster(h),
        .levels = 2,
        .table_entries = UINT64_C(1) << h->l2_bits,
        .first_offset = h->l1_offset,
        .first_entries = qcow_l1_entries(h),
        .table_mask = UINT64_MAX,
        .table_scale = 1,
        .budget = img->flags.metadata_budget,
        .tail = qcow_cluster(h),
        .decode = entry_decode,
        .ctx = q,
    };
    struct table *map;
    if (table_open(&p, &map, e))
        return -1;
    table_free(q->map);
    q->map = q->edit.table = map;
    return 0;
}

static void qcow_close(struct image *img)
{
    struct qcow *q = img->state;
    img->state = NULL;
    table_free(q->map);
    crypt_free(q->crypt);
    free(q);
}

static int qcow_open(struct image *img, struct err *e)
{
    struct qcow *q = mem_new(1, sizeof *q, e);
    if (!q)
        return -1;
    img->state = q;
    q->codec = codec_find("deflate");
    if (head_read(img, &q->header, e) || backing_read(img, &q->header, e) ||
        qcow_crypto_open(img, &q->header, &q->crypt, e) || qcow_map_open(img, q, e)) {
        qcow_close(img);
        return -1;
    }
    img->size = num_down(q->header.size, 512);
    img->cluster_size = img->largest_block = qcow_cluster(&q->header);
    img->encrypted = q->header.crypt_method != QCOW_CRYPT_NONE;
    return 0;
}

/* ---- what is shown --------------------------------------------------------------------------- */

static int qcow_info(struct image *img, struct format_info *out, struct err *e)
{
    (void)img;
    (void)e;
    out->has_dirty = true;
    return 0;
}

/* qemu answers for one cluster at a time. */
static void qcow_status(struct image *img, struct format_status *out)
{
    out->reach = img->cluster_size;
}

static const char *const runtime_options[] = {"encrypt.", NULL};

const struct format format_qcow = {
    .name = "qcow",
    .probe = qcow_probe,
    .named_only = true,
    .runtime_options = runtime_options,
    .open = qcow_open,
    .close = qcow_close,
    .map = qcow_map,
    .info = qcow_info,
    .status = qcow_status,
    .supports_backing = true,
    .supports_compression = true,
    .create_options = qcow_create_options,
    .writer = &qcow_writer,
    .edit = &qcow_edit,
};
