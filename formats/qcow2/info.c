#include <string.h>

#include "base/tree.h"
#include "formats/qcow2/state.h"

/* All objects here are built in the key order in which info prints them. */

static json_t *snapshot_info(const struct qcow2_snapshot *s)
{
    const uint64_t second = 1000000000;
    json_t *o = json_object();
    if (s->has_icount)
        o = tree_set(o, "icount", json_integer((json_int_t)s->icount));
    o = tree_set(o, "vm-clock-nsec", json_integer((json_int_t)(s->vm_clock_nsec % second)));
    o = tree_set(o, "name", json_string_nocheck(s->name));
    o = tree_set(o, "date-sec", json_integer(s->date_sec));
    o = tree_set(o, "date-nsec", json_integer(s->date_nsec));
    o = tree_set(o, "vm-clock-sec", json_integer((json_int_t)(s->vm_clock_nsec / second)));
    o = tree_set(o, "id", json_string_nocheck(s->id));
    o = tree_set(o, "vm-state-size", json_integer((json_int_t)s->vm_state_size));
    return o;
}

static json_t *snapshots_info(const struct qcow2 *q)
{
    json_t *list = q->n_snapshots ? json_array() : NULL;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        list = tree_append(list, snapshot_info(&q->snapshots[i]));
    return list;
}

static json_t *bitmaps_info(const struct qcow2 *q)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < q->n_bitmaps; i++) {
        const struct qcow2_bitmap *b = &q->bitmaps[i];
        json_t *flags = json_array();
        if (b->flags & QCOW2_BITMAP_IN_USE)
            flags = tree_append(flags, json_string("in-use"));
        if (b->flags & QCOW2_BITMAP_AUTO)
            flags = tree_append(flags, json_string("auto"));
        json_t *o = json_object();
        o = tree_set(o, "flags", flags);
        o = tree_set(o, "name", json_string_nocheck(b->name));
        o = tree_set(o, "granularity", json_integer((json_int_t)1 << b->granularity_bits));
        list = tree_append(list, o);
    }
    return list;
}

/* Takes encrypt, which may be NULL. */
static json_t *specific_info(const struct qcow2 *q, json_t *encrypt)
{
    const struct qcow2_header *h = &q->head.header;
    bool v3 = h->version >= 3;
    json_t *o = json_object();
    o = tree_set(o, "compat", json_string(v3 ? "1.1" : "0.10"));
    o = tree_set(o, "compression-type",
                 json_string(h->compression_type == QCOW2_CODEC_ZSTD ? "zstd" : "zlib"));
    if (v3)
        o = tree_set(o, "lazy-refcounts", json_boolean(h->compatible & QCOW2_COMPAT_LAZY));
    if (v3 && q->n_bitmaps)
        o = tree_set(o, "bitmaps", bitmaps_info(q));
    o = tree_set(o, "refcount-bits", json_integer((json_int_t)1 << h->refcount_order));
    if (v3 && q->head.ext.data_file)
        o = tree_set(o, "data-file", json_string_nocheck(q->head.ext.data_file));
    if (encrypt)
        o = tree_set(o, "encrypt", encrypt);
    if (v3 && q->has_data_file)
        o = tree_set(o, "data-file-raw", json_boolean(q->data_file_raw));
    if (v3) {
        o = tree_set(o, "corrupt", json_boolean(h->incompatible & QCOW2_INCOMPAT_CORRUPT));
        o = tree_set(o, "extended-l2", json_boolean(q->extended));
    }
    return o;
}

int qcow2_info(struct image *img, struct format_info *out, struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    json_t *encrypt;
    if (qcow2_crypto_info(q, &encrypt, e))
        return -1;
    out->has_dirty = true;
    out->dirty = q->head.header.incompatible & QCOW2_INCOMPAT_DIRTY;
    out->snapshots = snapshots_info(q);
    out->specific = specific_info(q, encrypt);
    bool lost = !out->specific || (q->n_snapshots && !out->snapshots);
    return lost ? err_nomem(e) : 0;
}
