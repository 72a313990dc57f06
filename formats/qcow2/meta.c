#include "formats/qcow2/meta.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/meta_impl.h"
#include "io/pages.h"

/* L1 and L2 entries; the rest of their meaning is entry_of() below. */
static const struct table_format entry_format = {.entry_size = 8, .big_endian = true};

#define SUBCLUSTERS_DATA UINT64_C(0x00000000ffffffff)
#define SUBCLUSTERS_ZERO UINT64_C(0xffffffff00000000)

/* ---- making ---------------------------------------------------------------------------------- */

static int count_meta(struct qcow2_meta *m, const struct placing *placed, struct err *e)
{
    for (size_t i = 0; i < placed->n_meta; i++) {
        const struct place_meta *p = &placed->meta[i];
        m->end = num_max(m->end, p->host + m->l->cluster);
        if (p->kind == PLACE_REFS && qcow2_refs_place(m->refs, p->index, p->host, e))
            return -1;
    }
    for (size_t i = 0; i < placed->n_meta; i++)
        if (qcow2_refs_add(m->refs, placed->meta[i].host, 1, e))
            return -1;
    return 0;
}

/* Header, refcount table, L1 and the LUKS header; their refcount blocks. */
static int count_begin(struct qcow2_meta *m, struct err *e)
{
    struct placing placed = {0};
    struct cursor c;
    int rc = qcow2_layout_begin(m->l, &c, &placed, e);
    if (!rc)
        rc = count_meta(m, &placed, e);
    placing_release(&placed);
    m->begin_end = m->end = c.end;
    uint64_t l1_clusters = num_div_up(m->l->l1_entries * 8, m->l->cluster);
    if (rc || qcow2_refs_add(m->refs, 0, 2, e) ||
        qcow2_refs_add(m->refs, m->l->l1_offset, l1_clusters, e))
        return -1;
    uint64_t crypto_clusters = num_div_up(m->l->crypto_bytes, m->l->cluster);
    return qcow2_refs_add(m->refs, m->l->crypto_offset, crypto_clusters, e);
}

int qcow2_meta_new(const struct qcow2_layout *l, const struct qcow2_create *create,
                   struct file *file, struct qcow2_meta **out, struct err *e)
{
    struct qcow2_meta *m = mem_new(1, sizeof *m, e);
    if (!m)
        return -1;
    *m = (struct qcow2_meta){.l = l, .create = create, .file = file, .packed = PLACE_NONE};
    const struct table_writer_params tables = {
        .format = &entry_format,
        .words = create->extended_l2 ? 2 : 1,
        .table_entries = l->l2_entries,
        .first_entries = l->l1_entries,
        .first_scale = 1,
        .first_used = QCOW2_COPIED,
        .file = file,
    };
    if (qcow2_refs_new(l, create->refcount_order, file, &m->refs, e) ||
        table_writer_new(&tables, &m->tables, e) || count_begin(m, e)) {
        qcow2_meta_free(m);
        return -1;
    }
    *out = m;
    return 0;
}

void qcow2_meta_free(struct qcow2_meta *m)
{
    if (!m)
        return;
    qcow2_refs_free(m->refs);
    table_writer_free(m->tables);
    free(m->bitmap_dir);
    free(m);
}

size_t qcow2_meta_memory(const struct qcow2_meta *m)
{
    size_t l1;
    table_writer_first(m->tables, &l1);
    return l1 + m->l->cluster * (1 + qcow2_refs_open(m->refs)) + 8 * qcow2_refs_blocks(m->refs);
}

/* ---- entries --------------------------------------------------------------------------------- */

/* What is in an encrypted cluster that was never written is no zeros. */
static bool is_marked_zero(const struct qcow2_create *c, need_t need)
{
    return need == NEED_RESERVED && c->crypt && c->version >= 3 && !c->extended_l2;
}

static uint64_t entry_of(const struct qcow2_meta *m, need_t need, uint64_t host)
{
    if (need_is_packed(need))
        return qcow2_packed_entry(m->create->cluster_bits, host, need_packed_len(need));
    if (host != PLACE_NONE)
        return host | QCOW2_COPIED | (is_marked_zero(m->create, need) ? QCOW2_ZERO : 0);
    return m->create->extended_l2 ? 0 : QCOW2_ZERO;
}

static uint64_t subclusters_of(need_t need, uint64_t host)
{
    if (need == NEED_PLAIN)
        return SUBCLUSTERS_DATA;
    return need == NEED_ZERO && host == PLACE_NONE ? SUBCLUSTERS_ZERO : 0;
}

static int set_entry(struct qcow2_meta *m, uint64_t block, need_t need, uint64_t host,
                     struct err *e)
{
    if (table_writer_set(m->tables, block, 0, entry_of(m, need, host), e))
        return -1;
    if (!m->create->extended_l2)
        return 0;
    return table_writer_set(m->tables, block, 1, subclusters_of(need, host), e);
}

/* ---- publish --------------------------------------------------------------------------------- */

static int count_packed(struct qcow2_meta *m, uint64_t host, uint32_t len, struct err *e)
{
    m->packed = host + len;
    uint64_t first = num_down(host, m->l->cluster);
    uint64_t end = num_up(host + len, m->l->cluster);
    m->end = num_max(m->end, end);
    return qcow2_refs_add(m->refs, first, (end - first) / m->l->cluster, e);
}

