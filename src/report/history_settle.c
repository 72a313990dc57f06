/*
 * What records say together: the order of runs, a record that came twice, the last word about each
 * target, the time that a run took.
 */
#include "report/history.h"

#include <string.h>

#include "base/mem.h"

static int compare_numbers(double a, double b)
{
    return (a > b) - (a < b);
}

static int compare_indexes(size_t a, size_t b)
{
    return (a > b) - (a < b);
}

/* ---- times ----------------------------------------------------------------------------------- */

struct span {
    double low, high; /* 0 = none yet */
};

static void span_add(struct span *s, double time)
{
    if (time <= 0)
        return;
    if (s->low <= 0 || time < s->low)
        s->low = time;
    if (time > s->high)
        s->high = time;
}

static void span_image(struct span *s, const struct history_image *i)
{
    span_add(s, i->start);
    span_add(s, i->end);
    for (size_t k = 0; k < i->lanes; k++) {
        span_add(s, i->lane[k].start);
        span_add(s, i->lane[k].end);
    }
}

/* The records of begin and end are believed; what lacks is taken from what lies between. */
static void run_time(struct history_run *r, const struct span *s)
{
    struct span all = *s;
    for (size_t k = 0; k < r->progresses; k++)
        span_add(&all, r->progress[k].time);
    double high = all.high;
    r->began = r->time > 0 ? r->time : all.low;
    if (r->end.known && r->began > 0 && r->end.seconds > 0)
        high = r->began + r->end.seconds;
    if (r->end.time > 0)
        high = r->end.time;
    r->ended = high > r->began ? high : r->began;
}

static int run_times(struct history *h, struct err *e)
{
    AUTO_FREE struct span *span = mem_new(h->runs, sizeof *span, e);
    if (!span)
        return -1;
    for (size_t k = 0; k < h->images; k++)
        span_image(&span[h->image[k].run], &h->image[k]);
    for (size_t k = 0; k < h->runs; k++)
        run_time(&h->run[k], &span[k]);
    return 0;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static int compare_runs(const void *x, const void *y)
{
    const struct history_run *a = x, *b = y;
    int c = compare_numbers(a->began, b->began);
    if (!c)
        c = strcmp(a->manifest, b->manifest);
    return c ? c : compare_indexes(a->order, b->order);
}

static bool runs_equal(const struct history_run *a, const struct history_run *b)
{
    return a->known && b->known && a->time == b->time && a->images == b->images &&
           strcmp(a->manifest, b->manifest) == 0;
}

/* b is a again, out of another file: what is new in it goes to a. */
static int run_absorb(struct history_run *a, struct history_run *b, struct err *e)
{
    size_t n = a->progresses + b->progresses;
    struct history_progress *all = mem_grow(a->progress, n + 1, sizeof *all, e);
    if (!all)
        return -1;
    if (b->progresses)
        memcpy(all + a->progresses, b->progress, b->progresses * sizeof *all);
    a->progress = all;
    a->progresses = n;
    if (b->end.known)
        a->end = b->end;
    return 0;
}

/* Sort runs by time, fold equal ones into one; images follow. */
static int runs_sort(struct history *h, struct err *e)
{
    AUTO_FREE size_t *place = mem_new(h->runs, sizeof *place, e);
    if (!place)
        return -1;
    qsort(h->run, h->runs, sizeof *h->run, compare_runs);
    size_t kept = 0;
    int status = 0;
    for (size_t k = 0; k < h->runs; k++) {
        struct history_run r = h->run[k];
        bool again = kept && runs_equal(&h->run[kept - 1], &r);
        if (again)
            status |= run_absorb(&h->run[kept - 1], &r, e);
        place[r.order] = again ? kept - 1 : kept;
        if (again)
            history_run_release(&r);
        else
            h->run[kept++] = r;
    }
    h->runs = kept;
    for (size_t k = 0; k < h->images; k++)
        h->image[k].run = place[h->image[k].run];
    return status;
}

static int compare_progress(const void *x, const void *y)
{
    const struct history_progress *a = x, *b = y;
    return compare_numbers(a->time, b->time);
}

static void progress_sort(struct history_run *r)
{
    size_t kept = 0;
    if (r->progresses)
        qsort(r->progress, r->progresses, sizeof *r->progress, compare_progress);
    for (size_t k = 0; k < r->progresses; k++)
        if (!kept || r->progress[kept - 1].time < r->progress[k].time)
            r->progress[kept++] = r->progress[k];
    r->progresses = kept;
}

/* ---- images ---------------------------------------------------------------------------------- */

static int compare_by_run(const void *x, const void *y)
{
    const struct history_image *a = x, *b = y;
    int c = compare_indexes(a->run, b->run);
    return c ? c : compare_indexes(a->order, b->order);
}

static int compare_by_target(const void *x, const void *y)
{
    const struct history_image *a = x, *b = y;
    int c = strcmp(a->target, b->target);
    c = c ? c : compare_indexes(a->run, b->run);
    c = c ? c : compare_numbers(a->end, b->end);
    c = c ? c : compare_numbers(a->start, b->start);
    return c ? c : compare_indexes(a->order, b->order);
}

static bool images_equal(const struct history_image *a, const struct history_image *b)
{
    return a->run == b->run && a->status == b->status && a->start == b->start && a->end == b->end &&
           strcmp(a->target, b->target) == 0;
}

static void images_once(struct history *h)
{
    size_t kept = 0;
    for (size_t k = 0; k < h->images; k++) {
        struct history_image i = h->image[k];
        if (!kept || !images_equal(&h->image[kept - 1], &i)) {
            h->image[kept++] = i;
            continue;
        }
        history_image_release(&i);
    }
    h->images = kept;
}

/* The records of one target, n of them. One that was skipped is as done as an earlier record says.
 */
static void target_last(struct history_image *of, size_t n)
{
    for (size_t j = 0; j < n; j++)
        of[j].last_of_run = j + 1 == n || of[j + 1].run != of[j].run;
    size_t k = n - 1;
    while (k > 0 && of[k].status == HISTORY_SKIPPED)
        k--;
    of[of[k].status == HISTORY_DONE ? k : n - 1].last = true;
}

static void images_last(struct history *h)
{
    for (size_t from = 0, to; from < h->images; from = to) {
        for (to = from + 1; to < h->images; to++)
            if (strcmp(h->image[from].target, h->image[to].target) != 0)
                break;
        target_last(h->image + from, to - from);
    }
}

static void images_sort(struct history *h)
{
    if (!h->images)
        return;
    qsort(h->image, h->images, sizeof *h->image, compare_by_target);
    images_once(h);
    images_last(h);
    qsort(h->image, h->images, sizeof *h->image, compare_by_run);
    for (size_t k = h->images; k-- > 0;) {
        struct history_run *r = &h->run[h->image[k].run];
        r->first = k;
        r->images_n++;
    }
}

int history_settle(struct history *h, struct err *e)
{
    if (run_times(h, e) || runs_sort(h, e))
        return -1;
    for (size_t k = 0; k < h->runs; k++)
        progress_sort(&h->run[k]);
    images_sort(h);
    return run_times(h, e);
}
