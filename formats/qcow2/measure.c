/*
 * The size of an image not yet written: header, tables for every block, refcounts, and the data.
 * As qemu counts it: an upper bound that holds for any order of allocation.
 */
#include <limits.h>

#include "base/num.h"
#include "formats/qcow2/layout.h"
#include "formats/qcow2/state.h"

/* ---- metadata -------------------------------------------------------------------------------- */

/* Clusters of refcount blocks and of their table that count `clusters` and themselves. */
static uint64_t refcount_clusters(const struct qcow2_layout *l, uint64_t clusters)
{
    uint64_t per_block = l->refs_cover / l->cluster;
    uint64_t blocks = 0, table = 0, total = clusters;
    for (uint64_t last = 0; total != last;) {
        last = total;
        blocks = num_div_up(total, per_block);
        table = num_div_up(blocks * 8, l->cluster);
        total = clusters + blocks + table;
    }
    return blocks + table;
}

static uint64_t full_clusters(const struct qcow2_layout *l)
{
    uint64_t l1 = num_div_up(l->l1_entries * 8, l->cluster);
    uint64_t clusters = 1 + l1 + l->l1_entries + l->blocks;
    return clusters + refcount_clusters(l, clusters);
}

/* ---- data ------------------------------------------------------------------------------------ */

/* Whether to ask the file for holes. As qemu does, in a qcow2 file only where it takes a tenth of
 * its clusters less storage than it is long: the sign of preallocated metadata. */
static bool asks_file(struct image *img)
{
    if (img->format != &format_qcow2)
        return true;
    uint64_t cluster = qcow2_of(img)->cluster_size;
    int64_t allocated = file_allocated(img->file);
    uint64_t clusters = num_div_up(file_size(img->file), cluster);
    uint64_t stored = allocated < 0 ? clusters : (uint64_t)allocated / cluster;
    return clusters > stored && clusters - stored >= num_max(2, clusters / 10);
}

/* One extent of the chain; `asked` remembers the answer for the image last met. */
static int map_data(struct image *src, uint64_t at, const struct image **asked, bool *asks,
                    struct extent *x, struct err *e)
{
    if (image_map_chain(src, at, src->size - at, UINT_MAX, x, e))
        return -1;
    if (x->kind != EXTENT_DATA)
        return 0;
    if (x->image != *asked)
        *asks = asks_file(x->image);
    *asked = x->image;
    return *asks ? image_refine(x, e) : 0;
}

/* Blocks of the target that hold data anywhere in the source's chain. */
static int count_data(struct image *src, uint64_t cluster, uint64_t *blocks, struct err *e)
{
    uint64_t next = 0; /* first block not counted yet */
    const struct image *asked = NULL;
    bool asks = false;
    *blocks = 0;
    for (uint64_t at = 0; at < src->size;) {
        struct extent x;
        if (map_data(src, at, &asked, &asks, &x, e))
            return -1;
        at += x.length;
        if (x.kind == EXTENT_HOLE || x.kind == EXTENT_ZERO || x.file_hole)
            continue;
        uint64_t first = num_max(next, x.guest / cluster);
        next = num_div_up(at, cluster);
        *blocks += next > first ? next - first : 0;
    }
    return 0;
}

/* ---- bitmaps --------------------------------------------------------------------------------- */

static bool has_bitmaps(struct image *img)
{
    if (!img->format->bitmap_list)
        return false;
    return img->format != &format_qcow2 || qcow2_of(img)->head.header.version >= 3;
}

/* As they would be copied: each with all its bits, and the directory. */
static int measure_bitmaps(struct image *src, uint64_t cluster, uint64_t *bytes, struct err *e)
{
    struct bitmap *list = NULL;
    size_t n = 0;
    if (src->format->bitmap_list(src, &list, &n, e))
        return -1;
    uint64_t clusters = 0, directory = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = bitmap_bits(src->size, list[i].granularity_bits);
        uint64_t data = num_div_up(num_div_up(bits, 8), cluster);
        clusters += data + num_div_up(data * 8, cluster);
        directory += num_up(24 + strlen(list[i].name), 8);
    }
    bitmap_list_free(list, n);
    *bytes = cluster * (clusters + num_div_up(directory, cluster));
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* Preallocated, or over a backing image: what is shared with that is not known. */
static bool counts_all(const struct options *o, const struct qcow2_create *c,
                       const struct image *src)
{
    return c->prealloc == QCOW2_PREALLOC_FALLOC || c->prealloc == QCOW2_PREALLOC_FULL ||
           (src && options_given(o, "backing_file"));
}

int qcow2_measure(const struct options *o, uint64_t size, struct image *src,
                  struct measure_result *out, struct err *e)
{
    struct qcow2_create c;
    struct qcow2_layout l;
    *out = (struct measure_result){0};
    size = size > UINT64_MAX - 511 ? size : num_up(size, 512);
    /* as the original: the size of an existing image is taken as it is, creating it may still fail
     */
    if (qcow2_measure_parse(o, src ? 0 : size, &c, e))
        return -1;
    c.size = size;
    qcow2_layout_init(&l, &c);
    uint64_t full = full_clusters(&l), data = 0, crypto = num_up(l.crypto_bytes, l.cluster);
    bool all = counts_all(o, &c, src);
    if (!all && src && count_data(src, l.cluster, &data, e))
        return -1;
    out->fully_allocated = full * l.cluster;
    out->required = all ? out->fully_allocated : (full - l.blocks + data) * l.cluster;
    out->has_bitmaps = src && c.version >= 3 && has_bitmaps(src);
    out->required += crypto;
    out->fully_allocated += crypto;
    return out->has_bitmaps ? measure_bitmaps(src, l.cluster, &out->bitmaps, e) : 0;
}
