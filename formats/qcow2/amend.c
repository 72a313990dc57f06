/*
 * formats/amend.h for qcow2: all that is asked for comes about as one switch (switch.h).
 *
 *     plan ──▶ zeros become data, bitmaps go ──▶ snapshots ──▶ counts ──▶ head ──▶ keys
 *              ╰─── for version 2 ────────╯
 *
 * A larger disk has room made for it before, a smaller one is cut off after. The key slots have a
 * place of their own, and change by writes of their own.
 */
#include "formats/qcow2/amend.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/bitmap_track.h"
#include "formats/qcow2/expand.h"
#include "formats/qcow2/whole.h"

struct amend {
    struct image *img;
    struct qcow2 *q;
    const struct amend_request *request;
    const struct qcow2_plan *plan;
    struct qcow2_switch s;
    uint64_t *l1; /* the active table as it is to be */
    uint64_t n_l1;
    bool l1_changed;
    uint64_t *snapshot_l1; /* place of each snapshot's table, as it is to be */
    bool snapshots_changed;
};

static bool is_downgrade(const struct amend *a)
{
    return a->plan->version < 3 && a->q->head.header.version >= 3;
}

static bool is_upgrade(const struct amend *a)
{
    return a->plan->version >= 3 && a->q->head.header.version < 3;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int amend_load(struct amend *a, struct err *e)
{
    const struct qcow2 *q = a->q;
    a->n_l1 = q->head.header.l1_entries;
    a->snapshot_l1 = mem_new(num_max(q->n_snapshots, 1), sizeof *a->snapshot_l1, e);
    if (!a->snapshot_l1 || qcow2_words_read(q, q->head.header.l1_offset, a->n_l1, &a->l1, e))
        return -1;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        a->snapshot_l1[i] = q->snapshots[i].l1_offset;
    return 0;
}

static int snapshot_table(const struct qcow2 *q, uint32_t i, uint64_t **l1, struct err *e)
{
    const struct qcow2_snapshot *x = &q->snapshots[i];
    if (qcow2_l1_check(&q->head.header, x->l1_offset, x->l1_entries, "Snapshot L1 table", e))
        return -1;
    return qcow2_words_read(q, x->l1_offset, x->l1_entries, l1, e);
}

/* Version 2 unpacks nothing but deflate, in no snapshot either. */
static int check_packed(struct amend *a, struct err *e)
{
    const struct qcow2 *q = a->q;
    bool found = false;
    if (!is_downgrade(a) || q->head.header.compression_type == QCOW2_CODEC_DEFLATE)
        return 0;
    if (qcow2_expand_finds_packed(&a->s, a->l1, a->n_l1, &found, e))
        return -1;
    for (uint32_t i = 0; i < q->n_snapshots && !found; i++) {
        AUTO_FREE uint64_t *l1 = NULL;
        if (snapshot_table(q, i, &l1, e) ||
            qcow2_expand_finds_packed(&a->s, l1, q->snapshots[i].l1_entries, &found, e))
            return -1;
    }
    return !found ? 0
                  : err_set(e, ENOTSUP,
                            "Cannot downgrade an image with zstd compression type and existing "
                            "compressed clusters");
}

/* ---- what version 2 has not ------------------------------------------------------------------ */

/* Beyond the end of its disk there is the state of a machine. */
static int expand_snapshot(struct amend *a, struct qcow2_expand *x, uint32_t i, struct err *e)
{
    const struct qcow2_snapshot *snapshot = &a->q->snapshots[i];
    uint64_t n = snapshot->l1_entries;
    AUTO_FREE uint64_t *l1 = NULL;
    bool changed;
    if (snapshot_table(a->q, i, &l1, e) || qcow2_expand_l1(x, l1, n, INT64_MAX, &changed, e))
        return -1;
    if (!changed)
        return 0;
    a->snapshots_changed = true;
    return qcow2_switch_forget(&a->s, snapshot->l1_offset, n * 8, e) ||
                   qcow2_switch_put_l1(&a->s, l1, n, &a->snapshot_l1[i], e)
               ? -1
               : 0;
}

static int expand_steps(struct amend *a, struct qcow2_expand *x, struct err *e)
{
    if (qcow2_expand_l1(x, a->l1, a->n_l1, a->plan->size, &a->l1_changed, e))
        return -1;
    for (uint32_t i = 0; i < a->q->n_snapshots; i++)
        if (expand_snapshot(a, x, i, e))
            return -1;
    return 0;
}

static int expand_zeros(struct amend *a, struct err *e)
{
    struct qcow2_expand x;
    int rc = qcow2_expand_init(&x, &a->s, a->img->backing_name, a->request, e);
    if (!rc)
        rc = expand_steps(a, &x, e);
    qcow2_expand_release(&x);
    return rc;
}

static int forget_bitmap(struct amend *a, const struct qcow2_bitmap *b, struct err *e)
{
    AUTO_FREE uint64_t *table = NULL;
    if (qcow2_words_read(a->q, b->table_offset, b->table_entries, &table, e))
        return -1;
    for (uint32_t i = 0; i < b->table_entries; i++) {
        uint64_t host = table[i] & QCOW2_PLACE_MASK;
        if (host && qcow2_switch_forget(&a->s, host, a->q->cluster_size, e))
            return -1;
    }
    return qcow2_switch_forget(&a->s, b->table_offset, (uint64_t)b->table_entries * 8, e);
}

static int forget_bitmaps(struct amend *a, struct err *e)
{
    const struct qcow2_extensions *x = &a->q->head.ext;
    if (!x->has_bitmaps)
        return 0;
    for (uint32_t i = 0; i < a->q->n_bitmaps; i++)
        if (forget_bitmap(a, &a->q->bitmaps[i], e))
            return -1;
    return qcow2_switch_forget(&a->s, x->bitmap_dir_offset, x->bitmap_dir_size, e);
}

static int downgrade(struct amend *a, struct err *e)
{
    struct qcow2_header *h = &a->s.header;
    if (!is_downgrade(a))
        return 0;
    h->incompatible = h->compatible = h->autoclear = 0;
    h->compression_type = QCOW2_CODEC_DEFLATE;
    return expand_zeros(a, e) || forget_bitmaps(a, e) ? -1 : 0;
}

/* ---- the snapshot table ---------------------------------------------------------------------- */

/* Version 3 demands more of an entry than version 2. */
static int put_snapshots(struct amend *a, struct err *e)
{
    const struct qcow2 *q = a->q;
    struct qcow2_header *h = &a->s.header;
    size_t bytes = 0, most = q->snapshots_bytes + q->n_snapshots * (size_t)QCOW2_SNAPSHOT_GROWS;
    AUTO_FREE uint8_t *buf = mem_new(num_max(most, 1), 1, e);
    if (!buf)
        return -1;
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        uint8_t *entry = buf + bytes;
        bytes += qcow2_snapshot_upgrade(h->version, &q->snapshots[i], entry);
        be64_store(entry, a->snapshot_l1[i]);
        a->snapshots_changed |= qcow2_snapshot_grows(h->version, &q->snapshots[i]);
    }
    if (!a->snapshots_changed)
        return 0;
    return qcow2_switch_forget(&a->s, h->snapshots_offset, q->snapshots_bytes, e) ||
                   qcow2_switch_put(&a->s, buf, bytes, &h->snapshots_offset, e)
               ? -1
               : 0;
}

