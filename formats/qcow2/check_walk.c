#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/check.h"

/* "L1 table entry", "Standard Cluster Descriptor": bits that must be zero */
#define L1_RESERVED UINT64_C(0x7f000000000001ff)
#define L2_RESERVED UINT64_C(0x3f000000000001fe)

/* L2 tables are read in batches of so many bytes */
#define BATCH_BYTES (UINT64_C(4) << 20)

struct walk {
    struct check *c;
    const struct qcow2 *q;
    bool active; /* the tables of the active state: they count for the statistics */
    bool flags;  /* do not count: tell wrong flags, mend them */
    uint64_t l1_offset, n_l1;
    uint64_t *l1;
    uint64_t l1_from, l1_to; /* entries that are to be written */
    uint8_t *tables;         /* a batch of L2 tables */
    uint64_t batch;          /* tables that fit */
    struct file_io *io;
    size_t n_io;

    uint64_t host;     /* of the table that is looked at */
    uint8_t *table;    /* its bytes */
    bool may_write;    /* flags: it is a table and nothing else */
    uint32_t from, to; /* bytes of it that are to be written */
    uint64_t next; /* where the next cluster of this L2 table would stand, were it contiguous; 0 =
                    * there was none */
};

/* One L2 entry. */
struct item {
    uint8_t *at;    /* in the table */
    uint64_t index; /* ... counted in entries */
    uint64_t raw;
    uint32_t stored, zero; /* subclusters (extended L2) */
};

/* ---- counting -------------------------------------------------------------------------------- */

/* Statistics are of the active state, told once. */
static void stats_take(struct walk *w, uint64_t host, bool packed)
{
    struct check_result *r = w->c->r;
    if (!w->active || !w->c->speak)
        return;
    r->allocated_clusters++;
    if (packed) { /* such a cluster is a fragment always */
        r->compressed_clusters++;
        r->fragmented_clusters++;
        return;
    }
    if (w->next && host != w->next)
        r->fragmented_clusters++;
    w->next = host + w->q->cluster_size;
}

static void packed_count(struct walk *w, const struct item *t)
{
    struct check *c = w->c;
    uint64_t host, raw = t->raw & ~QCOW2_COPIED;
    uint32_t len;
    qcow2_packed_place(w->q->cluster_bits, raw, &host, &len);
    if (t->raw & QCOW2_COPIED)
        check_fault(c, &c->r->corruptions,
                    "ERROR: coffset=0x%" PRIx64
                    ": copied flag must never be set for compressed clusters",
                    host);
    if (w->q->has_data_file) {
        check_fault(c, &c->r->corruptions,
                    "ERROR compressed cluster %" PRIu64 " with data file, entry=0x%" PRIx64,
                    t->index, raw);
        return;
    }
    if (t->stored | t->zero) {
        check_fault(c, &c->r->corruptions,
                    "ERROR compressed cluster %" PRIu64
                    " with non-zero subcluster allocation bitmap, entry=0x%" PRIx64,
                    t->index, raw);
        return;
    }
    stats_take(w, host, true);
    check_refer(c, host, len);
}

/* An entry that needs no place gives up one that cannot be right. *gone: it has none any more. */
static int place_drop(struct walk *w, const struct item *t, uint64_t host, bool *gone,
                      struct err *e)
{
    struct check *c = w->c;
    uint64_t at = w->host + (uint64_t)(t->at - w->table);
    bool mends = c->speak && (c->fix & CHECK_FIX_ERRORS) && w->host % w->q->cluster_size == 0;
    int r = mends ? repair_guard(c, at, 8, 0, e) : 0;
    if (r < 0)
        return -1;
    *gone = mends && r;
    check_verdict(c, *gone,
                  "offset=%" PRIx64
                  ": Preallocated cluster is not properly aligned; L2 entry corrupted.",
                  host);
    if (!*gone)
        return 0;
    be64_store(t->at, w->q->extended ? 0 : QCOW2_ZERO);
    return repair_writes(c, e) || file_write(w->q->file, t->at, 8, at, e) ? -1 : 0;
}

