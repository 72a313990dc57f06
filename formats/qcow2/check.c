#include "formats/qcow2/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"

#define MEMORY_DEFAULT (UINT64_C(256) << 20)
/* "Snapshots": extra data that version 3 demands */
#define SNAPSHOT_EXTRA_V3 16u

void check_fault(struct check *c, uint64_t *counter, const char *fmt, ...)
{
    char text[2048]; /* a bitmap's name has 1023 bytes */
    if (!c->speak)
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->sink->line(c->sink->ctx, text);
    if (counter)
        ++*counter;
}

void check_verdict(struct check *c, bool mends, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    check_fault(c, mends ? &c->r->corruptions_fixed : &c->r->corruptions, "%s %s",
                mends ? "Repairing" : "ERROR", text);
}

void check_error(struct check *c, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    (c->sink->error ? c->sink->error : c->sink->line)(c->sink->ctx, text);
}

/* ---- references ------------------------------------------------------------------------------ */

static void overflow_tell(struct check *c, uint64_t cluster)
{
    bool speak = c->speak;
    c->speak = c->aloud; /* told by the run whose window has the cluster */
    check_fault(c, &c->r->corruptions, "ERROR: overflow cluster offset=0x%" PRIx64,
                cluster << c->q->cluster_bits);
    check_fault(c, NULL,
                "Use qemu-img amend to increase the refcount entry width or qemu-img convert to "
                "create a clean copy if the image cannot be opened for writing");
    c->speak = speak;
}

bool check_inside(const struct check *c, uint64_t host, uint64_t size)
{
    uint64_t end;
    return num_add(host, size, &end) && end < c->tally.file_size + c->q->cluster_size;
}

/* What is behind the end is not counted, but a repair must not put anything there. */
static void beyond_mark(struct check *c, uint64_t host, uint64_t size)
{
    uint64_t from = c->tally.file_clusters, first = host >> c->q->cluster_bits;
    uint64_t in = host % c->q->cluster_size;
    uint64_t end = first + num_div_up(in + num_min(size, INT64_MAX), c->q->cluster_size);
    for (uint64_t k = num_max(first, from); k < end && k - from < CHECK_BEYOND; k++)
        c->beyond[(k - from) / 8] |= (uint8_t)(1u << (k - from) % 8);
}

void check_refer(struct check *c, uint64_t host, uint64_t size)
{
    struct tally *t = &c->tally;
    uint64_t end = host + size;
    if (!check_inside(c, host, size)) {
        beyond_mark(c, host, size);
        check_fault(c, &c->r->corruptions,
                    "ERROR: counting reference for region exceeding the end of the file by one "
                    "cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64,
                    host, size);
        return;
    }
    for (uint64_t k = host >> c->q->cluster_bits; k <= (end - 1) >> c->q->cluster_bits; k++)
        if (!tally_take(t, k))
            overflow_tell(c, k);
}

/* ---- snapshots ------------------------------------------------------------------------------- */

int check_refuse(int no, struct err *e)
{
    char text[128];
    return err_set(e, no, "%s", strerror_r(no, text, sizeof text));
}

static int snapshots_read(struct check *c, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    bool mends = c->fix & CHECK_FIX_ERRORS;
    if (!mends && h->n_snapshots > QCOW2_MAX_SNAPSHOTS) {
        check_error(c, "ERROR snapshot table too large");
        check_fault(c, NULL,
                    "You can force-remove all %" PRIu32
                    " overhanging snapshots with qemu-img check -r all",
                    h->n_snapshots - QCOW2_MAX_SNAPSHOTS);
        return check_refuse(EFBIG, e);
    }
    if (h->snapshots_offset % c->q->cluster_size || h->snapshots_offset > INT64_MAX / 2) {
        check_error(c, "ERROR snapshot table offset invalid");
        return check_refuse(EINVAL, e);
    }
    qcow2_snapshots_free(c->q);
    if (mends)
        return repair_snapshots_read(c, e);
    if (!qcow2_snapshots_load(c->q, true, e))
        return 0;
    if (e->no == ENOMEM)
        return -1;
    check_error(c, "ERROR failed to read the snapshot table: %s", e->text);
    if (e->hint[0]) /* a line has no newline */
        check_fault(c, NULL, "%.*s", (int)strcspn(e->hint, "\n"), e->hint);
    return check_refuse(EFBIG, e);
}

static void snapshots_judge(struct check *c)
{
    bool mends = c->fix & CHECK_FIX_ERRORS;
    for (uint32_t i = 0; i < c->q->n_snapshots; i++)
        if (c->q->head.header.version >= 3 && c->q->snapshots[i].extra_size < SNAPSHOT_EXTRA_V3)
            check_fault(c, &c->snapshot_faults, "%s snapshot table entry %" PRIu32 " is incomplete",
                        mends ? "Repairing" : "ERROR", i);
}

