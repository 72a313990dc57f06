#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/count.h"
#include "formats/qcow2/counts_impl.h"

#define BUDGET_DEFAULT (32 * MIB)
#define LOADED_LEAST   8u /* blocks: a change touches a few at once */
#define PLACE_MASK     (~(uint64_t)511)

#define CORRUPT(e, fmt, ...) err_set(e, EIO, "qcow2: Image is corrupt: " fmt, __VA_ARGS__)

static int counts_step(struct qcow2_counts *c, uint64_t cluster, int step, struct err *e);
static int block_open(struct qcow2_counts *c, uint64_t index, struct block **out, struct err *e);

/* ---- lists of ranges ------------------------------------------------------------------------- */

/* Neighbours are one range only where a cluster ends: what meets inside of one counts twice. */
static int ranges_add(struct ranges *r, uint64_t cluster, uint64_t host, uint64_t bytes,
                      struct err *e)
{
    struct range *last = r->n ? &r->of[r->n - 1] : NULL;
    if (last && last->host + last->bytes == host && !(host % cluster)) {
        last->bytes += bytes;
        return 0;
    }
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 64;
        struct range *more = mem_grow(r->of, cap, sizeof *more, e);
        if (!more)
            return -1;
        r->of = more;
        r->cap = cap;
    }
    r->of[r->n++] = (struct range){host, bytes};
    return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static size_t own_add(uint64_t *own, size_t n, const struct qcow2 *q, uint64_t host, uint64_t bytes)
{
    uint64_t end = num_div_up(host + bytes, q->cluster_size);
    for (uint64_t i = host >> q->cluster_bits; bytes && i < end; i++)
        own[n++] = i;
    return n;
}

/* All that the image needs for itself: what is free by its count must be none of it. */
static int own_load(struct qcow2_counts *c, struct err *e)
{
    const struct qcow2 *q = c->q;
    const struct qcow2_header *h = &q->head.header;
    const struct qcow2_extensions *x = &q->head.ext;
    uint64_t l1_bytes = (uint64_t)h->l1_entries * 8, cluster = q->cluster_size;
    uint64_t crypto = num_min(x->crypto_length, 64 * MIB);
    size_t most = 8 + c->n + h->l1_entries + h->reftable_clusters + l1_bytes / cluster +
                  (q->snapshots_bytes + x->bitmap_dir_size + crypto) / cluster;
    AUTO_FREE uint64_t *l1 = NULL;
    if (!(c->own = mem_new(most, sizeof *c->own, e)) || !(c->own_gone = mem_new(most, 1, e)) ||
        qcow2_words_padded(q, h->l1_offset, h->l1_entries, &l1, e))
        return -1;
    size_t n = own_add(c->own, 0, q, 0, 1);
    n = own_add(c->own, n, q, h->reftable_offset, (uint64_t)h->reftable_clusters * cluster);
    n = own_add(c->own, n, q, h->l1_offset, l1_bytes);
    n = own_add(c->own, n, q, h->snapshots_offset, q->snapshots_bytes);
    n = own_add(c->own, n, q, x->bitmap_dir_offset, x->has_bitmaps ? x->bitmap_dir_size : 0);
    n = own_add(c->own, n, q, x->crypto_offset, x->crypto_offset ? crypto : 0);
    for (uint64_t i = 0; i < c->n; i++)
        n = own_add(c->own, n, q, c->table[i], c->table[i] ? 1 : 0);
    for (uint64_t i = 0; i < h->l1_entries; i++)
        n = own_add(c->own, n, q, l1[i] & QCOW2_PLACE_MASK, l1[i] & QCOW2_PLACE_MASK ? 1 : 0);
    qsort(c->own, n, sizeof *c->own, compare_u64);
    c->n_own = n;
    return 0;
}

static int reftable_load(struct qcow2_counts *c, struct err *e)
{
    const struct qcow2 *q = c->q;
    const struct qcow2_header *h = &q->head.header;
    c->n = c->stored = (uint64_t)h->reftable_clusters * (q->cluster_size / 8);
    if (qcow2_words_read(q, h->reftable_offset, c->n, &c->table, e))
        return -1;
    for (uint64_t i = 0; i < c->n; i++) {
        c->table[i] &= PLACE_MASK;
        if (c->table[i] % q->cluster_size || c->table[i] > INT64_MAX)
            return CORRUPT(
                e, "Refblock offset 0x%" PRIx64 " unaligned (reftable index: 0x%" PRIx64 ")",
                c->table[i], i);
    }
    c->block = mem_new(c->n, sizeof *c->block, e);
    c->moved = mem_new(c->n, 1, e);
    c->stood = mem_new(c->n, sizeof *c->stood, e);
    return c->block && c->moved && c->stood ? 0 : -1;
}