static int publish_block(struct qcow2_meta *m, uint64_t block, need_t need, uint64_t host,
                         struct err *e)
{
    if (need == NEED_ZERO && m->create->version < 3)
        return err_set(e, EINVAL, "Zero clusters need compatibility level 1.1");
    if (set_entry(m, block, need, host, e))
        return -1;
    if (host == PLACE_NONE || m->l->data_file)
        return 0;
    if (need_is_packed(need))
        return count_packed(m, host, need_packed_len(need), e);
    m->end = num_max(m->end, host + m->l->cluster);
    return qcow2_refs_add(m->refs, host, 1, e);
}

/* Tables come in the order of the blocks that open them. */
static int open_table(struct qcow2_meta *m, uint64_t block, const struct placing *placed,
                      size_t *at, struct pages *pages, struct err *e)
{
    while (*at < placed->n_meta && placed->meta[*at].kind != PLACE_TABLE)
        ++*at;
    if (*at == placed->n_meta || placed->meta[*at].index != block / m->l->l2_entries)
        return 0;
    const struct place_meta *p = &placed->meta[(*at)++];
    return table_writer_place(m->tables, p->index, p->host, pages, e);
}

/* Where encoded blocks may still be counted. */
static uint64_t packed_keep(const struct qcow2_meta *m)
{
    bool open = m->packed != PLACE_NONE && m->packed % m->l->cluster;
    return open ? m->packed : PLACE_NONE;
}

int qcow2_meta_publish(struct qcow2_meta *m, uint64_t first_block, const need_t *need, size_t n,
                       const struct placing *placed, struct pages *pages, struct err *e)
{
    if (count_meta(m, placed, e))
        return -1;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        if (need[i] == NEED_HOLE)
            continue;
        if (open_table(m, first_block + i, placed, &at, pages, e) ||
            publish_block(m, first_block + i, need[i], placed->host[i], e))
            return -1;
    }
    return qcow2_refs_settle(m->refs, m->end, packed_keep(m), pages, e);
}

/* ---- the end --------------------------------------------------------------------------------- */

int qcow2_meta_append(struct qcow2_meta *m, struct cursor *c, const void *buf, size_t len,
                      uint64_t *host, struct pages *pages, struct err *e)
{
    struct placing placed = {0};
    uint64_t n = num_div_up(len, m->l->cluster);
    int rc = qcow2_layout_alloc(m->l, c, n, host, &placed, e);
    if (!rc)
        rc = count_meta(m, &placed, e);
    placing_release(&placed);
    if (rc || qcow2_refs_add(m->refs, *host, n, e))
        return -1;
    m->end = num_max(m->end, *host + n * m->l->cluster);
    return buf ? writer_put(m->file, pages, *host, buf, len, e) : 0;
}

/* How many clusters the refcount table takes, when it is itself the last thing in the file. */
static uint64_t reftable_clusters(const struct qcow2_meta *m, const struct cursor *c)
{
    struct err none = ERR_INIT; /* a table that is too large fails when it is placed */
    for (uint64_t n = num_div_up(c->refs * 8, m->l->cluster);; n++) {
        struct cursor after = *c;
        uint64_t host;
        if (n <= 1 || qcow2_layout_alloc(m->l, &after, n, &host, NULL, &none) ||
            after.refs * 8 <= n * m->l->cluster)
            return n;
    }
}

/* The refcount table stays in its cluster, or gives that up for a place at the end. */
static int place_reftable(struct qcow2_meta *m, struct cursor *c, struct pages *pages,
                          struct qcow2_header *h, struct err *e)
{
    uint64_t n = reftable_clusters(m, c);
    h->reftable_clusters = (uint32_t)n;
    h->reftable_offset = m->l->cluster;
    if (n <= 1)
        return 0;
    if (qcow2_refs_drop(m->refs, m->l->cluster, e))
        return -1;
    return qcow2_meta_append(m, c, NULL, n * m->l->cluster, &h->reftable_offset, pages, e);
}

static int put_reftable(struct qcow2_meta *m, const struct qcow2_header *h, struct pages *pages,
                        struct err *e)
{
    AUTO_FREE uint8_t *table = qcow2_refs_table(m->refs, h->reftable_clusters, e);
    if (!table)
        return -1;
    return writer_put(m->file, pages, h->reftable_offset, table,
                      h->reftable_clusters * m->l->cluster, e);
}

static int put_l1(struct qcow2_meta *m, struct qcow2_header *h, struct pages *pages, struct err *e)
{
    size_t len;
    const void *l1 = table_writer_first(m->tables, &len);
    h->l1_offset = len ? m->l->l1_offset : 0;
    h->l1_entries = (uint32_t)m->l->l1_entries;
    return writer_put(m->file, pages, m->l->l1_offset, l1, len, e);
}

/* A file without data ends with the last byte of L1; any other with whole clusters. */
static uint64_t file_end(const struct qcow2_meta *m, const struct cursor *c)
{
    uint64_t l1_end = m->l->l1_offset + m->l->l1_entries * 8;
    bool only_l1 = c->end == m->begin_end && c->end == num_up(l1_end, m->l->cluster);
    return only_l1 ? l1_end : c->end;
}

int qcow2_meta_finish(struct qcow2_meta *m, struct cursor *c, struct pages *pages,
                      struct qcow2_head *h, struct err *e)
{
    if (table_writer_close(m->tables, pages, e) || qcow2_meta_put_bitmap_dir(m, c, pages, h, e) ||
        place_reftable(m, c, pages, &h->header, e) || qcow2_refs_finish(m->refs, pages, e) ||
        put_reftable(m, &h->header, pages, e) || put_l1(m, &h->header, pages, e) ||
        pages_flush(pages, e))
        return -1;
    return file_truncate(m->file, file_end(m, c), e);
}
