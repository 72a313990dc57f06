#include "fleet/lane.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "fleet/result.h"

/* ---- a life ---------------------------------------------------------------------------------- */

int lane_init(struct lane *l, struct fleet_rank *r, struct pins *pins, unsigned workers,
              struct err *e)
{
    *l = (struct lane){.r = r, .pins = pins, .workers = workers};
    l->waits = mem_new((size_t)workers * r->depth, sizeof *l->waits, e);
    l->rank = mem_new(r->ranks, sizeof *l->rank, e);
    l->pin = mem_new(r->ranks + 1, sizeof *l->pin, e);
    l->err = mem_new(1, sizeof *l->err, e);
    l->scratch = mem_new(1, sizeof *l->scratch, e);
    return l->waits && l->rank && l->pin && l->err && l->scratch ? 0 : -1;
}

/* Without its image, which opened_release closes. */
static void drop_frontier(struct lane *l)
{
    if (l->has_frontier)
        frontier_release(&l->frontier);
    l->has_frontier = false;
}

static void forget(struct lane *l)
{
    drop_frontier(l);
    json_decref(l->record);
    free(l->text);
    l->record = NULL;
    l->text = NULL;
}

void lane_release(struct lane *l)
{
    forget(l);
    free(l->waits);
    free(l->rank);
    free(l->pin);
    free(l->err);
    free(l->scratch);
}

static void pin_step(struct lane *l, enum task_kind kind)
{
    struct pin *pin = &l->pin[l->r->ranks];
    *pin = (struct pin){.lane = l, .kind = kind, .leave = !l->failed};
    pins_add(l->pins, 0, pin);
}

int lane_begin(struct lane *l, size_t item, uint64_t key, json_t *record, struct err *e)
{
    l->record = record;
    l->text = json_dumps(record, JSON_COMPACT);
    if (!l->text) {
        forget(l);
        return err_nomem(e);
    }
    memset(l->rank, 0, l->r->ranks * sizeof *l->rank);
    l->item = item;
    l->key = key;
    l->begun = clock_now();
    l->start = clock_wall();
    l->bytes = 0;
    l->o = NULL;
    l->failed = l->stopping = l->stopped = l->cut = false;
    l->state = LANE_BEGINNING;
    pin_step(l, TASK_BEGIN);
    return 0;
}

void lane_clear(struct lane *l)
{
    if (l->o)
        opened_remove(l->r, l->o);
    l->o = NULL;
    forget(l);
    l->state = LANE_FREE;
}

/* Of several errors that of the lowest chunk is told. What a signal interrupts is no failure. */
static void fail(struct lane *l, uint64_t chunk, const struct err *why)
{
    if (why->no == EINTR) {
        l->cut = l->stopping = true;
        return;
    }
    if (l->failed && chunk >= l->failed_chunk)
        return;
    l->failed = true;
    l->failed_chunk = chunk;
    *l->err = *why;
}

static bool drops(const struct lane *l)
{
    return l->failed || l->cut;
}

/* ---- stages ---------------------------------------------------------------------------------- */

/* How many of a rank's workers may be at it: buffers that are larger than a worker's share are few.
 */
static unsigned most_workers(const struct lane *l)
{
    const struct opened *o = l->o;
    uint64_t each = o->stage == STAGE_DATA ? conversion_worker_memory(o->c) : 0;
    uint64_t n = each > l->r->share ? num_max(l->r->memory / 4 / each, 1) : l->r->threads;
    return (unsigned)num_min(n, o->job.max_workers);
}

static int begin_frontier(struct lane *l, struct err *e)
{
    uint64_t window = 4 * (uint64_t)l->workers * lane_depth(l);
    drop_frontier(l);
    if (frontier_init(&l->frontier, window, e) < 0)
        return -1;
    l->has_frontier = true;
    return 0;
}

static void begin_stage(struct lane *l)
{
    for (unsigned i = 0; i < l->r->ranks; i++)
        l->rank[i].here = l->rank[i].knows = false;
    l->most = most_workers(l);
    l->held = l->exhausted = false;
    l->state = LANE_RUNNING;
    if (begin_frontier(l, l->scratch) < 0)
        fail(l, 0, l->scratch);
}

