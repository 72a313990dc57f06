#include <string.h>

#include "formats/qcow2/state.h"

/* All objects here are built in the key order in which info prints them. */

static json_t *snapshot_info(const struct qcow2_snapshot *s)
{
    const uint64_t second = 1000000000;
    json_t *o = json_object();
    if (s->has_icount)
        json_object_set_new(o, "icount", json_integer((json_int_t)s->icount));
    json_object_set_new(o, "vm-clock-nsec", json_integer((json_int_t)(s->vm_clock_nsec % second)));
    json_object_set_new(o, "name", json_string_nocheck(s->name));
    json_object_set_new(o, "date-sec", json_integer(s->date_sec));
    json_object_set_new(o, "date-nsec", json_integer(s->date_nsec));
    json_object_set_new(o, "vm-clock-sec", json_integer((json_int_t)(s->vm_clock_nsec / second)));
    json_object_set_new(o, "id", json_string_nocheck(s->id));
    json_object_set_new(o, "vm-state-size", json_integer((json_int_t)s->vm_state_size));
    return o;
}

static json_t *snapshots_info(const struct qcow2 *q)
{
    json_t *list = q->n_snapshots ? json_array() : NULL;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        json_array_append_new(list, snapshot_info(&q->snapshots[i]));
    return list;
}

static json_t *bitmaps_info(const struct qcow2 *q)
{
    json_t *list = json_array();
    for (uint32_t i = 0; i < q->n_bitmaps; i++) {
        const struct qcow2_bitmap *b = &q->bitmaps[i];
        json_t *flags = json_array();
        if (b->flags & QCOW2_BITMAP_IN_USE)
            json_array_append_new(flags, json_string("in-use"));
        if (b->flags & QCOW2_BITMAP_AUTO)
            json_array_append_new(flags, json_string("auto"));
        json_t *o = json_object();
        json_object_set_new(o, "flags", flags);
        json_object_set_new(o, "name", json_string_nocheck(b->name));
        json_object_set_new(o, "granularity", json_integer((json_int_t)1 << b->granularity_bits));
        json_array_append_new(list, o);
    }
    return list;
}

static void set_bool(json_t *o, const char *key, bool v)
{
    json_object_set_new(o, key, json_boolean(v));
}

static json_t *specific_info(const struct qcow2 *q, json_t *encrypt)
{
    const struct qcow2_header *h = &q->head.header;
    bool v3 = h->version >= 3;
    json_t *o = json_object();
    json_object_set_new(o, "compat", json_string(v3 ? "1.1" : "0.10"));
    json_object_set_new(o, "compression-type",
                        json_string(h->compression_type == QCOW2_CODEC_ZSTD ? "zstd" : "zlib"));
    if (v3)
        set_bool(o, "lazy-refcounts", h->compatible & QCOW2_COMPAT_LAZY);
    if (v3 && q->n_bitmaps)
        json_object_set_new(o, "bitmaps", bitmaps_info(q));
    json_object_set_new(o, "refcount-bits", json_integer((json_int_t)1 << h->refcount_order));
    if (v3 && q->head.ext.data_file)
        json_object_set_new(o, "data-file", json_string_nocheck(q->head.ext.data_file));
    if (encrypt)
        json_object_set_new(o, "encrypt", encrypt);
    if (v3 && q->has_data_file)
        set_bool(o, "data-file-raw", q->data_file_raw);
    if (v3) {
        set_bool(o, "corrupt", h->incompatible & QCOW2_INCOMPAT_CORRUPT);
        set_bool(o, "extended-l2", q->extended);
    }
    return o;
}

int qcow2_info(struct image *img, struct format_info *out, struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    json_t *encrypt;
    if (qcow2_crypto_load(q, &encrypt, e))
        return -1;
    out->has_dirty = true;
    out->dirty = q->head.header.incompatible & QCOW2_INCOMPAT_DIRTY;
    out->snapshots = snapshots_info(q);
    out->specific = specific_info(q, encrypt);
    return out->specific ? 0 : err_nomem(e);
}
