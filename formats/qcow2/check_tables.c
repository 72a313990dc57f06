#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/check.h"

#define L1_RESERVED       UINT64_C(0x7f000000000001ff)
#define L2_RESERVED       UINT64_C(0x3f000000000001fe) /* standard descriptor */
#define EXTENDED_RESERVED (L2_RESERVED | QCOW2_ZERO)   /* zeros are in the bitmap there */
#define ALLOCATED(bitmap) ((uint32_t)(bitmap))
#define ZERO(bitmap)      ((uint32_t)((bitmap) >> 32))

/* Where the L2 tables of the active L1 leave off: a cluster elsewhere is a fragment. */
struct contiguous {
    bool counts;
    uint64_t next; /* 0 = nothing yet */
};

/* Is COPIED as it must be: set if and only if the refcount is 1? What lies outside of the pass is
 * another pass's; what cannot be read is told elsewhere. */
static void look_at_copied(struct check *c, uint64_t entry, uint64_t host)
{
    uint64_t k = (host >> c->q->cluster_bits) - c->first;
    uint32_t actual = k < c->n ? c->actual[k] : 0;
    if (k >= c->n && host >> c->q->cluster_bits < c->clusters)
        return;
    if (actual != CHECK_UNREADABLE && (actual == 1) != !!(entry & QCOW2_COPIED))
        c->copied_wrong = true;
}

static void fragment(struct check *c, struct contiguous *run, uint64_t host)
{
    if (!run->counts || !c->speaks)
        return;
    c->out->allocated_clusters++;
    if (run->next && host != run->next)
        c->out->fragmented_clusters++;
    run->next = host + c->q->cluster_size;
}

static void compressed_entry(struct check *c, struct contiguous *run, uint64_t cluster,
                             uint64_t entry)
{
    uint64_t host;
    uint32_t len;
    if (c->q->has_data_file) {
        CHECK_CORRUPT(c, "ERROR compressed cluster %" PRIu64 " with data file, entry=0x%" PRIx64,
                      cluster, entry);
        return;
    }
    qcow2_packed_place(c->q->cluster_bits, entry, &host, &len);
    if (entry & QCOW2_COPIED)
        CHECK_CORRUPT(c,
                      "ERROR: coffset=0x%" PRIx64
                      ": copied flag must never be set for compressed clusters",
                      host);
    check_count(c, host, len);
    if (!run->counts || !c->speaks)
        return;
    c->out->allocated_clusters++;
    c->out->compressed_clusters++;
    c->out->fragmented_clusters++; /* all of them count so */
}

static void plain_entry(struct check *c, struct contiguous *run, uint64_t entry, bool has_data)
{
    uint64_t host = entry & QCOW2_PLACE_MASK;
    if (host % c->q->cluster_size)
        CHECK_CORRUPT(
            c, "ERROR offset=%" PRIx64 ": %s cluster is not properly aligned; L2 entry corrupted.",
            host, has_data ? "Data" : "Preallocated");
    fragment(c, run, host);
    if (c->q->has_data_file) {
        if (run->counts && !(entry & QCOW2_COPIED))
            c->copied_wrong = true;
        return;
    }
    check_count(c, host, c->q->cluster_size);
    if (run->counts)
        look_at_copied(c, entry, host);
}

static void entry_count(struct check *c, struct contiguous *run, uint64_t cluster,
                        const uint8_t *at)
{
    uint64_t entry = be64_load(at), bitmap = c->q->extended ? be64_load(at + 8) : 0;
    if (!entry && !bitmap)
        return;
    bool compressed = entry & QCOW2_COMPRESSED;
    if (!compressed && (entry & (c->q->extended ? EXTENDED_RESERVED : L2_RESERVED)))
        CHECK_CORRUPT(c, "ERROR found l2 entry with reserved bits set: %" PRIx64, entry);
    if (compressed && bitmap)
        CHECK_CORRUPT(c,
                      "ERROR compressed cluster %" PRIu64
                      " with non-zero subcluster allocation bitmap, entry=0x%" PRIx64,
                      cluster, entry);
    if (!compressed && (ALLOCATED(bitmap) & ZERO(bitmap)))
        CHECK_CORRUPT(c,
                      "ERROR offset=%" PRIx64 ": Allocated cluster has corrupted subcluster "
                      "allocation bitmap",
                      entry & QCOW2_PLACE_MASK);
    if (compressed)
        compressed_entry(c, run, cluster, entry);
    else if ((entry & QCOW2_PLACE_MASK) || (c->q->has_data_file && (entry & QCOW2_COPIED)))
        plain_entry(c, run, entry, c->q->extended ? ALLOCATED(bitmap) : !(entry & QCOW2_ZERO));
}