static bool snapshot_followable(struct check *c, const struct qcow2_snapshot *s)
{
    if (s->l1_offset % c->q->cluster_size) {
        check_fault(c, &c->r->corruptions,
                    "ERROR snapshot %s (%s) l1_offset=0x%" PRIx64
                    ": L1 table is not cluster aligned; snapshot table entry corrupted",
                    s->id, s->name, s->l1_offset);
        return false;
    }
    if ((uint64_t)s->l1_entries * 8 > QCOW2_MAX_L1_BYTES) {
        check_fault(c, &c->r->corruptions,
                    "ERROR snapshot %s (%s) l1_size=0x%" PRIx32
                    ": L1 table is too large; snapshot table entry corrupted",
                    s->id, s->name, s->l1_entries);
        return false;
    }
    return true;
}

static int snapshots_count(struct check *c, struct err *e)
{
    const struct qcow2 *q = c->q;
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        const struct qcow2_snapshot *s = &q->snapshots[i];
        if (snapshot_followable(c, s) && check_walk_count(c, s->l1_offset, s->l1_entries, false, e))
            return -1;
    }
    if (q->snapshots_bytes)
        check_refer(c, q->head.header.snapshots_offset, q->snapshots_bytes);
    return 0;
}

/* ---- bitmaps --------------------------------------------------------------------------------- */

static int bitmap_count(struct check *c, const struct qcow2_bitmap *b, struct err *e)
{
    AUTO_FREE uint64_t *table = NULL;
    check_refer(c, b->table_offset, (uint64_t)b->table_entries * 8);
    if (qcow2_words_padded(c->q, b->table_offset, b->table_entries, &table, e))
        return -1;
    for (uint32_t i = 0; i < b->table_entries; i++) {
        uint64_t host = table[i] & QCOW2_PLACE_MASK;
        if (qcow2_bitmap_entry_check(c->q, table[i])) {
            check_fault(c, &c->r->corruptions,
                        "ERROR bitmap '%s' table entry %" PRIu32 " is invalid: %" PRIx64, b->name,
                        i, table[i]);
            continue;
        }
        if (host)
            check_refer(c, host, c->q->cluster_size);
    }
    return 0;
}

static int bitmaps_count(struct check *c, struct err *e)
{
    const struct qcow2_extensions *x = &c->q->head.ext;
    if (!x->has_bitmaps)
        return 0;
    check_refer(c, x->bitmap_dir_offset, x->bitmap_dir_size);
    for (uint32_t i = 0; i < c->q->n_bitmaps; i++)
        if (bitmap_count(c, &c->q->bitmaps[i], e))
            return -1;
    return 0;
}

/* ---- refcount blocks ------------------------------------------------------------------------- */

static void block_count(struct check *c, uint64_t index, uint64_t host)
{
    uint64_t cluster = host >> c->q->cluster_bits;
    check_refer(c, host, c->q->cluster_size);
    if (!tally_has(&c->tally, cluster) || tally_references(&c->tally, cluster) == 1)
        return;
    c->rebuild = true;
    bool speak = c->speak;
    c->speak = c->aloud; /* told by the run whose window has the block */
    check_fault(c, &c->r->corruptions, "ERROR refcount block %" PRIu64 " refcount=%" PRIu64, index,
                tally_references(&c->tally, cluster));
    c->speak = speak;
}

/* A block behind the end of the file is missing: a repair makes them all anew. */
static void block_outside(struct check *c, uint64_t index)
{
    bool mends = c->fix & CHECK_FIX_ERRORS;
    c->rebuild |= mends;
    check_verdict(c, mends, "refcount block %" PRIu64 " is outside image", index);
}