int qcow2_counts_open(struct qcow2 *q, uint64_t budget, struct qcow2_counts **out, struct err *e)
{
    struct qcow2_counts *c = mem_new(1, sizeof *c, e);
    if (!c)
        return -1;
    c->q = q;
    c->order = q->head.header.refcount_order;
    c->max = qcow2_count_max(c->order);
    c->per_block = (uint64_t)q->cluster_size * 8 >> c->order;
    c->most = num_max((budget ? budget : BUDGET_DEFAULT) / q->cluster_size, LOADED_LEAST);
    if (reftable_load(c, e) || own_load(c, e)) {
        qcow2_counts_free(c);
        return -1;
    }
    *out = c;
    return 0;
}

static void block_free(struct block *b)
{
    free(b->data);
    free(b->was);
    free(b);
}

void qcow2_counts_free(struct qcow2_counts *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->n_loaded; i++)
        block_free(c->loaded[i]);
    free(c->loaded);
    free(c->table);
    free(c->block);
    free(c->moved);
    free(c->stood);
    free(c->own);
    free(c->own_gone);
    free(c->later.of);
    free(c->old.of);
    for (size_t i = 0; i < c->n_freed; i++)
        free(c->freed[i]);
    free(c->freed);
    free(c);
}

/* ---- blocks in memory ------------------------------------------------------------------------ */

static int block_write(struct qcow2_counts *c, struct block *b, struct err *e)
{
    if (file_write(c->q->file, b->data, c->q->cluster_size, c->table[b->index], e))
        return err_prefix(e, "Could not write refcount block: ");
    b->dirty = false;
    return 0;
}

/* Let one go that was not looked at lately. What it counts may reach the storage now: see the
 * header. One that has no place yet stays. */
static int block_evict(struct qcow2_counts *c, struct err *e)
{
    for (size_t turns = 2 * c->n_loaded; turns--;) {
        c->hand = (c->hand + 1) % c->n_loaded;
        struct block *b = c->loaded[c->hand];
        bool recent = b->recent;
        b->recent = false;
        if (recent || !c->table[b->index])
            continue;
        if (b->dirty && block_write(c, b, e))
            return -1;
        c->block[b->index] = NULL;
        c->loaded[c->hand] = c->loaded[--c->n_loaded];
        block_free(b);
        return 0;
    }
    return 0; /* all in use: one more than the budget has */
}

void qcow2_counts_unload(struct qcow2_counts *c, struct block *b)
{
    size_t i = 0;
    while (c->loaded[i] != b)
        i++;
    c->block[b->index] = NULL;
    c->loaded[i] = c->loaded[--c->n_loaded];
    block_free(b);
}

static struct block *block_new(struct qcow2_counts *c, uint64_t index, struct err *e)
{
    if (c->n_loaded >= c->most && block_evict(c, e))
        return NULL;
    if (c->n_loaded == c->cap_loaded) {
        size_t cap = c->cap_loaded ? 2 * c->cap_loaded : 16;
        struct block **more = mem_grow(c->loaded, cap, sizeof *more, e);
        if (!more)
            return NULL;
        c->loaded = more;
        c->cap_loaded = cap;
    }
    struct block *b = mem_new(1, sizeof *b, e);
    if (!b || !(b->data = mem_io(c->q->cluster_size, e))) {
        free(b);
        return NULL;
    }
    b->index = index;
    b->recent = true;
    memset(b->data, 0, c->q->cluster_size);
    c->loaded[c->n_loaded++] = c->block[index] = b;
    return b;
}

/* The first of the image's own clusters at or behind `cluster`. */
static size_t own_search(const struct qcow2_counts *c, uint64_t cluster)
{
    size_t low = 0, high = c->n_own;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->own[mid] < cluster)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Counts that call the image's own tables free would have us write over them. */
