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

/* ---- references ------------------------------------------------------------------------------ */

static void overflow_tell(struct check *c, uint64_t cluster)
{
    bool speak = c->speak;
    c->speak = true; /* told by the run whose window has the cluster */
    check_fault(c, &c->r->corruptions, "ERROR: overflow cluster offset=0x%" PRIx64,
                cluster << c->q->cluster_bits);
    check_fault(c, NULL,
                "Use qemu-img amend to increase the refcount entry width or qemu-img convert to "
                "create a clean copy if the image cannot be opened for writing");
    c->speak = speak;
}

void check_refer(struct check *c, uint64_t host, uint64_t size)
{
    struct tally *t = &c->tally;
    uint64_t end;
    if (!num_add(host, size, &end) || end >= t->file_size + c->q->cluster_size) {
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

/* What makes a check impossible is told in a line; the error is the errno's text. */
static int refuse(int no, struct err *e)
{
    char text[128];
    return err_set(e, no, "%s", strerror_r(no, text, sizeof text));
}

static int snapshots_read(struct check *c, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    if (h->n_snapshots > QCOW2_MAX_SNAPSHOTS) {
        check_fault(c, NULL, "ERROR snapshot table too large");
        check_fault(c, NULL,
                    "You can force-remove all %" PRIu32
                    " overhanging snapshots with qemu-img check -r all",
                    h->n_snapshots - QCOW2_MAX_SNAPSHOTS);
        return refuse(EFBIG, e);
    }
    if (h->snapshots_offset % c->q->cluster_size || h->snapshots_offset > INT64_MAX / 2) {
        check_fault(c, NULL, "ERROR snapshot table offset invalid");
        return refuse(EINVAL, e);
    }
    qcow2_snapshots_free(c->q);
    if (!qcow2_snapshots_load(c->q, true, e))
        return 0;
    if (e->no == ENOMEM)
        return -1;
    check_fault(c, NULL, "ERROR failed to read the snapshot table: %s", e->text);
    if (e->hint[0]) /* a line has no newline */
        check_fault(c, NULL, "%.*s", (int)strcspn(e->hint, "\n"), e->hint);
    return refuse(EFBIG, e);
}

static void snapshots_judge(struct check *c)
{
    for (uint32_t i = 0; i < c->q->n_snapshots; i++)
        if (c->q->head.header.version >= 3 && c->q->snapshots[i].extra_size < SNAPSHOT_EXTRA_V3)
            check_fault(c, &c->r->corruptions,
                        "ERROR snapshot table entry %" PRIu32 " is incomplete", i);
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
    bool speak = c->speak;
    c->speak = true; /* told by the run whose window has the block */
    check_fault(c, &c->r->corruptions, "ERROR refcount block %" PRIu64 " refcount=%" PRIu64, index,
                tally_references(&c->tally, cluster));
    c->speak = speak;
}

static void blocks_count(struct check *c)
{
    const struct tally *t = &c->tally;
    for (uint64_t i = 0; i < t->n_table; i++) {
        uint64_t host = num_down(t->table[i], 512);
        if (t->table[i] & 511)
            check_fault(c, &c->r->corruptions,
                        "ERROR refcount table entry %" PRIu64 " has reserved bits set", i);
        else if (host % c->q->cluster_size)
            check_fault(c, &c->r->corruptions,
                        "ERROR refcount block %" PRIu64
                        " is not cluster aligned; refcount table entry corrupted",
                        i);
        else if (host >> c->q->cluster_bits >= t->file_clusters)
            check_fault(c, &c->r->corruptions, "ERROR refcount block %" PRIu64 " is outside image",
                        i);
        else if (host)
            block_count(c, i, host);
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static int cluster_compare(struct check *c, uint64_t cluster, uint64_t references, struct err *e)
{
    uint64_t refcount;
    if (tally_stored(&c->tally, cluster, &refcount, e) < 0)
        return -1;
    if (refcount < references)
        check_fault(c, &c->r->corruptions,
                    "ERROR cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, cluster,
                    refcount, references);
    else if (refcount > references)
        check_fault(c, &c->r->leaks,
                    "Leaked cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64, cluster,
                    refcount, references);
    return 0;
}

/* The refcounts of a block cannot be read: a line for each of its clusters in [begin, end). */
static void unreadable_tell(struct check *c, uint64_t begin, uint64_t end)
{
    for (uint64_t k = begin; k < end; k++)
        check_fault(c, &c->r->check_errors,
                    "Can't get refcount for cluster %" PRIu64 ": Input/output error", k);
}

/* References against refcounts for the window. */
static int window_compare(struct check *c, uint64_t *highest, struct err *e)
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
                *highest = k;
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
    if (h->reftable_clusters)
        check_refer(c, h->reftable_offset, (uint64_t)h->reftable_clusters * c->q->cluster_size);
    if (bitmaps_count(c, e))
        return -1;
    blocks_count(c);
    return 0;
}

static int check_windows(struct check *c, uint64_t *highest, struct err *e)
{
    struct tally *t = &c->tally;
    for (uint64_t base = 0; base == 0 || base < t->end; base += t->n) {
        c->speak = base == 0;
        if (tally_window(t, base, e) || count_all(c, e))
            return -1;
        c->speak = true;
        if (window_compare(c, highest, e))
            return -1;
    }
    return 0;
}

static int check_run(struct check *c, struct err *e)
{
    uint64_t highest = 0;
    c->speak = true;
    c->r->total_clusters = num_div_up(c->q->head.header.size, c->q->cluster_size);
    if (snapshots_read(c, e))
        return -1;
    snapshots_judge(c);
    if (check_windows(c, &highest, e))
        return -1;
    if (c->wrong_flags && check_walk_flags(c, e))
        return -1;
    c->r->image_end_offset = (highest + 1) * c->q->cluster_size;
    return 0;
}

int qcow2_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
                struct check_result *out, struct err *e)
{
    struct check c = {.q = qcow2_of(img), .sink = sink, .r = out};
    if (fix != CHECK_FIX_NONE)
        return err_set(e, ENOTSUP, "Repairing qcow2 images is not supported yet");
    if (tally_init(&c.tally, c.q, sink->memory ? sink->memory : MEMORY_DEFAULT, e))
        return -1;
    int r = check_run(&c, e);
    tally_release(&c.tally);
    return r;
}
