/*
 * Refcounts of another width: the counts that are in shadow are written anew, in blocks and a table
 * of their own, which the next write of the header switches to. What the counts of the old width
 * took, on storage and in shadow, is free by the new ones.
 *
 *     survey   which blocks are needed, does every count fit
 *     place    free clusters for each block and for the table; these are counted too
 *     build    the blocks, then the table
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/count.h"
#include "formats/qcow2/counts_impl.h"

#define TABLE_MAX (QCOW2_MAX_REFTABLE_BYTES / 8) /* entries */

struct recount {
    struct qcow2_counts *c;
    uint32_t cluster;
    unsigned order;
    uint64_t per_block;        /* clusters that a block of the new width counts */
    uint8_t *need;             /* of each block: is there one? */
    uint64_t *place;           /* ... its cluster; 0 = none yet */
    uint64_t n;                /* blocks behind which none is needed */
    uint64_t table, table_len; /* clusters */
    uint64_t next;             /* clusters before are taken */
    uint64_t *held, *fresh;    /* clusters of the old counts and of the new ones, ascending */
    size_t n_held, n_fresh;
    uint8_t *block;
};

/* Over all clusters that the new counts count. */
struct walk {
    uint64_t cluster, count;     /* this one; count 0: that was all */
    uint64_t ahead, ahead_count; /* the next one that the old counts count, once it is known */
    bool knows;
    size_t held, fresh; /* how far the lists are through */
};

/* ---- survey ---------------------------------------------------------------------------------- */

/* How often a cluster is held. *at is where the last one was found: they come ascending. */
static uint64_t held_times(const struct recount *r, uint64_t cluster, size_t *at)
{
    uint64_t times = 0;
    while (*at < r->n_held && r->held[*at] < cluster)
        ++*at;
    while (*at + times < r->n_held && r->held[*at + times] == cluster)
        times++;
    return times;
}

/* The next cluster from w->ahead on that something but the old counts refers to. */
static int look_ahead(struct recount *r, struct walk *w, struct err *e)
{
    for (;; w->ahead++) {
        if (qcow2_counts_next(r->c, w->ahead, &w->ahead, &w->ahead_count, e))
            return -1;
        if (!w->ahead_count)
            return 0;
        uint64_t times = held_times(r, w->ahead, &w->held);
        if (times > w->ahead_count)
            return err_set(e, EIO,
                           "qcow2: Image is corrupt: refcount of the cluster at offset 0x%" PRIx64
                           " is too low; run check -r",
                           w->ahead * r->cluster);
        if ((w->ahead_count -= times))
            return 0;
    }
}

/* What the new counts take themselves is free by the old ones. */
static int walk_next(struct recount *r, struct walk *w, struct err *e)
{
    if (!w->knows && look_ahead(r, w, e))
        return -1;
    w->knows = true;
    bool fresh = w->fresh < r->n_fresh && (!w->ahead_count || r->fresh[w->fresh] < w->ahead);
    w->cluster = fresh ? r->fresh[w->fresh++] : w->ahead;
    w->count = fresh ? 1 : w->ahead_count;
    if (fresh || !w->count)
        return 0;
    w->knows = false;
    w->ahead++;
    return 0;
}

static int need_block(struct recount *r, uint64_t cluster, struct err *e)
{
    uint64_t index = cluster / r->per_block;
    if (index >= TABLE_MAX)
        return err_set(e, EFBIG, "%s", strerror(EFBIG));
    r->need[index] = 1;
    r->n = num_max(r->n, index + 1);
    return 0;
}

static int survey(struct recount *r, struct err *e)
{
    struct walk w = {0};
    for (;;) {
        if (walk_next(r, &w, e))
            return -1;
        if (!w.count)
            return 0;
        if (w.count > qcow2_count_max(r->order))
            return err_set(e, EINVAL,
                           "Cannot decrease refcount entry width to %u bits: Cluster at offset "
                           "0x%" PRIx64 " has a refcount of %" PRIu64,
                           1u << r->order, w.cluster * r->cluster, w.count);
        if (need_block(r, w.cluster, e))
            return -1;
    }
}

/* ---- places ---------------------------------------------------------------------------------- */

