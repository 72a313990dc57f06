#include "formats/qcow2/expand.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* A table that several L1 tables refer to, and its copy. */
struct moved {
    uint64_t from, to;
};

int qcow2_expand_init(struct qcow2_expand *x, struct qcow2_switch *s, bool hides,
                      const struct amend_request *request, struct err *e)
{
    const struct qcow2 *q = s->q;
    *x = (struct qcow2_expand){.s = s, .hides = hides, .request = request};
    x->all = s->header.l1_entries;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        x->all += q->snapshots[i].l1_entries;
    x->was = mem_io(q->cluster_size, e);
    x->zeros = mem_io(q->cluster_size, e);
    return x->was && x->zeros ? 0 : -1;
}

void qcow2_expand_release(struct qcow2_expand *x)
{
    tdestroy(x->moved, free);
    free(x->was);
    free(x->zeros);
}

/* ---- tables that moved ----------------------------------------------------------------------- */

static int moved_compare(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;
    return (x->from > y->from) - (x->from < y->from);
}

static const struct moved *moved_find(const struct qcow2_expand *x, uint64_t from)
{
    const struct moved key = {.from = from};
    struct moved *const *at = tfind(&key, &x->moved, moved_compare);
    return at ? *at : NULL;
}

static int moved_add(struct qcow2_expand *x, uint64_t from, uint64_t to, struct err *e)
{
    struct moved *m = mem_new(1, sizeof *m, e);
    if (!m)
        return -1;
    *m = (struct moved){from, to};
    if (tsearch(m, &x->moved, moved_compare))
        return 0;
    free(m);
    return err_nomem(e);
}

/* ---- zeros ----------------------------------------------------------------------------------- */

/* Zeros as the guest is to read them from clusters at `host`. */
static int zeros_write(struct qcow2_expand *x, uint64_t guest, uint64_t host, uint64_t n,
                       struct err *e)
{
    const struct qcow2 *q = x->s->q;
    uint64_t bytes = n << q->cluster_bits;
    if (!q->crypt && host >= file_size(q->file) && file_grows_zero(q->file))
        return file_truncate(q->file, host + bytes, e);
    if (!q->crypt)
        return file_zero(q->file, host, bytes, FILE_ZERO_KEEP, e);
    for (uint64_t at = 0; at < bytes; at += q->cluster_size) {
        uint64_t iv = q->head.header.crypt_method == QCOW2_CRYPT_LUKS ? host + at : guest + at;
        memset(x->zeros, 0, q->cluster_size);
        if (q->crypt->encrypt(q->crypt, x->zeros, q->cluster_size, iv, e) ||
            file_write(q->file, x->zeros, q->cluster_size, host + at, e))
            return -1;
    }
    return 0;
}

/* A table that is being changed. */
struct job {
    uint64_t first;      /* guest cluster of its first entry */
    uint64_t references; /* L1 entries that refer to it */
    bool own;            /* the active state's alone */
    uint64_t end;        /* the disk's size in clusters */
    uint64_t from, n;    /* entries that wait for a place */
};

static int fresh_place(struct qcow2_expand *x, struct job *j, struct err *e)
{
    struct qcow2_switch *s = x->s;
    uint32_t bits = s->q->cluster_bits;
    uint64_t host;
    if (!j->n)
        return 0;
    if (qcow2_counts_take(s->counts, j->n, &host, e) ||
        zeros_write(x, (j->first + j->from) << bits, host, j->n, e))
        return -1;
    for (uint64_t i = 0; i < j->n; i++)
        be64_store(qcow2_switch_entry(s, j->from + i),
                   (host + (i << bits)) | (j->own ? QCOW2_COPIED : 0));
    j->n = 0;
    return 0;
}

/* May zeros be written to the place that a zero cluster has? Only if all that refers to it does so
 * through this table: elsewhere it may be data. */
static int is_kept(struct qcow2_expand *x, const struct job *j, const struct table_entry *entry,
                   bool *kept, struct err *e)
{
    uint64_t count = 0;
    *kept = entry->has_host;
    if (*kept && qcow2_counts_get(x->s->counts, entry->host >> x->s->q->cluster_bits, &count, e))
        return -1;
    *kept &= count == j->references;
    return 0;
}

static int entry_expand(struct qcow2_expand *x, struct job *j, uint64_t i, uint64_t word,
                        const struct table_entry *entry, struct err *e)
{
    struct qcow2_switch *s = x->s;
    uint64_t cluster = s->q->cluster_size;
    bool kept;
    if (is_kept(x, j, entry, &kept, e))
        return -1;
    if (kept) {
        be64_store(qcow2_switch_entry(s, i), word & ~QCOW2_ZERO);
        return zeros_write(x, (j->first + i) * cluster, entry->host, 1, e);
    }
    be64_store(qcow2_switch_entry(s, i), 0);
    if (entry->has_host && qcow2_counts_lower(s->counts, entry->host, cluster, e))
        return -1;
    if (!x->hides || j->first + i >= j->end)
        return 0;
    if (j->n && j->from + j->n != i && fresh_place(x, j, e))
        return -1;
    j->from = j->n ? j->from : i;
    j->n++;
    return 0;
}

