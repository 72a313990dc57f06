/*
 * Rank 0 answers one question again and again: a seat is free, what is it to do? In this order:
 *
 *   1. what belongs to its rank (pins.h), if its worker holds nothing
 *   2. a chunk of the lane that its worker is at, or another's, or a whole image (schedule.h)
 *
 * A worker does a whole image, or a unit of pins.h, alone: it holds nothing else meanwhile. It
 * holds chunks of one lane at a time.
 */
#include "fleet/run.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "fleet/lane.h"
#include "fleet/news.h"
#include "fleet/result.h"
#include "fleet/schedule.h"
#include "fleet/tally.h"
#include "mpi/crowd.h"

/* What a seat's unit is. */
struct given {
    enum task_kind kind;
    size_t item; /* WHOLE */
    struct lane *lane;
    uint64_t chunk, ticket;
    unsigned slot;
};

struct worker {
    struct lane *lane; /* that it is at */
    unsigned slots;    /* of it: a bit for each that is out */
    unsigned held;     /* units */
    bool alone;        /* what it does is not a chunk */
};

struct run {
    const struct fleet_options *o;
    struct fleet_rank *rank;
    unsigned workers;
    struct schedule *schedule;
    struct news news;
    struct pins pins;
    struct lane lane[FLEET_LANES];
    uint64_t attempts; /* at large images: keys */
    uint64_t units;
    struct worker *worker;
    struct given *given; /* by seat */
    struct task_bytes brief;
    bool changed; /* there may be work for workers that were sent away */
    bool stopping;
};

/* ---- how it ends for an image ---------------------------------------------------------------- */

static enum schedule_end end_of(const json_t *result)
{
    const char *status = json_string_value(json_object_get(result, "status"));
    if (status && strcmp(status, "done") == 0)
        return SCHEDULE_DONE;
    return status && strcmp(status, "stopped") == 0 ? SCHEDULE_STOPPED : SCHEDULE_FAILED;
}

/* What stands on an image that has failed. */
static int tell_lost(struct run *r, const char *why, struct err *e)
{
    size_t item, because;
    while (schedule_next_lost(r->schedule, &item, &because)) {
        json_t *record = r->o->record(r->o->records, item, e);
        AUTO_FREE char *text =
            mem_printf(e, "The image that it is to stand on was not made: %s", why);
        const struct result lost = {
            .status = RESULT_FAILED, .error = text, .start = clock_wall(), .end = clock_wall()};
        json_t *result = record && text ? result_new(record, &lost) : NULL;
        int status = result ? news_ended(&r->news, item, SCHEDULE_FAILED, 0, result, e) : -1;
        json_decref(record);
        json_decref(result);
        if (status < 0)
            return -1;
    }
    return 0;
}

/* Takes the result. An image that is tried again is not told of. */
static int ended(struct run *r, size_t item, json_t *result, struct err *e)
{
    AUTO(json_decrefp) json_t *json = result;
    if (!json)
        return err_nomem(e);
    enum schedule_end how = end_of(json);
    const char *why = json_string_value(json_object_get(json, "error"));
    r->changed = true;
    json_object_set_new(json, "attempts",
                        json_integer((json_int_t)schedule_attempts(r->schedule, item)));
    if (!schedule_ended(r->schedule, item, how)) {
        news_again(&r->news, item, why ? why : "");
        return 0;
    }
    uint64_t bytes = (uint64_t)json_integer_value(json_object_get(json, "bytes"));
    if (news_ended(&r->news, item, how, bytes, json, e) < 0)
        return -1;
    return tell_lost(r, why ? why : "", e);
}

