#include "formats/qcow2/bitmap_change.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "formats/qcow2/bitmap_layout.h"
#include "formats/qcow2/change.h"

struct changed {
    struct qcow2_bitmap b; /* as it is to be: the name is owned */
    uint64_t old_table;    /* on storage; 0: a new bitmap */
    uint32_t old_entries;
    bool removed;
    bool differs;    /* its table is not what storage has */
    uint64_t *table; /* owned; NULL until it is needed */
    uint8_t *own;    /* of each entry: its cluster was taken by this change */
};

struct qcow2_bitmap_change {
    struct qcow2 *q;
    struct qcow2_counts *counts;
    bool own_counts;
    struct changed *list;
    uint32_t n;
    bool differs; /* the directory is to be written */
    uint8_t *cluster;
};

/* ---- opening --------------------------------------------------------------------------------- */

static int list_fill(struct qcow2_bitmap_change *c, struct err *e)
{
    const struct qcow2 *q = c->q;
    c->list = mem_new((size_t)q->n_bitmaps + 1, sizeof *c->list, e);
    if (!c->list)
        return -1;
    for (; c->n < q->n_bitmaps; c->n++) {
        struct changed *x = &c->list[c->n];
        x->b = q->bitmaps[c->n];
        x->old_table = x->b.table_offset;
        x->old_entries = x->b.table_entries;
        x->b.name = mem_strdup(q->bitmaps[c->n].name, e);
        if (!x->b.name)
            return -1;
    }
    return 0;
}

int qcow2_bitmap_change_open(struct qcow2 *q, struct qcow2_bitmap_change **out, struct err *e)
{
    struct qcow2_bitmap_change *c = mem_new(1, sizeof *c, e);
    if (!c)
        return -1;
    c->q = q;
    c->own_counts = !q->change;
    c->counts = q->change ? qcow2_change_counts(q->change) : NULL;
    c->cluster = mem_io(q->cluster_size, e);
    if (!c->cluster || list_fill(c, e) ||
        (c->own_counts && qcow2_counts_open(q, q->budget, &c->counts, e))) {
        qcow2_bitmap_change_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

static void changed_free(struct changed *x)
{
    free(x->b.name);
    free(x->table);
    free(x->own);
}

void qcow2_bitmap_change_free(struct qcow2_bitmap_change *c)
{
    if (!c)
        return;
    for (uint32_t i = 0; c->list && i < c->n; i++)
        changed_free(&c->list[i]);
    if (c->own_counts)
        qcow2_counts_free(c->counts);
    free(c->list);
    free(c->cluster);
    free(c);
}

uint32_t qcow2_bitmap_change_find(const struct qcow2_bitmap_change *c, const char *name)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (!c->list[i].removed && !strcmp(c->list[i].b.name, name))
            return i;
    return QCOW2_NO_BITMAP;
}

const struct qcow2_bitmap *qcow2_bitmap_change_get(const struct qcow2_bitmap_change *c, uint32_t i)
{
    return &c->list[i].b;
}

/* ---- clusters and tables --------------------------------------------------------------------- */

/* Others may map the image meanwhile, and look for room in its tables. */
static int cluster_take(struct qcow2_bitmap_change *c, uint64_t n, uint64_t *host, struct err *e)
{
    return c->own_counts ? qcow2_counts_take(c->counts, n, host, e)
                         : qcow2_change_take(c->q->change, n, host, e);
}

/* One that this change took, which nothing refers to. */
static int cluster_give(struct qcow2_bitmap_change *c, uint64_t host, struct err *e)
{
    uint64_t bytes = c->q->cluster_size;
    return c->own_counts ? qcow2_counts_drop(c->counts, host, bytes, e)
                         : qcow2_change_drop(c->q->change, host, bytes, e);
}

/* The table as storage has it, to be changed. */
static int table_need(struct qcow2_bitmap_change *c, struct changed *x, struct err *e)
{
    if (x->table)
        return 0;
    if (!x->own && !(x->own = mem_new((size_t)x->old_entries + 1, 1, e)))
        return -1;
    return qcow2_words_read(c->q, x->old_table, x->old_entries, &x->table, e);
}

static int entry_set(struct qcow2_bitmap_change *c, struct changed *x, uint64_t k, uint64_t entry,
                     struct err *e)
{
    uint64_t was = x->table[k];
    bool own = x->own[k];
    x->table[k] = entry;
    x->own[k] = 0;
    x->differs = c->differs = true;
    return own ? cluster_give(c, was & QCOW2_PLACE_MASK, e) : 0;
}

/* c->cluster is to be what entry k stands for. */
static int entry_put(struct qcow2_bitmap_change *c, struct changed *x, uint64_t k, struct err *e)
{
    uint64_t host = x->table[k] & QCOW2_PLACE_MASK, size = c->q->cluster_size;
    if (bits_full(c->cluster, size))
        return entry_set(c, x, k, QCOW2_BITMAP_ONES, e);
    if (zero_is(c->cluster, size))
        return entry_set(c, x, k, 0, e);
    if (!x->own[k]) {
        if (cluster_take(c, 1, &host, e) || entry_set(c, x, k, host, e))
            return -1;
        x->own[k] = 1;
    }
    return file_write(c->q->file, c->cluster, size, host, e);
}

/* ---- changes --------------------------------------------------------------------------------- */

static uint64_t table_entries(const struct qcow2 *q, unsigned granularity_bits)
{
    uint64_t bits = bitmap_bits(q->head.header.size, granularity_bits);
    return num_div_up(num_div_up(bits, 8), q->cluster_size);
}

static int too_large(const struct qcow2 *q, unsigned granularity_bits, struct err *e)
{
    uint64_t entries = table_entries(q, granularity_bits);
    if (entries <= BITMAP_TABLE_MAX && entries * q->cluster_size <= BITMAP_BYTES_MAX)
        return 0;
    return err_set(e, EFBIG,
                   "Too much space will be occupied by the bitmap. Use larger granularity");
}

static uint64_t directory_size(const struct qcow2_bitmap_change *c)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < c->n; i++)
        if (!c->list[i].removed)
            bytes += bitmap_entry_size(strlen(c->list[i].b.name));
    return bytes;
}