/* What is wrong with an entry that has a place. */
static int place_faults(struct walk *w, const struct item *t, uint64_t host, bool *gone,
                        struct err *e)
{
    struct check *c = w->c;
    bool zero = w->q->extended ? !t->stored : t->raw & QCOW2_ZERO;
    if (t->stored & t->zero)
        check_fault(c, &c->r->corruptions,
                    "ERROR offset=%" PRIx64
                    ": Allocated cluster has corrupted subcluster allocation bitmap",
                    host);
    if (host % w->q->cluster_size && zero)
        return place_drop(w, t, host, gone, e);
    if (host % w->q->cluster_size)
        check_fault(c, &c->r->corruptions,
                    "ERROR offset=%" PRIx64
                    ": Data cluster is not properly aligned; L2 entry corrupted.",
                    host);
    return 0;
}

/* Does the flag say what the refcount says? In a data file all clusters are referred to once. 1 if
 * the refcount is not to be had. */
static int flag_wrong(struct walk *w, uint64_t raw, uint64_t host, uint64_t *refcount,
                      bool *is_wrong, struct err *e)
{
    *refcount = 1;
    if (!w->q->has_data_file) {
        int r = tally_stored(&w->c->tally, host >> w->q->cluster_bits, refcount, e);
        if (r) {
            *is_wrong = false;
            return r;
        }
    }
    *is_wrong = (*refcount == 1) != !!(raw & QCOW2_COPIED);
    return 0;
}

/* While counting it is enough to know that some flag is wrong; unreadable refcounts have been told.
 */
static void flag_count(struct walk *w, uint64_t raw, uint64_t host, bool in_data_file)
{
    struct check *c = w->c;
    uint64_t cluster = host >> w->q->cluster_bits;
    bool copied = raw & QCOW2_COPIED;
    if (in_data_file)
        c->wrong_flags += !copied;
    else if (tally_has(&c->tally, cluster))
        c->wrong_flags += (tally_refcount(&c->tally, cluster) == 1) != copied;
    else
        c->wrong_flags += copied && cluster >= c->tally.file_clusters && c->speak;
}

/* Is there a place in a standard entry? */
static bool item_placed(const struct walk *w, const struct item *t)
{
    if (t->raw & QCOW2_PLACE_MASK)
        return true;
    return w->q->has_data_file && (t->raw & QCOW2_COPIED) &&
           (w->q->extended ? t->stored : !(t->raw & QCOW2_ZERO));
}

