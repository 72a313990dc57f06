/* What a switch does to all the tables of a state: counting what they refer to, and the "copied"
 * flags. */
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/switch.h"

#define TOUCHES_MAX 4u /* clusters that one entry refers to, compressed ones at most */

size_t qcow2_switch_batch_least(const struct qcow2 *q)
{
    return TOUCHES_MAX * q->l2_entries;
}

int qcow2_switch_table(struct qcow2_switch *s, uint64_t index, uint64_t entry, uint64_t *host,
                       struct err *e)
{
    const struct qcow2 *q = s->q;
    if (qcow2_l1_decode(q, index, entry, host, e))
        return -1;
    return *host ? file_read_padded(q->file, s->table, q->cluster_size, *host, NULL, e) : 0;
}

uint64_t qcow2_switch_refers(const struct qcow2 *q, uint64_t word, uint64_t *host)
{
    uint32_t packed;
    *host = word & QCOW2_PLACE_MASK;
    if (!(word & QCOW2_COMPRESSED))
        return *host && !q->has_data_file ? q->cluster_size : 0;
    qcow2_packed_place(q->cluster_bits, word, host, &packed);
    return packed;
}

/* ---- references ------------------------------------------------------------------------------ */

static int batch_count(struct qcow2_switch *s, int step, struct err *e)
{
    struct qcow2_batch *b = &s->batch;
    unsigned bits = s->q->cluster_bits;
    if (qcow2_batch_sort(b, e))
        return -1;
    for (size_t i = 0; i < b->n; i++) {
        uint64_t host = b->of[i].cluster << bits, bytes = (uint64_t)b->of[i].n << bits;
        if (step > 0 ? qcow2_counts_raise(s->counts, host, bytes, e)
                     : qcow2_counts_lower(s->counts, host, bytes, e))
            return -1;
    }
    qcow2_batch_clear(b);
    return 0;
}

/* What s->table refers to goes into the batch, which is counted when it is full. */
static int refer_entries(struct qcow2_switch *s, int step, struct err *e)
{
    const struct qcow2 *q = s->q;
    if (qcow2_batch_room(&s->batch) < qcow2_switch_batch_least(q) && batch_count(s, step, e))
        return -1;
    for (uint64_t i = 0; i < q->l2_entries; i++) {
        uint64_t host, word = be64_load(qcow2_switch_entry(s, i));
        uint64_t bytes = qcow2_switch_refers(q, word, &host);
        uint64_t end = num_div_up(host + bytes, q->cluster_size);
        for (uint64_t k = host >> q->cluster_bits; bytes && k < end; k++)
            qcow2_batch_add(&s->batch, k, 1, (uint32_t)i);
    }
    return 0;
}

int qcow2_switch_refer(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, int step,
                       struct err *e)
{
    uint64_t cluster = s->q->cluster_size;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t host;
        if (qcow2_switch_table(s, i, l1[i], &host, e))
            return -1;
        if (host && (refer_entries(s, step, e) ||
                     (step > 0 ? qcow2_counts_raise(s->counts, host, cluster, e)
                               : qcow2_counts_lower(s->counts, host, cluster, e))))
            return -1;
    }
    return batch_count(s, step, e);
}

/* ---- sharing --------------------------------------------------------------------------------- */

/* Nothing that s->table refers to may be written through any more; true if it says so now and did
 * not before. */
static bool flags_clear(struct qcow2_switch *s)
{
    bool changed = false;
    for (uint64_t i = 0; i < s->q->l2_entries; i++) {
        uint64_t word = be64_load(qcow2_switch_entry(s, i));
        if ((word & QCOW2_COMPRESSED) || !(word & QCOW2_COPIED))
            continue;
        be64_store(qcow2_switch_entry(s, i), word & ~QCOW2_COPIED);
        changed = true;
    }
    return changed;
}

/* Both refer to a table: to a new copy of it, where it had flags. */
static int share_both(struct qcow2_switch *s, bool changed, uint64_t *host, struct err *e)
{
    uint64_t cluster = s->q->cluster_size;
    if (changed && qcow2_switch_move(s, host, s->table, e))
        return -1;
    return qcow2_counts_raise(s->counts, *host, cluster, e);
}

/* The snapshot keeps its table as it is. */
static int share_one(struct qcow2_switch *s, bool changed, uint64_t *host, struct err *e)
{
    uint64_t cluster = s->q->cluster_size;
    return changed ? qcow2_switch_put(s, s->table, cluster, host, e)
                   : qcow2_counts_raise(s->counts, *host, cluster, e);
}