static uint32_t count_kept(const struct qcow2_bitmap_change *c)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < c->n; i++)
        kept += !c->list[i].removed;
    return kept;
}

int qcow2_bitmap_change_check(const struct qcow2_bitmap_change *c, const char *name,
                              unsigned granularity_bits, struct err *e)
{
    const struct qcow2 *q = c->q;
    size_t length = strlen(name);
    if (q->head.header.version < 3)
        return err_set(e, ENOTSUP, "Cannot store dirty bitmaps in qcow2 v2 files");
    if (!q->head.header.size) /* a table without entries is none */
        return err_set(e, EINVAL, "Cannot store dirty bitmaps of an empty disk");
    if (too_large(q, granularity_bits, e))
        return -1;
    if (length > BITMAP_NAME_MAX)
        return err_set(e, EINVAL, "Name length exceeds maximum (%u characters)", BITMAP_NAME_MAX);
    if (count_kept(c) >= QCOW2_MAX_BITMAPS)
        return err_set(e, EFBIG, "Maximum number of persistent bitmaps is already reached");
    if (directory_size(c) + bitmap_entry_size(length) > BITMAP_DIRECTORY_MAX)
        return err_set(e, EFBIG, "Not enough space in the bitmap directory");
    return 0;
}

int qcow2_bitmap_change_add(struct qcow2_bitmap_change *c, const char *name,
                            unsigned granularity_bits, uint32_t flags, struct err *e)
{
    struct changed *list = mem_grow(c->list, c->n + (size_t)1, sizeof *list, e);
    if (!list)
        return -1;
    c->list = list;
    struct changed *x = &list[c->n];
    uint64_t n = table_entries(c->q, granularity_bits);
    *x = (struct changed){.differs = true, .table = mem_new(n + 1, 8, e), .own = NULL};
    x->own = x->table ? mem_new(n + 1, 1, e) : NULL;
    x->b.name = x->own ? mem_strdup(name, e) : NULL;
    if (!x->b.name) {
        changed_free(x);
        return -1;
    }
    x->b.table_entries = (uint32_t)n;
    x->b.flags = flags;
    x->b.granularity_bits = granularity_bits;
    c->n++;
    c->differs = true;
    return 0;
}

static int give_all(struct qcow2_bitmap_change *c, struct changed *x, struct err *e)
{
    for (uint32_t k = 0; x->table && k < x->b.table_entries; k++)
        if (entry_set(c, x, k, 0, e))
            return -1;
    return 0;
}

int qcow2_bitmap_change_remove(struct qcow2_bitmap_change *c, uint32_t i, struct err *e)
{
    struct changed *x = &c->list[i];
    x->removed = c->differs = true;
    return x->own ? give_all(c, x, e) : 0;
}

int qcow2_bitmap_change_clear(struct qcow2_bitmap_change *c, uint32_t i, struct err *e)
{
    struct changed *x = &c->list[i];
    return table_need(c, x, e) ? -1 : give_all(c, x, e);
}