/* ---- the first cluster ----------------------------------------------------------------------- */

static int set_features(struct amend *a, struct qcow2_extensions *x, struct err *e)
{
    if (!is_downgrade(a) && !is_upgrade(a))
        return 0;
    free(MEM_TAKE(x->features));
    x->features_length = 0;
    if (is_downgrade(a) || a->q->cluster_size < QCOW2_FEATURES_MIN_CLUSTER)
        return 0;
    x->features = qcow2_features_new(e);
    x->features_length = QCOW2_FEATURES_LENGTH;
    return x->features ? 0 : -1;
}

static int set_data_file(struct amend *a, struct qcow2_extensions *x, struct err *e)
{
    const char *name = a->plan->data_file;
    if (!name)
        return 0;
    char *copy = *name ? mem_strdup(name, e) : NULL;
    if (*name && !copy)
        return -1;
    free(x->data_file);
    x->data_file = copy;
    return 0;
}

/* Does it all fit, before anything is told? */
static int try_head(struct amend *a, struct err *e)
{
    struct qcow2_head head = a->q->head;
    AUTO_FREE uint8_t *buf = mem_io(a->q->cluster_size, e);
    head.header = a->s.header;
    if (!buf)
        return -1;
    return qcow2_head_store(&head, buf, a->q->cluster_size, e)
               ? err_prefix(e, "Failed to update the image header: ")
               : 0;
}

