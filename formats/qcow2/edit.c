/* formats/edit.h for qcow2: where a guest range may be written, zeros, and what is given back. */
#include "formats/edit.h"

#include <errno.h>
#include <inttypes.h>

#include "base/num.h"
#include "formats/qcow2/bitmap_track.h"
#include "formats/qcow2/change.h"
#include "formats/qcow2/whole.h"

#define SUBCLUSTERS 32u
#define RUN_MAX     (2 * MIB) /* bytes that get a place at once */

/* How a unit (a cluster, a subcluster) can be written. */
enum way {
    WAY_THROUGH, /* where it is */
    WAY_THERE,   /* it has a place that does not count as its data yet */
    WAY_FRESH    /* it needs a place */
};

struct unit {
    enum way way;
    uint64_t host; /* THROUGH, THERE */
};

/* ---- one unit -------------------------------------------------------------------------------- */

static uint32_t unit_size(const struct qcow2 *q)
{
    return q->extended ? q->cluster_size / SUBCLUSTERS : q->cluster_size;
}

static int unit_look(struct qcow2 *q, uint64_t guest, struct unit *out, struct err *e)
{
    uint64_t cluster = guest >> q->cluster_bits, in = guest % q->cluster_size;
    struct qcow2_entry entry;
    struct table_entry x = {0};
    bool shared;
    if (qcow2_change_get(q->change, cluster, &entry, &shared, NULL, e) ||
        qcow2_entry_decode(q, cluster, entry.word, &x, e))
        return -1;
    bool own = x.has_host && (entry.word & QCOW2_COPIED) && !shared;
    bool data = q->extended ? entry.bits >> (in / unit_size(q)) & 1 : x.kind == EXTENT_DATA;
    out->way = x.kind == EXTENT_PACKED || !own ? WAY_FRESH : data ? WAY_THROUGH : WAY_THERE;
    out->host = x.host + in;
    if (q->has_data_file && out->way == WAY_FRESH) { /* there every cluster has its place */
        out->way = WAY_THERE;
        out->host = guest;
    }
    return 0;
}

/* ---- place and link -------------------------------------------------------------------------- */

/* Does a cluster hold data, so that all of it has to move along? */
static int holds_data(struct qcow2 *q, uint64_t guest, bool *holds, struct err *e)
{
    struct qcow2_entry entry;
    bool shared;
    if (qcow2_change_get(q->change, guest >> q->cluster_bits, &entry, &shared, NULL, e))
        return -1;
    *holds = (entry.word & QCOW2_COMPRESSED) || (uint32_t)entry.bits;
    return 0;
}

/* How many whole clusters from `first` on need a place. */
static int count_fresh(struct qcow2 *q, uint64_t first, uint64_t end, uint64_t *n, struct err *e)
{
    uint64_t most = num_max(num_min(end - first, RUN_MAX) >> q->cluster_bits, 1);
    struct unit u = {.way = WAY_FRESH};
    for (*n = 1; *n < most; ++*n) {
        if (unit_look(q, first + (*n << q->cluster_bits), &u, e))
            return -1;
        if (u.way != WAY_FRESH)
            break;
    }
    return 0;
}

static int place_fresh(struct qcow2 *q, uint64_t guest, uint64_t end, struct edit_place *out,
                       struct err *e)
{
    uint64_t first = num_down(guest, q->cluster_size), n = 1, limit = qcow2_file_limit(q);
    bool whole = !q->extended;
    if (!whole && holds_data(q, guest, &whole, e))
        return -1;
    if (!q->extended && count_fresh(q, first, end, &n, e))
        return -1;
    if (qcow2_change_take(q->change, n, &out->host, e))
        return -1;
    /* behind the file's end: a longer file reads as zeros there */
    out->is_zero = out->host >= limit && file_grows_zero(q->data_file);
    if (out->is_zero && file_truncate(q->data_file, out->host + (n << q->cluster_bits), e))
        return -1;
    out->guest = whole ? first : guest;
    out->length = whole ? n << q->cluster_bits : num_min(end, first + q->cluster_size) - guest;
    out->host += out->guest - first;
    return 0;
}

