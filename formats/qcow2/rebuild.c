/*
 * Refcount blocks and their table made anew from the references, in clusters that nothing refers to
 * and that hold nothing of the old ones, so that these stand until one write of the header switches
 * over.
 *
 *     survey   count without the old structures: which blocks are needed, what is free
 *     assign   a place for each block and for the table; these are counted too
 *     build    the blocks, window by window, then the table ─sync─▶ header ─sync
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/check.h"
#include "formats/qcow2/count.h"

#define TABLE_MAX (QCOW2_MAX_REFTABLE_BYTES / 8) /* entries */

enum need { NEED_NOT, NEED_BLOCK, NEED_WRITTEN };

struct rebuild {
    struct check *c;
    struct tally *t;
    uint64_t per_cluster; /* table entries in a cluster */

    uint64_t *old; /* clusters of the old structures, ascending; one may be there several times */
    size_t n_old;

    uint8_t *need;   /* enum need, of each block */
    uint64_t *place; /* its cluster; 0 = none yet */
    uint64_t n;      /* blocks that there can be */
    uint64_t *pool;  /* the first free clusters of the file, ascending; 0 = taken */
    size_t n_pool, cap_pool, next_pool;
    uint64_t end; /* the next cluster behind the file */

    uint64_t table, table_clusters;
    uint64_t *fresh; /* clusters of the new structures, and left out between them, ascending */
    size_t n_fresh, next_fresh;

    uint8_t *block; /* the one that is being filled */
    uint64_t index;
    bool filling;
};

/* ---- the old structures ---------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Those that were counted: see blocks_count in check.c. */
static int old_list(struct rebuild *r, struct err *e)
{
    const struct qcow2_header *h = &r->c->q->head.header;
    const struct tally *t = r->t;
    uint64_t cluster = r->c->q->cluster_size, first = h->reftable_offset / cluster;
    if (!(r->old = mem_new(t->n_table + h->reftable_clusters + 1, sizeof *r->old, e)))
        return -1;
    for (uint64_t i = 0; i < t->n_table; i++) {
        uint64_t host = t->table[i];
        if (host && !(host & 511) && host % cluster == 0 && host / cluster < t->file_clusters)
            r->old[r->n_old++] = host / cluster;
    }
    if (check_inside(r->c, h->reftable_offset, h->reftable_clusters * cluster))
        for (uint64_t i = 0; i < h->reftable_clusters; i++)
            r->old[r->n_old++] = first + i;
    qsort(r->old, r->n_old, sizeof *r->old, compare_u64);
    return 0;
}

/* The old structures are not referred to any more: what that makes of their clusters' counts. Until
 * the switch nothing is written to them. */
static void old_tell(struct rebuild *r)
{
    struct tally *t = r->t;
    for (size_t i = 0, n; i < r->n_old; i += n) {
        uint64_t cluster = r->old[i];
        for (n = 1; i + n < r->n_old && r->old[i + n] == cluster; n++)
            ;
        if (!tally_has(t, cluster))
            continue;
        uint64_t now = tally_references(t, cluster), was = num_min(now + n, t->max);
        if (was != now)
            check_fault(r->c, NULL,
                        "Repairing cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
                        cluster, was, now);
        tally_store(t, tally_cell(t, cluster) + t->width, 1);
    }
}

/* ---- survey ---------------------------------------------------------------------------------- */

static int need_block(struct rebuild *r, uint64_t cluster, struct err *e)
{
    uint64_t index = cluster >> r->t->block_bits;
    if (index >= r->n)
        return err_set(e, EFBIG, "%s", strerror(EFBIG));
    r->need[index] = NEED_BLOCK;
    return 0;
}

static void pool_add(struct rebuild *r, uint64_t cluster)
{
    if (r->n_pool < r->cap_pool)
        r->pool[r->n_pool++] = cluster;
}

