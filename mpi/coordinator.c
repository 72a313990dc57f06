/*
 * A seat is one slot of one worker. It goes FREE → WORKING → WAITING → GRANTED → FREE; without
 * `commit` it is free again when the need has come. Free seats are a queue that begins with the
 * first slot of each rank's first worker, so few units are spread over the ranks.
 *
 * Of several errors that of the lowest unit wins, whatever order they come in: below a failed unit
 * all is placed and committed as if nothing had happened, at it and above nothing is placed any
 * more. An error that belongs to no unit (a worker that cannot start, an interrupt) counts as unit
 * 0's and so takes effect at once. A failure of `next` is a unit above all others.
 */
#include "mpi/coordinator.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "mpi/frontier.h"
#include "mpi/pulse.h"
#include "mpi/threads.h"

enum seat_state { SEAT_FREE, SEAT_WORKING, SEAT_WAITING, SEAT_GRANTED };

struct seat {
    struct seat *next; /* while free */
    uint64_t unit;
    uint64_t ticket;
    uint32_t rank;
    uint32_t worker;
    uint32_t slot;
    enum seat_state state;
};

struct coordinator {
    struct post *post;
    const unsigned *threads;
    const struct unit_job *job;
    unsigned depth;
    bool others;      /* more than one rank has workers */
    struct team team; /* rank 0's own workers */
    struct seat *seat;
    size_t *first_seat; /* of each rank */
    struct seat *free;
    struct seat **free_last;
    bool held; /* held_unit is the next, but no seat that it may have is free */
    uint64_t held_unit;
    struct frontier frontier;
    struct pulse_watch watch;
    size_t granted;   /* seats in this state */
    unsigned keeping; /* ranks whose keepers have not answered */
    unsigned gone;    /* own workers that have ended */
    unsigned ended;   /* other ranks that have ended */
    bool closed;      /* no more units are given out */
    bool ending;      /* the workers have been told to stop */
    bool stopped;     /* place said that it is enough */
    bool failed;
    uint64_t failed_unit;
    struct err *err;    /* the winner so far, the caller's */
    struct err scratch; /* of the callback that runs */
    struct err post_err;
};

/* -- errors ------------------------------------------------------------------------------------ */

/* The error in c->scratch belongs to this unit. */
static void coordinator_fail(struct coordinator *c, uint64_t unit)
{
    c->closed = true;
    if (c->failed && unit >= c->failed_unit)
        return;
    c->failed = true;
    c->failed_unit = unit;
    *c->err = c->scratch;
    TRACE(unit_failed, unit, c->err->text);
}

static void coordinator_fail_packed(struct coordinator *c, uint64_t unit, const void *bytes,
                                    size_t len)
{
    error_unpack(&c->scratch, bytes, len);
    coordinator_fail(c, unit);
}

static void coordinator_tick(struct coordinator *c)
{
    if (c->job->tick && !c->failed && c->job->tick(c->job->ctx, &c->scratch) < 0)
        coordinator_fail(c, 0);
}

/* -- seats ------------------------------------------------------------------------------------- */