static int block_check(const struct qcow2_counts *c, const struct block *b, struct err *e)
{
    uint64_t first = b->index * c->per_block;
    for (size_t i = own_search(c, first); i < c->n_own && c->own[i] < first + c->per_block; i++)
        if (!c->own_gone[i] && !qcow2_count_load(c->order, b->data, c->own[i] - first))
            return CORRUPT(
                e, "cluster at offset 0x%" PRIx64 " is in use, its refcount is 0; run check -r",
                c->own[i] << c->q->cluster_bits);
    return 0;
}

/* In shadow what is free by the new counts is in use all the same until the switch. */
static int was_load(struct qcow2_counts *c, struct block *b, struct err *e)
{
    const struct qcow2 *q = c->q;
    if (!c->shadow || !c->moved[b->index] || !c->stood[b->index])
        return 0;
    b->was = mem_io(q->cluster_size, e);
    return b->was ? file_read_padded(q->file, b->was, q->cluster_size, c->stood[b->index], NULL, e)
                  : -1;
}

/* Nobody uses the cluster, neither by the counts in memory nor by those that the storage has. */
static bool is_free(const struct qcow2_counts *c, const struct block *b, uint64_t in)
{
    return !qcow2_count_load(c->order, b->data, in) &&
           !(b->was && qcow2_count_load(c->order, b->was, in));
}

int qcow2_counts_block(struct qcow2_counts *c, uint64_t index, struct block **out, struct err *e)
{
    const struct qcow2 *q = c->q;
    *out = index < c->n ? c->block[index] : NULL;
    if (*out)
        (*out)->recent = true;
    if (*out || index >= c->n || !c->table[index])
        return 0;
    if (c->table[index] >= qcow2_file_limit(q))
        return CORRUPT(e, "Refblock offset 0x%" PRIx64 " is outside of the file", c->table[index]);
    struct block *b = block_new(c, index, e);
    if (!b)
        return -1;
    if (file_read_padded(q->file, b->data, q->cluster_size, c->table[index], NULL, e) ||
        block_check(c, b, e) || was_load(c, b, e))
        return -1; /* it stays as it is, not dirty: nothing is done with it after an error */
    *out = b;
    return 0;
}

/* ---- blocks that are to change --------------------------------------------------------------- */

static int reftable_grow(struct qcow2_counts *c, uint64_t n, struct err *e)
{
    uint64_t *table = mem_grow(c->table, n, sizeof *table, e);
    c->table = table ? table : c->table;
    struct block **block = table ? mem_grow(c->block, n, sizeof *block, e) : NULL;
    c->block = block ? block : c->block;
    uint8_t *moved = block ? mem_grow(c->moved, n, 1, e) : NULL;
    c->moved = moved ? moved : c->moved;
    uint64_t *stood = moved ? mem_grow(c->stood, n, sizeof *stood, e) : NULL;
    c->stood = stood ? stood : c->stood;
    if (!stood)
        return -1;
    memset(table + c->n, 0, (n - c->n) * sizeof *table);
    memset(block + c->n, 0, (n - c->n) * sizeof *block);
    memset(moved + c->n, 0, n - c->n);
    memset(stood + c->n, 0, (n - c->n) * sizeof *stood);
    c->n = n;
    return 0;
}

/* The first free cluster from c->next on. */
static int find_free(struct qcow2_counts *c, uint64_t *cluster, struct err *e)
{
    for (uint64_t at = c->next;;) {
        struct block *b;
        uint64_t in = at % c->per_block;
        if (qcow2_counts_block(c, at / c->per_block, &b, e))
            return -1;
        while (b && in < c->per_block && !is_free(c, b, in))
            in++;
        at = at - at % c->per_block + in;
        if (!b || in < c->per_block) {
            *cluster = at;
            return at >> (63 - c->q->cluster_bits) ? err_set(e, EFBIG, "File too large") : 0;
        }
    }
}

/* A place for a block that has none: a free cluster, which some block counts, maybe this one. */
static int block_place(struct qcow2_counts *c, struct block *b, struct err *e)
{
    uint64_t cluster, count = 1;
    while (count) { /* opening the block that counts it may have given it a place there first */
        struct block *other;
        if (find_free(c, &cluster, e) || block_open(c, cluster / c->per_block, &other, e) ||
            qcow2_counts_get(c, cluster, &count, e))
            return -1;
    }
    if (counts_step(c, cluster, 1, e))
        return -1;
    c->next = cluster + 1;
    c->table[b->index] = cluster << c->q->cluster_bits;
    c->table_dirty = true;
    return 0;
}

