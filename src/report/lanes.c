#include "report/lanes.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

#define THIN_FIRST 0.0008 /* of the run's time: less than a pixel */
#define THIN_LAST  0.2
#define THIN_STEP  1.5

/* ---- the shape: lanes and their rows --------------------------------------------------------- */

static void widen(unsigned *v, unsigned to)
{
    if (*v < to)
        *v = to;
}

static unsigned ranks_of(const struct history *h, const struct history_run *r)
{
    unsigned n = r->ranks;
    widen(&n, (unsigned)r->hosts);
    widen(&n, (unsigned)r->threads_known);
    for (size_t k = r->first; k < r->first + r->images_n; k++) {
        const struct history_image *i = &h->image[k];
        if (i->rank >= 0)
            widen(&n, (unsigned)i->rank + 1);
        for (size_t j = 0; j < i->lanes; j++)
            widen(&n, i->lane[j].rank + 1);
    }
    return n;
}

/* Workers of each rank: as it said, or as many as were seen. */
static unsigned *workers_of(const struct history *h, const struct history_run *r, unsigned ranks,
                            struct err *e)
{
    unsigned *n = mem_new(ranks, sizeof *n, e);
    if (!n)
        return NULL;
    for (unsigned k = 0; k < ranks; k++)
        n[k] = k < r->threads_known && r->threads[k] ? r->threads[k] : 1;
    for (size_t k = r->first; k < r->first + r->images_n; k++) {
        const struct history_image *i = &h->image[k];
        if (!i->spread && i->rank >= 0 && i->worker >= 0)
            widen(&n[i->rank], (unsigned)i->worker + 1);
    }
    return n;
}

static int rows_make(struct lanes *l, struct err *e)
{
    l->row = mem_new(l->rows, sizeof *l->row, e);
    if (!l->row)
        return -1;
    for (const struct lane *lane = l->lane; lane < l->lane + l->lanes; lane++)
        for (size_t k = 0; k < lane->rows; k++)
            l->row[lane->row + k] =
                (struct lane_row){.spread = !l->dense && k < l->spread_rows,
                                  .worker = (unsigned)(k - num_min(k, l->spread_rows))};
    return 0;
}

static int curves_make(struct lanes *l, const struct history_run *r, struct err *e)
{
    for (size_t k = 0; k < l->rows; k++) {
        l->row[k].busy = mem_new(1, sizeof(struct curve), e);
        if (!l->row[k].busy)
            return -1;
        curve_init(l->row[k].busy, r->began, r->ended);
    }
    return 0;
}

static int lanes_shape(struct lanes *l, const struct history_run *r, const unsigned *workers,
                       unsigned ranks, struct err *e)
{
    uint64_t rows = 0;
    for (unsigned k = 0; k < ranks; k++)
        rows += workers[k] + l->spread_rows;
    l->dense = rows > LANES_ROWS_MAX;
    unsigned group = l->dense ? (unsigned)num_div_up(ranks, LANES_ROWS_MAX) : 1;
    l->lanes = num_div_up(ranks, group);
    l->lane = mem_new(l->lanes, sizeof *l->lane, e);
    if (!l->lane)
        return -1;
    for (unsigned k = 0; k < ranks; k++) {
        struct lane *lane = &l->lane[k / group];
        if (k % group == 0)
            *lane = (struct lane){.first = k, .row = l->rows};
        lane->last = k;
        lane->workers += workers[k];
        if (k % group == 0) {
            lane->rows = l->dense ? 1 : workers[k] + l->spread_rows;
            l->rows += lane->rows;
        }
    }
    if (rows_make(l, e))
        return -1;
    return l->dense ? curves_make(l, r, e) : 0;
}

static struct lane *lane_of(const struct lanes *l, unsigned rank)
{
    unsigned group = l->lane[0].last - l->lane[0].first + 1;
    return &l->lane[rank / group];
}

/* ---- filling it ------------------------------------------------------------------------------ */

struct filling {
    struct lanes *l;
    const struct history_run *run;
    const unsigned *workers;
    double busy_until[LANES_SPREAD_MAX]; /* of each row of spread images */
};

static double part(const struct history_run *r, double time)
{
    double length = r->ended - r->began;
    return length > 0 ? fmin(fmax((time - r->began) / length, 0), 1) : 0;
}

