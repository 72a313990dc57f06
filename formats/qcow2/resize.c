/* A new size, another backing file: what one write of the header changes. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/bitmap_track.h"
#include "formats/qcow2/whole.h"
#include "formats/qcow2/switch.h"

/* ---- size ------------------------------------------------------------------------------------ */

int qcow2_resize_check(const struct qcow2 *q, uint32_t version, uint64_t size, struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    uint64_t l1 = num_div_up(size, q->l2_entries << q->cluster_bits);
    if (size % 512)
        return err_set(e, EINVAL, "The new size must be a multiple of 512");
    if (h->n_snapshots && version < 3)
        return err_set(e, ENOTSUP, "Can't resize a v2 image which has snapshots");
    if (size > INT64_MAX || l1 > QCOW2_MAX_L1_BYTES / 8)
        return err_set(e, EFBIG, "Failed to grow the L1 table: File too large");
    return 0;
}

int qcow2_file_cut(struct qcow2_switch *s, struct err *e)
{
    uint64_t end;
    if (qcow2_counts_end(s->counts, &end, e))
        return -1;
    end <<= s->q->cluster_bits;
    return end < file_size(s->q->file) ? file_truncate(s->q->file, end, e) : 0;
}

/* Whoever reads a raw data file as it is must find each cluster in its place. */
static int grow(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct qcow2_header *h = &q->head.header;
    enum edit_prealloc least = q->data_file_raw ? EDIT_PREALLOC_METADATA : EDIT_PREALLOC_OFF;
    enum edit_prealloc how = prealloc == EDIT_PREALLOC_OFF ? least : prealloc;
    if (qcow2_reach(img, size, e) ||
        (how != EDIT_PREALLOC_OFF && qcow2_reserve(img, h->size, size, how, e)))
        return -1;
    h->size = size;
    h->autoclear &= QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    return qcow2_header_write(q, e) || file_sync(q->file, e) ? -1 : 0;
}

int qcow2_resize(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct err second = ERR_INIT;
    uint64_t was = q->head.header.size;
    if (qcow2_repair_dirty(img, e) || qcow2_resize_check(q, q->head.header.version, size, e))
        return -1;
    if (size == was)
        return qcow2_reload(img, e);
    if (qcow2_bitmaps_hold(q, e))
        return -1;
    int r = size < was ? qcow2_shrink(img, size, e) : grow(img, size, prealloc, e);
    if (qcow2_bitmaps_fit(img, was, r ? &second : e))
        r = -1;
    return r ? -1 : qcow2_reload(img, e);
}