static int item_count(struct walk *w, const struct item *t, struct err *e)
{
    struct check *c = w->c;
    const struct qcow2 *q = w->q;
    bool gone = false;
    if (t->raw & QCOW2_COMPRESSED) {
        packed_count(w, t);
        return 0;
    }
    uint64_t host = t->raw & QCOW2_PLACE_MASK;
    if (t->raw & L2_RESERVED)
        check_fault(c, &c->r->corruptions, "ERROR found l2 entry with reserved bits set: %" PRIx64,
                    t->raw);
    if (!item_placed(w, t)) {
        if (t->stored)
            check_fault(c, &c->r->corruptions,
                        "ERROR: Unallocated cluster has non-zero subcluster allocation map");
        return 0;
    }
    if (((t->stored & t->zero) || host % q->cluster_size) && place_faults(w, t, host, &gone, e))
        return -1;
    if (gone)
        return 0;
    stats_take(w, host, false);
    if (!q->has_data_file)
        check_refer(c, host, q->cluster_size);
    if (w->active)
        flag_count(w, t->raw, host, q->has_data_file);
    return 0;
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* A repair looks at what points into the window; at what points beyond all, with the first one. */
static bool flag_here(const struct check *c, uint64_t cluster)
{
    const struct tally *t = &c->tally;
    if (!c->fix)
        return true;
    return cluster < t->end ? tally_has(t, cluster) : t->base == 0;
}

static uint64_t flagged(uint64_t raw, uint64_t refcount)
{
    return refcount == 1 ? raw | QCOW2_COPIED : raw & ~QCOW2_COPIED;
}

static int item_flag(struct walk *w, const struct item *t, struct err *e)
{
    struct check *c = w->c;
    uint64_t host = t->raw & QCOW2_PLACE_MASK, refcount;
    uint64_t cluster = w->q->has_data_file ? UINT64_MAX : host >> w->q->cluster_bits;
    bool is_wrong;
    if ((t->raw & QCOW2_COMPRESSED) || !item_placed(w, t) || !flag_here(c, cluster))
        return 0;
    if (flag_wrong(w, t->raw, host, &refcount, &is_wrong, e) < 0)
        return -1;
    if (!is_wrong)
        return 0;
    check_verdict(c, w->may_write,
                  "OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64, t->raw,
                  refcount);
    if (!w->may_write)
        return 0;
    uint32_t at = (uint32_t)(t->at - w->table);
    be64_store(t->at, flagged(t->raw, refcount));
    w->from = w->to ? w->from : at;
    w->to = at + 8;
    return 0;
}

/* 1 if the refcount is not to be had; then qemu-img does not look into the table either. */
static int l1_flag(struct walk *w, uint64_t index, uint64_t raw, struct err *e)
{
    struct check *c = w->c;
    uint64_t cluster = (raw & QCOW2_PLACE_MASK) >> w->q->cluster_bits, refcount;
    if (!flag_here(c, cluster))
        return 0;
    int r = tally_stored(&c->tally, cluster, &refcount, e);
    if (r || flagged(raw, refcount) == raw)
        return r;
    int mends = c->mends_flags ? repair_guard(c, w->l1_offset + index * 8, 8, 1, e) : 0;
    if (mends < 0)
        return -1;
    check_verdict(c, mends,
                  "OFLAG_COPIED L2 cluster: l1_index=%" PRIu64 " l1_entry=%" PRIx64
                  " refcount=%" PRIu64,
                  index, raw, refcount);
    if (!mends)
        return 0;
    w->l1[index] = flagged(raw, refcount);
    w->l1_from = w->l1_to ? w->l1_from : index;
    w->l1_to = index + 1;
    return 0;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int table_visit(struct walk *w, struct err *e)
{
    const struct qcow2 *q = w->q;
    unsigned size = q->extended ? 16 : 8;
    w->next = 0;
    w->from = w->to = 0;
    for (uint64_t i = 0; i < q->l2_entries; i++) {
        uint8_t *p = w->table + i * size;
        struct item t = {.at = p, .index = i, .raw = be64_load(p)};
        if (q->extended) {
            uint64_t bits = be64_load(p + 8);
            t.stored = (uint32_t)bits;
            t.zero = (uint32_t)(bits >> 32);
        }
        if (!t.raw && !t.stored)
            continue;
        if (w->flags ? item_flag(w, &t, e) : item_count(w, &t, e))
            return -1;
    }
    return 0;
}

static int flags_visit(struct walk *w, uint64_t index, struct err *e)
{
    struct check *c = w->c;
    if (!w->host)
        return 0;
    int r = l1_flag(w, index, w->l1[index], e);
    if (r)
        return r < 0 ? -1 : 0;
    bool aligned = w->host % w->q->cluster_size == 0;
    int may = c->mends_flags && aligned ? repair_guard(c, w->host, w->q->cluster_size, 0, e) : 0;
    if (may < 0)
        return -1;
    w->may_write = may;
    if (table_visit(w, e))
        return -1;
    if (w->to)
        w->io[w->n_io++] = (struct file_io){
            .buf = w->table + w->from, .len = w->to - w->from, .off = w->host + w->from};
    return 0;
}

/* One L1 entry that is not 0, with its table in memory. */
static int entry_visit(struct walk *w, uint64_t index, uint8_t *table, struct err *e)
{
    struct check *c = w->c;
    uint64_t raw = w->l1[index];
    w->host = raw & QCOW2_PLACE_MASK;
    w->table = table;
    if (w->flags)
        return flags_visit(w, index, e);
    if (raw & L1_RESERVED)
        check_fault(c, &c->r->corruptions, "ERROR found L1 entry with reserved bits set: %" PRIx64,
                    raw);
    check_refer(c, w->host, w->q->cluster_size);
    if (w->host % w->q->cluster_size)
        check_fault(c, &c->r->corruptions,
                    "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted",
                    w->host);
    if (w->active && w->host)
        flag_count(w, raw, w->host, false);
    return table_visit(w, e);
}

/* Tables that reach beyond the end of the file are zero there. */
static int batch_read(struct walk *w, const uint64_t *host, uint64_t n, struct err *e)
{
    uint32_t size = w->q->cluster_size;
    size_t whole = 0;
    for (uint64_t i = 0; i < n; i++) {
        uint8_t *to = w->tables + i * size;
        if (num_inside(host[i], size, w->c->tally.file_size))
            w->io[whole++] = (struct file_io){.buf = to, .len = size, .off = host[i]};
        else if (file_read_padded(w->q->file, to, size, host[i], NULL, e))
            return -1;
    }
    return file_read_batch(w->q->file, w->io, whole, NULL, e);
}

static int batch_visit(struct walk *w, const uint64_t *index, const uint64_t *host, uint64_t n,
                       struct err *e)
{
    if (batch_read(w, host, n, e))
        return err_prefix(e, "Could not read L2 tables: ");
    w->n_io = 0;
    for (uint64_t i = 0; i < n; i++)
        if (entry_visit(w, index[i], w->tables + i * w->q->cluster_size, e))
            return -1;
    if (w->n_io &&
        (repair_writes(w->c, e) || file_write_batch(w->q->file, w->io, w->n_io, NULL, e)))
        return err_prefix(e, "Could not write L2 tables: ");
    return 0;
}

static int walk_run(struct walk *w, struct err *e)
{
    AUTO_FREE uint64_t *index = mem_new(w->batch, 2 * sizeof *index, e);
    uint64_t n = 0;
    if (!index)
        return -1;
    uint64_t *host = index + w->batch;
    for (uint64_t i = 0; i < w->n_l1; i++) {
        if (w->l1[i]) {
            index[n] = i;
            host[n++] = w->l1[i] & QCOW2_PLACE_MASK;
        }
        if (n < w->batch && i + 1 < w->n_l1)
            continue;
        if (batch_visit(w, index, host, n, e))
            return -1;
        n = 0;
    }
    return 0;
}

static void walk_release(struct walk *w)
{
    free(w->l1);
    free(w->tables);
    free(w->io);
}

static int walk_tables(struct walk *w, uint64_t l1_offset, uint64_t l1_entries, struct err *e)
{
    w->q = w->c->q;
    w->l1_offset = l1_offset;
    w->n_l1 = l1_entries;
    if (!l1_entries)
        return 0;
    w->batch = num_max(num_min(BATCH_BYTES / w->q->cluster_size, l1_entries), 1);
    w->tables = mem_io(w->batch * w->q->cluster_size, e);
    w->io = mem_new(w->batch, sizeof *w->io, e);
    if (!w->tables || !w->io || qcow2_words_padded(w->q, l1_offset, l1_entries, &w->l1, e))
        return -1;
    return walk_run(w, e);
}

int check_walk_count(struct check *c, uint64_t l1_offset, uint64_t l1_entries, bool active,
                     struct err *e)
{
    struct walk w = {.c = c, .active = active};
    if (l1_entries)
        check_refer(c, l1_offset, l1_entries * 8);
    int r = walk_tables(&w, l1_offset, l1_entries, e);
    walk_release(&w);
    return r;
}

static int l1_write(struct walk *w, struct err *e)
{
    uint64_t n = w->l1_to - w->l1_from;
    AUTO_FREE uint8_t *buf = mem_new(n, 8, e);
    if (!buf || repair_writes(w->c, e))
        return -1;
    for (uint64_t i = 0; i < n; i++)
        be64_store(buf + 8 * i, w->l1[w->l1_from + i]);
    if (file_write(w->q->file, buf, n * 8, w->l1_offset + w->l1_from * 8, e))
        return err_prefix(e, "Could not write L1 table: ");
    return 0;
}

int check_walk_flags(struct check *c, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    struct walk w = {.c = c, .active = true, .flags = true};
    int r = walk_tables(&w, h->l1_offset, h->l1_entries, e);
    if (!r && w.l1_to)
        r = l1_write(&w, e);
    walk_release(&w);
    return r;
}
