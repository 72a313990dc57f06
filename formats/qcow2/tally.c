#include "formats/qcow2/tally.h"

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/count.h"

#define WINDOW_MIN 4096u /* clusters, however little memory there is */

/* ---- refcount blocks ------------------------------------------------------------------------- */

bool tally_block(const struct tally *t, uint64_t index, uint64_t *host, bool *bad)
{
    *bad = false;
    *host = index < t->n_table ? num_down(t->table[index], 512) : 0;
    if (!*host)
        return false;
    *bad = *host % t->q->cluster_size || *host > INT64_MAX;
    return !*bad;
}

/* The refcounts of block `index` that are in the window. */
static int block_load(struct tally *t, uint64_t index, uint8_t *buf, struct err *e)
{
    uint64_t host, first = index << t->block_bits;
    bool bad;
    if (!tally_block(t, index, &host, &bad))
        return 0;
    if (file_read_padded(t->q->file, buf, t->q->cluster_size, host, NULL, e))
        return err_prefix(e, "Could not read refcount block %llu: ", (unsigned long long)index);
    uint64_t begin = num_max(first, t->base);
    uint64_t end = num_min(first + (UINT64_C(1) << t->block_bits), t->base + t->n);
    unsigned order = t->q->head.header.refcount_order;
    uint64_t most = t->width == 4 ? UINT32_MAX : UINT64_MAX;
    for (uint64_t c = begin; c < end; c++)
        tally_store(t, tally_cell(t, c) + t->width,
                    num_min(qcow2_count_load(order, buf, c - first), most));
    return 0;
}

int tally_window(struct tally *t, uint64_t base, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(t->q->cluster_size, e);
    if (!buf)
        return -1;
    t->base = base;
    t->n = t->window;
    memset(t->cells, 0, t->n * 2 * t->width);
    uint64_t last = (base + t->n - 1) >> t->block_bits;
    for (uint64_t i = base >> t->block_bits; i <= last && i < t->n_table; i++)
        if (block_load(t, i, buf, e))
            return -1;
    return 0;
}

/* Straight from the file. */
static int stored_far(struct tally *t, uint64_t host, uint64_t in, uint64_t *refcount,
                      struct err *e)
{
    unsigned order = t->q->head.header.refcount_order;
    uint64_t at = host + ((in << order) / 8), skip = in;
    struct slice hold = {0};
    *refcount = 0;
    if (slices_get(t->slices, at, &hold, e))
        return -1;
    /* count from the slice's first byte, which is the block's where the slice begins before it */
    uint64_t begin = num_max(hold.offset, host);
    skip -= ((begin - host) * 8) >> order;
    if (at - hold.offset < hold.valid)
        *refcount = qcow2_count_load(order, hold.data + (begin - hold.offset), skip);
    slices_put(t->slices, &hold);
    return 0;
}

int tally_stored(struct tally *t, uint64_t cluster, uint64_t *refcount, struct err *e)
{
    uint64_t index = cluster >> t->block_bits, host;
    bool bad;
    *refcount = 0;
    if (!tally_block(t, index, &host, &bad))
        return bad;
    if (tally_has(t, cluster)) {
        *refcount = tally_refcount(t, cluster);
        if (*refcount < UINT32_MAX)
            return 0;
    }
    return stored_far(t, host, cluster & ((UINT64_C(1) << t->block_bits) - 1), refcount, e);
}

/* ---- making and ending ----------------------------------------------------------------------- */

/* Clusters below hold all that the refcounts tell of the file. */
static uint64_t blocks_end(const struct tally *t)
{
    uint64_t n = t->n_table;
    while (n && !num_down(t->table[n - 1], 512))
        n--;
    return num_min(t->file_clusters, n << t->block_bits);
}

static int cells_new(struct tally *t, uint64_t memory, struct err *e)
{
    uint64_t want = t->file_clusters + 1; /* a last cluster may begin inside the file's */
    t->window = num_min(want, num_max(memory / (2 * t->width), WINDOW_MIN));
    t->cells = mem_new(t->window, 2 * t->width, e);
    return t->cells ? 0 : -1;
}

/* The table, and what depends on the file's length. */
static int reftable_load(struct tally *t, struct err *e)
{
    const struct qcow2_header *h = &t->q->head.header;
    t->file_size = file_size(t->q->file);
    t->file_clusters = num_div_up(t->file_size, t->q->cluster_size);
    t->n_table = (uint64_t)h->reftable_clusters * (t->q->cluster_size / 8);
    return qcow2_words_padded(t->q, h->reftable_offset, t->n_table, &t->table, e) ||
                   slices_new(t->q->file, 0, t->q->cluster_size, &t->slices, e)
               ? -1
               : 0;
}

int tally_init(struct tally *t, const struct qcow2 *q, uint64_t memory, struct err *e)
{
    unsigned order = q->head.header.refcount_order;
    *t = (struct tally){.q = q};
    t->block_bits = q->cluster_bits + 3 - order;
    t->max = order >= 5 ? UINT32_MAX : (UINT64_C(1) << (1u << order)) - 1;
    t->width = order <= 3 ? 1 : order == 4 ? 2 : 4;
    if (reftable_load(t, e) || cells_new(t, memory, e)) {
        tally_release(t);
        return -1;
    }
    t->end = blocks_end(t);
    return 0;
}

int tally_switched(struct tally *t, struct err *e)
{
    free(MEM_TAKE(t->table));
    slices_free(MEM_TAKE(t->slices));
    return reftable_load(t, e);
}

void tally_release(struct tally *t)
{
    free(t->table);
    free(t->cells);
    slices_free(t->slices);
    *t = (struct tally){0};
}
