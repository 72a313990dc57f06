/*
 * A seat is free again when its unit is committed; without `commit`, when the need has come. Free
 * seats are a queue.
 *
 * Of several errors that of the lowest unit wins, whatever order they come in: below a failed unit
 * all is placed and committed as if nothing had happened, at it and above nothing is placed any
 * more. An error that belongs to no unit (a worker that cannot start, an interrupt) counts as unit
 * 0's and so takes effect at once. A failure of `next` is a unit above all others.
 */
#include "mpi/coordinator.h"

#include <errno.h>
#include <limits.h>

#include "base/trace.h"
#include "mpi/frontier.h"
#include "mpi/run.h"

struct coordinator {
    struct run run;
    const struct unit_job *job;
    bool others; /* more than one rank has workers */
    struct seat *free;
    struct seat **free_last;
    bool held; /* held_unit is the next, but no seat that it may have is free */
    uint64_t held_unit;
    struct frontier frontier;
    size_t granted;   /* seats in this state */
    unsigned keeping; /* ranks whose keepers have not answered */
    bool stopped;     /* place said that it is enough */
};

static void coordinator_tick(struct coordinator *c)
{
    if (c->job->tick && !c->run.failed && c->job->tick(c->job->ctx, &c->run.scratch) < 0)
        run_fail(&c->run, 0);
}

/* -- seats ------------------------------------------------------------------------------------- */

static void seat_free(void *ctx, struct seat *s)
{
    struct coordinator *c = ctx;
    s->state = SEAT_FREE;
    s->next = NULL;
    *c->free_last = s;
    c->free_last = &s->next;
}

/* Take the seat that `at` points to out of the queue. */
static void seat_take(struct coordinator *c, struct seat **at)
{
    struct seat *s = *at;
    *at = s->next;
    if (!s->next)
        c->free_last = at;
}

/* The first free seat that this unit may have; NULL if there is none now. */
static struct seat **seat_for(struct coordinator *c, uint64_t unit)
{
    bool choosy = c->job->avoid && c->others;
    unsigned avoid = choosy ? c->job->avoid(c->job->ctx, unit) : UINT_MAX;
    for (struct seat **at = &c->free; *at; at = &(*at)->next)
        if ((*at)->rank != avoid)
            return at;
    return NULL;
}

/* -- giving out -------------------------------------------------------------------------------- */

/* A failure of `next` stands after all units given out: a serial run would do those first. */
static void give_failure(struct coordinator *c)
{
    uint64_t ticket;
    struct keep error = {0};
    error_pack(&error, &c->run.scratch);
    c->run.closed = true;
    if (frontier_give(&c->frontier, UINT64_MAX, NULL, &ticket, &c->run.scratch) == 0)
        frontier_report(&c->frontier, ticket, true, error.data, error.len);
    else
        run_fail(&c->run, UINT64_MAX);
    keep_release(&error);
}

static void give_unit(struct coordinator *c, struct seat **at, uint64_t unit)
{
    struct seat *s = *at;
    if (frontier_give(&c->frontier, unit, s, &s->ticket, &c->run.scratch) < 0) {
        give_failure(c);
        return;
    }
    seat_take(c, at);
    s->unit = unit;
    s->state = SEAT_WORKING;
    TRACE(unit_given, unit, s->rank, s->worker, s->slot);
    if (run_send(&c->run, s, MESSAGE_WORK, &(struct blob){0}, &c->run.scratch) < 0)
        run_fail(&c->run, 0);
}

static enum unit_next next_unit(struct coordinator *c)
{
    return c->held ? UNIT_THERE : c->job->next(c->job->ctx, &c->held_unit, &c->run.scratch);
}

static void coordinator_give(struct coordinator *c)
{
    struct seat **at;
    while (c->free && !c->run.closed && !frontier_full(&c->frontier)) {
        switch (next_unit(c)) {
        case UNIT_THERE:
            at = seat_for(c, c->held_unit);
            c->held = !at;
            if (!at)
                return;
            give_unit(c, at, c->held_unit);
            break;
        case UNIT_NONE:
            c->run.closed = true;
            break;
        case UNIT_LATER:
        case UNIT_ALL_LATER:
            err_set(&c->run.scratch, EINVAL, "Units in order cannot come later");
            give_failure(c);
            break;
        case UNIT_FAILED:
            give_failure(c);
            break;
        }
    }
}

/* -- the frontier ------------------------------------------------------------------------------ */

/* The lowest unit out, if it is one that still counts. */
static const struct frontier_unit *coordinator_lowest(const struct coordinator *c)
{
    const struct frontier_unit *u = frontier_lowest(&c->frontier);
    bool over = c->stopped || (u && c->run.failed && u->unit >= c->run.failed_at);
    return over ? NULL : u;
}

static void grant(struct coordinator *c, struct seat *s, const struct blob *b)
{
    if (run_send(&c->run, s, MESSAGE_GRANT, b, &c->run.scratch) < 0) {
        run_fail(&c->run, s->unit);
        return;
    }
    s->state = SEAT_GRANTED;
    c->granted++;
}

