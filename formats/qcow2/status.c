/*
 * Does the image look preallocated? Then qemu-img shows the holes of the file below in the image's
 * data; else it does not ask for them. Told from outside (qemu-img 7.2, images with more and more
 * of the file punched out): preallocated if the clusters in use are a ninth more than those that
 * the file stores, and two more at least.
 */
#include "formats/qcow2/state.h"

#include "base/mem.h"
#include "base/num.h"

/* How many of the first n refcounts of a block are not zero. */
static uint64_t count_used(const uint8_t *block, uint64_t n, unsigned order)
{
    uint64_t used = 0;
    unsigned bytes = order > 3 ? 1u << (order - 3) : 1;
    for (uint64_t i = 0; i < n; i++) {
        bool is_used = false;
        if (order < 3) {
            uint64_t bit = i << order;
            is_used = block[bit / 8] >> (bit % 8) & ((1u << (1u << order)) - 1);
        }
        for (unsigned b = 0; order >= 3 && b < bytes; b++)
            is_used |= block[i * bytes + b] != 0;
        used += is_used;
    }
    return used;
}

/* Are at least `want` of the file's clusters in use? What cannot be read counts as free. */
static bool uses_clusters(const struct qcow2 *q, uint64_t clusters, uint64_t want, struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    uint64_t per_block = (uint64_t)q->cluster_size * 8 >> h->refcount_order;
    uint64_t blocks = num_div_up(clusters, per_block), used = 0;
    AUTO_FREE uint64_t *table = NULL;
    AUTO_FREE uint8_t *block = mem_io(q->cluster_size, e);
    blocks = num_min(blocks, (uint64_t)h->reftable_clusters * (q->cluster_size / 8));
    if (!block || qcow2_words_read(q, h->reftable_offset, blocks, &table, e))
        return false;
    for (uint64_t i = 0; i < blocks && used < want; i++) {
        uint64_t place = table[i] & ~(uint64_t)511;
        uint64_t n = num_min(per_block, clusters - i * per_block);
        if (place && !file_read_padded(q->file, block, q->cluster_size, place, NULL, e))
            used += count_used(block, n, h->refcount_order);
    }
    return used >= want;
}

static bool looks_preallocated(const struct qcow2 *q)
{
    struct err e = ERR_INIT;
    int64_t stored = file_allocated(q->file);
    if (stored < 0)
        return false;
    uint64_t real = (uint64_t)stored / q->cluster_size;
    uint64_t want = num_max(real + real / 9, real + 2);
    uint64_t clusters = num_div_up(file_size(q->file), q->cluster_size);
    return clusters >= want && uses_clusters(q, clusters, want, &e);
}

void qcow2_status(struct image *img, struct format_status *out)
{
    const struct qcow2 *q = qcow2_of(img);
    out->shows_holes = looks_preallocated(q);
    out->reach = q->l2_entries << q->cluster_bits;
}
