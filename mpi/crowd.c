/*
 * The crowd's rank 0. A unit is in its seat and nowhere else: what the job wants to know of it, it
 * keeps itself.
 */
#include "mpi/crowd_run.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/trace.h"
#include "mpi/run.h"
#include "mpi/turns.h"

/* Seconds between two rounds in which all free seats are offered. */
#define RECALL_AFTER 0.1

struct crowd_worker {
    struct turn turn; /* first: one is the other */
    struct seat *free;
    unsigned held;
};

struct crowd {
    struct run run;
    const struct crowd_job *job;
    struct crowd_worker *worker; /* seat number / depth */
    struct turns turns;
    double recalled; /* when */
    size_t out;      /* seats that are not free */
    struct err why;  /* of the unit that failed */
};

/* -- seats ------------------------------------------------------------------------------------- */

static struct crowd_worker *worker_of(const struct crowd *c, const struct seat *s)
{
    return &c->worker[(size_t)(s - c->run.seats.seat) / c->run.seats.depth];
}

/* As the job sees it, which counts only the worker's other units. */
static struct crowd_seat seat_view(const struct crowd *c, const struct seat *s)
{
    unsigned held = worker_of(c, s)->held;
    return (struct crowd_seat){.id = (uint32_t)(s - c->run.seats.seat),
                               .rank = s->rank,
                               .worker = s->worker,
                               .slot = s->slot,
                               .held = s->state == SEAT_FREE ? held : held - 1};
}

static void seat_add(void *ctx, struct seat *s)
{
    struct crowd *c = ctx;
    struct crowd_worker *w = worker_of(c, s);
    s->state = SEAT_FREE;
    s->next = w->free;
    w->free = s;
    turns_add(&c->turns, &w->turn, w->held);
}

static void seat_take(struct crowd *c, struct seat *s, uint64_t unit)
{
    struct crowd_worker *w = worker_of(c, s);
    s->unit = unit;
    s->state = SEAT_WORKING;
    w->free = s->next;
    w->held++;
    c->out++;
    if (w->free)
        turns_add(&c->turns, &w->turn, w->held);
    else
        turns_remove(&w->turn);
}

/* Its unit is back. */
static void seat_back(struct crowd *c, struct seat *s)
{
    worker_of(c, s)->held--;
    c->out--;
    seat_add(c, s);
}

/* -- what a unit has done ---------------------------------------------------------------------- */

static void unit_reported(struct crowd *c, struct seat *s, const struct blob *need,
                          const struct err *why)
{
    const struct crowd_seat view = seat_view(c, s);
    bool waits = false;
    if (c->job->reported(c->job->ctx, &view, s->unit, need, why, &waits, &c->run.scratch) < 0)
        run_fail(&c->run, 0);
    if (waits && !why && c->run.work->commit && c->job->grant)
        s->state = SEAT_WAITING;
    else
        seat_back(c, s);
}

static void unit_committed(struct crowd *c, struct seat *s, const struct blob *done,
                           const struct err *why)
{
    const struct crowd_seat view = seat_view(c, s);
    if (!why)
        TRACE(unit_committed, s->unit, done->len);
    if (c->job->committed(c->job->ctx, &view, s->unit, done, why, &c->run.scratch) < 0)
        run_fail(&c->run, 0);
    seat_back(c, s);
}

static void seat_answered(void *ctx, struct seat *s, bool failed, const void *bytes, size_t len)
{
    struct crowd *c = ctx;
    const struct blob b = failed ? (struct blob){0} : (struct blob){(void *)bytes, len};
    const struct err *why = failed ? &c->why : NULL;
    if (c->run.failed)
        return; /* it is not told any more */
    if (failed)
        error_unpack(&c->why, bytes, len);
    if (s->state == SEAT_WORKING)
        unit_reported(c, s, &b, why);
    else
        unit_committed(c, s, &b, why);
}

/* -- giving out -------------------------------------------------------------------------------- */

/* false: the unit has failed, for the reason in c->why, or with the wire the run has. */
static bool seat_send(struct crowd *c, struct seat *s, enum message_kind kind, const struct blob *b)
{
    if (run_send(&c->run, s, kind, b, &c->why) == 0)
        return true;
    if (c->run.post->broken) {
        c->run.scratch = c->why;
        run_fail(&c->run, 0);
    }
    return false;
}