/* Clusters that entries of the old table lead to which cannot be right: nothing counted them. */
static void odd_keep(struct rebuild *r)
{
    struct tally *t = r->t;
    for (uint64_t i = 0; i < t->n_table; i++) {
        uint64_t host = num_down(t->table[i], 512), first = host >> r->c->q->cluster_bits;
        if (!(t->table[i] & 511) && host % r->c->q->cluster_size == 0)
            continue;
        for (uint64_t k = first; k < first + 2; k++)
            if (tally_has(t, k))
                tally_store(t, tally_cell(t, k) + t->width, 1);
    }
}

/* What the tables do not refer to is free if they can be trusted. If not, it may belong to what
 * they should say, so only that is taken which the old refcounts call free too. */
static void counts_forget(struct rebuild *r)
{
    struct tally *t = r->t;
    if (r->c->r->corruptions || r->c->snapshot_faults)
        return;
    for (uint64_t k = t->base; k < num_min(t->base + t->n, t->end); k++)
        tally_store(t, tally_cell(t, k) + t->width, 0);
}

static int survey_visit(struct check *c, struct err *e)
{
    struct rebuild *r = c->rebuilding;
    const struct tally *t = r->t;
    uint64_t end = num_min(t->base + t->n, num_max(t->end, t->file_clusters));
    counts_forget(r);
    old_tell(r);
    odd_keep(r);
    for (uint64_t k = t->base; k < end; k++) {
        if (tally_references(t, k) ? need_block(r, k, e) : 0)
            return -1;
        if (!tally_references(t, k) && !tally_refcount(t, k) && k < t->file_clusters)
            pool_add(r, k);
    }
    r->end = num_max(t->end, t->file_clusters);
    return 0;
}

/* The faults of the tables are told once more, since they are counted anew. */
static int survey(struct rebuild *r, struct err *e)
{
    struct check *c = r->c;
    struct check_result *res = c->r;
    struct tally *t = r->t;
    const struct check_result before = *res;
    res->corruptions = res->leaks = res->check_errors = c->too_low = c->wrong_flags = 0;
    res->allocated_clusters = res->fragmented_clusters = res->compressed_clusters = 0;
    c->bare = true;
    c->counted = false;
    if (check_windows(c, true, survey_visit, e))
        return -1;
    for (uint64_t k = t->base + t->n; k < t->file_clusters && r->n_pool < r->cap_pool; k++)
        pool_add(r, k);
    res->corruptions_fixed += before.corruptions - num_min(res->corruptions, before.corruptions);
    res->leaks_fixed += before.leaks;
    return 0;
}

/* ---- places ---------------------------------------------------------------------------------- */

static bool is_beyond(const struct rebuild *r, uint64_t cluster)
{
    uint64_t k = cluster - r->t->file_clusters;
    return cluster >= r->t->file_clusters && k < CHECK_BEYOND && (r->c->beyond[k / 8] >> k % 8 & 1);
}

/* n clusters in a row behind the file, which no entry leads to. The ones left out come to lie
 * inside of the file: they are counted for whoever leads there. */
static int take_end(struct rebuild *r, uint64_t n, uint64_t *first, struct err *e)
{
    for (uint64_t run = 0; run < n; r->end++) {
        bool beyond = is_beyond(r, r->end);
        run = beyond ? 0 : run + 1;
        if (beyond && need_block(r, r->end, e))
            return -1;
    }
    *first = r->end - n;
    return 0;
}

static int take_one(struct rebuild *r, uint64_t *cluster, struct err *e)
{
    while (r->next_pool < r->n_pool && !r->pool[r->next_pool])
        r->next_pool++;
    if (r->next_pool == r->n_pool)
        return take_end(r, 1, cluster, e);
    *cluster = r->pool[r->next_pool++];
    return 0;
}

/* A block's place may itself need a block before or behind it. */
static int place_blocks(struct rebuild *r, struct err *e)
{
    for (bool again = true; again;) {
        again = false;
        for (uint64_t i = 0; i < r->n; i++) {
            if (!r->need[i] || r->place[i])
                continue;
            again = true;
            if (take_one(r, &r->place[i], e) || need_block(r, r->place[i], e))
                return -1;
        }
    }
    return 0;
}

