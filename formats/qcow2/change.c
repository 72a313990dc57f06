#include "formats/qcow2/change.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/count.h"

#define BUDGET_DEFAULT (32 * MIB)
#define TABLES_LEAST   8u

/* An L2 table in memory. */
struct l2 {
    uint64_t index;
    uint8_t *data;
    bool dirty;
    bool recent; /* looked at since the clock came by */
};

struct qcow2_change {
    struct qcow2 *q;
    struct qcow2_counts *counts;
    pthread_mutex_t lock;
    uint64_t *l1; /* host order */
    uint64_t n_l1;
    uint64_t l1_from, l1_to; /* entries that are not on storage as they are here */
    struct l2 **l2;          /* in memory, by index */
    struct l2 **loaded;
    size_t n_loaded, hand, most;
    size_t n_dirty;

    uint64_t packed_at, packed_left, packed_refs; /* behind the last encoded cluster. It may be free
                                                   * after a flush */
};

/* ---- opening --------------------------------------------------------------------------------- */

static int change_fill(struct qcow2_change *c, uint64_t budget, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    c->n_l1 = h->l1_entries;
    c->most = num_max((budget ? budget : BUDGET_DEFAULT) / c->q->cluster_size, TABLES_LEAST);
    c->l2 = mem_new(num_max(c->n_l1, 1), sizeof *c->l2, e);
    c->loaded = mem_new(c->most, sizeof *c->loaded, e);
    if (!c->l2 || !c->loaded || qcow2_words_read(c->q, h->l1_offset, c->n_l1, &c->l1, e))
        return -1;
    return qcow2_counts_open(c->q, budget, &c->counts, e);
}