static int take(struct recount *r, uint64_t n, uint64_t *first, struct err *e)
{
    if (qcow2_counts_find(r->c, r->next, n, first, e))
        return -1;
    r->next = *first + n;
    for (uint64_t i = 0; i < n; i++)
        if (need_block(r, *first + i, e))
            return -1;
    return 0;
}

/* A block's place may itself need a block before or behind it. */
static int place_blocks(struct recount *r, struct err *e)
{
    for (bool again = true; again;) {
        again = false;
        for (uint64_t i = 0; i < r->n; i++) {
            if (!r->need[i] || r->place[i])
                continue;
            again = true;
            if (take(r, 1, &r->place[i], e))
                return -1;
        }
    }
    return 0;
}

/* A table that turns out too short is left out: its clusters stay free. */
static int place_table(struct recount *r, struct err *e)
{
    uint64_t per_cluster = r->cluster / 8, most = TABLE_MAX / per_cluster;
    do {
        r->table_len = num_min(num_div_up(r->n + r->n / 8 + 1, per_cluster), most);
        if (take(r, r->table_len, &r->table, e) || place_blocks(r, e))
            return -1;
    } while (r->n > r->table_len * per_cluster);
    return 0;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static int fresh_list(struct recount *r, struct err *e)
{
    if (!(r->fresh = mem_new(r->n + r->table_len, sizeof *r->fresh, e)))
        return -1;
    for (uint64_t i = 0; i < r->n; i++)
        if (r->need[i])
            r->fresh[r->n_fresh++] = r->place[i];
    for (uint64_t i = 0; i < r->table_len; i++)
        r->fresh[r->n_fresh++] = r->table + i;
    qsort(r->fresh, r->n_fresh, sizeof *r->fresh, compare_u64);
    return 0;
}

/* ---- build ----------------------------------------------------------------------------------- */

static int build_blocks(struct recount *r, struct err *e)
{
    struct walk w = {0};
    if (walk_next(r, &w, e))
        return -1;
    for (uint64_t i = 0; i < r->n; i++) {
        if (!r->need[i])
            continue;
        memset(r->block, 0, r->cluster);
        while (w.count && w.cluster / r->per_block == i) {
            qcow2_count_store(r->order, r->block, w.cluster % r->per_block, w.count);
            if (walk_next(r, &w, e))
                return -1;
        }
        if (file_write(r->c->q->file, r->block, r->cluster, r->place[i] * r->cluster, e))
            return err_prefix(e, "Could not write refcount block: ");
    }
    return 0;
}

static int build_table(struct recount *r, struct err *e)
{
    uint64_t n = r->table_len * r->cluster / 8;
    AUTO_FREE uint8_t *buf = mem_io(n * 8, e);
    if (!buf)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        be64_store(buf + 8 * i, i < r->n ? r->place[i] * r->cluster : 0);
    if (file_write(r->c->q->file, buf, n * 8, r->table * r->cluster, e))
        return err_prefix(e, "Could not write refcount table: ");
    return 0;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static int recount_steps(struct recount *r, struct err *e)
{
    r->need = mem_new(TABLE_MAX, 1, e);
    r->place = mem_new(TABLE_MAX, sizeof *r->place, e);
    r->block = mem_io(r->cluster, e);
    if (!r->need || !r->place || !r->block)
        return -1;
    return qcow2_counts_held(r->c, &r->held, &r->n_held, e) || survey(r, e) || place_blocks(r, e) ||
                   place_table(r, e) || fresh_list(r, e) || build_blocks(r, e) || build_table(r, e)
               ? -1
               : 0;
}

int qcow2_counts_recode(struct qcow2_counts *c, unsigned order, uint64_t *reftable_offset,
                        uint32_t *reftable_clusters, struct err *e)
{
    struct recount r = {.c = c, .cluster = c->q->cluster_size, .order = order};
    r.per_block = (uint64_t)r.cluster * 8 >> order;
    int rc = recount_steps(&r, e);
    free(r.need);
    free(r.place);
    free(r.held);
    free(r.fresh);
    free(r.block);
    *reftable_offset = r.table * r.cluster;
    *reftable_clusters = (uint32_t)r.table_len;
    return rc;
}
