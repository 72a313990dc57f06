/* Walks over the counts: what was given free, where they end, what counts at all. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/count.h"
#include "formats/qcow2/counts_impl.h"

/* ---- what is free ---------------------------------------------------------------------------- */

void qcow2_counts_track(struct qcow2_counts *c)
{
    c->tracks = true;
}

static int freed_room(struct qcow2_counts *c, uint64_t index, struct err *e)
{
    size_t n = num_max(index + 1, c->n);
    if (index >= c->n_freed) {
        uint8_t **more = mem_grow(c->freed, n, sizeof *more, e);
        if (!more)
            return -1;
        memset(more + c->n_freed, 0, (n - c->n_freed) * sizeof *more);
        c->freed = more;
        c->n_freed = n;
    }
    if (!c->freed[index])
        c->freed[index] = mem_new(num_div_up(c->per_block, 8), 1, e);
    return c->freed[index] ? 0 : -1;
}

int qcow2_counts_freed(struct qcow2_counts *c, uint64_t cluster, struct err *e)
{
    uint64_t index = cluster / c->per_block, in = cluster % c->per_block;
    if (freed_room(c, index, e))
        return -1;
    c->freed[index][in / 8] |= (uint8_t)(1u << in % 8);
    return 0;
}

/* A run of free clusters that grows as they are found. */
struct freed_run {
    uint64_t first, n;
    int (*freed)(void *ctx, uint64_t host, uint64_t bytes, struct err *e);
    void *ctx;
};

static int run_end(const struct qcow2_counts *c, struct freed_run *r, struct err *e)
{
    uint64_t n = r->n;
    r->n = 0;
    return n ? r->freed(r->ctx, r->first << c->q->cluster_bits, n << c->q->cluster_bits, e) : 0;
}

static int run_add(struct qcow2_counts *c, struct freed_run *r, uint64_t cluster, struct err *e)
{
    uint64_t count;
    if (qcow2_counts_get(c, cluster, &count, e))
        return -1;
    if (count)
        return 0;
    if (cluster != r->first + r->n && run_end(c, r, e))
        return -1;
    r->first = r->n ? r->first : cluster;
    r->n++;
    return 0;
}

static int freed_block(struct qcow2_counts *c, uint64_t index, struct freed_run *r, struct err *e)
{
    const uint8_t *bits = c->freed[index];
    for (uint64_t i = 0; i < c->per_block; i++)
        if (bits[i / 8] >> i % 8 & 1 && run_add(c, r, index * c->per_block + i, e))
            return -1;
    return 0;
}

int qcow2_counts_each_freed(struct qcow2_counts *c,
                            int (*freed)(void *ctx, uint64_t host, uint64_t bytes, struct err *e),
                            void *ctx, struct err *e)
{
    struct freed_run r = {.freed = freed, .ctx = ctx};
    for (size_t i = 0; i < c->n_freed; i++) {
        if (!c->freed[i])
            continue;
        if (freed_block(c, i, &r, e))
            return -1;
        free(MEM_TAKE(c->freed[i]));
    }
    return run_end(c, &r, e);
}

int qcow2_counts_end(struct qcow2_counts *c, uint64_t *cluster, struct err *e)
{
    *cluster = 0;
    for (uint64_t i = c->n; i--;) {
        struct block *b;
        if (qcow2_counts_block(c, i, &b, e))
            return -1;
        for (uint64_t in = c->per_block; b && in--;) {
            if (!qcow2_count_load(c->order, b->data, in))
                continue;
            *cluster = i * c->per_block + in + 1;
            return 0;
        }
    }
    return 0;
}

int qcow2_counts_next(struct qcow2_counts *c, uint64_t from, uint64_t *cluster, uint64_t *count,
                      struct err *e)
{
    *count = 0;
    for (uint64_t i = from / c->per_block, in = from % c->per_block; i < c->n; i++, in = 0) {
        struct block *b;
        if (qcow2_counts_block(c, i, &b, e))
            return -1;
        while (b && in < c->per_block && !(*count = qcow2_count_load(c->order, b->data, in)))
            in++;
        if (!b || in == c->per_block)
            continue;
        *cluster = i * c->per_block + in;
        return 0;
    }
    return 0;
}

/* ---- what they take themselves --------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void held_add(const struct qcow2_counts *c, uint64_t *list, size_t *n, uint64_t host,
                     uint64_t bytes)
{
    for (uint64_t at = 0; at < bytes; at += c->q->cluster_size)
        list[(*n)++] = (host + at) >> c->q->cluster_bits;
}

int qcow2_counts_held(struct qcow2_counts *c, uint64_t **clusters, size_t *n, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    size_t most = c->n + h->reftable_clusters;
    for (size_t i = 0; i < c->old.n; i++)
        most += num_div_up(c->old.of[i].bytes, c->q->cluster_size);
    uint64_t *list = *clusters = mem_new(most, sizeof *list, e);
    *n = 0;
    if (!list)
        return -1;
    held_add(c, list, n, h->reftable_offset, (uint64_t)h->reftable_clusters * c->q->cluster_size);
    for (size_t i = 0; i < c->old.n; i++)
        held_add(c, list, n, c->old.of[i].host, c->old.of[i].bytes);
    for (uint64_t i = 0; i < c->n; i++)
        held_add(c, list, n, c->table[i], c->table[i] ? 1 : 0);
    qsort(list, *n, sizeof *list, compare_u64);
    return 0;
}

/* ---- blocks that count nothing --------------------------------------------------------------- */

/* Does the block count no cluster, or only the one that it is in? */
static bool block_is_idle(const struct qcow2_counts *c, const struct block *b)
{
    uint64_t own = c->table[b->index] >> c->q->cluster_bits, first = b->index * c->per_block;
    for (uint64_t in = 0; in < c->per_block; in++)
        if (first + in != own && qcow2_count_load(c->order, b->data, in))
            return false;
    return true;
}

/* Take idle blocks out of the table; *gone lists them as (index, host) pairs. */
static int idle_unlink(struct qcow2_counts *c, uint64_t *gone, size_t *n, struct err *e)
{
    *n = 0;
    for (uint64_t i = 0; i < c->n; i++) {
        struct block *b;
        if (qcow2_counts_block(c, i, &b, e))
            return -1;
        if (!b || !block_is_idle(c, b))
            continue;
        gone[2 * *n] = i;
        gone[2 * (*n)++ + 1] = c->table[i];
        c->table[i] = 0;
        qcow2_counts_unload(c, b);
    }
    c->table_dirty |= *n;
    return 0;
}

/* No table refers to the block any more: nor does its cluster count, if it was not the block that
 * counted it. */
static int idle_free(struct qcow2_counts *c, uint64_t index, uint64_t host, struct err *e)
{
    uint64_t cluster = host >> c->q->cluster_bits;
    return cluster / c->per_block == index ? qcow2_counts_freed(c, cluster, e)
                                           : qcow2_counts_lower(c, host, c->q->cluster_size, e);
}

/* Where a block was all that another one counted, that one is next. */
int qcow2_counts_prune(struct qcow2_counts *c, struct err *e)
{
    AUTO_FREE uint64_t *gone = mem_new(num_max(2 * c->n, 1), sizeof *gone, e);
    size_t n = 1;
    if (!gone)
        return -1;
    while (n) {
        if (idle_unlink(c, gone, &n, e) ||
            (n && (qcow2_counts_flush(c, e) || file_sync(c->q->file, e))))
            return -1;
        for (size_t i = 0; i < n; i++)
            if (idle_free(c, gone[2 * i], gone[2 * i + 1], e))
                return -1;
    }
    return 0;
}
