/*
 * Refcounts are repaired where they stand: the cells of the tally say what a block is to hold.
 */
#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/check.h"
#include "formats/qcow2/count.h"

int repair_set(struct check *c, uint64_t cluster, uint64_t refcount, struct err *e)
{
    struct tally *t = &c->tally;
    if (!c->touched && !(c->touched = mem_new(t->n_table, 1, e)))
        return -1;
    if (cluster >> t->block_bits >= t->n_table)
        return err_set(e, EIO, "Cluster %llu has no refcount block", (unsigned long long)cluster);
    tally_store(t, tally_cell(t, cluster) + t->width, refcount);
    c->touched[cluster >> t->block_bits] = 1;
    return 0;
}

/* The counts of a block that are in the window; *changed if one is another now. A cell that is full
 * stands for any count that does not fit it. */
static void block_fill(const struct tally *t, uint64_t index, uint8_t *block, bool *changed)
{
    unsigned order = t->q->head.header.refcount_order;
    uint64_t first = index << t->block_bits;
    uint64_t begin = num_max(first, t->base);
    uint64_t end = num_min(first + (UINT64_C(1) << t->block_bits), t->base + t->n);
    for (uint64_t k = begin; k < end; k++) {
        uint64_t is = qcow2_count_load(order, block, k - first), is_to_be = tally_refcount(t, k);
        if (is == is_to_be || (order == 6 && is_to_be == UINT32_MAX))
            continue;
        qcow2_count_store(order, block, k - first, is_to_be);
        *changed = true;
    }
}

static int block_store(struct check *c, uint64_t index, uint8_t *buf, struct err *e)
{
    const struct tally *t = &c->tally;
    uint64_t host;
    bool bad, changed = false;
    if (!tally_block(t, index, &host, &bad))
        return 0;
    if (file_read_padded(t->q->file, buf, t->q->cluster_size, host, NULL, e))
        return -1;
    block_fill(t, index, buf, &changed);
    if (!changed)
        return 0;
    return repair_writes(c, e) || file_write(t->q->file, buf, t->q->cluster_size, host, e) ? -1 : 0;
}

int repair_store(struct check *c, struct err *e)
{
    const struct tally *t = &c->tally;
    uint64_t last = num_min((t->base + t->n - 1) >> t->block_bits, t->n_table - 1);
    if (!c->touched)
        return 0;
    AUTO_FREE uint8_t *buf = mem_io(t->q->cluster_size, e);
    if (!buf)
        return -1;
    for (uint64_t i = t->base >> t->block_bits; i <= last; i++) {
        if (c->touched[i] && block_store(c, i, buf, e))
            return err_prefix(e, "Could not write refcount block %llu: ", (unsigned long long)i);
        c->touched[i] = 0;
    }
    return 0;
}
