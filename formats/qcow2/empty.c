/*
 * An image without any cluster of its own, as after a commit.
 *
 * Where nothing but the guest's disk is in the file, its tables are made anew, first behind all
 * that is there, then, when that is free, right behind the header, where the file is cut off:
 *
 *     header | refcount blocks | refcount table | L1 table (zeros)
 *
 * Each time one write of the header switches over. With snapshots, bitmaps or a LUKS header it is a
 * switch like others (switch.h), and what is free afterwards becomes holes.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/count.h"
#include "formats/qcow2/switch.h"
#include "formats/qcow2/whole.h"

/* ---- tables made anew ------------------------------------------------------------------------ */

/* In clusters of the file. */
struct fresh {
    uint64_t first, blocks; /* refcount blocks */
    uint64_t table, table_clusters;
    uint64_t l1, l1_clusters;
    uint64_t end;
    uint64_t per_block; /* clusters that a block counts */
};

/* Index of the first block but the header's, and of the last. */
static uint64_t block_from(const struct fresh *f)
{
    return num_max(f->first / f->per_block, 1);
}

static uint64_t block_to(const struct fresh *f)
{
    return (f->end - 1) / f->per_block;
}

/* Blocks for the header and for the new tables, which these are part of: what is needed only grows
 * with what is there, so the least that is enough is found from below. */
static struct fresh fresh_plan(const struct qcow2 *q, uint64_t first)
{
    const struct qcow2_header *h = &q->head.header;
    struct fresh f = {.first = first,
                      .per_block = (uint64_t)q->cluster_size * 8 >> h->refcount_order,
                      .blocks = 1,
                      .table_clusters = 1};
    f.l1_clusters = num_max(num_div_up((uint64_t)h->l1_entries * 8, q->cluster_size), 1);
    for (;;) {
        f.table = first + f.blocks;
        f.l1 = f.table + f.table_clusters;
        f.end = f.l1 + f.l1_clusters;
        uint64_t to = block_to(&f), from = block_from(&f);
        uint64_t blocks = 1 + (to >= from ? to - from + 1 : 0);
        uint64_t table = num_div_up(to + 1, q->cluster_size / 8);
        if (blocks <= f.blocks && table <= f.table_clusters)
            return f;
        f.blocks = blocks;
        f.table_clusters = table;
    }
}

static int fresh_block(const struct qcow2 *q, const struct fresh *f, uint64_t nth, uint64_t index,
                       uint8_t *buf, struct err *e)
{
    unsigned order = q->head.header.refcount_order;
    uint64_t from = index * f->per_block;
    memset(buf, 0, q->cluster_size);
    if (!index)
        qcow2_count_store(order, buf, 0, 1);
    for (uint64_t i = num_max(from, f->first); i < num_min(from + f->per_block, f->end); i++)
        qcow2_count_store(order, buf, i - from, 1);
    return file_write(q->file, buf, q->cluster_size, (f->first + nth) << q->cluster_bits, e);
}

static int fresh_write(const struct qcow2 *q, const struct fresh *f, struct err *e)
{
    uint64_t table_bytes = f->table_clusters << q->cluster_bits;
    AUTO_FREE uint8_t *block = mem_io(q->cluster_size, e);
    AUTO_FREE uint8_t *table = block ? mem_new(table_bytes, 1, e) : NULL;
    if (!table)
        return -1;
    for (uint64_t nth = 0; nth < f->blocks; nth++) {
        uint64_t index = nth ? block_from(f) + nth - 1 : 0;
        be64_store(table + 8 * index, (f->first + nth) << q->cluster_bits);
        if (fresh_block(q, f, nth, index, block, e))
            return -1;
    }
    return file_write(q->file, table, table_bytes, f->table << q->cluster_bits, e) ||
                   file_zero(q->file, f->l1 << q->cluster_bits, f->l1_clusters << q->cluster_bits,
                             FILE_ZERO_UNMAP, e)
               ? -1
               : 0;
}

