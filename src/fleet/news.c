#include "fleet/news.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"

int news_begin(struct news *n, const struct fleet_options *o, const struct fleet_watch *w,
               unsigned workers, struct err *e)
{
    *n = (struct news){.watch = w, .o = o, .tally = tally_of(workers), .begun = clock_now()};
    n->image = mem_new(o->n, sizeof *n->image, e);
    if (!n->image)
        return -1;
    n->interval = o->progress_interval > 0 ? o->progress_interval : FLEET_PROGRESS_SECS;
    n->told_at = n->begun;
    n->next = n->begun + n->interval;
    struct fleet_progress *p = &n->progress;
    p->images = o->n;
    for (size_t i = 0; i < o->n; i++) {
        p->skipped += o->items[i].skip;
        p->work += o->items[i].skip ? 0 : o->items[i].bytes;
    }
    p->left = p->images - p->skipped;
    return 0;
}

void news_release(struct news *n)
{
    free(n->image);
}

void news_started(struct news *n, size_t item, unsigned attempt, bool spread)
{
    n->image[item].begun = true;
    n->progress.running++;
    if (n->watch->started)
        n->watch->started(n->watch->ctx, item, attempt, spread);
}

/* What is counted of an image replaces what was. */
static void set_counts(struct news *n, size_t item, uint64_t work, uint64_t bytes)
{
    struct news_image *i = &n->image[item];
    n->progress.work_done += work - i->work;
    n->progress.bytes += bytes - i->bytes;
    i->work = work;
    i->bytes = bytes;
}

void news_moved(struct news *n, size_t item, double done, uint64_t bytes)
{
    struct news_image *i = &n->image[item];
    set_counts(n, item, (uint64_t)(done * (double)n->o->items[item].bytes), bytes);
    if (100 * done < i->percent + 0.1)
        return;
    i->percent = 100 * done;
    if (n->watch->moved)
        n->watch->moved(n->watch->ctx, item, i->percent);
}

/* The bytes of attempts that failed were moved, too. */
static void no_longer_begun(struct news *n, size_t item)
{
    n->progress.running -= n->image[item].begun;
    n->image[item].begun = false;
    n->image[item].percent = 0;
}

void news_again(struct news *n, size_t item, const char *why)
{
    no_longer_begun(n, item);
    n->progress.work_done -= n->image[item].work;
    n->image[item].work = 0;
    n->image[item].bytes = 0;
    if (n->watch->again)
        n->watch->again(n->watch->ctx, item, why);
}

/* --salvage: each rank counts what it could not read, and it is told at the end. */
static void warn_salvaged(const struct news *n, size_t item, const json_t *result)
{
    json_int_t lost = json_integer_value(json_object_get(result, "salvaged"));
    char text[80];
    if (!lost || !n->watch->warn)
        return;
    snprintf(text, sizeof text,
             "%" JSON_INTEGER_FORMAT " sectors could not be read: they are zeros", lost);
    n->watch->warn(n->watch->ctx, item, text);
}

int news_ended(struct news *n, size_t item, enum schedule_end how, uint64_t bytes,
               const json_t *result, struct err *e)
{
    struct fleet_progress *p = &n->progress;
    no_longer_begun(n, item);
    set_counts(n, item, how == SCHEDULE_STOPPED ? n->image[item].work : n->o->items[item].bytes,
               bytes);
    p->done += how == SCHEDULE_DONE;
    p->failed += how == SCHEDULE_FAILED;
    p->left -= how != SCHEDULE_STOPPED;
    warn_salvaged(n, item, result);
    if (!n->watch->image)
        return 0;
    return n->watch->image(n->watch->ctx, item, result, e);
}

static int tell_progress(struct news *n, double now, struct err *e)
{
    struct fleet_progress *p = &n->progress;
    double work = tally_work(&n->tally, now), span = now - n->told_at;
    p->time = clock_wall();
    p->rate = span > 0 ? (double)(p->bytes - n->told_bytes) / span : 0;
    p->busy = span > 0 ? (work - n->told_work) / (span * n->tally.workers) : 1;
    n->told_at = now;
    n->told_work = work;
    n->told_bytes = p->bytes;
    n->next = now + n->interval;
    return n->watch->progress ? n->watch->progress(n->watch->ctx, p, e) : 0;
}

int news_tick(struct news *n, struct err *e)
{
    double now = clock_now();
    if (now >= n->next && tell_progress(n, now, e) < 0)
        return -1;
    if (n->watch->tick)
        n->watch->tick(n->watch->ctx);
    return 0;
}

void news_sum(const struct news *n, bool stopped, struct fleet_summary *out)
{
    const struct fleet_progress *p = &n->progress;
    *out = (struct fleet_summary){
        .status = stopped && p->left     ? FLEET_STOPPED
                  : p->failed || p->left ? FLEET_FAILED
                                         : FLEET_COMPLETE,
        .images = p->images,
        .done = p->done,
        .failed = p->failed,
        .skipped = p->skipped,
        .left = p->left,
        .bytes = p->bytes,
        .seconds = clock_now() - n->begun,
        .busy = tally_busy(&n->tally),
    };
}