int qcow2_switch_share(struct qcow2_switch *s, uint64_t *l1, uint64_t n, bool both, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t host;
        if (qcow2_switch_table(s, i, l1[i], &host, e))
            return -1;
        l1[i] = 0;
        if (!host)
            continue;
        if (refer_entries(s, 1, e))
            return -1;
        bool changed = flags_clear(s);
        if (both ? share_both(s, changed, &host, e) : share_one(s, changed, &host, e))
            return -1;
        l1[i] = host | (changed && !both ? QCOW2_COPIED : 0);
    }
    return batch_count(s, 1, e);
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* Some L2 tables that are looked at together. */
struct group {
    struct qcow2_switch *s;
    uint8_t *tables;
    uint64_t *index; /* of each in the L1 table ... */
    uint64_t *host;  /* ... and where it is */
    bool *changed;
    size_t n, most;
};

static void group_release(struct group *g)
{
    free(g->tables);
    free(g->index);
    free(g->host);
    free(g->changed);
}

static int group_init(struct group *g, struct qcow2_switch *s, uint64_t n, struct err *e)
{
    size_t most = num_max(num_min(s->batch.most / s->q->l2_entries, n), 1);
    *g = (struct group){.s = s, .most = most};
    g->tables = mem_io(most * s->q->cluster_size, e);
    g->index = mem_new(most, sizeof *g->index, e);
    g->host = mem_new(most, sizeof *g->host, e);
    g->changed = mem_new(most, sizeof *g->changed, e);
    return g->tables && g->index && g->host && g->changed ? 0 : -1;
}

static uint8_t *group_table(const struct group *g, size_t i)
{
    return g->tables + i * g->s->q->cluster_size;
}

/* The table that was read into s->table joins; the clusters it refers to are to be looked up. */
static void group_add(struct group *g, uint64_t index, uint64_t host)
{
    struct qcow2_switch *s = g->s;
    uint64_t n = s->q->l2_entries;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t word = be64_load(qcow2_switch_entry(s, i)), to = word & QCOW2_PLACE_MASK;
        if (!(word & QCOW2_COMPRESSED) && to)
            qcow2_batch_add(&s->batch, to >> s->q->cluster_bits, 1, (uint32_t)(g->n * n + i));
    }
    memcpy(group_table(g, g->n), s->table, s->q->cluster_size);
    g->index[g->n] = index;
    g->host[g->n] = host;
    g->changed[g->n++] = false;
}

/* The flag of entry number `tag` of the group. */
static void flag_set(struct group *g, uint32_t tag, bool alone)
{
    const struct qcow2 *q = g->s->q;
    uint64_t table = tag / q->l2_entries, i = tag % q->l2_entries;
    uint8_t *entry = group_table(g, table) + i * qcow2_entry_size(q);
    uint64_t was = be64_load(entry), word = alone ? was | QCOW2_COPIED : was & ~QCOW2_COPIED;
    be64_store(entry, word);
    g->changed[table] |= word != was;
}

static int group_flags(struct group *g, struct err *e)
{
    struct qcow2_batch *b = &g->s->batch;
    if (qcow2_batch_sort(b, e))
        return -1;
    for (size_t i = 0; i < b->n; i++)
        for (uint32_t k = 0; k < b->of[i].n; k++) {
            uint64_t count;
            if (qcow2_counts_get(g->s->counts, b->of[i].cluster + k, &count, e))
                return -1;
            flag_set(g, b->of[i].tag + k, count == 1);
        }
    qcow2_batch_clear(b);
    return 0;
}

/* Tables that changed get a copy; the L1 table says of each whether it is this state's alone. */
static int group_end(struct group *g, uint64_t *l1, struct err *e)
{
    struct qcow2_switch *s = g->s;
    if (group_flags(g, e))
        return -1;
    for (size_t i = 0; i < g->n; i++) {
        uint64_t count;
        if ((g->changed[i] && qcow2_switch_move(s, &g->host[i], group_table(g, i), e)) ||
            qcow2_counts_get(s->counts, g->host[i] >> s->q->cluster_bits, &count, e))
            return -1;
        l1[g->index[i]] = g->host[i] | (count == 1 ? QCOW2_COPIED : 0);
    }
    g->n = 0;
    return 0;
}

int qcow2_switch_flags(struct qcow2_switch *s, uint64_t *l1, uint64_t n, struct err *e)
{
    AUTO(group_release) struct group g = {0};
    if (group_init(&g, s, n, e))
        return -1;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t host;
        if (qcow2_switch_table(s, i, l1[i], &host, e))
            return -1;
        l1[i] = 0;
        if (!host)
            continue;
        group_add(&g, i, host);
        if (g.n == g.most && group_end(&g, l1, e))
            return -1;
    }
    return group_end(&g, l1, e);
}
