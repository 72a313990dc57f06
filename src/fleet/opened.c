#include "fleet/opened.h"

#include <errno.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fleet/state.h"

/* ---- the list: under the lock ---------------------------------------------------------------- */

static struct opened *find(const struct fleet_rank *r, uint64_t key)
{
    struct opened *o = r->opened;
    while (o && o->key != key)
        o = o->next;
    return o;
}

struct opened *opened_find(struct fleet_rank *r, uint64_t key)
{
    pthread_mutex_lock(&r->lock);
    struct opened *o = find(r, key);
    pthread_mutex_unlock(&r->lock);
    return o;
}

static void unlink_opened(struct fleet_rank *r, struct opened *o)
{
    struct opened **at = &r->opened;
    while (*at && *at != o)
        at = &(*at)->next;
    if (*at)
        *at = o->next;
}

static void update(void *ctx, double percent)
{
    ((struct opened *)ctx)->percent = percent;
}

static void count_warning(void *ctx, const char *text)
{
    (void)text;
    ((struct opened *)ctx)->salvaged++;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

/* Rank 0 says when it is to stop. */
static struct opened *opened_new(const struct fleet_rank *r, const struct task *t, struct err *e)
{
    struct opened *o = mem_new(1, sizeof *o, e);
    if (!o)
        return NULL;
    o->key = t->key;
    o->stage = t->stage;
    o->start = clock_wall();
    o->n_workers = r->threads;
    o->report.progress = (struct progress){.update = update, .ctx = o};
    o->report.give_up = never;
    o->report.warn = count_warning;
    o->report.ctx = o;
    o->err = mem_new(1, sizeof *o->err, e);
    o->worker = mem_new(o->n_workers, sizeof *o->worker, e);
    if (o->err && o->worker)
        return o;
    free(o->err);
    free(o->worker);
    free(o);
    return NULL;
}

/* What workers have of it; none of them is at it. */
static void free_workers(struct opened *o)
{
    for (unsigned i = 0; i < o->n_workers; i++) {
        if (o->worker[i])
            o->job.worker_free(o->worker[i]);
        o->worker[i] = NULL;
    }
}

static void opened_free(struct opened *o)
{
    free_workers(o);
    if (o->c)
        conversion_end(o->c, -1, o->err);
    request_free(o->request);
    json_decref(o->source_state);
    free(o->worker);
    free(o->err);
    free(o);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int make_request(const struct fleet_rank *r, struct opened *o, const struct task *t,
                        struct err *e)
{
    struct request_common common = r->common;
    common.memory = r->memory;
    json_t *record = json_loadb(t->record, t->n_record, 0, NULL);
    int status = record ? request_new(record, &common, &o->request, e)
                        : err_set(e, EPROTO, "A record that is no JSON");
    if (status == 0)
        o->source_state = fleet_state(o->request->source.name);
    json_decref(record);
    return status;
}

static void set_rate(struct opened *o, const struct task *t)
{
    uint64_t all = t->rate * t->workers;
    uint64_t *own = &o->request->o.rate_limit;
    if (all && (!*own || all < *own))
        *own = all;
}

static struct conversion_crew crew_of(const struct fleet_rank *r)
{
    return (struct conversion_crew){r->ranks, r->threads};
}

static void prepare_data(const struct fleet_rank *r, struct opened *o, const struct task *t)
{
    const struct conversion_crew crew = crew_of(r);
    conversion_job(o->c, &crew, &o->job);
    conversion_share(o->c, t->workers);
}

static enum conversion_pass pass_of(enum task_stage stage)
{
    return stage == STAGE_HASH ? CONVERSION_HASH : CONVERSION_VERIFY;
}

static int open_pass(const struct fleet_rank *r, struct engine *serial, struct opened *o,
                     struct err *e)
{
    if (conversion_pass_open(o->c, serial, pass_of(o->stage), e) < 0)
        return -1;
    conversion_pass_job(o->c, r->threads, &o->job);
    return 0;
}

/* A rank that is not the first. */
static int open_here(struct fleet_rank *r, struct engine *serial, struct opened *o,
                     const struct task *t, struct err *e)
{
    const struct blob plan = {(void *)t->plan, t->n_plan};
    if (make_request(r, o, t, e) < 0)
        return -1;
    set_rate(o, t);
    if (t->stage != STAGE_DATA)
        return conversion_attend(&o->request->o, &o->report, r->rank, &plan, pass_of(t->stage),
                                 &o->c, e) < 0
                   ? -1
                   : open_pass(r, serial, o, e);
    if (conversion_join(&o->request->o, &o->report, r->rank, &plan, &o->c, e) < 0)
        return -1;
    prepare_data(r, o, t);
    return 0;
}

static void set_state(struct fleet_rank *r, struct opened *o, int status, const struct err *e)
{
    pthread_mutex_lock(&r->lock);
    o->state = status < 0 ? OPENED_BROKEN : OPENED_READY;
    if (status < 0)
        *o->err = *e;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

static int begin_conversion(struct opened *o, struct err *e)
{
    int status = conversion_begin(&o->request->o, &o->report, &o->c, e);
    if (status < 0 && o->c) {
        conversion_end(o->c, status, e);
        o->c = NULL;
    }
    return status;
}

/* What cannot be resumed (a device, several files, an encrypted image) is done without. */
static int begin_image(const struct fleet_rank *r, struct opened *o, const struct task *t,
                       struct err *e)
{
    if (make_request(r, o, t, e) < 0)
        return -1;
    set_rate(o, t);
    o->request->o.resume = true;
    int status = begin_conversion(o, e);
    if (status < 0 && e->no == ENOTSUP) {
        o->request->o.resume = false;
        err_clear(e);
        status = begin_conversion(o, e);
    }
    return status;
}

int opened_begin(struct fleet_rank *r, const struct task *t, struct err *e)
{
    struct opened *o = opened_new(r, t, e);
    if (!o)
        return -1;
    if (begin_image(r, o, t, e) < 0) {
        opened_free(o);
        return -1;
    }
    o->state = OPENED_READY;
    o->stage = STAGE_DATA;
    if (conversion_is_finished(o->c)) {
        conversion_end(o->c, 0, e);
        o->c = NULL;
        o->stage = STAGE_DONE;
    } else {
        prepare_data(r, o, t);
    }
    pthread_mutex_lock(&r->lock);
    o->next = r->opened;
    r->opened = o;
    pthread_mutex_unlock(&r->lock);
    return 0;
}

/* The stage is through. */
static int end_stage(struct opened *o, struct err *e)
{
    if (o->stage == STAGE_DATA)
        return conversion_finish(o->c, e);
    int status = conversion_pass_end(o->c, e);
    if (status == 0)
        conversion_pass_close(o->c);
    return status;
}

static int publish(struct opened *o, struct err *e)
{
    int status = conversion_publish(o->c, e);
    conversion_end(o->c, status, e);
    o->c = NULL;
    return status;
}

int opened_next(struct fleet_rank *r, struct engine *serial, const struct task *t, struct err *e)
{
    struct opened *o = opened_find(r, t->key);
    if (end_stage(o, e) < 0)
        return -1;
    while (++o->stage < STAGE_DONE)
        if (conversion_has_pass(o->c, pass_of(o->stage)))
            return open_pass(r, serial, o, e);
    return publish(o, e);
}

/* A stop that comes while the output is proved leaves it to be proved again. */
int opened_end(struct fleet_rank *r, const struct task *t, struct err *e)
{
    struct opened *o = opened_find(r, t->key);
    (void)e;
    if (!o->c)
        return 0;
    if (t->leave) {
        conversion_stop(o->c);
        if (o->stage == STAGE_DATA && o->request->o.resume)
            conversion_finish(o->c, o->err);
    } else if (o->stage == STAGE_HASH || o->stage == STAGE_VERIFY) {
        conversion_pass_fail(o->c, pass_of(o->stage), o->err);
    }
    conversion_end(o->c, -1, o->err);
    o->c = NULL;
    return 0;
}

void opened_remove(struct fleet_rank *r, struct opened *o)
{
    pthread_mutex_lock(&r->lock);
    unlink_opened(r, o);
    pthread_mutex_unlock(&r->lock);
    opened_free(o);
}

/* ---- any rank -------------------------------------------------------------------------------- */

/* Find it, or say that it is being opened (*mine: by the caller). Under the lock. */
static struct opened *find_or_announce(struct fleet_rank *r, const struct task *t, bool *mine,
                                       struct err *e)
{
    struct opened *o = find(r, t->key);
    *mine = false;
    while (o && o->state == OPENED_BUSY) {
        pthread_cond_wait(&r->changed, &r->lock);
        o = find(r, t->key);
    }
    if (o || !t->n_record) {
        if (!o)
            err_set(e, EPROTO, "A chunk of an image that is not open");
        return o;
    }
    o = opened_new(r, t, e);
    *mine = o;
    if (o) {
        o->next = r->opened;
        r->opened = o;
    }
    return o;
}

/* Under the lock: it may not go before its units are back. */
static struct opened *enter(struct fleet_rank *r, struct engine *serial, const struct task *t,
                            struct err *e)
{
    bool mine;
    pthread_mutex_lock(&r->lock);
    struct opened *o = find_or_announce(r, t, &mine, e);
    pthread_mutex_unlock(&r->lock);
    if (mine)
        set_state(r, o, open_here(r, serial, o, t, e), e);
    if (o && o->state == OPENED_BROKEN) {
        *e = *o->err;
        return NULL;
    }
    return o;
}

static int make_worker(struct fleet_rank *r, struct opened *o, unsigned hand, void **worker,
                       struct err *e)
{
    if (hand >= o->n_workers)
        return err_set(e, EPROTO, "Worker %u of %u", hand, o->n_workers);
    if (o->job.worker_new(o->job.ctx, o->job.depth, worker, e) < 0)
        return -1;
    pthread_mutex_lock(&r->lock);
    o->worker[hand] = *worker;
    pthread_mutex_unlock(&r->lock);
    return 0;
}

int opened_enter(struct fleet_rank *r, struct engine *serial, const struct task *t, unsigned hand,
                 struct opened **out, void **worker, struct err *e)
{
    struct opened *o = *out = enter(r, serial, t, e);
    if (!o)
        return -1;
    *worker = hand < o->n_workers ? o->worker[hand] : NULL;
    if (*worker)
        return 0;
    opened_let_go(r, hand);
    return make_worker(r, o, hand, worker, e);
}

void opened_let_go(struct fleet_rank *r, unsigned hand)
{
    pthread_mutex_lock(&r->lock);
    for (struct opened *o = r->opened; o; o = o->next) {
        bool has = o->state == OPENED_READY && hand < o->n_workers && o->worker[hand];
        if (has)
            o->job.worker_free(o->worker[hand]);
        if (has)
            o->worker[hand] = NULL;
    }
    pthread_mutex_unlock(&r->lock);
}

static void leave(struct fleet_rank *r, struct opened *o)
{
    pthread_mutex_lock(&r->lock);
    free_workers(o);
    if (r->rank)
        unlink_opened(r, o);
    pthread_mutex_unlock(&r->lock);
    if (r->rank)
        opened_free(o);
}

int opened_sync(struct fleet_rank *r, const struct task *t, struct err *e)
{
    struct opened *o = opened_find(r, t->key);
    if (!o)
        return 0;
    bool settles = t->settle && o->state == OPENED_READY && o->job.settle;
    int status = settles ? o->job.settle(o->job.ctx, e) : 0;
    if (t->leave)
        leave(r, o);
    return status;
}

void opened_release(struct fleet_rank *r)
{
    for (struct opened *o = r->opened, *next; o; o = next) {
        next = o->next;
        opened_free(o);
    }
    r->opened = NULL;
}
