#include "formats/qcow2/switch.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define BUDGET_DEFAULT (64 * MIB) /* refcount blocks; and half as much for references */
#define REF_BYTES      (2 * sizeof(struct qcow2_ref))

static void switch_release(struct qcow2_switch *s)
{
    qcow2_counts_free(s->counts);
    qcow2_batch_release(&s->batch);
    free(s->table);
}

static int switch_open(struct qcow2 *q, struct qcow2_switch *s, struct err *e)
{
    *s = (struct qcow2_switch){.q = q, .header = q->head.header, .file_size = file_size(q->file)};
    uint64_t budget = q->budget ? q->budget : BUDGET_DEFAULT;
    unsigned block_bits = q->cluster_bits + 3 - q->head.header.refcount_order;
    size_t most = num_max(budget / 2 / REF_BYTES, qcow2_switch_batch_least(q));
    s->table = mem_io(q->cluster_size, e);
    if (!s->table || qcow2_batch_init(&s->batch, most, block_bits, e) ||
        qcow2_counts_open(q, budget, &s->counts, e)) {
        switch_release(s);
        return -1;
    }
    qcow2_counts_track(s->counts);
    return 0;
}

int qcow2_switch_begin_done(struct qcow2 *q, struct qcow2_switch *s, struct err *e)
{
    if (switch_open(q, s, e))
        return -1;
    s->committed = true;
    return 0;
}

int qcow2_switch_begin(struct qcow2 *q, struct qcow2_switch *s, struct err *e)
{
    if (switch_open(q, s, e))
        return -1;
    qcow2_counts_shadow(s->counts);
    s->header.autoclear &= QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    return 0;
}

void qcow2_switch_end(struct qcow2_switch *s)
{
    struct err ignored = ERR_INIT;
    switch_release(s);
    if (!s->committed && file_size(s->q->file) > s->file_size)
        file_truncate(s->q->file, s->file_size, &ignored);
}

/* ---- clusters -------------------------------------------------------------------------------- */

int qcow2_switch_put(struct qcow2_switch *s, const void *buf, uint64_t bytes, uint64_t *host,
                     struct err *e)
{
    uint64_t cluster = s->q->cluster_size, n = num_max(num_div_up(bytes, cluster), 1);
    return qcow2_counts_take(s->counts, n, host, e) || file_write(s->q->file, buf, bytes, *host, e)
               ? -1
               : 0;
}

int qcow2_switch_forget(struct qcow2_switch *s, uint64_t host, uint64_t bytes, struct err *e)
{
    return bytes ? qcow2_counts_lower(s->counts, host, bytes, e) : 0;
}

int qcow2_switch_put_l1(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, uint64_t *host,
                        struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_new(num_max(n, 1), 8, e);
    if (!buf)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        be64_store(buf + 8 * i, l1[i]);
    return qcow2_switch_put(s, buf, n * 8, host, e);
}

int qcow2_switch_move(struct qcow2_switch *s, uint64_t *host, const uint8_t *table, struct err *e)
{
    uint64_t cluster = s->q->cluster_size;
    return qcow2_counts_lower(s->counts, *host, cluster, e) ||
                   qcow2_switch_put(s, table, cluster, host, e)
               ? -1
               : 0;
}

int qcow2_switch_active(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, struct err *e)
{
    struct qcow2_header *h = &s->header;
    if (qcow2_switch_forget(s, h->l1_offset, (uint64_t)h->l1_entries * 8, e))
        return -1;
    h->l1_entries = (uint32_t)n;
    return qcow2_switch_put_l1(s, l1, n, &h->l1_offset, e);
}

