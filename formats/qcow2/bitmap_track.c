#include "formats/qcow2/bitmap_track.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/bitmap_change.h"
#include "formats/qcow2/bitmap_layout.h"

#define PAGE      4096u
#define PAGE_BITS (8 * PAGE)
#define PAGES     4096u /* in memory, unless the image has a budget */

/* Bits that were set in an enabled bitmap since they were last united with its clusters. */
struct tracked {
    uint32_t index; /* in the change */
    unsigned granularity_bits;
    uint64_t n_bits;
    uint8_t **page; /* NULL: none is set; full_page: all are */
    uint64_t n_pages;
};

struct qcow2_track {
    struct qcow2_bitmap_change *change;
    struct tracked *of;
    uint32_t n;
    size_t n_pages, most; /* that memory was taken for */
    uint8_t *cluster;
};

static uint8_t full_page[PAGE]; /* only its address says something */

/* ---- marks ----------------------------------------------------------------------------------- */

static bool is_tracked(const struct qcow2_bitmap *b)
{
    return (b->flags & QCOW2_BITMAP_AUTO) && !(b->flags & QCOW2_BITMAP_IN_USE);
}

static bool is_usable(const struct qcow2_bitmap *b)
{
    return !(b->flags & QCOW2_BITMAP_IN_USE);
}

/* In the directory as it stands; q->bitmaps is still what they are to be again. */
static int mark(const struct qcow2 *q, bool (*which)(const struct qcow2_bitmap *b), struct err *e)
{
    const struct qcow2_extensions *x = &q->head.ext;
    AUTO_FREE uint8_t *dir = mem_io(x->bitmap_dir_size, e);
    uint64_t at = 0;
    bool any = false;
    if (!dir || file_read_padded(q->file, dir, x->bitmap_dir_size, x->bitmap_dir_offset, NULL, e))
        return -1;
    for (uint32_t i = 0; i < q->n_bitmaps; i++) {
        const struct qcow2_bitmap *b = &q->bitmaps[i];
        if (which(b)) {
            be32_store(dir + at + 12, b->flags | QCOW2_BITMAP_IN_USE);
            any = true;
        }
        at += bitmap_entry_size(strlen(b->name));
    }
    if (!any)
        return 0;
    return file_write(q->file, dir, x->bitmap_dir_size, x->bitmap_dir_offset, e) ||
                   file_sync(q->file, e)
               ? -1
               : 0;
}

/* ---- pages of bits --------------------------------------------------------------------------- */

static void page_forget(struct qcow2_track *t, struct tracked *b, uint64_t p)
{
    if (b->page[p] && b->page[p] != full_page) {
        free(b->page[p]);
        t->n_pages--;
    }
    b->page[p] = NULL;
}

/* Was anything set in bytes [begin, end) of the bits? */
static bool any_page(const struct tracked *b, uint64_t begin, uint64_t end)
{
    uint64_t last = num_min(num_div_up(end, PAGE), b->n_pages);
    for (uint64_t p = begin / PAGE; p < last; p++)
        if (b->page[p])
            return true;
    return false;
}

/* Cluster k of the bits. */
static void cluster_gather(const struct qcow2_track *t, const struct tracked *b, uint64_t k,
                           uint64_t size)
{
    for (uint64_t done = 0, n; done < size; done += n) {
        uint64_t p = (k * size + done) / PAGE, in = (k * size + done) % PAGE;
        const uint8_t *page = p < b->n_pages ? b->page[p] : NULL;
        n = num_min(PAGE - in, size - done);
        if (page && page != full_page)
            memcpy(t->cluster + done, page + in, n);
        else
            memset(t->cluster + done, page ? 0xff : 0, n);
    }
}

static int tracked_unite(struct qcow2_track *t, struct tracked *b, uint64_t size, struct err *e)
{
    for (uint64_t k = 0; k * size * 8 < b->n_bits; k++) {
        if (!any_page(b, k * size, (k + 1) * size))
            continue;
        cluster_gather(t, b, k, size);
        if (qcow2_bitmap_change_unite(t->change, b->index, k, t->cluster, e))
            return -1;
    }
    for (uint64_t p = 0; p < b->n_pages; p++)
        page_forget(t, b, p);
    return 0;
}

static int unite(struct qcow2 *q, struct err *e)
{
    struct qcow2_track *t = q->track;
    for (uint32_t i = 0; i < t->n; i++)
        if (tracked_unite(t, &t->of[i], q->cluster_size, e))
            return -1;
    return 0;
}

/* Bits [from, to) of page p. */
static int page_set(struct qcow2 *q, struct tracked *b, uint64_t p, uint64_t from, uint64_t to,
                    struct err *e)
{
    struct qcow2_track *t = q->track;
    if (b->page[p] == full_page)
        return 0;
    if (to - from == PAGE_BITS) {
        page_forget(t, b, p);
        b->page[p] = full_page;
        return 0;
    }
    if (!b->page[p]) {
        if (t->n_pages >= t->most && unite(q, e))
            return -1;
        if (!(b->page[p] = mem_new(PAGE, 1, e)))
            return -1;
        t->n_pages++;
    }
    bits_set(b->page[p], from, to);
    return 0;
}