/* It could not even be begun. */
static int ended_early(struct run *r, size_t item, const json_t *record, const struct err *why,
                       struct err *e)
{
    const struct result result = {
        .status = RESULT_FAILED, .error = why->text, .start = clock_wall(), .end = clock_wall()};
    json_t *nothing = record ? NULL : json_object();
    json_t *json = record || nothing ? result_new(record ? record : nothing, &result) : NULL;
    json_decref(nothing);
    return ended(r, item, json, e);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

/* NULL: it could not be had, which is the image's failure, or (the error is set) the run's. */
static json_t *record_of(struct run *r, size_t item, struct err *e)
{
    json_t *record = r->o->record(r->o->records, item, e);
    AUTO_FREE struct err *why = record ? NULL : mem_new(1, sizeof *why, e);
    if (!why)
        return record;
    *why = *e;
    err_clear(e);
    ended_early(r, item, NULL, why, e);
    return NULL;
}

static int open_lane(struct run *r, struct lane *l, struct err *e)
{
    size_t item;
    if (!schedule_take_spread(r->schedule, &item))
        return 0;
    json_t *record = record_of(r, item, e);
    if (!record)
        return e->set ? -1 : 0;
    news_started(&r->news, item, schedule_attempts(r->schedule, item), true);
    r->changed = true;
    return lane_begin(l, item, ++r->attempts, record, e);
}

static int close_lane(struct run *r, struct lane *l, struct err *e)
{
    json_t *result = lane_result(l);
    size_t item = l->item;
    for (unsigned w = 0; w < r->workers; w++)
        if (r->worker[w].lane == l) {
            r->worker[w].lane = NULL;
            schedule_lane_worker(r->schedule, -1);
        }
    lane_clear(l);
    return ended(r, item, result, e);
}

static int look_at(struct run *r, struct lane *l, struct err *e)
{
    r->changed |= lane_look(l);
    if (l->state == LANE_ENDED && close_lane(r, l, e) < 0)
        return -1;
    if (l->state == LANE_FREE)
        return open_lane(r, l, e);
    news_moved(&r->news, l->item, lane_done(l), l->bytes);
    schedule_remains(r->schedule, l->item,
                     (uint64_t)((1 - lane_done(l)) * (double)r->o->items[l->item].bytes));
    return 0;
}

static int look_at_lanes(struct run *r, struct err *e)
{
    for (unsigned i = 0; i < FLEET_LANES; i++)
        if (look_at(r, &r->lane[i], e) < 0)
            return -1;
    return 0;
}

/* The one that the worker is at, else the oldest that has a chunk for it: so they end one by one,
 * and what is done by one worker at the end of each is done beside the chunks of others. */
static struct lane *lane_for(struct run *r, const struct worker *w, unsigned rank)
{
    struct lane *found = NULL;
    if (w->lane && lane_has_chunk(w->lane, rank, true))
        return w->lane;
    for (unsigned i = 0; i < FLEET_LANES; i++) {
        struct lane *l = &r->lane[i];
        if (l->state == LANE_RUNNING && lane_has_chunk(l, rank, false) &&
            (!found || l->begun < found->begun))
            found = l;
    }
    return found;
}

static void move_worker(struct run *r, struct worker *w, unsigned rank, struct lane *to)
{
    if (w->lane == to)
        return;
    if (w->lane)
        lane_workers(w->lane, rank, -1);
    if (to)
        lane_workers(to, rank, 1);
    schedule_lane_worker(r->schedule, !!to - !!w->lane);
    w->lane = to;
}

/* ---- giving ---------------------------------------------------------------------------------- */

static struct worker *worker_at(struct run *r, uint32_t seat)
{
    return &r->worker[seat / r->rank->depth];
}

static struct worker *worker_of(struct run *r, const struct crowd_seat *s)
{
    return worker_at(r, s->id);
}

static enum unit_next give(struct run *r, const struct crowd_seat *s, const struct task *t,
                           uint64_t *unit, struct blob *brief, struct err *e)
{
    if (task_pack(&r->brief, t, e) < 0)
        return UNIT_FAILED;
    *unit = r->units++;
    *brief = (struct blob){r->brief.data, r->brief.len};
    tally_give(&r->news.tally, worker_of(r, s)->held++, clock_now());
    return UNIT_THERE;
}

static enum unit_next give_pin(struct run *r, const struct crowd_seat *s, uint64_t *unit,
                               struct blob *brief, struct err *e)
{
    const struct pin *pin = pins_take(&r->pins, s->rank);
    struct task t = {0};
    move_worker(r, worker_of(r, s), s->rank, NULL);
    worker_of(r, s)->alone = true;
    r->given[s->id] = (struct given){.kind = pin->kind, .lane = pin->lane};
    lane_pin_task(pin->lane, pin, &t);
    return give(r, s, &t, unit, brief, e);
}

static enum unit_next give_chunk(struct run *r, const struct crowd_seat *s, struct lane *l,
                                 uint64_t *unit, struct blob *brief, struct err *e)
{
    struct worker *w = worker_of(r, s);
    struct given *g = &r->given[s->id];
    struct task t = {0};
    move_worker(r, w, s->rank, l);
    *g = (struct given){.kind = TASK_CHUNK, .lane = l, .slot = (unsigned)__builtin_ctz(~w->slots)};
    if (lane_give(l, s, &t, &g->ticket, e) < 0)
        return UNIT_FAILED;
    r->changed |= l->o->job.avoid != NULL; /* the next one may be for those that this one was not */
    g->chunk = t.chunk;
    t.slot = g->slot;
    w->slots |= 1u << g->slot;
    return give(r, s, &t, unit, brief, e);
}

/* Of the fleet's rate, the part of one of those that will be at work. */
static uint64_t rate_of_whole(const struct run *r)
{
    uint64_t sharers = r->workers;
    if (!schedule_has_lanes_left(r->schedule)) { /* a lane may have any number of workers */
        sharers = num_min(sharers, num_max(r->news.progress.left, 1));
        if (r->o->max_in_flight)
            sharers = num_min(sharers, r->o->max_in_flight);
    }
    return r->o->rate_limit / sharers + (r->o->rate_limit && r->o->rate_limit < sharers);
}

static enum unit_next give_whole(struct run *r, const struct crowd_seat *s, uint64_t *unit,
                                 struct blob *brief, struct err *e)
{
    struct task t = {.kind = TASK_WHOLE};
    size_t item;
    if (!schedule_take_whole(r->schedule, &item))
        return UNIT_LATER;
    AUTO(json_decrefp) json_t *record = record_of(r, item, e);
    if (!record)
        return e->set ? UNIT_FAILED : UNIT_LATER;
    AUTO_FREE char *text = json_dumps(record, JSON_COMPACT);
    if (!text) {
        err_nomem(e);
        return UNIT_FAILED;
    }
    news_started(&r->news, item, schedule_attempts(r->schedule, item), false);
    worker_of(r, s)->alone = true;
    r->given[s->id] = (struct given){.kind = TASK_WHOLE, .item = item};
    t.rate = rate_of_whole(r);
    t.record = text;
    t.n_record = (uint32_t)strlen(text);
    return give(r, s, &t, unit, brief, e);
}

/* A worker that holds chunks gets more of the same, or none until it holds none. */
static enum unit_next offer_more(struct run *r, const struct crowd_seat *s, uint64_t *unit,
                                 struct blob *brief, struct err *e)
{
    struct worker *w = worker_of(r, s);
    struct lane *l = w->lane;
    if (w->alone || !l || pins_drain(&r->pins, s->rank, s->worker) || s->held >= lane_depth(l) ||
        !lane_has_chunk(l, s->rank, true) || schedule_work(r->schedule, true, true) != WORK_CHUNK)
        return UNIT_LATER;
    return give_chunk(r, s, l, unit, brief, e);
}

static bool is_over(const struct run *r)
{
    for (unsigned i = 0; i < FLEET_LANES; i++)
        if (r->lane[i].state != LANE_FREE)
            return false;
    return schedule_over(r->schedule);
}

static enum unit_next offer(void *ctx, const struct crowd_seat *s, uint64_t *unit,
                            struct blob *brief, struct err *e)
{
    struct run *r = ctx;
    struct worker *w = worker_of(r, s);
    if (s->held)
        return offer_more(r, s, unit, brief, e);
    w->alone = false;
    if (pins_wait(&r->pins, s->rank))
        return give_pin(r, s, unit, brief, e);
    struct lane *l = lane_for(r, w, s->rank);
    switch (schedule_work(r->schedule, w->lane, l)) {
    case WORK_CHUNK:
        return give_chunk(r, s, l, unit, brief, e);
    case WORK_WHOLE:
        move_worker(r, w, s->rank, NULL);
        return give_whole(r, s, unit, brief, e);
    case WORK_NONE:
        break;
    }
    move_worker(r, w, s->rank, NULL);
    return is_over(r) ? UNIT_NONE : UNIT_LATER;
}

static void stop(struct run *r)
{
    if (r->stopping)
        return;
    r->stopping = r->changed = true;
    schedule_close(r->schedule);
    for (unsigned i = 0; i < FLEET_LANES; i++)
        lane_stop(&r->lane[i]);
}

/* ---- coming back ----------------------------------------------------------------------------- */

static int whole_back(struct run *r, const struct crowd_seat *s, const struct given *g,
                      const struct blob *need, const struct err *why, struct err *e)
{
    if (why) {
        AUTO(json_decrefp) json_t *record = r->o->record(r->o->records, g->item, e);
        return record ? ended_early(r, g->item, record, why, e) : -1;
    }
    json_t *result = json_loadb(need->data, need->len, 0, NULL);
    if (end_of(result) == SCHEDULE_STOPPED) /* its rank has got a signal */
        stop(r);
    json_object_set_new(result, "spread", json_false());
    json_object_set_new(result, "rank", json_integer(s->rank));
    json_object_set_new(result, "worker", json_integer(s->worker));
    return ended(r, g->item, result, e);
}

static void back(struct run *r, uint32_t seat)
{
    const struct given *g = &r->given[seat];
    struct worker *w = worker_at(r, seat);
    tally_back(&r->news.tally, --w->held, clock_now());
    if (g->kind == TASK_CHUNK)
        w->slots &= ~(1u << g->slot);
}

static int reported(void *ctx, const struct crowd_seat *s, uint64_t unit, const struct blob *need,
                    const struct err *why, bool *waits, struct err *e)
{
    struct run *r = ctx;
    const struct given *g = &r->given[s->id];
    (void)unit;
    *waits = false;
    if (why && why->no == EINTR) /* a signal has come to that rank */
        stop(r);
    if (g->kind == TASK_CHUNK)
        lane_reported(g->lane, s, g->chunk, g->ticket, need, why, waits);
    if (!*waits)
        back(r, s->id);
    if (g->kind == TASK_WHOLE)
        return whole_back(r, s, g, need, why, e);
    if (g->kind != TASK_CHUNK) {
        lane_pin_back(g->lane, g->kind, why);
        r->changed = true;
    }
    return look_at(r, g->lane, e);
}

static bool grant(void *ctx, uint32_t *seat, struct blob *grant, bool *drop)
{
    struct run *r = ctx;
    for (unsigned i = 0; i < FLEET_LANES; i++) {
        bool full = r->lane[i].has_frontier && frontier_full(&r->lane[i].frontier);
        if (!lane_grant(&r->lane[i], seat, grant, drop))
            continue;
        r->changed |= full;
        if (*drop)
            back(r, *seat);
        return true;
    }
    return false;
}

static int committed(void *ctx, const struct crowd_seat *s, uint64_t unit, const struct blob *done,
                     const struct err *why, struct err *e)
{
    struct run *r = ctx;
    const struct given *g = &r->given[s->id];
    (void)unit;
    back(r, s->id);
    lane_committed(g->lane, g->chunk, done, why);
    return look_at(r, g->lane, e);
}

/* ---- now and then ---------------------------------------------------------------------------- */

static bool news(void *ctx)
{
    struct run *r = ctx;
    bool changed = r->changed;
    r->changed = false;
    return changed;
}

static int tick(void *ctx, struct err *e)
{
    struct run *r = ctx;
    if (signals_stop() || deadline_is_near(&r->rank->deadline, 0))
        stop(r);
    if (look_at_lanes(r, e) < 0)
        return -1;
    return news_tick(&r->news, e);
}

static bool halting(void *ctx)
{
    return ((const struct run *)ctx)->stopping;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int make_schedule(struct run *r, struct err *e)
{
    const struct fleet_options *o = r->o;
    uint64_t below = o->whole_below ? o->whole_below : FLEET_WHOLE_BELOW;
    AUTO_FREE struct schedule_image *images = mem_new(o->n, sizeof *images, e);
    if (!images)
        return -1;
    for (size_t i = 0; i < o->n; i++)
        images[i] = (struct schedule_image){.bytes = o->items[i].bytes,
                                            .after = o->items[i].after,
                                            .spread = o->items[i].bytes >= below,
                                            .done = o->items[i].skip};
    const struct schedule_rules rules = {.workers = r->workers,
                                         .lanes = FLEET_LANES,
                                         .max_in_flight = o->max_in_flight,
                                         .retries = o->retries,
                                         .fail_fast = o->fail_fast};
    return schedule_new(images, o->n, &rules, &r->schedule, e);
}

static int run_init(struct run *r, struct err *e)
{
    r->worker = mem_new(r->workers, sizeof *r->worker, e);
    r->given = mem_new((size_t)r->workers * r->rank->depth, sizeof *r->given, e);
    if (!r->worker || !r->given || pins_init(&r->pins, r->rank->ranks, e) < 0 ||
        make_schedule(r, e) < 0)
        return -1;
    for (unsigned i = 0; i < FLEET_LANES; i++) {
        struct lane *l = &r->lane[i];
        if (lane_init(l, r->rank, &r->pins, r->workers, e) < 0)
            return -1;
        l->rate = r->o->rate_limit ? num_max(r->o->rate_limit / r->workers, 1) : 0;
    }
    return 0;
}

static void run_release(struct run *r)
{
    for (unsigned i = 0; i < FLEET_LANES; i++)
        lane_release(&r->lane[i]);
    schedule_free(r->schedule);
    pins_release(&r->pins);
    news_release(&r->news);
    task_bytes_release(&r->brief);
    free(r->worker);
    free(r->given);
}

static int run_crowd(struct engine *g, struct run *r, const struct unit_job *work, struct err *e)
{
    const struct crowd_job job = {
        .work = work,
        .ctx = r,
        .offer = offer,
        .reported = reported,
        .grant = grant,
        .committed = committed,
        .news = news,
        .tick = tick,
        .halting = halting,
    };
    return engine_crowd(g, &job, e);
}

static int run_all(struct engine *g, struct fleet_rank *rank, const struct fleet_options *o,
                   const struct fleet_watch *w, struct fleet_summary *out, struct err *e)
{
    struct unit_job work;
    fleet_rank_job(rank, &work);
    if (rank->rank)
        return engine_agree(g, 0, e) < 0 ? -1 : run_crowd(g, NULL, &work, e);
    AUTO_FREE struct run *r = mem_new(1, sizeof *r, e);
    int status = r ? 0 : -1;
    if (r) {
        r->o = o;
        r->rank = rank;
        r->workers = engine_used(g, &work);
        status = run_init(r, e);
    }
    if (status == 0)
        status = news_begin(&r->news, o, w, r->workers, e);
    status = engine_agree(g, status, e);
    if (status == 0)
        status = run_crowd(g, r, &work, e);
    if (status == 0)
        news_sum(&r->news, r->stopping, out);
    if (r)
        run_release(r);
    return status;
}

int fleet_run(struct engine *g, const struct fleet_options *o, const struct fleet_watch *w,
              struct fleet_summary *out, struct err *e)
{
    struct fleet_rank rank;
    *out = (struct fleet_summary){0};
    if (engine_agree(g, fleet_rank_init(&rank, g, &o->common, o->time_limit, e), e) < 0)
        return -1;
    int status = run_all(g, &rank, o, w, out, e);
    fleet_rank_release(&rank);
    return status;
}
