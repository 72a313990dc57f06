/*
 * check: count all references to host clusters and compare with the refcounts.
 *
 *   pass over a range of host clusters that fits in memory
 *     check_refs.c    actual refcounts of the range
 *     check_tables.c  references from L1 and L2 tables, active and of snapshots
 *     here            references from the header, snapshot table, crypto header, bitmaps
 *     check_refs.c    references from the refcount structure itself; then the comparison
 *   next range ...
 *   check_tables.c    COPIED flags, if some pass found a wrong one
 *
 * One pass does for an image of some TiB; more than one reads the tables anew for each. Lines come
 * in qemu-img's order.
 */
#include "formats/qcow2/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/num.h"

#define MEMORY_DEFAULT (256 * MIB)

void check_line(const struct check *c, const char *fmt, ...)
{
    char text[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->sink->line(c->sink->ctx, text);
}

/* ---- counting ----------------------------------------------------------------------------------
 */

void check_count(struct check *c, uint64_t offset, uint64_t size)
{
    uint64_t cluster_size = c->q->cluster_size, end;
    if (!size)
        return;
    if (!num_add(offset, size, &end) ||
        (end > c->file_length && end - c->file_length >= cluster_size)) {
        CHECK_CORRUPT(c,
                      "ERROR: counting reference for region exceeding the end of the file by one "
                      "cluster or more: offset 0x%" PRIx64 " size 0x%" PRIx64,
                      offset, size);
        return;
    }
    uint64_t last = (end - 1) >> c->q->cluster_bits;
    c->clusters = num_max(c->clusters, last + 1);
    for (uint64_t k = offset >> c->q->cluster_bits; k <= last; k++)
        if (k - c->first < c->n && c->counted[k - c->first] < CHECK_LARGE)
            c->counted[k - c->first]++;
}

/* A table of words whose entries are clusters, or numbers below 512 that stand for contents. */
static void count_bitmap_table(struct check *c, const struct qcow2_bitmap *b, struct err *e)
{
    AUTO_FREE uint64_t *table = NULL;
    check_count(c, b->table_offset, (uint64_t)b->table_entries * 8);
    if (qcow2_words_read(c->q, b->table_offset, b->table_entries, &table, e) < 0) {
        err_clear(e);
        if (c->speaks)
            c->out->check_errors++;
        return;
    }
    for (uint32_t i = 0; i < b->table_entries; i++)
        if (table[i] & QCOW2_PLACE_MASK)
            check_count(c, table[i] & QCOW2_PLACE_MASK, c->q->cluster_size);
}

static void count_all(struct check *c, struct err *e)
{
    struct qcow2 *q = c->q;
    const struct qcow2_header *h = &q->head.header;
    const struct qcow2_extensions *x = &q->head.ext;
    check_count(c, 0, q->cluster_size);
    check_l1(c, h->l1_offset, h->l1_entries, true, e);
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        check_l1(c, q->snapshots[i].l1_offset, q->snapshots[i].l1_entries, false, e);
    check_count(c, h->snapshots_offset, q->snapshots_bytes);
    if (x->crypto_offset)
        check_count(c, x->crypto_offset, x->crypto_length);
    if (x->has_bitmaps)
        check_count(c, x->bitmap_dir_offset, x->bitmap_dir_size);
    for (uint32_t i = 0; i < q->n_bitmaps; i++)
        count_bitmap_table(c, &q->bitmaps[i], e);
    check_count(c, h->reftable_offset, (uint64_t)h->reftable_clusters << q->cluster_bits);
    check_refblocks(c);
}

/* ---- passes ------------------------------------------------------------------------------------
 */

static int pass(struct check *c, uint64_t *end, struct err *e)
{
    memset(c->counted, 0, c->n * sizeof *c->counted);
    if (check_actual_load(c, e) < 0)
        return -1;
    count_all(c, e);
    check_compare(c, end, e);
    return 0;
}

static int passes(struct check *c, uint64_t range, struct err *e)
{
    uint64_t end = 0;
    c->n = range;
    c->speaks = true;
    for (c->first = 0; c->first < c->clusters; c->first += range) {
        if (pass(c, &end, e) < 0)
            return -1;
        c->speaks = false;
    }
    c->speaks = true;
    if (c->copied_wrong)
        check_copied(c, e);
    c->out->image_end_offset = (end + 1) << c->q->cluster_bits;
    return 0;
}

static int prepare(struct check *c, uint64_t *range, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    uint64_t memory = c->sink->memory ? c->sink->memory : MEMORY_DEFAULT;
    c->file_length = file_size(c->q->file);
    c->clusters = num_div_up(c->file_length, c->q->cluster_size);
    c->n_reftable = ((uint64_t)h->reftable_clusters << c->q->cluster_bits) / 8;
    c->in_block = UINT64_MAX;
    /* one cluster more: a table may end behind the file's last byte */
    uint64_t per_cluster = sizeof *c->counted + sizeof *c->actual;
    *range = num_max(num_min(c->clusters + 1, memory / per_cluster), 4096);
    c->counted = mem_new(*range, sizeof *c->counted, e);
    c->actual = mem_new(*range, sizeof *c->actual, e);
    c->l2 = mem_io(c->q->cluster_size, e);
    c->block = mem_io(c->q->cluster_size, e);
    if (!c->counted || !c->actual || !c->l2 || !c->block)
        return -1;
    return qcow2_words_read(c->q, h->reftable_offset, c->n_reftable, &c->reftable, e);
}

static void check_release(struct check *c)
{
    free(c->reftable);
    free(c->counted);
    free(c->actual);
    free(c->l2);
    free(c->block);
}

int qcow2_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
                struct check_result *out, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    AUTO(check_release) struct check c = {.q = q, .sink = sink, .out = out};
    uint64_t range;
    *out = (struct check_result){0};
    if (fix != CHECK_FIX_NONE)
        return err_set(e, ENOTSUP, "Repairing is not supported yet: run without -r");
    out->total_clusters = num_div_up(q->head.header.size, q->cluster_size);
    if (prepare(&c, &range, e) < 0)
        return -1;
    return passes(&c, range, e);
}