static int tracked_set(struct qcow2 *q, struct tracked *b, uint64_t guest, uint64_t length,
                       struct err *e)
{
    uint64_t from = guest >> b->granularity_bits;
    uint64_t to = num_min(((guest + length - 1) >> b->granularity_bits) + 1, b->n_bits);
    while (from < to) {
        uint64_t p = from / PAGE_BITS, end = num_min(to, (p + 1) * PAGE_BITS);
        if (page_set(q, b, p, from - p * PAGE_BITS, end - p * PAGE_BITS, e))
            return -1;
        from = end;
    }
    return 0;
}

/* ---- the guest's data ------------------------------------------------------------------------ */

void qcow2_track_free(struct qcow2 *q)
{
    struct qcow2_track *t = q->track;
    q->track = NULL;
    if (!t)
        return;
    for (uint32_t i = 0; i < t->n; i++) {
        for (uint64_t p = 0; t->of[i].page && p < t->of[i].n_pages; p++)
            page_forget(t, &t->of[i], p);
        free(t->of[i].page);
    }
    qcow2_bitmap_change_free(t->change);
    free(t->of);
    free(t->cluster);
    free(t);
}

static int track_fill(struct qcow2 *q, struct qcow2_track *t, struct err *e)
{
    t->most = q->budget ? num_max(q->budget / PAGE, 1) : PAGES;
    t->of = mem_new(q->n_bitmaps, sizeof *t->of, e);
    t->cluster = mem_io(q->cluster_size, e);
    if (!t->of || !t->cluster)
        return -1;
    for (uint32_t i = 0; i < q->n_bitmaps; i++) {
        struct tracked *b = &t->of[t->n];
        if (!is_tracked(&q->bitmaps[i]))
            continue;
        b->index = i;
        b->granularity_bits = q->bitmaps[i].granularity_bits;
        b->n_bits = bitmap_bits(q->head.header.size, b->granularity_bits);
        b->n_pages = num_div_up(b->n_bits, PAGE_BITS);
        b->page = mem_new(b->n_pages, sizeof *b->page, e);
        if (!b->page)
            return -1;
        t->n++;
    }
    return t->n ? qcow2_bitmap_change_open(q, &t->change, e) || mark(q, is_tracked, e) : 0;
}

static int track_begin(struct qcow2 *q, struct err *e)
{
    q->track = mem_new(1, sizeof *q->track, e);
    if (!q->track)
        return -1;
    if (!track_fill(q, q->track, e))
        return 0;
    qcow2_track_free(q);
    return -1;
}

int qcow2_track_touch(struct image *img, uint64_t guest, uint64_t length, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    uint64_t size = q->head.header.size;
    if (!q->n_bitmaps || guest >= size) /* beyond: the disk is about to get larger */
        return 0;
    length = num_min(length, size - guest);
    if (!q->track && track_begin(q, e))
        return -1;
    for (uint32_t i = 0; i < q->track->n; i++)
        if (tracked_set(q, &q->track->of[i], guest, length, e))
            return -1;
    return 0;
}

int qcow2_track_end(struct qcow2 *q, struct err *e)
{
    struct qcow2_track *t = q->track;
    int r = 0;
    if (t && t->n) {
        qcow2_bitmap_change_touch(t->change);
        r = unite(q, e) || qcow2_bitmap_change_commit(t->change, e) ? -1 : 0;
    }
    qcow2_track_free(q);
    return r;
}

/* ---- the disk's size ------------------------------------------------------------------------- */

int qcow2_bitmaps_hold(struct qcow2 *q, struct err *e)
{
    for (uint32_t i = 0; i < q->n_bitmaps; i++) {
        struct bitmap b = {.name = q->bitmaps[i].name, .inconsistent = !is_usable(&q->bitmaps[i])};
        if (bitmap_check_usable(&b, e))
            return -1;
    }
    return q->n_bitmaps ? mark(q, is_usable, e) : 0;
}

/* One that cannot have the disk's new size is left as it is, and marked. */
static int fit_one(struct image *img, struct qcow2_bitmap_change *c, uint32_t i, uint64_t was,
                   struct err *e)
{
    const struct check_sink *sink = img->flags.repairs;
    const struct qcow2_bitmap *b = qcow2_bitmap_change_get(c, i);
    if (!qcow2_bitmap_change_resize(c, i, was, e))
        return 0;
    if (e->no != EFBIG)
        return -1;
    err_prefix(e,
               "Lost persistent bitmaps during inactivation of node '#block100': Bitmap '%s' "
               "doesn't satisfy the constraints: ",
               b->name);
    if (sink)
        (sink->error ? sink->error : sink->line)(sink->ctx, e->text);
    err_clear(e);
    qcow2_bitmap_change_flags(c, i, b->flags | QCOW2_BITMAP_IN_USE);
    return 0;
}

static int fit_all(struct image *img, struct qcow2_bitmap_change *c, uint64_t was, struct err *e)
{
    for (uint32_t i = 0; i < qcow2_of(img)->n_bitmaps; i++)
        if (fit_one(img, c, i, was, e))
            return -1;
    qcow2_bitmap_change_touch(c);
    return qcow2_bitmap_change_commit(c, e);
}

int qcow2_bitmaps_fit(struct image *img, uint64_t was, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct qcow2_bitmap_change *c;
    if (!q->n_bitmaps)
        return 0;
    if (qcow2_bitmap_change_open(q, &c, e))
        return -1;
    int r = fit_all(img, c, was, e);
    qcow2_bitmap_change_free(c);
    return r;
}