void qcow2_bitmap_change_flags(struct qcow2_bitmap_change *c, uint32_t i, uint32_t flags)
{
    c->differs |= c->list[i].b.flags != flags;
    c->list[i].b.flags = flags;
}

int qcow2_bitmap_change_unite(struct qcow2_bitmap_change *c, uint32_t i, uint64_t k,
                              const uint8_t *bits, struct err *e)
{
    struct changed *x = &c->list[i];
    uint64_t size = c->q->cluster_size;
    if (table_need(c, x, e) || qcow2_bits_read(c->q, x->table[k], 0, c->cluster, size, e))
        return -1;
    return bits_or(c->cluster, bits, size) ? entry_put(c, x, k, e) : 0;
}

/* ---- another size of the disk ---------------------------------------------------------------- */

/* Another number of entries: those that go are forgotten, those that come are clear. */
static int table_fit(struct qcow2_bitmap_change *c, struct changed *x, uint32_t n, struct err *e)
{
    uint32_t old = x->b.table_entries;
    for (uint32_t k = n; k < old; k++)
        if (entry_set(c, x, k, 0, e))
            return -1;
    uint64_t *table = mem_grow(x->table, (size_t)n + 1, 8, e);
    x->table = table ? table : x->table;
    uint8_t *own = table ? mem_grow(x->own, (size_t)n + 1, 1, e) : NULL;
    if (!own)
        return -1;
    x->own = own;
    for (uint32_t k = old; k < n; k++)
        table[k] = own[k] = 0;
    x->b.table_entries = n;
    x->differs |= n != old;
    return 0;
}

/* Bits from `end` on are clear, up to the end of their cluster. */
static int cut_bits(struct qcow2_bitmap_change *c, struct changed *x, uint64_t end, struct err *e)
{
    uint64_t size = c->q->cluster_size, k = end / (8 * size), in = end % (8 * size);
    if (!in || !x->table[k])
        return 0;
    if (qcow2_bits_read(c->q, x->table[k], 0, c->cluster, size, e))
        return -1;
    bits_clear(c->cluster, in, 8 * size);
    return entry_put(c, x, k, e);
}

int qcow2_bitmap_change_resize(struct qcow2_bitmap_change *c, uint32_t i, uint64_t was,
                               struct err *e)
{
    struct changed *x = &c->list[i];
    const struct qcow2 *q = c->q;
    unsigned granularity = x->b.granularity_bits;
    uint64_t size = q->head.header.size;
    if (too_large(q, granularity, e) || table_need(c, x, e) ||
        cut_bits(c, x, bitmap_bits(num_min(was, size), granularity), e))
        return -1;
    return table_fit(c, x, (uint32_t)table_entries(q, granularity), e);
}

/* ---- commit ---------------------------------------------------------------------------------- */

static int put(struct qcow2_bitmap_change *c, const void *buf, uint64_t bytes, uint64_t *host,
               struct err *e)
{
    return cluster_take(c, num_div_up(bytes, c->q->cluster_size), host, e) ||
                   file_write(c->q->file, buf, bytes, *host, e)
               ? -1
               : 0;
}

static int table_put(struct qcow2_bitmap_change *c, struct changed *x, struct err *e)
{
    uint32_t n = x->b.table_entries;
    AUTO_FREE uint8_t *buf = mem_new(num_max(n, 1), 8, e);
    if (!buf)
        return -1;
    for (uint32_t k = 0; k < n; k++)
        be64_store(buf + 8 * (size_t)k, x->table[k]);
    return put(c, buf, (uint64_t)n * 8, &x->b.table_offset, e);
}

/* Tables, then the directory; *host, *bytes 0: no bitmap is left. */
static int directory_put(struct qcow2_bitmap_change *c, uint64_t *host, uint64_t *bytes,
                         struct err *e)
{
    uint64_t at = 0;
    *host = 0;
    *bytes = directory_size(c);
    AUTO_FREE uint8_t *buf = mem_new(num_max(*bytes, 1), 1, e);
    if (!buf)
        return -1;
    for (uint32_t i = 0; i < c->n; i++) {
        struct changed *x = &c->list[i];
        if (x->removed)
            continue;
        if (x->differs && table_put(c, x, e))
            return -1;
        at += bitmap_entry_store(&x->b, buf + at);
    }
    return *bytes ? put(c, buf, *bytes, host, e) : 0;
}

static void extension_fill(const struct qcow2_bitmap_change *c, struct qcow2_extensions *x,
                           uint64_t host, uint64_t bytes)
{
    x->has_bitmaps = bytes;
    x->n_bitmaps = count_kept(c);
    x->bitmap_dir_offset = host;
    x->bitmap_dir_size = bytes;
}