/* Shadow: the block is about to leave its place on storage. */
static int block_move(struct qcow2_counts *c, struct block *b, struct err *e)
{
    uint64_t host = c->table[b->index];
    b->was = mem_io(c->q->cluster_size, e);
    if (!b->was || ranges_add(&c->old, c->q->cluster_size, host, c->q->cluster_size, e))
        return -1;
    memcpy(b->was, b->data, c->q->cluster_size);
    c->stood[b->index] = host;
    return 0;
}

/* The block of that index, to be changed: made, or in shadow moved, if need be. */
static int block_open(struct qcow2_counts *c, uint64_t index, struct block **out, struct err *e)
{
    if (index >= QCOW2_MAX_REFTABLE_BYTES / 8)
        return err_set(e, EFBIG, "File too large");
    if (index >= c->n && reftable_grow(c, num_up(index + 1, c->q->cluster_size / 8), e))
        return -1;
    if (qcow2_counts_block(c, index, out, e))
        return -1;
    bool made = !*out;
    if (made && !(*out = block_new(c, index, e)))
        return -1;
    (*out)->dirty = true;
    if (!made && !(c->shadow && !c->moved[index]))
        return 0;
    if (!made && block_move(c, *out, e))
        return -1;
    c->moved[index] = 1; /* first, since placing may come by here again */
    c->table[index] = 0;
    return block_place(c, *out, e);
}

/* ---- counts ---------------------------------------------------------------------------------- */

int qcow2_counts_get(struct qcow2_counts *c, uint64_t cluster, uint64_t *count, struct err *e)
{
    struct block *b;
    if (qcow2_counts_block(c, cluster / c->per_block, &b, e))
        return -1;
    *count = b ? qcow2_count_load(c->order, b->data, cluster % c->per_block) : 0;
    return 0;
}

static void free_seen(struct qcow2_counts *c, uint64_t cluster)
{
    c->next = num_min(c->next, cluster);
    for (unsigned k = 0; k < QCOW2_RUN_CLASSES; k++) {
        uint64_t length = UINT64_C(1) << k;
        c->runs[k] = num_min(c->runs[k], cluster < length ? 0 : cluster - length + 1);
    }
}

static int counts_step(struct qcow2_counts *c, uint64_t cluster, int step, struct err *e)
{
    struct block *b;
    if (block_open(c, cluster / c->per_block, &b, e))
        return -1;
    uint64_t in = cluster % c->per_block, v = qcow2_count_load(c->order, b->data, in);
    if (step > 0 && v == c->max)
        return err_set(e, EINVAL,
                       "qcow2: Cannot increase the refcount of the cluster at offset 0x%" PRIx64
                       " beyond %" PRIu64,
                       cluster << c->q->cluster_bits, c->max);
    if (step < 0 && !v)
        return CORRUPT(e, "refcount of the cluster at offset 0x%" PRIx64 " is 0 already",
                       cluster << c->q->cluster_bits);
    v = step > 0 ? v + 1 : v - 1;
    qcow2_count_store(c->order, b->data, in, v);
    b->dirty = true;
    if (v)
        return 0;
    for (size_t i = own_search(c, cluster); i < c->n_own && c->own[i] == cluster; i++)
        c->own_gone[i] = 1;
    if (is_free(c, b, in))
        free_seen(c, cluster);
    return c->tracks ? qcow2_counts_freed(c, cluster, e) : 0;
}

/* What is referred to has been counted before: else we would write over it one day. */
static int used_check(struct qcow2_counts *c, uint64_t cluster, struct err *e)
{
    uint64_t count;
    if (qcow2_counts_get(c, cluster, &count, e))
        return -1;
    return count ? 0
                 : CORRUPT(e,
                           "cluster at offset 0x%" PRIx64
                           " is in use, its refcount is 0; run check -r",
                           cluster << c->q->cluster_bits);
}