static void end_all(struct lane *l)
{
    l->state = LANE_STEPPING;
    if (l->failed)
        *l->o->err = *l->err;
    pin_step(l, TASK_END);
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static bool gives(const struct lane *l)
{
    return l->state == LANE_RUNNING && !l->failed && !l->stopping && !l->exhausted &&
           !frontier_full(&l->frontier);
}

/* Know the next chunk. */
static bool fetch(struct lane *l)
{
    if (!gives(l))
        return false;
    if (l->held)
        return true;
    switch (l->o->job.next(l->o->job.ctx, &l->next, l->scratch)) {
    case UNIT_THERE:
        l->held = true;
        return true;
    case UNIT_FAILED:
        fail(l, UINT64_MAX, l->scratch);
        return false;
    default:
        l->exhausted = true;
        return false;
    }
}

bool lane_has_chunk(struct lane *l, unsigned rank, bool at)
{
    if (!fetch(l) || (!at && l->rank[rank].workers >= l->most))
        return false;
    const struct unit_job *job = &l->o->job;
    return !job->avoid || l->r->ranks == 1 || job->avoid(job->ctx, l->next) != rank;
}

unsigned lane_depth(const struct lane *l)
{
    return l->o->job.depth;
}

/* Until it is known that a rank has it, what it needs to open it comes with each chunk: one worker
 * may be there before another. */
static void fill_task(struct lane *l, unsigned rank, struct task *t)
{
    struct blob plan = conversion_plan(l->o->c);
    bool knows = l->rank[rank].knows || rank == l->r->rank;
    t->kind = TASK_CHUNK;
    t->stage = l->o->stage;
    t->workers = l->workers;
    t->key = l->key;
    t->chunk = l->next;
    t->rate = l->rate;
    t->n_record = knows ? 0 : (uint32_t)strlen(l->text);
    t->n_plan = knows ? 0 : (uint32_t)plan.len;
    t->record = l->text;
    t->plan = plan.data;
}

int lane_give(struct lane *l, const struct crowd_seat *s, struct task *t, uint64_t *ticket,
              struct err *e)
{
    void *holder = (void *)(uintptr_t)s->id;
    if (frontier_give(&l->frontier, l->next, holder, ticket, e) < 0)
        return -1;
    fill_task(l, s->rank, t);
    l->rank[s->rank].here = true;
    if (l->rank[s->rank].start == 0)
        l->rank[s->rank].start = l->rank[s->rank].end = clock_wall();
    l->held = false;
    l->out++;
    return 0;
}

static void take_place(struct lane *l, const struct frontier_unit *u, struct blob *grant)
{
    const struct blob need = {u->bytes.data, u->bytes.len};
    if (l->o->job.place(l->o->job.ctx, u->unit, &need, grant, l->scratch) == PLACE_FAILED)
        fail(l, u->unit, l->scratch);
}

/* The frontier had no memory for what the unit reported. */
static void lost_report(struct lane *l, uint64_t unit)
{
    err_nomem(l->scratch);
    fail(l, unit, l->scratch);
}

/* Where nothing is granted, what is reported takes effect in order, and that is all. */
static void advance(struct lane *l)
{
    const struct frontier_unit *u;
    struct blob grant;
    while ((u = frontier_lowest(&l->frontier)) && u->reported) {
        if (u->failed && !drops(l))
            lost_report(l, u->unit);
        else if (!drops(l))
            take_place(l, u, &grant);
        frontier_advance(&l->frontier);
    }
}

static void count(struct lane *l, unsigned rank, const struct blob *need)
{
    struct lane_rank *r = &l->rank[rank];
    r->end = clock_wall();
    if (l->o->stage != STAGE_DATA)
        return;
    uint64_t data = conversion_data_of(need);
    r->bytes += data;
    l->bytes += data;
}

void lane_reported(struct lane *l, const struct crowd_seat *s, uint64_t chunk, uint64_t ticket,
                   const struct blob *need, const struct err *why, bool *waits)
{
    if (why) {
        fail(l, chunk, why);
        frontier_report(&l->frontier, ticket, true, NULL, 0);
    } else {
        l->rank[s->rank].knows = true;
        count(l, s->rank, need);
        frontier_report(&l->frontier, ticket, drops(l), need->data, need->len);
    }
    *waits = l->o->job.commit && !why && !drops(l);
    l->waits[s->id] = *waits;
    if (!*waits)
        l->out--;
    if (!l->o->job.commit)
        advance(l);
}

bool lane_grant(struct lane *l, uint32_t *seat, struct blob *grant, bool *drop)
{
    const struct frontier_unit *u;
    if (l->state != LANE_RUNNING || !l->o->job.commit)
        return false;
    while ((u = frontier_lowest(&l->frontier)) && u->reported) {
        *seat = (uint32_t)(uintptr_t)u->holder;
        if (!l->waits[*seat]) {
            frontier_advance(&l->frontier);
            continue;
        }
        l->waits[*seat] = false;
        if (u->failed && !drops(l))
            lost_report(l, u->unit);
        else if (!drops(l))
            take_place(l, u, grant);
        *drop = drops(l);
        l->out -= *drop;
        frontier_advance(&l->frontier);
        return true;
    }
    return false;
}

void lane_committed(struct lane *l, uint64_t chunk, const struct blob *done, const struct err *why)
{
    const struct unit_job *job = &l->o->job;
    l->out--;
    if (why)
        fail(l, chunk, why);
    else if (!l->failed && job->collect && job->collect(job->ctx, chunk, done, l->scratch) < 0)
        fail(l, chunk, l->scratch);
}

void lane_workers(struct lane *l, unsigned rank, int change)
{
    l->rank[rank].workers += (unsigned)change;
}

/* ---- what belongs to a rank ------------------------------------------------------------------ */

void lane_pin_task(struct lane *l, const struct pin *pin, struct task *t)
{
    t->kind = pin->kind;
    t->key = l->key;
    t->settle = pin->settle;
    t->leave = pin->leave;
    t->rate = l->rate;
    t->workers = l->workers;
    t->n_record = pin->kind == TASK_BEGIN ? (uint32_t)strlen(l->text) : 0;
    t->record = l->text;
}

static void sync_all(struct lane *l, bool settle, bool leave)
{
    for (unsigned i = 0; i < l->r->ranks; i++) {
        if (!l->rank[i].here)
            continue;
        l->pin[i] = (struct pin){.lane = l, .kind = TASK_SYNC, .settle = settle, .leave = leave};
        pins_add(l->pins, i, &l->pin[i]);
        l->syncing++;
    }
}

static void synced(struct lane *l, const struct err *why)
{
    l->syncing--;
    if (why)
        fail(l, UINT64_MAX, why);
    if (l->syncing || !l->checkpoint)
        return;
    l->checkpoint = false;
    if (!l->failed && l->o->job.persisted(l->o->job.ctx, l->scratch) < 0)
        fail(l, UINT64_MAX, l->scratch);
}

static void began(struct lane *l, const struct err *why)
{
    l->o = why ? NULL : opened_find(l->r, l->key);
    if (why) {
        fail(l, 0, why);
        l->stopped = l->cut;
        l->state = LANE_ENDED;
    } else if (l->o->stage == STAGE_DONE) {
        l->state = LANE_ENDED;
    } else {
        begin_stage(l);
    }
}

static void stepped(struct lane *l, const struct err *why)
{
    if (why) {
        fail(l, UINT64_MAX, why);
        end_all(l);
    } else if (l->o->stage == STAGE_DONE) {
        l->state = LANE_ENDED;
    } else {
        begin_stage(l);
    }
}

void lane_pin_back(struct lane *l, enum task_kind kind, const struct err *why)
{
    if (kind == TASK_SYNC)
        synced(l, why);
    else if (kind == TASK_BEGIN)
        began(l, why);
    else if (kind == TASK_NEXT)
        stepped(l, why);
    else {
        l->stopped = !l->failed;
        l->state = LANE_ENDED;
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool is_due(const struct lane *l)
{
    const struct unit_job *job = &l->o->job;
    return l->o->stage == STAGE_DATA && job->due && !l->syncing && job->due(job->ctx);
}

static bool look_running(struct lane *l)
{
    fetch(l);
    if (!(l->failed || l->stopping || l->exhausted)) {
        l->checkpoint = is_due(l) || l->checkpoint;
        if (!l->checkpoint || l->syncing)
            return false;
        sync_all(l, true, false);
        return true;
    }
    if (l->out || l->syncing)
        return false;
    l->state = LANE_CLOSING;
    sync_all(l, l->o->stage == STAGE_DATA && !l->failed, true);
    return true;
}

bool lane_look(struct lane *l)
{
    bool news = l->state == LANE_RUNNING && look_running(l);
    if (l->state != LANE_CLOSING || l->syncing)
        return news;
    if (l->failed || l->stopping) {
        end_all(l);
    } else {
        l->state = LANE_STEPPING;
        pin_step(l, TASK_NEXT);
    }
    return true;
}

void lane_stop(struct lane *l)
{
    l->stopping = true;
}

double lane_done(const struct lane *l)
{
    return l->state == LANE_ENDED ? 1 : l->o ? l->o->percent / 100 : 0;
}

static json_t *lanes_json(const struct lane *l)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < l->r->ranks; i++) {
        const struct lane_rank *r = &l->rank[i];
        if (r->start == 0)
            continue;
        json_array_append_new(all,
                              json_pack("{s:i, s:f, s:f, s:I}", "rank", (int)i, "start", r->start,
                                        "end", r->end, "bytes", (json_int_t)r->bytes));
    }
    return all;
}

/* What the end has made of the error, where there was one. */
static const char *error_of(const struct lane *l)
{
    if (!l->failed)
        return NULL;
    return l->o && l->o->err->set ? l->o->err->text : l->err->text;
}

json_t *lane_result(const struct lane *l)
{
    const struct opened *o = l->o;
    const struct result result = {
        .status = l->failed    ? RESULT_FAILED
                  : l->stopped ? RESULT_STOPPED
                               : RESULT_DONE,
        .error = error_of(l),
        .report = o ? &o->report : NULL,
        .hash = o && o->request->hash_given ? &o->request->o.hash : NULL,
        .source_state = o ? o->source_state : NULL,
        .salvaged = o ? o->salvaged : 0,
        .start = l->start,
        .end = clock_wall(),
    };
    json_t *json = result_new(l->record, &result);
    if (!json)
        return NULL;
    json_object_set_new(json, "spread", json_true());
    json_object_set_new(json, "lanes", lanes_json(l));
    return json;
}