static bool l2_load(struct check *c, uint64_t host, const char *where, struct err *e)
{
    if (file_read_padded(c->q->file, c->l2, c->q->cluster_size, host, NULL, e) == 0)
        return true;
    err_clear(e);
    if (c->speaks) {
        check_line(c, "ERROR: I/O error in %s", where);
        c->out->check_errors++;
    }
    return false;
}

static void l2_count(struct check *c, struct contiguous *run, uint64_t index, uint64_t host,
                     struct err *e)
{
    unsigned size = c->q->extended ? 16 : 8;
    if (!l2_load(c, host, "check_refcounts_l2", e))
        return;
    for (uint64_t i = 0; i < c->q->l2_entries; i++)
        entry_count(c, run, index * c->q->l2_entries + i, c->l2 + i * size);
}

void check_l1(struct check *c, uint64_t offset, uint64_t entries, bool active, struct err *e)
{
    AUTO_FREE uint64_t *l1 = NULL;
    struct contiguous run = {.counts = active};
    check_count(c, offset, entries * 8);
    if (!entries)
        return;
    if (qcow2_words_read(c->q, offset, entries, &l1, e) < 0) {
        err_clear(e);
        if (c->speaks) {
            check_line(c, "ERROR: I/O error in check_refcounts_l1");
            c->out->check_errors++;
        }
        return;
    }
    for (uint64_t i = 0; i < entries; i++) {
        uint64_t host = l1[i] & QCOW2_PLACE_MASK;
        if (!l1[i])
            continue;
        if (l1[i] & L1_RESERVED)
            CHECK_CORRUPT(c, "ERROR found L1 entry with reserved bits set: %" PRIx64, l1[i]);
        check_count(c, host, c->q->cluster_size);
        if (host % c->q->cluster_size)
            CHECK_CORRUPT(
                c, "ERROR l2_offset=%" PRIx64 ": Table is not cluster aligned; L1 entry corrupted",
                host);
        if (active)
            look_at_copied(c, l1[i], host);
        l2_count(c, &run, i, host, e);
    }
}

/* ---- COPIED ------------------------------------------------------------------------------------
 */

static void copied_line(struct check *c, const char *what, uint64_t entry, uint64_t refcount)
{
    check_line(c, "ERROR OFLAG_COPIED %s=%" PRIx64 " refcount=%" PRIu64, what, entry, refcount);
    c->out->corruptions++;
}

static void l2_copied(struct check *c, struct err *e)
{
    unsigned size = c->q->extended ? 16 : 8;
    for (uint64_t i = 0; i < c->q->l2_entries; i++) {
        uint64_t entry = be64_load(c->l2 + i * size), refcount = 1;
        uint64_t host = entry & QCOW2_PLACE_MASK;
        if (entry & QCOW2_COMPRESSED || (!host && !(c->q->has_data_file && entry)))
            continue;
        if (!c->q->has_data_file && !check_refcount(c, host >> c->q->cluster_bits, &refcount, e))
            continue;
        if ((refcount == 1) != !!(entry & QCOW2_COPIED))
            copied_line(c, "data cluster: l2_entry", entry, refcount);
    }
}

void check_copied(struct check *c, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    AUTO_FREE uint64_t *l1 = NULL;
    if (qcow2_words_read(c->q, h->l1_offset, h->l1_entries, &l1, e) < 0) {
        err_clear(e);
        return; /* told when it was counted */
    }
    for (uint64_t i = 0; i < h->l1_entries; i++) {
        uint64_t host = l1[i] & QCOW2_PLACE_MASK, refcount;
        if (!host || !check_refcount(c, host >> c->q->cluster_bits, &refcount, e))
            continue;
        char what[64];
        snprintf(what, sizeof what, "L2 cluster: l1_index=%" PRIu64 " l1_entry", i);
        if ((refcount == 1) != !!(l1[i] & QCOW2_COPIED))
            copied_line(c, what, l1[i], refcount);
        if (l2_load(c, host, "check_oflag_copied", e))
            l2_copied(c, e);
    }
}