static uint64_t table_entries(const struct rebuild *r)
{
    uint64_t n = r->n;
    while (n && !r->need[n - 1])
        n--;
    return n;
}

/* The first n clusters in a row out of the pool; 0 = there are none. */
static uint64_t pool_run(struct rebuild *r, uint64_t n)
{
    uint64_t run = 0;
    for (size_t i = r->next_pool; i < r->n_pool; i++) {
        run = !r->pool[i] ? 0 : run && r->pool[i] == r->pool[i - 1] + 1 ? run + 1 : 1;
        if (run < n)
            continue;
        uint64_t first = r->pool[i] - n + 1;
        memset(&r->pool[i + 1 - n], 0, n * sizeof *r->pool);
        return first;
    }
    return 0;
}

static int place_table(struct rebuild *r, struct err *e)
{
    for (;;) {
        uint64_t n = num_div_up(table_entries(r), r->per_cluster);
        if (n * r->c->q->cluster_size > QCOW2_MAX_REFTABLE_BYTES)
            return err_set(e, EFBIG, "%s", strerror(EFBIG));
        r->table = pool_run(r, n);
        if (!r->table && take_end(r, n, &r->table, e))
            return -1;
        for (uint64_t i = 0; i < n; i++)
            if (need_block(r, r->table + i, e))
                return -1;
        if (place_blocks(r, e))
            return -1;
        r->table_clusters = n;
        if (table_entries(r) <= n * r->per_cluster)
            return 0;
    }
}

static int fresh_list(struct rebuild *r, struct err *e)
{
    uint64_t from = r->t->file_clusters,
             gap = num_min(r->end - num_min(r->end, from), CHECK_BEYOND);
    r->fresh = mem_new(table_entries(r) + r->table_clusters + gap, sizeof *r->fresh, e);
    if (!r->fresh)
        return -1;
    for (uint64_t i = 0; i < r->n; i++)
        if (r->need[i])
            r->fresh[r->n_fresh++] = r->place[i];
    for (uint64_t i = 0; i < r->table_clusters; i++)
        r->fresh[r->n_fresh++] = r->table + i;
    for (uint64_t k = from; k < from + gap; k++)
        if (is_beyond(r, k))
            r->fresh[r->n_fresh++] = k;
    qsort(r->fresh, r->n_fresh, sizeof *r->fresh, compare_u64);
    return 0;
}

/* ---- build ----------------------------------------------------------------------------------- */

static int block_write(struct rebuild *r, uint64_t index, struct err *e)
{
    const struct qcow2 *q = r->c->q;
    r->need[index] = NEED_WRITTEN;
    if (file_write(q->file, r->block, q->cluster_size, r->place[index] << q->cluster_bits, e))
        return err_prefix(e, "Could not write refcount block: ");
    return 0;
}

/* Counts come in the order of their clusters. */
static int count_put(struct rebuild *r, uint64_t cluster, uint64_t count, struct err *e)
{
    const struct tally *t = r->t;
    uint64_t index = cluster >> t->block_bits;
    if (r->filling && index != r->index && block_write(r, r->index, e))
        return -1;
    if (!r->filling || index != r->index)
        memset(r->block, 0, r->c->q->cluster_size);
    if (index >= r->n || !r->place[index])
        return err_set(e, EIO, "Cluster %" PRIu64 " came to be used during the repair", cluster);
    r->filling = true;
    r->index = index;
    qcow2_count_store(r->c->q->head.header.refcount_order, r->block,
                      cluster & ((UINT64_C(1) << t->block_bits) - 1), count);
    return 0;
}

/* The cells of the window become what is stored. */
static int build_visit(struct check *c, struct err *e)
{
    struct rebuild *r = c->rebuilding;
    struct tally *t = r->t;
    while (r->next_fresh < r->n_fresh && tally_has(t, r->fresh[r->next_fresh]))
        tally_take(t, r->fresh[r->next_fresh++]);
    for (uint64_t k = t->base; k < num_min(t->base + t->n, t->end); k++) {
        uint64_t count = tally_references(t, k);
        tally_store(t, tally_cell(t, k) + t->width, count);
        if (count && count_put(r, k, count, e))
            return -1;
    }
    return 0;
}