/* Is there room for the extension? To be known before anything is counted. */
static int head_check(struct qcow2_bitmap_change *c, uint64_t host, uint64_t bytes, struct err *e)
{
    struct qcow2_head head = c->q->head; /* what it points to stays the image's */
    extension_fill(c, &head.ext, host, bytes);
    return qcow2_head_store(&head, c->cluster, c->q->cluster_size, e)
               ? err_prefix(e, "Failed to update bitmap extension: ")
               : 0;
}

/* Bitmaps count once the autoclear bit says so: it comes after the first extension is there, and
 * goes before the last. */
static int head_switch(struct qcow2_bitmap_change *c, uint64_t host, uint64_t bytes, struct err *e)
{
    struct qcow2 *q = c->q;
    struct qcow2_header *h = &q->head.header;
    bool had = q->head.ext.has_bitmaps;
    h->autoclear &= (had && bytes ? QCOW2_AUTOCLEAR_BITMAPS : 0) | QCOW2_AUTOCLEAR_DATA_RAW;
    if (had && !bytes && (qcow2_header_write(q, e) || file_sync(q->file, e)))
        return -1;
    extension_fill(c, &q->head.ext, host, bytes);
    if (qcow2_head_write(q, e) || file_sync(q->file, e))
        return -1;
    if (had || !bytes)
        return 0;
    h->autoclear |= QCOW2_AUTOCLEAR_BITMAPS;
    return qcow2_header_write(q, e) || file_sync(q->file, e) ? -1 : 0;
}

/* What a table on storage referred to and the new one does not. A table that makes no sense is
 * nothing that could be followed: what it may have used leaks. */
static int old_drop(struct qcow2_bitmap_change *c, const struct changed *x, struct err *e)
{
    const struct qcow2 *q = c->q;
    struct err ignored = ERR_INIT;
    AUTO_FREE uint64_t *old = NULL;
    if (!x->old_table || !(x->removed || x->differs))
        return 0;
    if (qcow2_words_read(q, x->old_table, x->old_entries, &old, &ignored))
        return 0;
    for (uint32_t k = 0; k < x->old_entries; k++) {
        uint64_t host = old[k] & QCOW2_PLACE_MASK;
        bool kept = !x->removed && k < x->b.table_entries && x->table[k] == old[k];
        if (host && !kept && !qcow2_bitmap_entry_check(q, old[k]) &&
            qcow2_counts_drop(c->counts, host, q->cluster_size, e))
            return -1;
    }
    return qcow2_counts_drop(c->counts, x->old_table, (uint64_t)x->old_entries * 8, e);
}

static int olds_drop(struct qcow2_bitmap_change *c, uint64_t directory, uint64_t bytes,
                     struct err *e)
{
    for (uint32_t i = 0; i < c->n; i++)
        if (old_drop(c, &c->list[i], e))
            return -1;
    if (bytes && qcow2_counts_drop(c->counts, directory, bytes, e))
        return -1;
    return qcow2_counts_settle(c->counts, e) || qcow2_counts_flush(c->counts, e) ||
                   file_sync(c->q->file, e)
               ? -1
               : 0;
}

/* The image's list is this one. */
static int list_take(struct qcow2_bitmap_change *c, struct err *e)
{
    struct qcow2 *q = c->q;
    struct qcow2_bitmap *list = mem_new(count_kept(c) + (size_t)1, sizeof *list, e);
    if (!list)
        return -1;
    qcow2_bitmaps_free(q);
    q->bitmaps = list;
    for (uint32_t i = 0; i < c->n; i++) {
        if (c->list[i].removed)
            continue;
        list[q->n_bitmaps] = c->list[i].b;
        list[q->n_bitmaps++].name = MEM_TAKE(c->list[i].b.name);
    }
    return 0;
}

void qcow2_bitmap_change_touch(struct qcow2_bitmap_change *c)
{
    c->differs = true;
}

int qcow2_bitmap_change_commit(struct qcow2_bitmap_change *c, struct err *e)
{
    struct qcow2 *q = c->q;
    const struct qcow2_extensions *x = &q->head.ext;
    uint64_t old = x->bitmap_dir_offset, old_bytes = x->has_bitmaps ? x->bitmap_dir_size : 0;
    uint64_t host, bytes;
    if (!c->differs)
        return 0;
    if (directory_put(c, &host, &bytes, e) || head_check(c, host, bytes, e) ||
        qcow2_counts_flush(c->counts, e) || file_sync(q->file, e) ||
        head_switch(c, host, bytes, e) || olds_drop(c, old, old_bytes, e))
        return -1;
    return list_take(c, e);
}