static enum lane_kind kind_of(const struct history_image *i)
{
    if (i->status == HISTORY_FAILED)
        return LANE_FAILED;
    if (i->status == HISTORY_STOPPED)
        return LANE_STOPPED;
    return i->spread ? LANE_SPREAD : LANE_DONE;
}

static int row_add(struct lane_row *row, const struct history_run *r, const struct history_image *i,
                   const struct history_lane *l, struct err *e)
{
    if (row->bars == row->room) {
        size_t wanted = row->room ? 2 * row->room : 16;
        struct lane_bar *grown = mem_grow(row->bar, wanted, sizeof *grown, e);
        if (!grown)
            return -1;
        row->bar = grown;
        row->room = wanted;
    }
    row->bar[row->bars++] = (struct lane_bar){.from = part(r, l->start),
                                              .to = part(r, l->end),
                                              .kind = kind_of(i),
                                              .images = 1,
                                              .failed = i->status == HISTORY_FAILED,
                                              .bytes = l->bytes,
                                              .image = i};
    return 0;
}

/* A part of an image on one rank. `threads` of its workers had it. */
static int put(struct filling *f, const struct history_image *i, const struct history_lane *l,
               size_t row, unsigned threads, struct err *e)
{
    struct lane *lane = lane_of(f->l, l->rank);
    lane->bytes += l->bytes;
    lane->images += !i->spread;
    if (!f->l->dense)
        return row_add(&f->l->row[lane->row + row], f->run, i, l, e);
    curve_add(f->l->row[lane->row].busy, l->start, l->end, (l->end - l->start) * threads);
    return 0;
}

/* The first row of spread images that is free when the image begins. */
static size_t spread_row(struct filling *f, const struct history_image *i)
{
    size_t row = 0;
    while (row + 1 < f->l->spread_rows && f->busy_until[row] > i->start)
        row++;
    f->busy_until[row] = i->end;
    return row;
}

static int put_spread(struct filling *f, const struct history_image *i, struct err *e)
{
    size_t row = f->l->spread_rows ? spread_row(f, i) : 0;
    for (size_t k = 0; k < i->lanes; k++)
        if (put(f, i, &i->lane[k], row, f->workers[i->lane[k].rank], e))
            return -1;
    return 0;
}

/* A worker that is not told is the first that has nothing then. */
static size_t worker_row(const struct filling *f, const struct history_image *i)
{
    const struct lane *lane = lane_of(f->l, (unsigned)i->rank);
    double start = part(f->run, i->start);
    if (f->l->dense || i->worker >= 0)
        return f->l->spread_rows + (size_t)(i->worker < 0 ? 0 : i->worker);
    for (size_t k = f->l->spread_rows; k < lane->rows; k++) {
        const struct lane_row *row = &f->l->row[lane->row + k];
        if (!row->bars || row->bar[row->bars - 1].to <= start)
            return k;
    }
    return f->l->spread_rows;
}

static int put_image(struct filling *f, const struct history_image *i, struct err *e)
{
    if (i->spread && i->lanes)
        return put_spread(f, i, e);
    if (i->rank < 0 || i->start <= 0) {
        f->l->unplaced += i->status != HISTORY_SKIPPED;
        return 0;
    }
    const struct history_lane whole = {(unsigned)i->rank, i->start, i->end, i->bytes};
    return put(f, i, &whole, worker_row(f, i), 1, e);
}

/* ---- images in the order of their starts ----------------------------------------------------- */

static int compare_starts(const void *x, const void *y)
{
    const struct history_image *a = *(const struct history_image *const *)x;
    const struct history_image *b = *(const struct history_image *const *)y;
    if (a->start != b->start)
        return a->start > b->start ? 1 : -1;
    return (a > b) - (a < b);
}

static const struct history_image **by_start(const struct history *h, const struct history_run *r,
                                             struct err *e)
{
    const struct history_image **list = mem_new(r->images_n, sizeof(void *), e);
    if (!list)
        return NULL;
    for (size_t k = 0; k < r->images_n; k++)
        list[k] = &h->image[r->first + k];
    qsort(list, r->images_n, sizeof(void *), compare_starts);
    return list;
}