/* Units after `guest` that are written the same way, in the place that follows. */
static int place_run(struct qcow2 *q, uint64_t guest, uint64_t end, const struct unit *first,
                     uint64_t *length, struct err *e)
{
    uint32_t unit = unit_size(q);
    struct unit u;
    end = num_min(end, guest + RUN_MAX);
    for (*length = unit; guest + *length < end; *length += unit) {
        if (unit_look(q, guest + *length, &u, e))
            return -1;
        if (u.way != first->way || u.host != first->host + *length)
            break;
    }
    return 0;
}

static int qcow2_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                       struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct unit u;
    uint64_t end = num_min(guest + length, num_up(img->size, q->cluster_size));
    out->file = q->data_file;
    if (unit_look(q, guest, &u, e))
        return -1;
    out->fresh = u.way != WAY_THROUGH;
    out->host = u.host;
    int r = u.way == WAY_FRESH ? place_fresh(q, guest, end, out, e)
                               : place_run(q, guest, end, &u, &out->length, e);
    out->crypt = q->crypt;
    out->crypt_at = q->head.header.crypt_method == QCOW2_CRYPT_LUKS ? out->host : out->guest;
    return r;
}

/* The subclusters [from, to) of a cluster are stored from now on. */
static void bits_store(struct qcow2_entry *entry, unsigned from, unsigned to)
{
    for (unsigned i = from; i < to; i++) {
        entry->bits |= UINT64_C(1) << i;
        entry->bits &= ~(UINT64_C(1) << (SUBCLUSTERS + i));
    }
}

static int link_cluster(struct qcow2 *q, uint64_t guest, uint64_t length, uint64_t host,
                        struct err *e)
{
    uint64_t cluster = guest >> q->cluster_bits, in = guest % q->cluster_size;
    struct qcow2_entry entry = {0};
    bool shared;
    if (q->extended && qcow2_change_get(q->change, cluster, &entry, &shared, NULL, e))
        return -1;
    if (entry.word & QCOW2_COMPRESSED)
        entry.bits = 0;
    entry.word = (host - in) | QCOW2_COPIED;
    if (q->extended)
        bits_store(&entry, in / unit_size(q), num_div_up(in + length, unit_size(q)));
    return qcow2_change_set(q->change, cluster, &entry, e);
}

static int link_packed(struct qcow2 *q, const struct edit_place *p, struct err *e)
{
    const struct qcow2_entry entry = {qcow2_packed_entry(q->cluster_bits, p->host, p->packed_len),
                                      0};
    return qcow2_change_set(q->change, p->guest >> q->cluster_bits, &entry, e);
}

static int qcow2_link(struct image *img, const struct edit_place *p, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    if (p->packed_len)
        return link_packed(q, p, e);
    for (uint64_t done = 0, n; done < p->length; done += n) {
        n = num_min(p->length - done, q->cluster_size - (p->guest + done) % q->cluster_size);
        if (link_cluster(q, p->guest + done, n, p->host + done, e))
            return -1;
    }
    return 0;
}

/* ---- zeros ----------------------------------------------------------------------------------- */

/* Can nothing be seen below this image at `guest`? */
static bool is_bottom(const struct image *img, uint64_t guest)
{
    return !img->backing_changes &&
           (!img->backing_name || (img->backing && guest >= img->backing->size));
}

/* The entry of a whole cluster of zeros; -1: there is none in this version. */
static int zero_entry(const struct image *img, const struct qcow2 *q, uint64_t guest,
                      enum edit_zero how, const struct qcow2_entry *old, bool shared,
                      struct qcow2_entry *out)
{
    bool own = (old->word & QCOW2_COPIED) && !(old->word & QCOW2_COMPRESSED) && !shared;
    uint64_t keep =
        how == EDIT_ZERO_KEEP && own ? old->word & (QCOW2_PLACE_MASK | QCOW2_COPIED) : 0;
    *out = (struct qcow2_entry){0};
    if (q->head.header.version < 3)
        return is_bottom(img, guest) ? 0 : -1;
    out->word = q->extended ? keep : keep | QCOW2_ZERO;
    out->bits = q->extended ? (uint64_t)UINT32_MAX << SUBCLUSTERS : 0;
    return 0;
}

/* Subclusters [from, to) of a cluster that keeps its place. */
static int zero_bits(struct qcow2 *q, uint64_t cluster, struct qcow2_entry entry, unsigned from,
                     unsigned to, struct err *e)
{
    for (unsigned i = from; i < to; i++) {
        entry.bits |= UINT64_C(1) << (SUBCLUSTERS + i);
        entry.bits &= ~(UINT64_C(1) << i);
    }
    return qcow2_change_set(q->change, cluster, &entry, e);
}

