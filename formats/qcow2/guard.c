/*
 * What a repair must not take for an L2 table: entries that cannot be right lead anywhere, also to
 * the header, to refcounts, to a snapshot's tables.
 */
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/check.h"

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Only what the file has: a region that reaches beyond is no structure that anybody can use. */
static uint64_t clusters_of(const struct check *c, uint64_t host, uint64_t bytes)
{
    return bytes && check_inside(c, host, bytes)
               ? num_div_up(host % c->q->cluster_size + bytes, c->q->cluster_size)
               : 0;
}

static void guard_add(struct check *c, uint64_t host, uint64_t bytes)
{
    uint64_t n = clusters_of(c, host, bytes);
    for (uint64_t i = 0; i < n; i++)
        c->guarded[c->n_guarded++] = (host >> c->q->cluster_bits) + i;
}

/* Each structure but the refcount blocks and the active L2 tables. */
static uint64_t guard_each(struct check *c, void (*add)(struct check *, uint64_t, uint64_t))
{
    const struct qcow2 *q = c->q;
    const struct qcow2_header *h = &q->head.header;
    const struct qcow2_extensions *x = &q->head.ext;
    const struct {
        uint64_t host, bytes;
    } all[] = {
        {0, 1},
        {h->l1_offset, (uint64_t)h->l1_entries * 8},
        {h->reftable_offset, (uint64_t)h->reftable_clusters * q->cluster_size},
        {h->snapshots_offset, q->snapshots_bytes},
        {x->crypto_offset, x->crypto_offset ? x->crypto_length : 0},
        {x->bitmap_dir_offset, x->has_bitmaps ? x->bitmap_dir_size : 0},
    };
    uint64_t n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        n += clusters_of(c, all[i].host, all[i].bytes);
        if (add)
            add(c, all[i].host, all[i].bytes);
    }
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        uint64_t bytes = (uint64_t)q->snapshots[i].l1_entries * 8;
        n += clusters_of(c, q->snapshots[i].l1_offset, bytes);
        if (add)
            add(c, q->snapshots[i].l1_offset, bytes);
    }
    for (uint32_t i = 0; i < q->n_bitmaps; i++) {
        uint64_t bytes = (uint64_t)q->bitmaps[i].table_entries * 8;
        n += clusters_of(c, q->bitmaps[i].table_offset, bytes);
        if (add)
            add(c, q->bitmaps[i].table_offset, bytes);
    }
    return n;
}

static int guard_make(struct check *c, struct err *e)
{
    const struct tally *t = &c->tally;
    c->guarded = mem_new(guard_each(c, NULL) + t->n_table + 1, sizeof *c->guarded, e);
    if (!c->guarded)
        return -1;
    c->n_guarded = 0;
    guard_each(c, guard_add);
    for (uint64_t i = 0; i < t->n_table; i++) {
        uint64_t host;
        bool bad;
        if (tally_block(t, i, &host, &bad))
            guard_add(c, host, 1);
    }
    qsort(c->guarded, c->n_guarded, sizeof *c->guarded, compare_u64);
    return 0;
}

/* How often a cluster is in the list. */
static unsigned guard_times(const struct check *c, uint64_t cluster)
{
    size_t low = 0, high = c->n_guarded;
    unsigned times = 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->guarded[mid] < cluster)
            low = mid + 1;
        else
            high = mid;
    }
    while (low < c->n_guarded && c->guarded[low++] == cluster)
        times++;
    return times;
}

int repair_guard(struct check *c, uint64_t host, uint64_t bytes, unsigned times, struct err *e)
{
    uint64_t first = host >> c->q->cluster_bits;
    if (!c->guarded && guard_make(c, e))
        return -1;
    if (!num_inside(host, bytes, num_up(c->tally.file_size, c->q->cluster_size)))
        return 0;
    for (uint64_t i = first; i <= (host + bytes - 1) >> c->q->cluster_bits; i++)
        if (guard_times(c, i) > times)
            return 0;
    return 1;
}