int qcow2_change_open(struct qcow2 *q, uint64_t budget, struct qcow2_change **out, struct err *e)
{
    struct qcow2_change *c = mem_new(1, sizeof *c, e);
    if (!c)
        return -1;
    c->q = q;
    pthread_mutex_init(&c->lock, NULL);
    if (change_fill(c, budget, e)) {
        qcow2_change_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

static void l2_free(struct l2 *t)
{
    free(t->data);
    free(t);
}

void qcow2_change_free(struct qcow2_change *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_loaded; i++)
        l2_free(c->loaded[i]);
    free(c->loaded);
    free(c->l2);
    free(c->l1);
    qcow2_counts_free(c->counts);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct qcow2_counts *qcow2_change_counts(struct qcow2_change *c)
{
    return c->counts;
}

/* Mapping may have to flush for room in memory: it too writes counts. */
int qcow2_change_take(struct qcow2_change *c, uint64_t n, uint64_t *host, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    int r = qcow2_counts_take(c->counts, n, host, e);
    pthread_mutex_unlock(&c->lock);
    return r;
}

int qcow2_change_drop(struct qcow2_change *c, uint64_t host, uint64_t bytes, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    int r = qcow2_counts_drop(c->counts, host, bytes, e);
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* ---- writing out ----------------------------------------------------------------------------- */

static bool l1_dirty(const struct qcow2_change *c)
{
    return c->l1_from < c->l1_to;
}

static void l1_set(struct qcow2_change *c, uint64_t index, uint64_t word)
{
    c->l1[index] = word;
    c->l1_from = l1_dirty(c) ? num_min(c->l1_from, index) : index;
    c->l1_to = num_max(c->l1_to, index + 1);
}

static int l1_write(struct qcow2_change *c, struct err *e)
{
    uint64_t n = c->l1_to - c->l1_from;
    AUTO_FREE uint8_t *buf = mem_new(n, 8, e);
    if (!buf)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        be64_store(buf + 8 * i, c->l1[c->l1_from + i]);
    uint64_t at = c->q->head.header.l1_offset + c->l1_from * 8;
    if (file_write(c->q->file, buf, n * 8, at, e))
        return err_prefix(e, "Could not write L1 table: ");
    c->l1_from = c->l1_to = 0;
    return 0;
}

static uint64_t l2_host(const struct qcow2_change *c, uint64_t index)
{
    return c->l1[index] & QCOW2_PLACE_MASK;
}

static int tables_write(struct qcow2_change *c, struct err *e)
{
    for (size_t i = 0; i < c->n_loaded && c->n_dirty; i++) {
        struct l2 *t = c->loaded[i];
        if (!t->dirty)
            continue;
        if (file_write(c->q->file, t->data, c->q->cluster_size, l2_host(c, t->index), e))
            return err_prefix(e, "Could not write L2 table: ");
        t->dirty = false;
        c->n_dirty--;
    }
    return 0;
}

static int flush(struct qcow2_change *c, struct file *data, struct err *e)
{
    struct file *file = c->q->file;
    c->packed_left = 0;
    if ((data && data != file && file_sync(data, e)) || qcow2_counts_flush(c->counts, e) ||
        file_sync(file, e))
        return -1;
    if (!c->n_dirty && !l1_dirty(c))
        return qcow2_counts_settle(c->counts, e);
    if (tables_write(c, e) || file_sync(file, e))
        return -1;
    if (l1_dirty(c) && (l1_write(c, e) || file_sync(file, e)))
        return -1;
    return qcow2_counts_settle(c->counts, e);
}

int qcow2_change_flush(struct qcow2_change *c, struct file *data, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    int r = flush(c, data, e);
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* ---- tables in memory ------------------------------------------------------------------------ */

/* Make room for one more; a table that is dirty must wait for its turn in a flush. */
static int l2_evict(struct qcow2_change *c, struct err *e)
{
    if (c->n_dirty >= c->most / 2 && flush(c, c->q->data_file, e))
        return -1;
    for (;;) {
        c->hand = (c->hand + 1) % c->n_loaded;
        struct l2 *t = c->loaded[c->hand];
        bool keep = t->recent || t->dirty;
        t->recent = false;
        if (keep)
            continue;
        c->l2[t->index] = NULL;
        c->loaded[c->hand] = c->loaded[--c->n_loaded];
        l2_free(t);
        return 0;
    }
}

static struct l2 *l2_new(struct qcow2_change *c, uint64_t index, struct err *e)
{
    if (c->n_loaded >= c->most && l2_evict(c, e))
        return NULL;
    struct l2 *t = mem_new(1, sizeof *t, e);
    if (!t || !(t->data = mem_io(c->q->cluster_size, e))) {
        free(t);
        return NULL;
    }
    memset(t->data, 0, c->q->cluster_size);
    t->index = index;
    t->recent = true;
    c->loaded[c->n_loaded++] = c->l2[index] = t;
    return t;
}

/* *out NULL: the table is absent. */
static int l2_load(struct qcow2_change *c, uint64_t index, struct l2 **out, struct err *e)
{
    const struct qcow2 *q = c->q;
    uint64_t host;
    *out = c->l2[index];
    if (*out)
        (*out)->recent = true;
    if (*out || qcow2_l1_decode(q, index, c->l1[index], &host, e))
        return *out ? 0 : -1;
    if (!host)
        return 0;
    if (host >= qcow2_file_limit(q))
        return err_set(e, EIO,
                       "qcow2: Image is corrupt: L2 table at offset 0x%" PRIx64
                       " is outside of the file",
                       host);
    struct l2 *t = l2_new(c, index, e);
    if (!t)
        return -1;
    if (file_read_padded(q->file, t->data, q->cluster_size, host, NULL, e)) {
        c->l2[index] = NULL;
        c->n_loaded--;
        l2_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

static void l2_dirty(struct qcow2_change *c, struct l2 *t)
{
    c->n_dirty += !t->dirty;
    t->dirty = true;
}

/* A table that may be written to: made, or copied from one that is shared. */
static int l2_open(struct qcow2_change *c, uint64_t index, struct l2 **out, struct err *e)
{
    uint64_t host, old = l2_host(c, index);
    if (l2_load(c, index, out, e))
        return -1;
    if (*out && (c->l1[index] & QCOW2_COPIED)) {
        l2_dirty(c, *out);
        return 0;
    }
    if (!*out && !(*out = l2_new(c, index, e)))
        return -1;
    if (qcow2_counts_take(c->counts, 1, &host, e) ||
        (old && qcow2_counts_drop(c->counts, old, c->q->cluster_size, e)))
        return -1;
    l1_set(c, index, host | QCOW2_COPIED);
    l2_dirty(c, *out);
    return 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

static uint8_t *entry_at(const struct qcow2_change *c, const struct l2 *t, uint64_t cluster)
{
    return t->data + cluster % c->q->l2_entries * (c->q->extended ? 16 : 8);
}

static struct qcow2_entry entry_load(const struct qcow2_change *c, const uint8_t *at)
{
    return (struct qcow2_entry){be64_load(at), c->q->extended ? be64_load(at + 8) : 0};
}

static uint64_t absent_clusters(const struct qcow2_change *c, uint64_t cluster)
{
    uint64_t index = cluster / c->q->l2_entries;
    uint64_t n = c->q->l2_entries - cluster % c->q->l2_entries;
    while (++index < c->n_l1 && !l2_host(c, index))
        n += c->q->l2_entries;
    return n;
}

static int get(struct qcow2_change *c, uint64_t cluster, struct qcow2_entry *out, bool *shared,
               uint64_t *same, struct err *e)
{
    uint64_t index = cluster / c->q->l2_entries;
    struct l2 *t;
    *out = (struct qcow2_entry){0};
    *shared = false;
    if (index >= c->n_l1)
        return err_set(e, EINVAL, "Cluster %" PRIu64 " is outside of the image", cluster);
    if (l2_load(c, index, &t, e))
        return -1;
    if (same)
        *same = t ? 0 : absent_clusters(c, cluster);
    if (!t)
        return 0;
    *out = entry_load(c, entry_at(c, t, cluster));
    *shared = !(c->l1[index] & QCOW2_COPIED);
    return 0;
}

int qcow2_change_get(struct qcow2_change *c, uint64_t cluster, struct qcow2_entry *out,
                     bool *shared, uint64_t *same, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    int r = get(c, cluster, out, shared, same, e);
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* Which bytes of the image's own file an entry refers to; 0 = none. */
static uint64_t refers(const struct qcow2 *q, uint64_t word, uint64_t *host)
{
    uint32_t packed;
    *host = word & QCOW2_PLACE_MASK;
    if (word & QCOW2_COMPRESSED) {
        qcow2_packed_place(q->cluster_bits, word, host, &packed);
        return packed;
    }
    return *host && !q->has_data_file ? q->cluster_size : 0;
}

static int set(struct qcow2_change *c, uint64_t cluster, const struct qcow2_entry *entry,
               struct err *e)
{
    struct l2 *t;
    if (l2_open(c, cluster / c->q->l2_entries, &t, e))
        return -1;
    uint8_t *at = entry_at(c, t, cluster);
    struct qcow2_entry old = entry_load(c, at);
    uint64_t host, now, bytes = refers(c->q, old.word, &host);
    bool same = refers(c->q, entry->word, &now) && now == host &&
                !((old.word ^ entry->word) & QCOW2_COMPRESSED);
    if (bytes && !same && qcow2_counts_drop(c->counts, host, bytes, e))
        return -1;
    be64_store(at, entry->word);
    if (c->q->extended)
        be64_store(at + 8, entry->bits);
    return 0;
}

int qcow2_change_set(struct qcow2_change *c, uint64_t cluster, const struct qcow2_entry *entry,
                     struct err *e)
{
    pthread_mutex_lock(&c->lock);
    int r = set(c, cluster, entry, e);
    pthread_mutex_unlock(&c->lock);
    return r;
}

/* ---- encoded clusters ------------------------------------------------------------------------ */

static int take_packed(struct qcow2_change *c, uint32_t len, uint64_t *host, struct err *e)
{
    uint64_t cluster = c->q->cluster_size, fresh;
    bool open =
        c->packed_left && c->packed_refs < qcow2_count_max(c->q->head.header.refcount_order);
    *host = c->packed_at;
    if (open && len <= c->packed_left) {
        if (qcow2_counts_raise(c->counts, *host, len, e))
            return -1;
        c->packed_refs++;
    } else {
        if (qcow2_counts_take(c->counts, 1, &fresh, e))
            return -1;
        bool runs_on = open && c->packed_at + c->packed_left == fresh;
        if (runs_on && qcow2_counts_raise(c->counts, *host, 1, e))
            return -1;
        *host = runs_on ? *host : fresh;
        c->packed_refs = 1;
    }
    c->packed_at = *host + len;
    c->packed_left = num_up(c->packed_at, cluster) - c->packed_at;
    return 0;
}

int qcow2_change_take_packed(struct qcow2_change *c, uint32_t len, uint64_t *host, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    int r = take_packed(c, len, host, e);
    pthread_mutex_unlock(&c->lock);
    return r;
}
