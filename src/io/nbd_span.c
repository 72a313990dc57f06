/*
 * Where the export has data. Each question takes a way to the server and back, so it asks about
 * more than it was asked and keeps what came: chunks that follow one another cost one question.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/nbd.h"

#define REACH_MIN (128 * MIB)
#define REACH_MAX (2 * GIB)
#define RUNS_MAX  65536u /* of one answer are kept */
#define RUNS_FEW  256u   /* after so few the next question reaches further */

void export_spans_init(struct export_spans *s)
{
    pthread_mutex_init(&s->lock, NULL);
    pthread_mutex_init(&s->ask, NULL);
    s->reach = REACH_MIN;
}

void export_spans_release(struct export_spans *s)
{
    for (size_t i = 0; i < EXPORT_WINDOWS; i++)
        free(s->window[i].runs);
    pthread_mutex_destroy(&s->lock);
    pthread_mutex_destroy(&s->ask);
}

/* ---- what is known --------------------------------------------------------------------------- */

static uint64_t window_end(const struct export_window *w)
{
    return w->n ? w->runs[w->n - 1].end : w->start;
}

/* The run that `off` is in; the window covers it. */
static const struct export_run *run_at(const struct export_window *w, uint64_t off)
{
    size_t low = 0, high = w->n - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (off < w->runs[middle].end)
            high = middle;
        else
            low = middle + 1;
    }
    return &w->runs[low];
}

static bool find(struct export_spans *s, uint64_t off, bool *is_hole, uint64_t *end)
{
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < EXPORT_WINDOWS && !found; i++) {
        struct export_window *w = &s->window[i];
        if (off < w->start || off >= window_end(w))
            continue;
        const struct export_run *run = run_at(w, off);
        *is_hole = run->is_hole;
        *end = run->end;
        w->used = ++s->clock;
        found = true;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* In place of the window that was of no use for longest. Takes the runs. */
static void keep(struct export_spans *s, struct export_window *new)
{
    pthread_mutex_lock(&s->lock);
    struct export_window *w = &s->window[0];
    for (size_t i = 1; i < EXPORT_WINDOWS; i++)
        if (s->window[i].used < w->used)
            w = &s->window[i];
    free(w->runs);
    *w = *new;
    w->used = ++s->clock;
    new->runs = NULL;
    pthread_mutex_unlock(&s->lock);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct answer {
    struct export_call call;
    struct export_window window;
    uint64_t limit; /* where the question ended */
    bool full;      /* of memory, or as much as is kept */
};

static bool is_known(const struct export_window *w)
{
    return w->n > 0;
}

static void add(struct answer *a, uint64_t length, bool is_hole)
{
    struct export_window *w = &a->window;
    struct err ignored;
    uint64_t at = window_end(w);
    uint64_t end = num_min(at + length, a->limit);
    if (end <= at || a->full)
        return;
    if (w->n && w->runs[w->n - 1].is_hole == is_hole) {
        w->runs[w->n - 1].end = end;
        return;
    }
    if ((w->n & (w->n - 1)) == 0) { /* a power of two: full */
        struct export_run *more = mem_grow(w->runs, w->n ? 2 * w->n : 1, sizeof *more, &ignored);
        a->full = !more || w->n == RUNS_MAX;
        w->runs = more ? more : w->runs;
    }
    if (!a->full)
        w->runs[w->n++] = (struct export_run){end, is_hole};
}

/* Pairs of length and flags. */
static int told(void *data, const char *context, uint64_t off, uint32_t *entries, size_t n,
                int *error)
{
    struct answer *a = data;
    if (*error || strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) || off != a->window.start)
        return 0;
    for (size_t i = 0; i + 1 < n; i += 2)
        add(a, entries[i], entries[i + 1] & LIBNBD_STATE_ZERO);
    return 0;
}

static int done(void *data, int *error)
{
    struct answer *a = data;
    export_answered(&a->call, 0, *error);
    return 1;
}

static int question(struct export *f, struct answer *a, struct err *e)
{
    nbd_extent_callback extents = {.callback = told, .user_data = a};
    nbd_completion_callback end = {.callback = done, .user_data = a};
    struct export_conn *c = export_take(f, e);
    if (!c)
        return -1;
    export_enter(c);
    a->call.left++;
    if (nbd_aio_block_status(c->h, a->limit - a->window.start, a->window.start, extents, end, 0) <
        0)
        export_refused(c, &a->call, 0);
    export_leave(c, &a->call);
    export_give(f, c);
    return export_outcome(f, &a->call, e);
}

/* *hit: the first run of what the server told. */
static int ask(struct export *f, uint64_t off, uint64_t length, struct export_run *hit,
               struct err *e)
{
    struct answer a = {.window.start = off, .limit = off + length};
    export_call_init(&a.call);
    int r = question(f, &a, e);
    if (!r && is_known(&a.window)) {
        *hit = a.window.runs[0];
        f->spans.reach = a.window.n < RUNS_FEW ? num_min(2 * f->spans.reach, REACH_MAX) : REACH_MIN;
        if (!f->file.opt.write)
            keep(&f->spans, &a.window);
    } else if (!r) {
        *hit = (struct export_run){a.limit, false}; /* it told nothing: then it is data */
    }
    free(a.window.runs);
    export_call_release(&a.call);
    return r;
}

/* The answers about a file that we write would not hold. */
static int look(struct export *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *end,
                struct err *e)
{
    struct export_run hit;
    uint64_t reach = f->file.opt.write ? num_min(len, REACH_MAX) : f->spans.reach;
    uint64_t from = num_down(off, f->minimum);
    uint64_t end_of_blocks = num_down(f->size, f->minimum);
    if (off >= end_of_blocks) { /* part of a block: nobody can be asked about it */
        *is_hole = false;
        *end = f->size;
        return 0;
    }
    uint64_t length = num_min(num_up(off - from + reach, f->minimum), end_of_blocks - from);
    if (ask(f, from, length, &hit, e))
        return -1;
    *is_hole = hit.is_hole && hit.end > off;
    *end = num_max(hit.end, off + 1);
    return 0;
}

int export_span(struct file *file, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                struct err *e)
{
    struct export *f = export_of(file);
    uint64_t end;
    int r = 0;
    if (off >= f->size || !f->extents) {
        *is_hole = off >= f->size;
        *length = *is_hole ? len : num_min(len, f->size - off);
        return 0;
    }
    if (!find(&f->spans, off, is_hole, &end)) {
        pthread_mutex_lock(&f->spans.ask);
        if (!find(&f->spans, off, is_hole, &end)) /* another thread has asked meanwhile */
            r = look(f, off, len, is_hole, &end, e);
        pthread_mutex_unlock(&f->spans.ask);
    }
    if (r)
        return -1;
    *length = num_min(len, end - off);
    return 0;
}