/* As many rows as there were spread images at one time. */
static size_t spread_rows_of(const struct history_image **list, size_t n)
{
    double until[LANES_SPREAD_MAX];
    size_t rows = 0;
    for (size_t k = 0; k < n; k++) {
        size_t row = 0;
        if (!list[k]->spread || !list[k]->lanes)
            continue;
        while (row < rows && until[row] > list[k]->start)
            row++;
        if (row == LANES_SPREAD_MAX)
            return rows;
        until[row] = list[k]->end;
        rows = row == rows ? rows + 1 : rows;
    }
    return rows;
}

/* ---- not too many bars ----------------------------------------------------------------------- */

static size_t bars_in(const struct lanes *l)
{
    size_t n = 0;
    for (size_t k = 0; k < l->rows; k++)
        n += l->row[k].bars;
    return n;
}

static bool foldable(const struct lane_bar *a, const struct lane_bar *b, double thin)
{
    bool inside = b->to <= a->to;
    bool both_thin = a->to - a->from < thin && b->to - b->from < thin;
    return inside || (both_thin && b->from - a->to < thin / 2);
}

static void bar_fold(struct lane_bar *a, const struct lane_bar *b)
{
    a->to = fmax(a->to, b->to);
    a->kind = b->kind > a->kind ? b->kind : a->kind;
    a->images += b->images;
    a->failed += b->failed;
    a->bytes += b->bytes;
}

static void row_fold(struct lane_row *row, double thin)
{
    size_t kept = 0;
    for (size_t k = 0; k < row->bars; k++) {
        if (kept && foldable(&row->bar[kept - 1], &row->bar[k], thin))
            bar_fold(&row->bar[kept - 1], &row->bar[k]);
        else
            row->bar[kept++] = row->bar[k];
    }
    row->bars = kept;
}

static int compare_bars(const void *x, const void *y)
{
    const struct lane_bar *a = x, *b = y;
    return (a->from > b->from) - (a->from < b->from);
}

static void lanes_thin(struct lanes *l, size_t most)
{
    for (size_t k = 0; k < l->rows; k++)
        if (l->row[k].bars)
            qsort(l->row[k].bar, l->row[k].bars, sizeof(struct lane_bar), compare_bars);
    for (double thin = THIN_FIRST; thin < THIN_LAST; thin *= THIN_STEP) {
        for (size_t k = 0; k < l->rows; k++)
            row_fold(&l->row[k], thin);
        if (bars_in(l) <= most)
            return;
    }
    for (size_t k = 0; k < l->rows; k++) {
        size_t keep = num_min(l->row[k].bars, most / l->rows);
        l->left_out += l->row[k].bars - keep;
        l->row[k].bars = keep;
    }
}

/* Seconds of work in a bin become the share of the workers that had work. */
static void lanes_share(struct lanes *l)
{
    for (size_t k = 0; k < l->lanes; k++) {
        struct curve *c = l->row[l->lane[k].row].busy;
        for (size_t j = 0; j < CURVE_BINS; j++)
            c->bin[j] = fmin(c->bin[j] / (c->width * l->lane[k].workers), 1);
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

static int lanes_fill(struct lanes *l, const struct history *h, const struct history_run *r,
                      struct err *e)
{
    unsigned ranks = ranks_of(h, r);
    AUTO_FREE const struct history_image **list = by_start(h, r, e);
    AUTO_FREE unsigned *workers = list ? workers_of(h, r, ranks, e) : NULL;
    if (!workers)
        return -1;
    l->spread_rows = spread_rows_of(list, r->images_n);
    if (!ranks)
        l->unplaced = r->images_n;
    if (!ranks || lanes_shape(l, r, workers, ranks, e))
        return ranks ? -1 : 0;
    struct filling f = {.l = l, .run = r, .workers = workers};
    for (size_t k = 0; k < r->images_n; k++)
        if (put_image(&f, list[k], e))
            return -1;
    return 0;
}

int lanes_make(const struct history *h, const struct history_run *r, size_t most, struct lanes *out,
               struct err *e)
{
    *out = (struct lanes){0};
    if (lanes_fill(out, h, r, e))
        return -1;
    if (out->dense)
        lanes_share(out);
    else
        lanes_thin(out, most);
    return 0;
}

void lanes_release(struct lanes *l)
{
    for (size_t k = 0; k < l->rows && l->row; k++) {
        free(l->row[k].bar);
        free(l->row[k].busy);
    }
    free(l->row);
    free(l->lane);
    *l = (struct lanes){0};
}