/* Blocks that were given a place and then had nothing to count. */
static int build_rest(struct rebuild *r, struct err *e)
{
    for (; r->next_fresh < r->n_fresh; r->next_fresh++)
        if (count_put(r, r->fresh[r->next_fresh], 1, e))
            return -1;
    if (r->filling && block_write(r, r->index, e))
        return -1;
    memset(r->block, 0, r->c->q->cluster_size);
    for (uint64_t i = 0; i < r->n; i++)
        if (r->need[i] == NEED_BLOCK && block_write(r, i, e))
            return -1;
    return 0;
}

static int build_table(struct rebuild *r, struct err *e)
{
    const struct qcow2 *q = r->c->q;
    uint64_t n = r->table_clusters * r->per_cluster;
    AUTO_FREE uint8_t *buf = mem_io(n * 8, e);
    if (!buf)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        be64_store(buf + 8 * i, i < r->n ? r->place[i] << q->cluster_bits : 0);
    if (file_write(q->file, buf, n * 8, r->table << q->cluster_bits, e))
        return err_prefix(e, "Could not write refcount table: ");
    return 0;
}

static int build(struct rebuild *r, struct err *e)
{
    if (repair_writes(r->c, e) || check_windows(r->c, false, build_visit, e) || build_rest(r, e) ||
        build_table(r, e))
        return -1;
    return file_sync(r->c->q->file, e);
}

/* ---- the switch ------------------------------------------------------------------------------ */

/* From now on the check goes by the new structures. */
static int tally_switch(struct rebuild *r, struct err *e)
{
    struct check *c = r->c;
    free(MEM_TAKE(c->guarded));
    free(MEM_TAKE(c->touched));
    c->bare = c->rebuild = false;
    return tally_switched(r->t, e);
}

static int rebuild_steps(struct rebuild *r, struct err *e)
{
    struct qcow2 *q = r->c->q;
    struct qcow2_header *h = &q->head.header;
    uint64_t size = r->t->file_size;
    struct err ignored = ERR_INIT;
    if (old_list(r, e) || survey(r, e) || place_blocks(r, e) || place_table(r, e) ||
        fresh_list(r, e))
        return -1;
    if (build(r, e)) {
        if (file_size(q->file) > size)
            file_truncate(q->file, size, &ignored);
        return -1;
    }
    h->reftable_offset = r->table << q->cluster_bits;
    h->reftable_clusters = (uint32_t)r->table_clusters;
    return qcow2_header_write(q, e) || file_sync(q->file, e) || tally_switch(r, e) ? -1 : 0;
}

static int rebuild_new(struct rebuild *r, struct err *e)
{
    const struct tally *t = r->t;
    uint64_t clusters = num_max(t->end, t->file_clusters);
    /* what there is, and what the structures themselves may add */
    uint64_t most = (clusters + clusters / 32 + 2 * (TABLE_MAX / r->per_cluster)) >> t->block_bits;
    r->n = num_min(most + 8, TABLE_MAX);
    r->cap_pool = r->n + 4 * num_div_up(r->n, r->per_cluster);
    r->need = mem_new(r->n, 1, e);
    r->place = mem_new(r->n, sizeof *r->place, e);
    r->pool = mem_new(r->cap_pool, sizeof *r->pool, e);
    r->block = mem_io(r->c->q->cluster_size, e);
    return r->need && r->place && r->pool && r->block ? 0 : -1;
}

int repair_rebuild(struct check *c, struct err *e)
{
    struct rebuild r = {.c = c, .t = &c->tally, .per_cluster = c->q->cluster_size / 8};
    check_fault(c, NULL, "Rebuilding refcount structure");
    c->rebuilding = &r;
    int rc = rebuild_new(&r, e) || rebuild_steps(&r, e) ? -1 : 0;
    c->rebuilding = NULL;
    free(r.old);
    free(r.need);
    free(r.place);
    free(r.pool);
    free(r.fresh);
    free(r.block);
    return rc;
}