/* The clusters that bytes touch. */
static int counts_range(struct qcow2_counts *c, uint64_t host, uint64_t bytes, int step,
                        struct err *e)
{
    uint64_t end;
    if (!num_add(host, bytes, &end) || end > INT64_MAX)
        return CORRUPT(e, "offset 0x%" PRIx64 " is out of range", host);
    uint64_t first = host >> c->q->cluster_bits, last = num_div_up(end, c->q->cluster_size);
    for (uint64_t i = first; i < last; i++) {
        if (!(step > 0 && used_check(c, i, e)) && !counts_step(c, i, step, e))
            continue;
        struct err ignored = ERR_INIT;
        while (step > 0 && i-- > first) /* all or nothing, so that a refusal does no harm */
            counts_step(c, i, -step, &ignored);
        return -1;
    }
    return 0;
}

int qcow2_counts_raise(struct qcow2_counts *c, uint64_t host, uint64_t bytes, struct err *e)
{
    return counts_range(c, host, bytes, 1, e);
}

int qcow2_counts_lower(struct qcow2_counts *c, uint64_t host, uint64_t bytes, struct err *e)
{
    return counts_range(c, host, bytes, -1, e);
}

int qcow2_counts_drop(struct qcow2_counts *c, uint64_t host, uint64_t bytes, struct err *e)
{
    return ranges_add(&c->later, c->q->cluster_size, host, bytes, e);
}

int qcow2_counts_settle(struct qcow2_counts *c, struct err *e)
{
    for (size_t i = 0; i < c->later.n; i++)
        if (counts_range(c, c->later.of[i].host, c->later.of[i].bytes, -1, e))
            return -1;
    c->later.n = 0;
    return 0;
}

/* Where a run of n free clusters may begin. */
static uint64_t run_start(const struct qcow2_counts *c, uint64_t n)
{
    uint64_t at = c->next;
    for (unsigned k = 0; k < QCOW2_RUN_CLASSES && UINT64_C(1) << k <= n; k++)
        at = num_max(at, c->runs[k]);
    return at;
}

/* None begins before `at`. */
static void run_seen(struct qcow2_counts *c, uint64_t n, uint64_t at)
{
    for (unsigned k = 0; k < QCOW2_RUN_CLASSES; k++)
        if (UINT64_C(1) << k >= n)
            c->runs[k] = num_max(c->runs[k], at);
}

/* n free clusters in a row. */
static int find_run(struct qcow2_counts *c, uint64_t n, uint64_t *first, struct err *e)
{
    uint64_t run = 0, at;
    if (find_free(c, &c->next, e))
        return -1;
    for (at = run_start(c, n); run < n; at++) {
        struct block *b;
        if (qcow2_counts_block(c, at / c->per_block, &b, e))
            return -1;
        run = b && !is_free(c, b, at % c->per_block) ? 0 : run + 1;
    }
    *first = at - n;
    run_seen(c, n, *first);
    return 0;
}

int qcow2_counts_find(struct qcow2_counts *c, uint64_t from, uint64_t n, uint64_t *cluster,
                      struct err *e)
{
    uint64_t next = c->next;
    c->next = num_max(next, from);
    int r = find_run(c, n, cluster, e);
    c->next = next;
    return r;
}

/* Counting the run may make a block, whose place may be a part of the run: then another is looked
 * for. */
int qcow2_counts_take(struct qcow2_counts *c, uint64_t n, uint64_t *host, struct err *e)
{
    for (unsigned tries = 0; tries < 64; tries++) {
        uint64_t first, done = 0, count = 0;
        if (find_run(c, n, &first, e))
            return -1;
        for (; done < n; done++) {
            struct block *b;
            if (block_open(c, (first + done) / c->per_block, &b, e) ||
                qcow2_counts_get(c, first + done, &count, e))
                return -1;
            if (count || counts_step(c, first + done, 1, e))
                break;
        }
        if (done == n) {
            c->next = c->next == first ? first + n : c->next;
            *host = first << c->q->cluster_bits;
            return 0;
        }
        if (!count)
            return -1;
        while (done--)
            if (counts_step(c, first + done, -1, e))
                return -1;
    }
    return err_set(e, EIO, "No room for %" PRIu64 " clusters in a row", n);
}

/* ---- writing --------------------------------------------------------------------------------- */

static int blocks_write(struct qcow2_counts *c, struct err *e)
{
    for (size_t i = 0; i < c->n_loaded; i++)
        if (c->loaded[i]->dirty && block_write(c, c->loaded[i], e))
            return -1;
    return 0;
}

