/*
 * Refcounts of another width: the counts that are in shadow are written anew, in blocks and a table
 * of their own, which the next write of the header switches to. What the counts of the old width
 * took, on storage and in shadow, is free by the new ones.
 *
 *     survey   which blocks are needed, does every count fit
 *     assign   a place for each block and for the table; these are counted too
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
    uint64_t *place;           /* ... its host offset; 0 = none yet */
    uint64_t n;                /* blocks behind which none is needed */
    uint64_t table, table_len; /* host offset, clusters */
    uint64_t *held;            /* clusters that are free when the header has switched */
    size_t n_held;
    uint8_t *block;
};

/* ---- survey ---------------------------------------------------------------------------------- */

static int held_load(struct recount *r, struct err *e)
{
    free(r->held);
    r->held = NULL;
    return qcow2_counts_held(r->c, &r->held, &r->n_held, e);
}

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

/* The next cluster from *cluster on that the new counts count; *count 0: there is none. */
static int next_count(struct recount *r, uint64_t *cluster, uint64_t *count, size_t *held,
                      struct err *e)
{
    for (;; ++*cluster) {
        if (qcow2_counts_next(r->c, *cluster, cluster, count, e))
            return -1;
        uint64_t times = *count ? held_times(r, *cluster, held) : 0;
        if (times > *count)
            return err_set(e, EIO,
                           "qcow2: Image is corrupt: refcount of the cluster at offset 0x%" PRIx64
                           " is too low; run check -r",
                           *cluster * r->cluster);
        if (!*count || (*count -= times))
            return 0;
    }
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
    uint64_t count = 0;
    size_t held = 0;
    if (held_load(r, e))
        return -1;
    for (uint64_t cluster = 0;; cluster++) {
        if (next_count(r, &cluster, &count, &held, e))
            return -1;
        if (!count)
            return 0;
        if (count > qcow2_count_max(r->order))
            return err_set(e, EINVAL,
                           "Cannot decrease refcount entry width to %u bits: Cluster at offset "
                           "0x%" PRIx64 " has a refcount of %" PRIu64,
                           1u << r->order, cluster * r->cluster, count);
        if (need_block(r, cluster, e))
            return -1;
    }
}

/* ---- places ---------------------------------------------------------------------------------- */

/* A block's place may itself need a block before or behind it. */
static int place_blocks(struct recount *r, struct err *e)
{
    for (bool again = true; again;) {
        again = false;
        for (uint64_t i = 0; i < r->n; i++) {
            if (!r->need[i] || r->place[i])
                continue;
            again = true;
            if (qcow2_counts_take(r->c, 1, &r->place[i], e) ||
                need_block(r, r->place[i] / r->cluster, e))
                return -1;
        }
    }
    return 0;
}

static int place_table(struct recount *r, struct err *e)
{
    uint64_t per_cluster = r->cluster / 8, most = TABLE_MAX / per_cluster;
    for (;;) {
        r->table_len = num_min(num_div_up(r->n + r->n / 8 + 1, per_cluster), most);
        if (qcow2_counts_take(r->c, r->table_len, &r->table, e))
            return -1;
        for (uint64_t i = 0; i < r->table_len; i++)
            if (need_block(r, r->table / r->cluster + i, e))
                return -1;
        if (place_blocks(r, e))
            return -1;
        if (r->n <= r->table_len * per_cluster)
            return 0;
        if (qcow2_counts_lower(r->c, r->table, r->table_len * r->cluster, e))
            return -1;
    }
}

/* ---- build ----------------------------------------------------------------------------------- */

static int block_write(const struct recount *r, uint64_t index, struct err *e)
{
    if (file_write(r->c->q->file, r->block, r->cluster, r->place[index], e))
        return err_prefix(e, "Could not write refcount block: ");
    return 0;
}

static int build_blocks(struct recount *r, struct err *e)
{
    uint64_t cluster = 0, count;
    size_t held = 0;
    if (held_load(r, e) || next_count(r, &cluster, &count, &held, e))
        return -1;
    for (uint64_t i = 0; i < r->n; i++) {
        if (!r->need[i])
            continue;
        memset(r->block, 0, r->cluster);
        while (count && cluster / r->per_block == i) {
            qcow2_count_store(r->order, r->block, cluster % r->per_block, count);
            cluster++;
            if (next_count(r, &cluster, &count, &held, e))
                return -1;
        }
        if (block_write(r, i, e))
            return -1;
    }
    return count ? err_set(e, EIO, "Cluster %" PRIu64 " came to be used meanwhile", cluster) : 0;
}

static int build_table(struct recount *r, struct err *e)
{
    uint64_t n = r->table_len * r->cluster / 8;
    AUTO_FREE uint8_t *buf = mem_io(n * 8, e);
    if (!buf)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        be64_store(buf + 8 * i, i < r->n ? r->place[i] : 0);
    if (file_write(r->c->q->file, buf, n * 8, r->table, e))
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
    return survey(r, e) || place_blocks(r, e) || place_table(r, e) || build_blocks(r, e) ||
                   build_table(r, e)
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
    free(r.block);
    *reftable_offset = r.table;
    *reftable_clusters = (uint32_t)r.table_len;
    return rc;
}
