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
    bool flags;  /* do not count: tell wrong flags */
    uint64_t *l1;
    uint64_t n_l1;
    uint8_t *tables; /* a batch of L2 tables */
    uint64_t batch;  /* tables that fit */
    struct file_io *io;
    uint64_t next; /* where the next cluster of this L2 table would stand, were it contiguous; 0 =
                    * there was none */
};

/* One L2 entry. */
struct item {
    uint64_t index; /* in its table */
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

/* What is wrong with an entry that has a place. */
static void place_faults(struct walk *w, const struct item *t, uint64_t host)
{
    struct check *c = w->c;
    bool zero = w->q->extended ? !t->stored : t->raw & QCOW2_ZERO;
    if (t->stored & t->zero)
        check_fault(c, &c->r->corruptions,
                    "ERROR offset=%" PRIx64
                    ": Allocated cluster has corrupted subcluster allocation bitmap",
                    host);
    if (host % w->q->cluster_size)
        check_fault(c, &c->r->corruptions,
                    "ERROR offset=%" PRIx64
                    ": %s cluster is not properly aligned; L2 entry corrupted.",
                    host, zero ? "Preallocated" : "Data");
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

static void item_count(struct walk *w, const struct item *t)
{
    struct check *c = w->c;
    const struct qcow2 *q = w->q;
    if (t->raw & QCOW2_COMPRESSED) {
        packed_count(w, t);
        return;
    }
    uint64_t host = t->raw & QCOW2_PLACE_MASK;
    if (t->raw & L2_RESERVED)
        check_fault(c, &c->r->corruptions, "ERROR found l2 entry with reserved bits set: %" PRIx64,
                    t->raw);
    if (!item_placed(w, t)) {
        if (t->stored)
            check_fault(c, &c->r->corruptions,
                        "ERROR: Unallocated cluster has non-zero subcluster allocation map");
        return;
    }
    if ((t->stored & t->zero) || host % q->cluster_size)
        place_faults(w, t, host);
    stats_take(w, host, false);
    if (!q->has_data_file)
        check_refer(c, host, q->cluster_size);
    if (w->active)
        flag_count(w, t->raw, host, q->has_data_file);
}

/* ---- flags ----------------------------------------------------------------------------------- */

static int item_flag(struct walk *w, const struct item *t, struct err *e)
{
    struct check *c = w->c;
    uint64_t host = t->raw & QCOW2_PLACE_MASK, refcount;
    bool is_wrong;
    if ((t->raw & QCOW2_COMPRESSED) || !item_placed(w, t))
        return 0;
    if (flag_wrong(w, t->raw, host, &refcount, &is_wrong, e) < 0)
        return -1;
    if (is_wrong)
        check_fault(c, &c->r->corruptions,
                    "ERROR OFLAG_COPIED data cluster: l2_entry=%" PRIx64 " refcount=%" PRIu64,
                    t->raw, refcount);
    return 0;
}

/* 1 if the refcount is not to be had; then qemu-img does not look into the table either. */
static int l1_flag(struct walk *w, uint64_t index, uint64_t raw, struct err *e)
{
    struct check *c = w->c;
    uint64_t cluster = (raw & QCOW2_PLACE_MASK) >> w->q->cluster_bits, refcount;
    int r = tally_stored(&c->tally, cluster, &refcount, e);
    if (r)
        return r;
    if ((refcount == 1) != !!(raw & QCOW2_COPIED))
        check_fault(c, &c->r->corruptions,
                    "ERROR OFLAG_COPIED L2 cluster: l1_index=%" PRIu64 " l1_entry=%" PRIx64
                    " refcount=%" PRIu64,
                    index, raw, refcount);
    return 0;
}

/* ---- tables ---------------------------------------------------------------------------------- */

static int table_visit(struct walk *w, const uint8_t *table, struct err *e)
{
    const struct qcow2 *q = w->q;
    unsigned size = q->extended ? 16 : 8;
    w->next = 0;
    for (uint64_t i = 0; i < q->l2_entries; i++) {
        const uint8_t *p = table + i * size;
        struct item t = {.index = i, .raw = be64_load(p)};
        if (q->extended) {
            uint64_t bits = be64_load(p + 8);
            t.stored = (uint32_t)bits;
            t.zero = (uint32_t)(bits >> 32);
        }
        if (!t.raw && !t.stored)
            continue;
        if (!w->flags)
            item_count(w, &t);
        else if (item_flag(w, &t, e))
            return -1;
    }
    return 0;
}

/* One L1 entry that is not 0, with its table in memory. */
static int entry_visit(struct walk *w, uint64_t index, const uint8_t *table, struct err *e)
{
    struct check *c = w->c;
    uint64_t raw = w->l1[index], host = raw & QCOW2_PLACE_MASK;
    if (w->flags) {
        if (!host)
            return 0;
        int r = l1_flag(w, index, raw, e);
        if (r)
            return r < 0 ? -1 : 0;
        return table_visit(w, table, e);
    }
    if (raw & L1_RESERVED)
        check_fault(c, &c->r->corruptions, "ERROR found L1 entry with reserved bits set: %" PRIx64,
                    raw);
    check_refer(c, host, w->q->cluster_size);
    if (host % w->q->cluster_size)
        check_fault(c, &c->r->corruptions,
                    "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted",
                    host);
    if (w->active && host)
        flag_count(w, raw, host, false);
    return table_visit(w, table, e);
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
        if (batch_read(w, host, n, e))
            return err_prefix(e, "Could not read L2 tables: ");
        for (uint64_t k = 0; k < n; k++)
            if (entry_visit(w, index[k], w->tables + k * w->q->cluster_size, e))
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

int check_walk_flags(struct check *c, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    struct walk w = {.c = c, .active = true, .flags = true};
    int r = walk_tables(&w, h->l1_offset, h->l1_entries, e);
    walk_release(&w);
    return r;
}