/* s->table, the first time that it is met. */
static int table_expand(struct qcow2_expand *x, struct job *j, bool *changed, struct err *e)
{
    const struct qcow2 *q = x->s->q;
    struct table_entry entry;
    *changed = false;
    for (uint64_t i = 0; i < q->l2_entries; i++) {
        uint64_t word = be64_load(qcow2_switch_entry(x->s, i));
        if (!(word & QCOW2_ZERO) || (word & QCOW2_COMPRESSED))
            continue;
        *changed = true;
        if (qcow2_entry_decode(q, j->first + i, word, &entry, e) ||
            entry_expand(x, j, i, word, &entry, e))
            return -1;
    }
    return fresh_place(x, j, e);
}

/* One more reference to a table that has moved: what differs is counted for it too. */
static int table_follow(struct qcow2_expand *x, const struct moved *m, struct err *e)
{
    struct qcow2_switch *s = x->s;
    const struct qcow2 *q = s->q;
    if (file_read_padded(q->file, x->was, q->cluster_size, m->from, NULL, e) ||
        file_read(q->file, s->table, q->cluster_size, m->to, e))
        return -1;
    for (uint64_t i = 0; i < q->l2_entries; i++) {
        uint64_t old = be64_load(x->was + 8 * i), now = be64_load(s->table + 8 * i);
        uint64_t from = old & QCOW2_PLACE_MASK, to = now & QCOW2_PLACE_MASK;
        if (old == now || from == to)
            continue;
        if ((from && qcow2_counts_lower(s->counts, from, q->cluster_size, e)) ||
            (to && qcow2_counts_raise(s->counts, to, q->cluster_size, e)))
            return -1;
    }
    return qcow2_counts_lower(s->counts, m->from, q->cluster_size, e) ||
                   qcow2_counts_raise(s->counts, m->to, q->cluster_size, e)
               ? -1
               : 0;
}

static int table_first(struct qcow2_expand *x, uint64_t index, uint64_t size, uint64_t *word,
                       uint64_t host, bool *changed, struct err *e)
{
    struct qcow2_switch *s = x->s;
    struct job j = {.first = index * s->q->l2_entries,
                    .own = *word & QCOW2_COPIED,
                    .end = num_div_up(size, s->q->cluster_size)};
    uint64_t to;
    if (qcow2_counts_get(s->counts, host >> s->q->cluster_bits, &j.references, e) ||
        table_expand(x, &j, changed, e))
        return -1;
    if (!*changed)
        return 0;
    if (qcow2_counts_lower(s->counts, host, s->q->cluster_size, e) ||
        qcow2_switch_put(s, s->table, s->q->cluster_size, &to, e) ||
        (j.references > 1 && moved_add(x, host, to, e)))
        return -1;
    *word = to | (*word & QCOW2_COPIED);
    return 0;
}

static void expand_tell(struct qcow2_expand *x, uint64_t n)
{
    x->done += n;
    if (x->all)
        amend_progress(x->request, 100.0 * (double)num_min(x->done, x->all) / (double)x->all);
}

int qcow2_expand_l1(struct qcow2_expand *x, uint64_t *l1, uint64_t n, uint64_t size, bool *changed,
                    struct err *e)
{
    *changed = false;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t host;
        bool one = false;
        if (qcow2_switch_table(x->s, i, l1[i], &host, e))
            return -1;
        const struct moved *m = host ? moved_find(x, host) : NULL;
        if (m ? table_follow(x, m, e) : host ? table_first(x, i, size, &l1[i], host, &one, e) : 0)
            return -1;
        if (m)
            l1[i] = m->to | (l1[i] & QCOW2_COPIED);
        *changed |= one || m;
        expand_tell(x, 1);
    }
    return 0;
}

/* ---- what version 2 cannot unpack ------------------------------------------------------------ */

int qcow2_expand_finds_packed(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, bool *found,
                              struct err *e)
{
    for (uint64_t i = 0; i < n && !*found; i++) {
        uint64_t host;
        if (qcow2_switch_table(s, i, l1[i], &host, e))
            return -1;
        for (uint64_t k = 0; host && k < s->q->l2_entries && !*found; k++)
            *found = be64_load(qcow2_switch_entry(s, k)) & QCOW2_COMPRESSED;
    }
    return 0;
}
