#include "report/totals.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* ---- of a list of numbers -------------------------------------------------------------------- */

double totals_median(const double *sorted, size_t n)
{
    if (!n)
        return 0;
    return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double totals_percentile(const double *sorted, size_t n, double share)
{
    if (!n)
        return 0;
    double rank = ceil(share * (double)n - 1e-9); /* 0.95 * 20 is 19, not a bit more */
    size_t at = rank < 1 ? 0 : (size_t)rank - 1;
    return sorted[at < n ? at : n - 1];
}

static int compare_doubles(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void totals_seconds(struct totals *t, double *seconds, size_t n)
{
    if (!n)
        return;
    qsort(seconds, n, sizeof *seconds, compare_doubles);
    t->median = totals_median(seconds, n);
    t->p95 = totals_percentile(seconds, n, 0.95);
    t->longest = seconds[n - 1];
}

/* ---- of images ------------------------------------------------------------------------------- */

/* Sums never wrap: sizes come from a file. */
static void add(uint64_t *sum, uint64_t more)
{
    if (!num_add(*sum, more, sum))
        *sum = UINT64_MAX;
}

static int totals_images(struct totals *t, const struct history_image *image, size_t n, bool of_run,
                         struct err *e)
{
    AUTO_FREE double *seconds = mem_new(n, sizeof *seconds, e);
    size_t done = 0;
    if (!seconds)
        return -1;
    for (const struct history_image *i = image; i < image + n; i++) {
        if (of_run ? !i->last_of_run : !i->last)
            continue;
        t->count[i->status]++;
        if (i->status != HISTORY_DONE)
            continue;
        seconds[done++] = i->seconds;
        add(&t->virtual_size, i->virtual_size);
        add(&t->source_bytes, i->source_bytes);
        add(&t->target_bytes, i->target_bytes);
    }
    totals_seconds(t, seconds, done);
    return 0;
}

static void totals_left(struct totals *t, uint64_t images)
{
    uint64_t told = 0;
    for (int s = 0; s < HISTORY_STATUSES; s++)
        told += t->count[s];
    t->images = num_max(images, told);
    t->left = t->images - told;
}

/* ---- of runs --------------------------------------------------------------------------------- */

/* What the run says of itself at its end; a run without one, what it said before. */
static uint64_t run_bytes(const struct history *h, const struct history_run *r)
{
    uint64_t sum = 0;
    if (r->end.bytes_known)
        return r->end.bytes;
    for (size_t k = 0; k < r->images_n; k++)
        if (h->image[r->first + k].status != HISTORY_SKIPPED)
            add(&sum, h->image[r->first + k].bytes);
    return r->progresses ? num_max(sum, r->progress[r->progresses - 1].bytes) : sum;
}

/* The mean of its progress, each weighed by the time since the one before. */
static double progress_busy(const struct history_run *r)
{
    double sum = 0, time = 0, from = r->began;
    for (const struct history_progress *p = r->progress; p < r->progress + r->progresses; p++) {
        if (p->busy >= 0 && p->time > from) {
            sum += p->busy * (p->time - from);
            time += p->time - from;
        }
        from = p->time;
    }
    return time > 0 ? sum / time : -1;
}

static double run_busy(const struct history_run *r)
{
    return r->end.busy >= 0 ? r->end.busy : progress_busy(r);
}

static double run_seconds(const struct history_run *r)
{
    return r->end.known && r->end.seconds > 0 ? r->end.seconds : r->ended - r->began;
}

static void totals_rate(struct totals *t)
{
    t->rate = t->seconds > 0 ? (double)t->bytes / t->seconds : 0;
}

int totals_run(const struct history *h, const struct history_run *r, struct totals *out,
               struct err *e)
{
    *out =
        (struct totals){.bytes = run_bytes(h, r), .seconds = run_seconds(r), .busy = run_busy(r)};
    totals_rate(out);
    if (totals_images(out, h->image + r->first, r->images_n, true, e))
        return -1;
    totals_left(out, r->images);
    /* images that are skipped need no records */
    out->count[HISTORY_SKIPPED] = num_max(out->count[HISTORY_SKIPPED], r->end.skipped);
    if (r->end.left_known)
        out->left = r->end.left;
    return 0;
}

static int compare_manifests(const void *x, const void *y)
{
    const struct history_run *a = *(const struct history_run *const *)x;
    const struct history_run *b = *(const struct history_run *const *)y;
    int c = strcmp(a->manifest, b->manifest);
    return c ? c : (a > b) - (a < b);
}

/* Runs of one manifest are about the same images: the last one counts. */
static int images_wanted(const struct history *h, uint64_t *sum, struct err *e)
{
    AUTO_FREE const struct history_run **run = mem_new(h->runs, sizeof(void *), e);
    if (!run)
        return -1;
    for (size_t k = 0; k < h->runs; k++)
        run[k] = &h->run[k];
    qsort(run, h->runs, sizeof(void *), compare_manifests);
    *sum = 0;
    for (size_t k = 0; k < h->runs; k++)
        if (k + 1 == h->runs || strcmp(run[k]->manifest, run[k + 1]->manifest) != 0)
            add(sum, run[k]->images);
    return 0;
}

int totals_fleet(const struct history *h, struct totals *out, struct err *e)
{
    double busy = 0, time = 0;
    uint64_t images;
    *out = (struct totals){.busy = -1};
    for (const struct history_run *r = h->run; r < h->run + h->runs; r++) {
        double seconds = run_seconds(r), share = run_busy(r);
        add(&out->bytes, run_bytes(h, r));
        out->seconds += seconds;
        busy += share >= 0 ? share * seconds : 0;
        time += share >= 0 ? seconds : 0;
    }
    if (time > 0)
        out->busy = busy / time;
    totals_rate(out);
    if (images_wanted(h, &images, e) || totals_images(out, h->image, h->images, false, e))
        return -1;
    totals_left(out, images);
    return 0;
}