static void seat_free(struct coordinator *c, struct seat *s)
{
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

static struct seat *seat_at(const struct coordinator *c, unsigned rank, unsigned worker,
                            unsigned slot)
{
    return &c->seat[c->first_seat[rank] + (size_t)worker * c->depth + slot];
}

/* The seat that a message speaks of; NULL if there is none, or none that is waiting for this. */
static struct seat *seat_find(const struct coordinator *c, unsigned from, const struct wire_head *h)
{
    if (!c->seat || h->worker >= c->threads[from] || h->slot >= c->depth)
        return NULL;
    struct seat *s = seat_at(c, from, h->worker, h->slot);
    bool expected = h->kind == MESSAGE_NEED ? s->state == SEAT_WORKING
                    : h->kind == MESSAGE_DONE
                        ? s->state == SEAT_GRANTED
                        : s->state == SEAT_WORKING || s->state == SEAT_GRANTED;
    return expected && s->unit == h->unit ? s : NULL;
}

static int seat_send(struct coordinator *c, const struct seat *s, enum message_kind kind,
                     const struct blob *b)
{
    struct wire_head h = {.kind = kind,
                          .worker = s->worker,
                          .unit = s->unit,
                          .slot = s->slot,
                          .len = (uint32_t)b->len};
    if (s->rank != c->post->rank)
        return post_send(c->post, s->rank, &h, b->data, &c->scratch);
    return team_post(&c->team, &h, b->data) < 0 ? err_nomem(&c->scratch) : 0;
}

/* All slots 0 before all slots 1, and the ranks in turn. */
static void seats_line_up(struct coordinator *c)
{
    unsigned most = 0;
    for (unsigned r = 0; r < c->post->size; r++)
        most = (unsigned)num_max(most, c->threads[r]);
    for (unsigned slot = 0; slot < c->depth; slot++)
        for (unsigned w = 0; w < most; w++)
            for (unsigned r = 0; r < c->post->size; r++)
                if (w < c->threads[r]) {
                    struct seat *s = seat_at(c, r, w, slot);
                    *s = (struct seat){.rank = r, .worker = w, .slot = slot};
                    seat_free(c, s);
                }
}

static int seats_init(struct coordinator *c)
{
    struct err *e = &c->scratch;
    c->first_seat = mem_new(c->post->size, sizeof *c->first_seat, e);
    if (!c->first_seat)
        return -1;
    size_t n = 0;
    for (unsigned r = 0; r < c->post->size; r++) {
        c->first_seat[r] = n;
        c->others |= n && c->threads[r];
        n += (size_t)c->threads[r] * c->depth;
    }
    uint64_t window = c->job->window ? c->job->window : 4 * (uint64_t)n;
    if (frontier_init(&c->frontier, window, e) < 0)
        return -1;
    c->seat = mem_new(n, sizeof *c->seat, e);
    if (!c->seat)
        return -1;
    seats_line_up(c);
    return 0;
}

/* -- giving out -------------------------------------------------------------------------------- */

/* A failure of `next` stands after all units given out: a serial run would do those first. */
static void give_failure(struct coordinator *c)
{
    uint64_t ticket;
    struct keep error = {0};
    error_pack(&error, &c->scratch);
    c->closed = true;
    if (frontier_give(&c->frontier, UINT64_MAX, NULL, &ticket, &c->scratch) == 0)
        frontier_report(&c->frontier, ticket, true, error.data, error.len);
    else
        coordinator_fail(c, UINT64_MAX);
    keep_release(&error);
}

static void give_unit(struct coordinator *c, struct seat **at, uint64_t unit)
{
    struct seat *s = *at;
    if (frontier_give(&c->frontier, unit, s, &s->ticket, &c->scratch) < 0) {
        give_failure(c);
        return;
    }
    seat_take(c, at);
    s->unit = unit;
    s->state = SEAT_WORKING;
    TRACE(unit_given, unit, s->rank, s->worker, s->slot);
    if (seat_send(c, s, MESSAGE_WORK, &(struct blob){0}) < 0)
        coordinator_fail(c, 0);
}

static enum unit_next next_unit(struct coordinator *c)
{
    return c->held ? UNIT_THERE : c->job->next(c->job->ctx, &c->held_unit, &c->scratch);
}

static void coordinator_give(struct coordinator *c)
{
    struct seat **at;
    while (c->free && !c->closed && !frontier_full(&c->frontier)) {
        switch (next_unit(c)) {
        case UNIT_THERE:
            at = seat_for(c, c->held_unit);
            c->held = !at;
            if (!at)
                return;
            give_unit(c, at, c->held_unit);
            break;
        case UNIT_NONE:
            c->closed = true;
            break;
        case UNIT_LATER:
        case UNIT_ALL_LATER:
            err_set(&c->scratch, EINVAL, "Units in order cannot come later");
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
    bool over = c->stopped || (u && c->failed && u->unit >= c->failed_unit);
    return over ? NULL : u;
}

static void grant(struct coordinator *c, struct seat *s, const struct blob *b)
{
    bool fits = b->len <= MESSAGE_MAX;
    if (!fits)
        err_set(&c->scratch, 0, "A unit's message is too long");
    if (!fits || seat_send(c, s, MESSAGE_GRANT, b) < 0) {
        coordinator_fail(c, s->unit);
        return;
    }
    s->state = SEAT_GRANTED;
    c->granted++;
}

static void place(struct coordinator *c, const struct frontier_unit *u)
{
    const struct blob need = {u->bytes.data, u->bytes.len};
    struct blob granted = {0};
    switch (c->job->place(c->job->ctx, u->unit, &need, &granted, &c->scratch)) {
    case PLACE_FAILED:
        coordinator_fail(c, u->unit);
        break;
    case PLACE_STOP:
        c->closed = c->stopped = true;
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
            coordinator_fail_packed(c, u->unit, u->bytes.data, u->bytes.len);
        else
            place(c, u);
        frontier_advance(&c->frontier);
    }
}

/* -- checkpoints ------------------------------------------------------------------------------- */

static int keeper_send(struct coordinator *c, unsigned rank)
{
    struct wire_head h = {.kind = MESSAGE_PERSIST, .worker = c->threads[rank]};
    if (rank != c->post->rank)
        return post_send(c->post, rank, &h, NULL, &c->scratch);
    return team_post(&c->team, &h, NULL) < 0 ? err_nomem(&c->scratch) : 0;
}

/* A rank syncs what its own workers wrote: on a network file system nobody else can. */
static void checkpoint_begin(struct coordinator *c)
{
    bool can = c->job->persist && !c->keeping && !c->failed && !c->ending && c->seat;
    if (!can || !c->job->due(c->job->ctx))
        return;
    TRACE(checkpoint, c->post->size);
    for (unsigned r = 0; r < c->post->size; r++) {
        if (keeper_send(c, r) < 0) {
            coordinator_fail(c, 0);
            return;
        }
        c->keeping++;
    }
}

static enum post_handled keeper_answered(struct coordinator *c, unsigned from,
                                         const struct wire_head *h, const void *bytes,
                                         struct err *e)
{
    if (!c->keeping || h->worker != c->threads[from])
        return post_unexpected(from, h, e);
    c->keeping--;
    if (h->slot)
        coordinator_fail_packed(c, 0, bytes, h->len);
    else if (!c->keeping && !c->failed && c->job->persisted(c->job->ctx, &c->scratch) < 0)
        coordinator_fail(c, 0);
    return POST_GO_ON;
}

/* What the job wants looked at often. */
static void coordinator_look(struct coordinator *c)
{
    coordinator_tick(c);
    if (c->job->enough && !c->closed && c->job->enough(c->job->ctx))
        c->closed = true;
    checkpoint_begin(c);
}

/* -- what comes in ----------------------------------------------------------------------------- */

static void seat_reported(struct coordinator *c, struct seat *s, bool failed, const void *bytes,
                          size_t len)
{
    frontier_report(&c->frontier, s->ticket, failed, bytes, len);
    if (failed)
        c->closed = true; /* what comes after it will not count */
    if (failed || !c->job->commit)
        seat_free(c, s);
    else
        s->state = SEAT_WAITING;
}

static void seat_committed(struct coordinator *c, struct seat *s, bool failed, const void *bytes,
                           size_t len)
{
    bool counts = !c->failed || s->unit < c->failed_unit;
    c->granted--;
    seat_free(c, s);
    if (!failed)
        TRACE(unit_committed, s->unit, len);
    if (failed)
        coordinator_fail_packed(c, s->unit, bytes, len);
    else if (counts && c->job->collect &&
             c->job->collect(c->job->ctx, s->unit, &(struct blob){(void *)bytes, len},
                             &c->scratch) < 0)
        coordinator_fail(c, s->unit);
}

static enum post_handled seat_answered(struct coordinator *c, unsigned from,
                                       const struct wire_head *h, const void *bytes, struct err *e)
{
    if (c->ending)
        return POST_GO_ON; /* too late to count; and the worker may have freed the bytes */
    struct seat *s = seat_find(c, from, h);
    if (!s)
        return post_unexpected(from, h, e);
    if (s->state == SEAT_WORKING)
        seat_reported(c, s, h->kind == MESSAGE_FAIL, bytes, h->len);
    else
        seat_committed(c, s, h->kind == MESSAGE_FAIL, bytes, h->len);
    return POST_GO_ON;
}

static enum post_handled coordinator_handle(void *ctx, unsigned from, const struct wire_head *h,
                                            const void *bytes, struct err *e)
{
    struct coordinator *c = ctx;
    enum post_handled r = POST_GO_ON;
    pulse_heard(&c->watch, from);
    switch (h->kind) {
    case MESSAGE_NEED:
    case MESSAGE_FAIL:
    case MESSAGE_DONE:
        r = seat_answered(c, from, h, bytes, e);
        break;
    case MESSAGE_PERSISTED:
        r = keeper_answered(c, from, h, bytes, e);
        break;
    case MESSAGE_BROKEN:
        coordinator_fail_packed(c, 0, bytes, h->len);
        break;
    case MESSAGE_ALIVE:
        break;
    case MESSAGE_GONE:
        c->gone++;
        break;
    case MESSAGE_ENDED:
        c->ended++;
        pulse_over(&c->watch, from);
        if (h->slot) /* in settle, the last step: the lowest rank wins */
            coordinator_fail_packed(c, from, bytes, h->len);
        break;
    default:
        r = post_unexpected(from, h, e);
    }
    coordinator_look(c);
    return r;
}

/* A run that went well ends with ranks that settle, in silence. */
static void coordinator_watch(struct coordinator *c)
{
    bool watched = c->post->size > 1 && !c->post->broken && (!c->ending || c->failed);
    unsigned missing = watched ? pulse_missing(&c->watch, pulse_now()) : 0;
    if (!missing)
        return;
    post_lose(c->post, missing, c->watch.limit, &c->scratch);
    c->failed = false; /* without this rank no other error could be told */
    coordinator_fail(c, 0);
}

static void coordinator_receive(struct coordinator *c)
{
    if (post_receive(c->post, coordinator_handle, c, &c->post_err) < 0) {
        c->scratch = c->post_err;
        coordinator_fail(c, 0);
    }
    coordinator_watch(c);
    coordinator_look(c);
}

/* -- the run ----------------------------------------------------------------------------------- */

static bool coordinator_over(const struct coordinator *c)
{
    return c->post->broken || (c->closed && c->granted == 0 && !coordinator_lowest(c));
}

static void coordinator_work(struct coordinator *c)
{
    for (;;) {
        coordinator_advance(c);
        coordinator_give(c);
        if (coordinator_over(c))
            return;
        coordinator_receive(c);
    }
}

/* Tell all other ranks; if that fails they cannot be helped. */
static void coordinator_tell(struct coordinator *c, enum message_kind kind)
{
    struct wire_head h = {.kind = kind, .slot = c->failed};
    if (post_send_all(c->post, &h, NULL, &c->scratch) < 0)
        coordinator_fail(c, 0);
}

/* All workers end, all ranks settle, all learn how it went. */
static void coordinator_end(struct coordinator *c)
{
    c->ending = true;
    coordinator_tell(c, MESSAGE_STOP);
    team_stop(&c->team);
    while (c->gone < c->team.started)
        coordinator_receive(c);
    team_join(&c->team);
    if (!c->failed && c->job->settle && c->job->settle(c->job->ctx, &c->scratch) < 0)
        coordinator_fail(c, 0);
    while (c->ended < c->post->size - 1 && !c->post->broken)
        coordinator_receive(c);
    coordinator_tell(c, MESSAGE_VERDICT);
}

int coordinator_run(struct post *post, const unsigned *threads, const struct unit_job *job,
                    struct err *e)
{
    struct coordinator c = {.post = post,
                            .threads = threads,
                            .job = job,
                            .depth = job->depth ? job->depth : 1,
                            .err = e};
    c.free_last = &c.free;
    if (pulse_watch_init(&c.watch, post->size, &c.scratch) < 0 ||
        team_start(&c.team, job, threads[0], &post->inbox, &c.scratch) < 0 || seats_init(&c) < 0)
        coordinator_fail(&c, 0);
    coordinator_work(&c);
    coordinator_end(&c);
    frontier_release(&c.frontier);
    pulse_watch_release(&c.watch);
    free(c.seat);
    free(c.first_seat);
    return c.failed ? -1 : 0;
}