static int set_head(struct amend *a, struct err *e)
{
    struct qcow2_header *h = &a->s.header;
    struct qcow2_extensions *x = &a->q->head.ext;
    const struct qcow2_plan *p = a->plan;
    a->s.whole_head = true;
    h->refcount_order = p->refcount_order;
    h->size = p->size;
    if (h->version >= 3)
        h->compatible = (h->compatible & ~QCOW2_COMPAT_LAZY) | (p->lazy ? QCOW2_COMPAT_LAZY : 0);
    if (!p->data_raw)
        h->autoclear &= ~QCOW2_AUTOCLEAR_DATA_RAW;
    x->has_bitmaps &= !is_downgrade(a);
    x->stale_bitmaps = false;
    return set_features(a, x, e) || set_data_file(a, x, e) || try_head(a, e) ? -1 : 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int switch_steps(struct amend *a, struct err *e)
{
    if (amend_load(a, e) || check_packed(a, e) || downgrade(a, e) ||
        (a->l1_changed && qcow2_switch_active(&a->s, a->l1, a->n_l1, e)) || put_snapshots(a, e) ||
        set_head(a, e) || qcow2_switch_commit(&a->s, e))
        return -1;
    return qcow2_file_cut(&a->s, e);
}

/* Is there more to write than the first cluster? */
static bool needs_switch(const struct amend *a)
{
    const struct qcow2_header *h = &a->q->head.header;
    bool grows = false;
    for (uint32_t i = 0; i < a->q->n_snapshots; i++)
        grows |= qcow2_snapshot_grows(a->plan->version, &a->q->snapshots[i]);
    return is_downgrade(a) || a->plan->refcount_order != h->refcount_order || grows;
}

static int switch_run(struct amend *a, struct err *e)
{
    if (qcow2_switch_begin(a->q, &a->s, e))
        return -1;
    a->s.header.version = a->plan->version;
    int rc = switch_steps(a, e);
    qcow2_switch_end(&a->s);
    free(a->l1);
    free(a->snapshot_l1);
    return rc;
}

static int head_run(struct amend *a, struct err *e)
{
    struct qcow2 *q = a->q;
    a->s.header = q->head.header;
    a->s.header.version = a->plan->version;
    a->s.header.autoclear &= QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    if (set_head(a, e))
        return -1;
    q->head.header = a->s.header;
    return qcow2_head_write(q, e) || file_sync(q->file, e) ? -1 : 0;
}

/* ---- another size ---------------------------------------------------------------------------- */

/* Before the header says so. */
static int make_room(struct amend *a, struct err *e)
{
    uint64_t was = a->q->head.header.size, size = a->plan->size;
    if (size <= was)
        return 0;
    if (qcow2_stretch(a->img, size, e) ||
        (a->request->zero && a->request->zero(a->img, was, size, e)))
        return -1;
    return a->plan->data_raw ? qcow2_reserve(a->img, was, size, EDIT_PREALLOC_METADATA, e) : 0;
}

static int change(struct amend *a, struct err *e)
{
    uint64_t was = a->q->head.header.size;
    if (make_room(a, e) || (needs_switch(a) ? switch_run(a, e) : head_run(a, e)))
        return -1;
    return a->plan->size < was ? qcow2_shrink(a->img, a->plan->size, e) : 0;
}

/* Bitmaps, if there can be any, follow another size. */
static int change_all(struct amend *a, struct err *e)
{
    struct err second = ERR_INIT;
    uint64_t was = a->q->head.header.size;
    bool fits = a->plan->size != was && a->plan->version >= 3;
    if (fits && qcow2_bitmaps_hold(a->q, e))
        return -1;
    int rc = change(a, e);
    if (fits && qcow2_bitmaps_fit(a->img, was, rc ? &second : e))
        rc = -1;
    if (rc)
        return -1;
    if (!a->q->head.ext.has_bitmaps)
        qcow2_bitmaps_free(a->q);
    return qcow2_reload(a->img, e);
}

/* Is anything of what the tables and the first cluster say to be another? */
static bool is_change(const struct qcow2 *q, const struct qcow2_plan *p)
{
    const struct qcow2_header *h = &q->head.header;
    bool lazy = h->compatible & QCOW2_COMPAT_LAZY;
    return p->version != h->version || p->refcount_order != h->refcount_order ||
           p->size != h->size || p->lazy != lazy || p->data_file || p->data_raw != q->data_file_raw;
}

static int qcow2_amend_run(struct image *img, const struct amend_request *r, struct err *e)
{
    AUTO(qcow2_plan_release) struct qcow2_plan plan;
    struct qcow2 *q = qcow2_of(img);
    struct amend a = {.img = img, .q = q, .request = r, .plan = &plan};
    const struct luks_area area = qcow2_crypto_area(q);
    if (qcow2_plan_make(img, r, &plan, e) || (is_change(q, &plan) && change_all(&a, e)))
        return -1;
    return plan.keys ? luks_amend_apply(&area, &q->luks, plan.keys, e) : 0;
}

const struct amend_ops qcow2_amend = {
    .options = qcow2_amend_options,
    .run = qcow2_amend_run,
};
