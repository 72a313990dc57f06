#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/qcow2/amend.h"
#include "formats/qcow2/bitmap_change.h"
#include "formats/qcow2/bitmap_track.h"
#include "formats/qcow2/change.h"
#include "formats/qcow2/state.h"

static int qcow2_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return n >= 8 && be32_load(head) == QCOW2_MAGIC && be32_load(head + 4) >= 2 ? 100 : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The first cluster. Its size stands in its first bytes; names of features that we lack are told
 * even when the rest of the cluster makes no sense. */
static int head_read(struct qcow2 *q, struct err *e)
{
    uint8_t first[QCOW2_HEADER_V3_READ];
    struct qcow2_header h;
    size_t got;
    if (file_read_padded(q->file, first, sizeof first, 0, &got, e))
        return err_prefix(e, "Could not read qcow2 header: ");
    if (qcow2_header_load(first, got, &h, e))
        return -1;
    uint32_t cluster = UINT32_C(1) << h.cluster_bits;
    AUTO_FREE uint8_t *buf = mem_io(cluster, e);
    if (!buf)
        return -1;
    if (file_read_padded(q->file, buf, cluster, 0, &got, e))
        return err_prefix(e, "Could not read qcow2 header: ");
    int r = qcow2_head_load(buf, got, &q->head, e);
    if (!r)
        return 0;
    return qcow2_features_check(&q->head, e) ? -1 : r;
}

static void geometry_set(struct qcow2 *q)
{
    const struct qcow2_header *h = &q->head.header;
    q->cluster_bits = h->cluster_bits;
    q->cluster_size = UINT32_C(1) << h->cluster_bits;
    q->extended = h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2;
    q->l2_entries = q->cluster_size / (q->extended ? 16 : 8);
    q->has_data_file = h->incompatible & QCOW2_INCOMPAT_DATA_FILE;
    q->data_file_raw = q->has_data_file && (h->autoclear & QCOW2_AUTOCLEAR_DATA_RAW);
    q->codec = codec_find(h->compression_type == QCOW2_CODEC_ZSTD ? "zstd" : "deflate");
    q->size = h->size;
}

static int image_fill(struct image *img, struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    img->size = q->head.header.size;
    img->cluster_size = q->cluster_size;
    img->largest_block = q->cluster_size;
    img->encrypted = q->head.header.crypt_method != QCOW2_CRYPT_NONE;
    if (q->head.backing_name && !(img->backing_name = mem_strdup(q->head.backing_name, e)))
        return -1;
    if (q->head.ext.backing_format &&
        !(img->backing_format = mem_strdup(q->head.ext.backing_format, e)))
        return -1;
    return 0;
}

/* Snapshots and bitmaps. A check loads snapshots itself, and tells what is wrong with them. */
static int metadata_load(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    if (!img->flags.check && qcow2_snapshots_load(q, false, e))
        return -1;
    return qcow2_bitmaps_load(q, e);
}

static int map_prepare(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const struct qcow2_header *h = &q->head.header;
    if (img->flags.no_io || img->flags.check)
        return 0;
    return qcow2_map_open(q, h->l1_offset, h->l1_entries, h->size, e);
}

/* Bitmaps that nobody kept up to date count as nothing. */
static void tell_stale_bitmaps(const struct image *img, const struct qcow2 *q)
{
    const struct check_sink *sink = img->flags.repairs;
    if (!q->head.ext.stale_bitmaps || !sink)
        return;
    (sink->error ? sink->error : sink->line)(
        sink->ctx,
        q->head.header.version < 3
            ? "warning: This qcow2 v2 image contains bitmaps, but they may have been modified by a "
              "program without persistent bitmap support; so now they must all be considered "
              "inconsistent"
            : "warning: a program lacking bitmap support modified this file, so all bitmaps are "
              "now considered inconsistent");
    sink->line(sink->ctx, "Some clusters may be leaked, run 'qemu-img check -r' on the image file "
                          "to fix.");
}

static int qcow2_open_steps(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    if (head_read(q, e) || qcow2_limits_check(&q->head, &img->flags, e))
        return -1;
    tell_stale_bitmaps(img, q);
    geometry_set(q);
    if (image_fill(img, e) || qcow2_crypto_open(img, e) || metadata_load(img, e) ||
        qcow2_data_file_open(img, e))
        return -1;
    if (img->flags.write && !img->flags.check && qcow2_repair_dirty(img, e))
        return -1;
    return map_prepare(img, e);
}

static void qcow2_close(struct image *img)
{
    struct qcow2 *q = qcow2_of(img);
    img->state = NULL;
    if (!q)
        return;
    qcow2_bitmap_change_free(q->bitmap_change);
    qcow2_track_free(q);
    qcow2_change_free(q->change);
    qcow2_map_close(q);
    qcow2_snapshots_free(q);
    qcow2_bitmaps_free(q);
    qcow2_head_release(&q->head);
    crypt_free(q->crypt);
    explicit_bzero(&q->key, sizeof q->key);
    file_cleanup(&q->own_data_file);
    free(q);
}

static int qcow2_open(struct image *img, struct err *e)
{
    struct qcow2 *q = mem_new(1, sizeof *q, e);
    if (!q)
        return -1;
    q->file = img->file;
    q->budget = img->flags.metadata_budget;
    img->state = q;
    if (!qcow2_open_steps(img, e))
        return 0;
    qcow2_close(img);
    return -1;
}

static struct file *qcow2_further(const struct image *img, size_t i)
{
    return i ? NULL : ((const struct qcow2 *)img->state)->own_data_file;
}

static const char *const runtime_options[] = {
    "lazy-refcounts",
    "pass-discard-request",
    "pass-discard-snapshot",
    "pass-discard-other",
    "discard-no-unref",
    "overlap-check",
    "overlap-check.",
    "cache-size",
    "l2-cache-size",
    "l2-cache-entry-size",
    "refcount-cache-size",
    "cache-clean-interval",
    "encrypt.",
    "data-file",
    "data-file.",
    NULL,
};

const struct format format_qcow2 = {
    .name = "qcow2",
    .probe = qcow2_probe,
    .safety = qcow2_safety,
    .runtime_options = runtime_options,
    .open = qcow2_open,
    .close = qcow2_close,
    .map = qcow2_map,
    .info = qcow2_info,
    .check = qcow2_check,
    .load_snapshot = qcow2_load_snapshot,
    .status = qcow2_status,
    .further = qcow2_further,
    .bitmap_list = qcow2_bitmap_list,
    .bitmap_read = qcow2_bitmap_read,
    .bitmaps = &qcow2_bitmap_ops,
    .supports_backing = true,
    .supports_compression = true,
    .create_options = qcow2_create_options,
    .measure = qcow2_measure,
    .writer = &qcow2_writer,
    .edit = &qcow2_edit,
    .amend = &qcow2_amend,
};