static void give_unit(struct crowd *c, struct seat *s, uint64_t unit, const struct blob *brief)
{
    seat_take(c, s, unit);
    TRACE(unit_given, unit, s->rank, s->worker, s->slot);
    if (!seat_send(c, s, MESSAGE_WORK, brief) && !c->run.failed)
        unit_reported(c, s, &(struct blob){0}, &c->why);
}

static void offer(struct crowd *c, struct crowd_worker *w)
{
    struct seat *s = w->free;
    const struct crowd_seat view = seat_view(c, s);
    struct blob brief = {0};
    uint64_t unit = 0;
    switch (c->job->offer(c->job->ctx, &view, &unit, &brief, &c->run.scratch)) {
    case UNIT_THERE:
        give_unit(c, s, unit, &brief);
        break;
    case UNIT_LATER:
        turns_set_aside(&c->turns, &w->turn);
        break;
    case UNIT_ALL_LATER:
        turns_set_all_aside(&c->turns);
        break;
    case UNIT_NONE:
        c->run.closed = true;
        break;
    case UNIT_FAILED:
        run_fail(&c->run, 0);
        break;
    }
}

static void crowd_offer(struct crowd *c)
{
    if (c->run.closed)
        return;
    double now = pulse_now();
    bool news = c->job->news && c->job->news(c->job->ctx);
    if (news || now - c->recalled >= RECALL_AFTER) {
        turns_recall(&c->turns);
        c->recalled = now;
    }
    struct turn *first;
    while (!c->run.closed && (first = turns_first(&c->turns)))
        offer(c, (struct crowd_worker *)first);
}

static void grant(struct crowd *c, struct seat *s, const struct blob *b)
{
    s->state = SEAT_GRANTED;
    TRACE(unit_placed, s->unit, b->len);
    if (!seat_send(c, s, MESSAGE_GRANT, b) && !c->run.failed)
        unit_committed(c, s, &(struct blob){0}, &c->why);
}

static void crowd_grant(struct crowd *c)
{
    const struct seats *all = &c->run.seats;
    for (;;) {
        uint32_t id = 0;
        struct blob b = {0};
        bool drop = false;
        if (c->run.failed || !c->job->grant || !c->job->grant(c->job->ctx, &id, &b, &drop))
            return;
        if (id >= all->n || all->seat[id].state != SEAT_WAITING) {
            err_set(&c->run.scratch, EINVAL, "Seat %u has no unit that waits", id);
            run_fail(&c->run, 0);
        } else if (drop) {
            seat_back(c, &all->seat[id]);
        } else {
            grant(c, &all->seat[id], &b);
        }
    }
}

/* -- the run ----------------------------------------------------------------------------------- */

static void crowd_look(void *ctx)
{
    struct crowd *c = ctx;
    const struct crowd_job *job = c->job;
    if (job->tick && !c->run.failed && job->tick(job->ctx, &c->run.scratch) < 0)
        run_fail(&c->run, 0);
    bool may_halt = job->halting && !c->run.failed && !c->run.halted && !c->run.ending;
    if (may_halt && job->halting(job->ctx))
        run_halt(&c->run);
}

static bool crowd_over(const struct crowd *c)
{
    return c->run.failed || (c->run.closed && c->out == 0);
}

static void crowd_work(struct crowd *c)
{
    for (;;) {
        crowd_grant(c);
        crowd_offer(c);
        if (crowd_over(c))
            return;
        run_receive(&c->run);
    }
}

static int crowd_init(struct crowd *c)
{
    struct seats *s = &c->run.seats;
    c->worker = mem_new(s->n / s->depth, sizeof *c->worker, &c->run.scratch);
    if (!c->worker || turns_init(&c->turns, s->depth, &c->run.scratch) < 0)
        return -1;
    seats_line_up(s, seat_add, c);
    return 0;
}

int crowd_run(struct post *post, const unsigned *threads, const struct crowd_job *job,
              struct err *e)
{
    static const struct run_ops ops = {.answered = seat_answered, .look = crowd_look};
    struct crowd c = {.run = {.ops = &ops, .ctx = &c}, .job = job};
    run_start(&c.run, post, threads, job->work, e);
    if (!c.run.failed && crowd_init(&c) < 0)
        run_fail(&c.run, 0);
    crowd_work(&c);
    int r = run_end(&c.run);
    turns_release(&c.turns);
    free(c.worker);
    return r;
}
