#include "cli/progress.h"

#include <stdio.h>

#include "base/signals.h"

void progress_line_init(struct progress_line *p, bool show, bool quiet, double step)
{
    *p = (struct progress_line){.shown = show && !quiet, .step = step};
}

/* Moved by more than a step, or exactly at an end. A second 0 in a row says nothing new. */
static bool progress_due(const struct progress_line *p, double percent)
{
    if (!p->started || percent >= 100)
        return true;
    return percent > p->last + p->step;
}

static void progress_print(struct progress_line *p, double percent)
{
    p->last = percent;
    p->started = true;
    printf("    (%3.2f/100%%)\r", percent);
    fflush(stdout);
}

void progress_line_update(struct progress_line *p, double percent)
{
    if (percent > 100)
        percent = 100;
    p->moved |= percent > 0;
    if (!p->shown) {
        if (signals_take_progress())
            fprintf(stderr, "    (%3.2f/100%%)\n", percent);
        return;
    }
    p->held = p->hold_end && percent >= 100;
    if (!p->held && progress_due(p, percent))
        progress_print(p, percent);
}

void progress_line_release(struct progress_line *p)
{
    if (p->held)
        progress_print(p, 100);
    p->held = false;
}

void progress_line_end(struct progress_line *p)
{
    if (!p->shown)
        return;
    putchar('\n');
    fflush(stdout);
}

static void progress_watch(void *ctx, double percent)
{
    progress_line_update(ctx, percent);
}

struct progress progress_line_watch(struct progress_line *p)
{
    return (struct progress){.update = progress_watch, .ctx = p};
}
