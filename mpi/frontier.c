/*
 * What the ordered ticket promises, and why:
 *
 * 1. The bytes of the image depend neither on the number of ranks or threads nor on timing. A
 * unit's need is a function of the unit alone; its place is a function of the needs of all units
 *    before it, since units leave here strictly in the order in which they were given out, which
 *    is ascending.
 * 2. No deadlock. A worker reports a unit before it waits for anything, and it takes its units in
 *    the order given. So the lowest unreported unit is held by a worker that is busy with it, or
 *    with grants and lower units, none of which wait. When it reports, the frontier moves.
 * 3. Bounded memory. At most `window` units are between "given out" and "left", at most one report
 *    each; a worker holds at most `depth` units, so data is at most workers * depth * unit.
 * 4. The user sees the error that a serial run would have met first. FAIL(k) is a report like any
 *    other and takes effect when the frontier reaches k, when all units below have been placed.
 * 5. No two workers write the same bytes: each writes what was placed for its unit, and places do
 *    not overlap (the job's own duty, in `place`).
 */
#include "mpi/frontier.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

/* A ring of this many costs some MiB: what 32,000 workers with four slots each have, twice. */
#define WINDOW_MAX ((uint64_t)1 << 18)

int frontier_init(struct frontier *f, uint64_t window, struct err *e)
{
    *f = (struct frontier){.window = num_max(1, num_min(window, WINDOW_MAX))};
    f->ring = mem_new(f->window, sizeof *f->ring, e);
    return f->ring ? 0 : -1;
}

void frontier_release(struct frontier *f)
{
    for (uint64_t i = 0; f->ring && i < f->window; i++)
        keep_release(&f->ring[i].bytes);
    free(f->ring);
    *f = (struct frontier){0};
}

static struct frontier_unit *frontier_at(const struct frontier *f, uint64_t ticket)
{
    return &f->ring[ticket % f->window];
}

bool frontier_full(const struct frontier *f)
{
    return f->tail - f->head == f->window;
}

int frontier_give(struct frontier *f, uint64_t unit, void *holder, uint64_t *ticket, struct err *e)
{
    if (unit < f->floor || frontier_full(f))
        return err_set(e, EINVAL, "Unit %" PRIu64 " is out of order", unit);
    struct frontier_unit *u = frontier_at(f, f->tail);
    u->unit = unit;
    u->holder = holder;
    u->reported = u->failed = false;
    f->floor = unit == UINT64_MAX ? unit : unit + 1;
    *ticket = f->tail++;
    return 0;
}

void frontier_report(struct frontier *f, uint64_t ticket, bool failed, const void *bytes,
                     size_t len)
{
    struct frontier_unit *u = frontier_at(f, ticket);
    u->failed = failed;
    if (keep_copy(&u->bytes, bytes, len) < 0)
        u->failed = true; /* no bytes: out of memory */
    u->reported = true;
}

const struct frontier_unit *frontier_lowest(const struct frontier *f)
{
    return f->head == f->tail ? NULL : frontier_at(f, f->head);
}

void frontier_advance(struct frontier *f)
{
    f->head++;
}
