/* Persistent bitmaps of a fresh image ("Bitmaps" in the qcow2 specification). */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "formats/qcow2/bitmap_layout.h"
#include "formats/qcow2/meta_impl.h"

/* Cluster i of the bits, if any is set. */
static int put_bits(struct qcow2_meta *m, struct cursor *c, struct image *from, struct bitmap *b,
                    uint64_t i, uint8_t *cluster, uint8_t *entry, struct pages *pages,
                    struct err *e)
{
    uint64_t host, at = i * m->l->cluster;
    size_t n = num_min(m->l->cluster, bitmap_bytes(b) - at);
    bool zero;
    if (from->format->bitmap_read(from, b, at, n, cluster, &zero, e))
        return -1;
    if (zero || zero_is(cluster, n))
        return 0;
    memset(cluster + n, 0, m->l->cluster - n);
    if (qcow2_meta_append(m, c, cluster, m->l->cluster, &host, pages, e))
        return -1;
    be64_store(entry, host);
    return 0;
}

/* The bits and their table; *host, *entries of the table. */
static int put_table(struct qcow2_meta *m, struct cursor *c, struct image *from, struct bitmap *b,
                     uint64_t *host, uint32_t *entries, struct pages *pages, struct err *e)
{
    uint64_t n = num_div_up(bitmap_bytes(b), m->l->cluster);
    *entries = (uint32_t)n;
    AUTO_FREE uint8_t *table = mem_new(n, 8, e);
    AUTO_FREE uint8_t *cluster = mem_io(m->l->cluster, e);
    if (!table || !cluster)
        return -1;
    for (uint64_t i = 0; from && i < n; i++)
        if (put_bits(m, c, from, b, i, cluster, table + 8 * i, pages, e))
            return -1;
    return qcow2_meta_append(m, c, table, n * 8, host, pages, e);
}

static int dir_add(struct qcow2_meta *m, const struct bitmap *b, uint64_t host, uint32_t entries,
                   struct err *e)
{
    const struct qcow2_bitmap stored = {.name = b->name,
                                        .table_offset = host,
                                        .table_entries = entries,
                                        .flags = b->enabled ? QCOW2_BITMAP_AUTO : 0,
                                        .granularity_bits = b->granularity_bits};
    size_t len = bitmap_entry_size(strlen(b->name));
    uint8_t *grown = mem_grow(m->bitmap_dir, m->bitmap_dir_len + len, 1, e);
    if (!grown)
        return -1;
    m->bitmap_dir = grown;
    memset(grown + m->bitmap_dir_len, 0, len);
    m->bitmap_dir_len += bitmap_entry_store(&stored, grown + m->bitmap_dir_len);
    m->n_bitmaps++;
    return 0;
}

int qcow2_meta_add_bitmap(struct qcow2_meta *m, struct cursor *c, struct image *from,
                          struct bitmap *b, struct pages *pages, struct err *e)
{
    if (strlen(b->name) > BITMAP_NAME_MAX || m->n_bitmaps == QCOW2_MAX_BITMAPS ||
        num_div_up(b->n_bits, 8 * m->l->cluster) > UINT32_MAX / 8)
        return err_set(e, EFBIG, "Bitmap '%.64s' is too large", b->name);
    uint64_t host;
    uint32_t entries;
    if (put_table(m, c, from, b, &host, &entries, pages, e))
        return -1;
    return dir_add(m, b, host, entries, e);
}

int qcow2_meta_put_bitmap_dir(struct qcow2_meta *m, struct cursor *c, struct pages *pages,
                              struct qcow2_head *h, struct err *e)
{
    if (!m->n_bitmaps)
        return 0;
    h->ext.has_bitmaps = true;
    h->ext.n_bitmaps = m->n_bitmaps;
    h->ext.bitmap_dir_size = m->bitmap_dir_len;
    h->header.autoclear |= QCOW2_AUTOCLEAR_BITMAPS;
    return qcow2_meta_append(m, c, m->bitmap_dir, m->bitmap_dir_len, &h->ext.bitmap_dir_offset,
                             pages, e);
}