static int reftable_write(struct qcow2_counts *c, uint64_t host, uint64_t entries, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(num_max(entries * 8, 1), e);
    if (!buf)
        return -1;
    memset(buf, 0, entries * 8);
    for (uint64_t i = 0; i < num_min(c->n, entries); i++)
        be64_store(buf + 8 * i, c->table[i]);
    return file_write(c->q->file, buf, entries * 8, host, e);
}

/* Entries up to the last that is used. */
static uint64_t reftable_used(const struct qcow2_counts *c)
{
    uint64_t n = c->n;
    while (n && !c->table[n - 1] && !c->block[n - 1])
        n--;
    return n;
}

/* Clusters for a table with room for what there is, and for what its own place may add. */
static int reftable_take(struct qcow2_counts *c, uint64_t *host, uint64_t *clusters, struct err *e)
{
    uint64_t per = c->q->cluster_size / 8, used = reftable_used(c);
    *clusters = num_div_up(used + used / 8 + 1, per);
    if (*clusters * c->q->cluster_size > QCOW2_MAX_REFTABLE_BYTES)
        *clusters = QCOW2_MAX_REFTABLE_BYTES / c->q->cluster_size;
    if (qcow2_counts_take(c, *clusters, host, e))
        return -1;
    return reftable_used(c) <= *clusters * per ? 0 : err_set(e, EFBIG, "File too large");
}

static int reftable_move(struct qcow2_counts *c, struct err *e)
{
    struct qcow2_header *h = &c->q->head.header;
    const struct range old = {h->reftable_offset,
                              (uint64_t)h->reftable_clusters * c->q->cluster_size};
    uint64_t host, clusters;
    if (reftable_take(c, &host, &clusters, e) || blocks_write(c, e) ||
        reftable_write(c, host, clusters * (c->q->cluster_size / 8), e) || file_sync(c->q->file, e))
        return -1;
    h->reftable_offset = host;
    h->reftable_clusters = (uint32_t)clusters;
    c->stored = clusters * (c->q->cluster_size / 8);
    c->table_dirty = false;
    if (qcow2_header_write(c->q, e) || file_sync(c->q->file, e))
        return -1;
    return counts_range(c, old.host, old.bytes, -1, e);
}

int qcow2_counts_flush(struct qcow2_counts *c, struct err *e)
{
    if (c->n > c->stored && reftable_move(c, e))
        return -1;
    if (blocks_write(c, e))
        return -1;
    if (!c->table_dirty)
        return 0;
    c->table_dirty = false;
    return file_sync(c->q->file, e) ||
                   reftable_write(c, c->q->head.header.reftable_offset, c->stored, e)
               ? -1
               : 0;
}

/* ---- shadow ---------------------------------------------------------------------------------- */

void qcow2_counts_shadow(struct qcow2_counts *c)
{
    c->shadow = true;
    memset(c->moved, 0, c->n);
    memset(c->stood, 0, c->n * sizeof *c->stood);
}

int qcow2_counts_shadow_write(struct qcow2_counts *c, uint64_t *reftable_offset,
                              uint32_t *reftable_clusters, struct err *e)
{
    const struct qcow2_header *h = &c->q->head.header;
    uint64_t host, clusters;
    if (ranges_add(&c->old, c->q->cluster_size, h->reftable_offset,
                   (uint64_t)h->reftable_clusters * c->q->cluster_size, e) ||
        reftable_take(c, &host, &clusters, e) || blocks_write(c, e))
        return -1;
    c->stored = clusters * (c->q->cluster_size / 8);
    c->table_dirty = false;
    *reftable_offset = host;
    *reftable_clusters = (uint32_t)clusters;
    return reftable_write(c, host, c->stored, e);
}

int qcow2_counts_switched(struct qcow2_counts *c, struct err *e)
{
    c->shadow = false;
    for (size_t i = 0; i < c->n_loaded; i++)
        free(MEM_TAKE(c->loaded[i]->was));
    c->next = 0; /* what was kept is free now */
    memset(c->runs, 0, sizeof c->runs);
    for (size_t i = 0; i < c->old.n; i++)
        if (counts_range(c, c->old.of[i].host, c->old.of[i].bytes, -1, e))
            return -1;
    c->old.n = 0;
    return 0;
}