static void blocks_count(struct check *c)
{
    const struct tally *t = &c->tally;
    for (uint64_t i = 0; i < t->n_table; i++) {
        uint64_t host = num_down(t->table[i], 512);
        bool unaligned = host % c->q->cluster_size;
        c->rebuild |= (t->table[i] & 511) || unaligned;
        if (t->table[i] & 511)
            check_fault(c, &c->r->corruptions,
                        "ERROR refcount table entry %" PRIu64 " has reserved bits set", i);
        else if (unaligned)
            check_fault(c, &c->r->corruptions,
                        "ERROR refcount block %" PRIu64
                        " is not cluster aligned; refcount table entry corrupted",
                        i);
        else if (host >> c->q->cluster_bits >= t->file_clusters)
            block_outside(c, i);
        else if (host)
            block_count(c, i, host);
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int low_tell(struct check *c, uint64_t cluster, uint64_t refcount, uint64_t references,
                    struct err *e)
{
    bool mends = c->mend & CHECK_FIX_ERRORS;
    check_verdict(c, mends, "cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, cluster,
                  refcount, references);
    c->too_low += !mends;
    c->rebuild |= !refcount; /* the cluster may have been given to somebody else since */
    return mends ? repair_set(c, cluster, references, e) : 0;
}

static void leak_tell(struct check *c, uint64_t cluster, uint64_t refcount, uint64_t references)
{
    bool mends = c->mend & CHECK_FIX_LEAKS;
    check_fault(c, mends ? &c->r->leaks_fixed : &c->r->leaks,
                "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
                mends ? "Repairing" : "Leaked", cluster, refcount, references);
}

static int cluster_compare(struct check *c, uint64_t cluster, uint64_t references, struct err *e)
{
    uint64_t refcount;
    if (tally_stored(&c->tally, cluster, &refcount, e) < 0)
        return -1;
    if (refcount < references)
        return low_tell(c, cluster, refcount, references, e);
    if (refcount > references)
        leak_tell(c, cluster, refcount, references);
    return 0;
}

/* The refcounts of a block cannot be read: a line for each of its clusters in [begin, end). */
static void unreadable_tell(struct check *c, uint64_t begin, uint64_t end)
{
    uint64_t index = begin >> c->tally.block_bits;
    c->rebuild = true;
    if (!c->told_block && !c->fix)
        check_fault(c, NULL,
                    "qcow2: Image is corrupt: Refblock offset %#" PRIx64
                    " unaligned (reftable index: %#" PRIx64
                    "); further non-fatal corruption events will be suppressed",
                    num_down(c->tally.table[index], 512), index);
    c->told_block = true;
    for (uint64_t k = begin; k < end; k++)
        check_fault(c, &c->r->check_errors,
                    "Can't get refcount for cluster %" PRIu64 ": Input/output error", k);
}

int check_compare(struct check *c, struct err *e)
{
    const struct tally *t = &c->tally;
    uint64_t end = num_min(t->base + t->n, num_max(t->end, t->file_clusters)), stop, host;
    for (uint64_t k = t->base; k < end; k = stop) {
        bool bad;
        stop = num_min(end, ((k >> t->block_bits) + 1) << t->block_bits);
        tally_block(t, k >> t->block_bits, &host, &bad);
        if (bad) {
            unreadable_tell(c, k, stop);
            continue;
        }
        for (; k < stop; k++) {
            uint64_t references = tally_references(t, k), refcount = tally_refcount(t, k);
            if (references | refcount)
                c->highest = k;
            if ((references != refcount || refcount == UINT32_MAX) &&
                cluster_compare(c, k, references, e))
                return -1;
        }
    }
    return 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* All references, in the order in which qemu-img follows them. */
static int count_all(struct check *c, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    const struct qcow2_extensions *x = &c->q->head.ext;
    check_refer(c, 0, c->q->cluster_size);
    if (check_walk_count(c, h->l1_offset, h->l1_entries, true, e) || snapshots_count(c, e))
        return -1;
    if (x->crypto_offset)
        check_refer(c, x->crypto_offset, num_min(x->crypto_length, INT64_MAX));
    if (h->reftable_clusters && !c->bare)
        check_refer(c, h->reftable_offset, (uint64_t)h->reftable_clusters * c->q->cluster_size);
    if (bitmaps_count(c, e))
        return -1;
    if (!c->bare)
        blocks_count(c);
    return 0;
}

int check_windows(struct check *c, bool aloud, int (*visit)(struct check *c, struct err *e),
                  struct err *e)
{
    struct tally *t = &c->tally;
    for (uint64_t base = 0; base == 0 || base < t->end; base += t->n) {
        bool known = c->counted && t->base == base;
        c->aloud = aloud;
        c->counted = true;
        c->speak = aloud && base == 0;
        if (!known && (tally_window(t, base, e) || count_all(c, e)))
            return -1;
        c->speak = true;
        if (visit(c, e))
            return -1;
    }
    return 0;
}

static int check_run(struct check *c, struct err *e)
{
    c->speak = true;
    c->r->total_clusters = num_div_up(c->q->head.header.size, c->q->cluster_size);
    if (snapshots_read(c, e))
        return -1;
    snapshots_judge(c);
    if (check_windows(c, true, check_compare, e) || (c->fix && repair_run(c, e)) ||
        (!c->fix && c->wrong_flags && check_walk_flags(c, e)))
        return -1;
    if (!(c->fix & CHECK_FIX_ERRORS))
        c->r->corruptions += c->snapshot_faults;
    c->r->image_end_offset = (c->highest + 1) * c->q->cluster_size;
    return 0;
}

int qcow2_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
                struct check_result *out, struct err *e)
{
    struct check c = {.q = qcow2_of(img), .fix = fix, .sink = sink, .r = out};
    if (tally_init(&c.tally, c.q, sink->memory ? sink->memory : MEMORY_DEFAULT, e))
        return -1;
    int r = check_run(&c, e);
    tally_release(&c.tally);
    free(c.touched);
    free(c.guarded);
    return r;
}