static void place(struct coordinator *c, const struct frontier_unit *u)
{
    const struct blob need = {u->bytes.data, u->bytes.len};
    struct blob granted = {0};
    switch (c->job->place(c->job->ctx, u->unit, &need, &granted, &c->run.scratch)) {
    case PLACE_FAILED:
        run_fail(&c->run, u->unit);
        break;
    case PLACE_STOP:
        c->run.closed = c->stopped = true;
        break;
    case PLACE_GO_ON:
        TRACE(unit_placed, u->unit, u->bytes.len);
        if (c->job->commit)
            grant(c, u->holder, &granted);
        break;
    }
}

/* Everything at the frontier that has reported takes effect. */
static void coordinator_advance(struct coordinator *c)
{
    const struct frontier_unit *u;
    while ((u = coordinator_lowest(c)) && u->reported) {
        if (u->failed)
            run_fail_packed(&c->run, u->unit, u->bytes.data, u->bytes.len);
        else
            place(c, u);
        frontier_advance(&c->frontier);
    }
}

/* -- checkpoints ------------------------------------------------------------------------------- */

/* A rank syncs what its own workers wrote: on a network file system nobody else can. */
static void checkpoint_begin(struct coordinator *c)
{
    bool can = c->job->persist && !c->keeping && !c->run.failed && !c->run.ending;
    if (!can || !c->job->due(c->job->ctx))
        return;
    TRACE(checkpoint, c->run.seats.ranks);
    for (unsigned r = 0; r < c->run.seats.ranks; r++) {
        struct wire_head h = {.kind = MESSAGE_PERSIST, .worker = c->run.seats.threads[r]};
        if (run_send_head(&c->run, r, &h, &c->run.scratch) < 0) {
            run_fail(&c->run, 0);
            return;
        }
        c->keeping++;
    }
}

static enum post_handled keeper_answered(void *ctx, unsigned from, const struct wire_head *h,
                                         const void *bytes, struct err *e)
{
    struct coordinator *c = ctx;
    if (h->kind != MESSAGE_PERSISTED || !c->keeping || h->worker != c->run.seats.threads[from])
        return post_unexpected(from, h, e);
    c->keeping--;
    if (h->slot)
        run_fail_packed(&c->run, 0, bytes, h->len);
    else if (!c->keeping && !c->run.failed && c->job->persisted(c->job->ctx, &c->run.scratch) < 0)
        run_fail(&c->run, 0);
    return POST_GO_ON;
}

/* What the job wants looked at often. */
static void coordinator_look(void *ctx)
{
    struct coordinator *c = ctx;
    coordinator_tick(c);
    if (c->job->enough && !c->run.closed && c->job->enough(c->job->ctx))
        c->run.closed = true;
    checkpoint_begin(c);
}

/* -- what comes in ----------------------------------------------------------------------------- */

static void seat_reported(struct coordinator *c, struct seat *s, bool failed, const void *bytes,
                          size_t len)
{
    frontier_report(&c->frontier, s->ticket, failed, bytes, len);
    if (failed)
        c->run.closed = true; /* what comes after it will not count */
    if (failed || !c->job->commit)
        seat_free(c, s);
    else
        s->state = SEAT_WAITING;
}

static void seat_committed(struct coordinator *c, struct seat *s, bool failed, const void *bytes,
                           size_t len)
{
    bool counts = !c->run.failed || s->unit < c->run.failed_at;
    c->granted--;
    seat_free(c, s);
    if (!failed)
        TRACE(unit_committed, s->unit, len);
    if (failed)
        run_fail_packed(&c->run, s->unit, bytes, len);
    else if (counts && c->job->collect &&
             c->job->collect(c->job->ctx, s->unit, &(struct blob){(void *)bytes, len},
                             &c->run.scratch) < 0)
        run_fail(&c->run, s->unit);
}

static void seat_answered(void *ctx, struct seat *s, bool failed, const void *bytes, size_t len)
{
    if (s->state == SEAT_WORKING)
        seat_reported(ctx, s, failed, bytes, len);
    else
        seat_committed(ctx, s, failed, bytes, len);
}

/* -- the run ----------------------------------------------------------------------------------- */

static bool coordinator_over(const struct coordinator *c)
{
    return c->run.post->broken || (c->run.closed && c->granted == 0 && !coordinator_lowest(c));
}

static void coordinator_work(struct coordinator *c)
{
    for (;;) {
        coordinator_advance(c);
        coordinator_give(c);
        if (coordinator_over(c))
            return;
        run_receive(&c->run);
    }
}

static int coordinator_init(struct coordinator *c)
{
    const struct seats *s = &c->run.seats;
    uint64_t window = c->job->window ? c->job->window : 4 * (uint64_t)s->n;
    unsigned busy = 0;
    for (unsigned r = 0; r < s->ranks; r++)
        busy += s->threads[r] != 0;
    c->others = busy > 1;
    seats_line_up(&c->run.seats, seat_free, c);
    return frontier_init(&c->frontier, window, &c->run.scratch);
}

int coordinator_run(struct post *post, const unsigned *threads, const struct unit_job *job,
                    struct err *e)
{
    static const struct run_ops ops = {
        .answered = seat_answered, .other = keeper_answered, .look = coordinator_look};
    struct coordinator c = {.run = {.ops = &ops, .ctx = &c}, .job = job};
    c.free_last = &c.free;
    run_start(&c.run, post, threads, job, e);
    if (!c.run.failed && coordinator_init(&c) < 0)
        run_fail(&c.run, 0);
    coordinator_work(&c);
    int r = run_end(&c.run);
    frontier_release(&c.frontier);
    return r;
}
