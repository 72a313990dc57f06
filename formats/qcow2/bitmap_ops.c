/* formats/bitmap.h's operations: bitmaps by their names, and by other images'. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "formats/qcow2/bitmap_change.h"

static struct qcow2_bitmap_change *change_of(struct image *img)
{
    return qcow2_of(img)->bitmap_change;
}

static bool ops_supported(struct image *img)
{
    return qcow2_of(img)->head.header.version >= 3;
}

static int ops_begin(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    return qcow2_edit_prepare(img, e) || qcow2_bitmap_change_open(q, &q->bitmap_change, e) ? -1 : 0;
}

static void ops_end(struct image *img)
{
    qcow2_bitmap_change_free(change_of(img));
    qcow2_of(img)->bitmap_change = NULL;
}

static int ops_commit(struct image *img, struct err *e)
{
    return qcow2_bitmap_change_commit(change_of(img), e);
}

static int ops_check(struct image *img, const char *name, unsigned granularity_bits, struct err *e)
{
    return qcow2_bitmap_change_check(change_of(img), name, granularity_bits, e);
}

static int ops_find(struct image *img, const char *name, struct bitmap *out, struct err *e)
{
    uint32_t i = qcow2_bitmap_change_find(change_of(img), name);
    if (i == QCOW2_NO_BITMAP)
        return bitmap_not_found(name, e);
    return qcow2_bitmap_describe(qcow2_of(img), qcow2_bitmap_change_get(change_of(img), i), out, e);
}

static int ops_add(struct image *img, const char *name, unsigned granularity_bits, bool enabled,
                   struct err *e)
{
    return qcow2_bitmap_change_add(change_of(img), name, granularity_bits,
                                   enabled ? QCOW2_BITMAP_AUTO : 0, e);
}

static int ops_remove(struct image *img, const char *name, struct err *e)
{
    uint32_t i = qcow2_bitmap_change_find(change_of(img), name);
    return i == QCOW2_NO_BITMAP ? bitmap_not_found(name, e)
                                : qcow2_bitmap_change_remove(change_of(img), i, e);
}

/* The index of one that can be trusted. */
static int usable(struct image *img, const char *name, uint32_t *i, struct err *e)
{
    struct bitmap b;
    if (ops_find(img, name, &b, e))
        return -1;
    int r = bitmap_check_usable(&b, e);
    bitmap_release(&b);
    *i = qcow2_bitmap_change_find(change_of(img), name);
    return r;
}

static int ops_clear(struct image *img, const char *name, struct err *e)
{
    uint32_t i;
    return usable(img, name, &i, e) || qcow2_bitmap_change_clear(change_of(img), i, e) ? -1 : 0;
}

static int ops_enable(struct image *img, const char *name, bool enabled, struct err *e)
{
    uint32_t i;
    if (usable(img, name, &i, e))
        return -1;
    qcow2_bitmap_change_flags(change_of(img), i, enabled ? QCOW2_BITMAP_AUTO : 0);
    return 0;
}

/* ---- merging --------------------------------------------------------------------------------- */

struct merge {
    struct qcow2_bitmap_change *change;
    uint32_t into;
    unsigned granularity_bits;
    uint64_t n_bits;
    struct image *from;
    struct bitmap *b;
    uint8_t *bits; /* a cluster of them */
    uint64_t size; /* its bytes */
    uint8_t *piece;
};

/* Cluster k of the bits, as the other bitmap has them. */
static int merge_bits(const struct merge *m, uint64_t k, bool *zero, struct err *e)
{
    uint64_t first = k * m->size * 8, n = num_min(m->size * 8, m->n_bits - first);
    memset(m->bits, 0, m->size);
    if (m->b->granularity_bits == m->granularity_bits)
        return m->from->format->bitmap_read(m->from, m->b, k * m->size, num_div_up(n, 8), m->bits,
                                            zero, e);
    if (bitmap_project(m->from, m->b, m->granularity_bits, first, n, m->bits, m->piece, e))
        return -1;
    *zero = zero_is(m->bits, m->size);
    return 0;
}

static int merge_run(const struct merge *m, struct err *e)
{
    for (uint64_t k = 0; k * m->size * 8 < m->n_bits; k++) {
        bool zero;
        if (merge_bits(m, k, &zero, e) ||
            (!zero && qcow2_bitmap_change_unite(m->change, m->into, k, m->bits, e)))
            return -1;
    }
    return 0;
}

static int ops_merge(struct image *img, const char *name, struct image *from, struct bitmap *b,
                     struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    uint32_t i;
    if (usable(img, name, &i, e))
        return -1;
    AUTO_FREE uint8_t *bits = mem_io(q->cluster_size, e);
    AUTO_FREE uint8_t *piece = mem_io(BITMAP_PIECE, e);
    if (!bits || !piece)
        return -1;
    unsigned granularity = qcow2_bitmap_change_get(change_of(img), i)->granularity_bits;
    const struct merge m = {.change = change_of(img),
                            .into = i,
                            .granularity_bits = granularity,
                            .n_bits = bitmap_bits(q->head.header.size, granularity),
                            .from = from,
                            .b = b,
                            .bits = bits,
                            .size = q->cluster_size,
                            .piece = piece};
    return merge_run(&m, e);
}

const struct bitmap_ops qcow2_bitmap_ops = {
    .supported = ops_supported,
    .begin = ops_begin,
    .check = ops_check,
    .add = ops_add,
    .remove = ops_remove,
    .clear = ops_clear,
    .enable = ops_enable,
    .merge = ops_merge,
    .find = ops_find,
    .commit = ops_commit,
    .end = ops_end,
};