static int zero_part(struct qcow2 *q, uint64_t guest, uint64_t length,
                     const struct qcow2_entry *old, uint64_t *done, struct err *e)
{
    uint64_t in = guest % q->cluster_size;
    if (!q->extended || (old->word & QCOW2_COMPRESSED))
        return 0;
    *done = length;
    return zero_bits(q, guest >> q->cluster_bits, *old, in / unit_size(q),
                     num_div_up(in + length, unit_size(q)), e);
}

/* What of one cluster; *done as in edit_ops.zero. */
static int zero_cluster(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                        uint64_t *done, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct qcow2_entry old, entry;
    bool shared;
    uint64_t same;
    *done = 0;
    if (qcow2_change_get(q->change, guest >> q->cluster_bits, &old, &shared, &same, e))
        return -1;
    if (same && is_bottom(img, guest)) { /* no table, nothing below: zeros already */
        *done = num_min(length, (same << q->cluster_bits) - guest % q->cluster_size);
        return 0;
    }
    uint64_t n = num_min(length, q->cluster_size - guest % q->cluster_size);
    if (n < q->cluster_size && guest + n < img->size)
        return zero_part(q, guest, n, &old, done, e);
    if (zero_entry(img, q, guest, how, &old, shared, &entry))
        return 0;
    *done = n;
    bool is_so = old.word == entry.word && old.bits == entry.bits;
    bool is_hole = !old.word && !old.bits && is_bottom(img, guest);
    return is_so || is_hole ? 0 : qcow2_change_set(q->change, guest >> q->cluster_bits, &entry, e);
}

static int qcow2_zero(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                      uint64_t *done, struct err *e)
{
    uint64_t n = 1;
    *done = 0;
    if (qcow2_of(img)->data_file_raw) /* whoever reads that file as it is must see zeros */
        return 0;
    while (n && *done < length) {
        if (zero_cluster(img, guest + *done, length - *done, how, &n, e))
            return -1;
        *done += n;
    }
    return 0;
}

static int qcow2_discard(struct image *img, uint64_t guest, uint64_t length, struct err *e)
{
    uint64_t done;
    return qcow2_zero(img, guest, length, EDIT_ZERO_DROP, &done, e);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

int qcow2_edit_prepare(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct qcow2_header *h = &q->head.header;
    uint64_t known = QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    if (qcow2_repair_dirty(img, e))
        return -1;
    if (!(h->autoclear & ~known) && !q->head.ext.stale_bitmaps)
        return 0;
    h->autoclear &= known;
    q->head.ext.stale_bitmaps = false; /* nor is the extension stored */
    return qcow2_head_write(q, e) || file_sync(q->file, e) ? -1 : 0;
}

static int qcow2_edit_begin(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    return qcow2_edit_prepare(img, e) || qcow2_change_open(q, q->budget, &q->change, e) ? -1 : 0;
}

static int qcow2_edit_flush(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    return qcow2_change_flush(q->change, q->data_file, e);
}

/* The drops that the last flush settled go to storage too: then nothing leaks. */
static int qcow2_edit_end(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct qcow2_header *h = &q->head.header;
    int r = qcow2_change_flush(q->change, q->data_file, e) || qcow2_track_end(q, e) ||
            qcow2_counts_flush(qcow2_change_counts(q->change), e) || file_sync(q->file, e);
    qcow2_track_free(q);
    qcow2_change_free(q->change);
    q->change = NULL;
    return r ? -1 : qcow2_map_open(q, h->l1_offset, h->l1_entries, img->size, e);
}

static uint64_t qcow2_unit(struct image *img)
{
    return unit_size(qcow2_of(img));
}

const struct edit_ops qcow2_edit = {
    .begin = qcow2_edit_begin,
    .end = qcow2_edit_end,
    .touch = qcow2_track_touch,
    .unit = qcow2_unit,
    .place = qcow2_place,
    .link = qcow2_link,
    .packing = &qcow2_packing,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_edit_flush,
    .reach = qcow2_reach,
    .resize = qcow2_resize,
    .set_backing = qcow2_set_backing,
    .empty = qcow2_empty,
    .snapshot_create = qcow2_snapshot_create,
    .snapshot_apply = qcow2_snapshot_apply,
    .snapshot_delete = qcow2_snapshot_delete,
};