static int fresh_switch(struct qcow2 *q, const struct fresh *f, struct err *e)
{
    struct qcow2_header *h = &q->head.header;
    if (fresh_write(q, f, e) || file_sync(q->file, e))
        return -1;
    h->reftable_offset = f->table << q->cluster_bits;
    h->reftable_clusters = (uint32_t)f->table_clusters;
    h->l1_offset = f->l1 << q->cluster_bits;
    h->autoclear &= QCOW2_AUTOCLEAR_DATA_RAW;
    return qcow2_header_write(q, e) || file_sync(q->file, e) ? -1 : 0;
}

static bool is_plain(const struct qcow2 *q, const struct fresh *behind)
{
    const struct qcow2_header *h = &q->head.header;
    return file_is_regular(q->file) && !h->n_snapshots && !q->head.ext.has_bitmaps &&
           h->crypt_method != QCOW2_CRYPT_LUKS &&
           behind->table_clusters << q->cluster_bits <= QCOW2_MAX_REFTABLE_BYTES;
}

static int empty_plain(struct qcow2 *q, const struct fresh *behind, struct err *e)
{
    struct fresh front = fresh_plan(q, 1);
    if (fresh_switch(q, behind, e))
        return -1;
    if (front.end > behind->first) /* a small file stays as it is */
        return 0;
    return fresh_switch(q, &front, e) || file_truncate(q->file, front.end << q->cluster_bits, e) ||
                   file_sync(q->file, e)
               ? -1
               : 0;
}

/* ---- with things that stay ------------------------------------------------------------------- */

struct hole {
    struct file *file;
    uint64_t from, end;
};

static int hole_punch(struct hole *h, struct err *e)
{
    uint64_t length = h->end - h->from;
    return length ? file_zero(h->file, h->from, length, FILE_ZERO_UNMAP, e) : 0;
}

/* Neighbours become one hole. */
static int hole_add(void *ctx, uint64_t host, uint64_t bytes, struct err *e)
{
    struct hole *h = ctx;
    if (host != h->end && hole_punch(h, e))
        return -1;
    h->from = host == h->end ? h->from : host;
    h->end = host + bytes;
    return 0;
}

static int empty_steps(struct qcow2_switch *s, struct err *e)
{
    const struct qcow2_header *h = &s->header;
    uint64_t n = h->l1_entries;
    AUTO_FREE uint64_t *l1 = NULL;
    struct hole hole = {.file = s->q->file};
    if (qcow2_words_read(s->q, h->l1_offset, n, &l1, e))
        return -1;
    qcow2_counts_track(s->counts);
    if (qcow2_switch_refer(s, l1, n, -1, e))
        return -1;
    memset(l1, 0, n * sizeof *l1);
    if (qcow2_switch_active(s, l1, n, e) || qcow2_switch_commit(s, e) ||
        qcow2_counts_each_freed(s->counts, hole_add, &hole, e))
        return -1;
    return hole_punch(&hole, e);
}

static int empty_switch(struct qcow2 *q, struct err *e)
{
    struct qcow2_switch s;
    if (qcow2_switch_begin(q, &s, e))
        return -1;
    int r = empty_steps(&s, e) || qcow2_file_cut(&s, e) ? -1 : 0;
    qcow2_switch_end(&s);
    return r;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* The guest's data in a file of its own: nothing refers to it any more. */
static int data_file_drop(struct qcow2 *q, struct err *e)
{
    uint64_t size = file_size(q->data_file);
    return q->has_data_file && size ? file_zero(q->data_file, 0, size, FILE_ZERO_UNMAP, e) : 0;
}

int qcow2_empty(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    if (qcow2_repair_dirty(img, e))
        return -1;
    struct fresh behind = fresh_plan(q, qcow2_file_limit(q) >> q->cluster_bits);
    if (is_plain(q, &behind) ? empty_plain(q, &behind, e) : empty_switch(q, e))
        return -1;
    return data_file_drop(q, e) || qcow2_reload(img, e) ? -1 : 0;
}