/* A table that is shared keeps what the others see in it. */
int qcow2_switch_cut(struct qcow2_switch *s, uint64_t *l1_entry, uint64_t first, struct err *e)
{
    const struct qcow2 *q = s->q;
    uint64_t host, size = qcow2_entry_size(q);
    if (qcow2_switch_table(s, 0, *l1_entry, &host, e))
        return -1;
    if (!host)
        return 0;
    for (uint64_t i = first; i < q->l2_entries; i++) {
        uint64_t old, bytes = qcow2_switch_refers(q, be64_load(qcow2_switch_entry(s, i)), &old);
        if (bytes && qcow2_counts_lower(s->counts, old, bytes, e))
            return -1;
        memset(qcow2_switch_entry(s, i), 0, size);
    }
    if (qcow2_switch_move(s, &host, s->table, e))
        return -1;
    *l1_entry = host | QCOW2_COPIED;
    return 0;
}

/* ---- the switch ------------------------------------------------------------------------------ */

static int give_back(void *ctx, uint64_t host, uint64_t bytes, struct err *e)
{
    (void)e;
    file_discard(ctx, host, bytes);
    return 0;
}

/* The counts that the new header is to refer to; of another width they are all new. */
static int counts_write(struct qcow2_switch *s, bool recodes, struct err *e)
{
    struct qcow2_header *h = &s->header;
    return recodes ? qcow2_counts_recode(s->counts, h->refcount_order, &h->reftable_offset,
                                         &h->reftable_clusters, e)
                   : qcow2_counts_shadow_write(s->counts, &h->reftable_offset,
                                               &h->reftable_clusters, e);
}

static int counts_follow(struct qcow2_switch *s, struct err *e)
{
    return qcow2_counts_switched(s->counts, e) || qcow2_counts_flush(s->counts, e) ||
                   file_sync(s->q->file, e) ||
                   qcow2_counts_each_freed(s->counts, give_back, s->q->file, e)
               ? -1
               : 0;
}

/* What the counts that are gone have given free, and what they took themselves. */
static int give_back_old(struct qcow2_switch *s, struct qcow2_counts *old, const uint64_t *held,
                         size_t n, struct err *e)
{
    uint64_t cluster = s->q->cluster_size, count;
    if (qcow2_counts_each_freed(old, give_back, s->q->file, e))
        return -1;
    for (size_t i = 0; i < n; i++)
        if (qcow2_counts_get(s->counts, held[i], &count, e) ||
            (!count && give_back(s->q->file, held[i] * cluster, cluster, e)))
            return -1;
    return 0;
}

/* Go by the counts that the header says. */
static int counts_reopen(struct qcow2_switch *s, const uint64_t *held, size_t n, struct err *e)
{
    struct qcow2_counts *old = MEM_TAKE(s->counts);
    int rc =
        qcow2_counts_open(s->q, s->q->budget, &s->counts, e) || give_back_old(s, old, held, n, e)
            ? -1
            : 0;
    qcow2_counts_free(old);
    return rc;
}

int qcow2_switch_commit(struct qcow2_switch *s, struct err *e)
{
    struct qcow2 *q = s->q;
    AUTO_FREE uint64_t *held = NULL;
    size_t n_held = 0;
    bool recodes = s->header.refcount_order != q->head.header.refcount_order;
    if (counts_write(s, recodes, e) || file_sync(q->file, e) ||
        (recodes && qcow2_counts_held(s->counts, &held, &n_held, e)))
        return -1;
    q->head.header = s->header;
    s->committed = true; /* if this write fails, nobody knows what the storage says */
    if ((s->whole_head ? qcow2_head_write(q, e) : qcow2_header_write(q, e)) ||
        file_sync(q->file, e))
        return -1;
    return recodes ? counts_reopen(s, held, n_held, e) : counts_follow(s, e);
}

int qcow2_reload(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const struct qcow2_header *h = &q->head.header;
    qcow2_snapshots_free(q);
    img->size = h->size;
    return qcow2_snapshots_load(q, false, e) ||
                   qcow2_map_open(q, h->l1_offset, h->l1_entries, h->size, e)
               ? -1
               : 0;
}
