#include "fleet/whole.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "fleet/result.h"
#include "fleet/state.h"
#include "flow/conversion.h"

/* What is in work when all is to be given up may still end, if it does so within this time. */
#define GRACE 10.0

struct whole {
    struct fleet_rank *r;
    struct engine *serial;
    struct request *request;
    struct convert_report report;
    double begun; /* of clock_now */
    double percent;
    uint64_t salvaged;
};

/* ---- given up? ------------------------------------------------------------------------------- */

static void count_warning(void *ctx, const char *text)
{
    (void)text;
    ((struct whole *)ctx)->salvaged++;
}

static void update(void *ctx, double percent)
{
    ((struct whole *)ctx)->percent = percent;
}

/* When it will be done if it goes on as it went. */
static double expected_end(const struct whole *w, double now)
{
    double left = w->percent > 0 ? (100 - w->percent) / w->percent : 1e9;
    return now + left * (now - w->begun);
}

static bool give_up(void *ctx)
{
    const struct whole *w = ctx;
    if (w->r->halted == 0 && signals_stop()) /* that rank 0 may not have got: it learns of it so */
        w->r->halted = clock_now();
    double halted = w->r->halted;
    if (halted == 0)
        return false;
    double last = halted + GRACE;
    if (w->r->deadline.end > 0)
        last = last < w->r->deadline.end ? last : w->r->deadline.end;
    double now = clock_now();
    return now > last || expected_end(w, now) > last;
}

/* ---- the run --------------------------------------------------------------------------------- */

static void least(uint64_t *rate, uint64_t other)
{
    if (other && (!*rate || other < *rate))
        *rate = other;
}

/* A worker that needs more than its share is the only one of its rank. */
static int run_begun(struct whole *w, struct conversion *c, struct err *e)
{
    bool large = conversion_worker_memory(c) > w->r->share;
    if (large)
        pthread_mutex_lock(&w->r->large);
    int status = give_up(w) ? -1 : conversion_run(w->serial, c, e);
    if (large)
        pthread_mutex_unlock(&w->r->large);
    return status;
}

static int convert(struct whole *w, struct err *e)
{
    struct conversion *c = NULL;
    int status = conversion_begin(&w->request->o, &w->report, &c, e);
    if (status == 0)
        status = run_begun(w, c, e);
    if (c)
        conversion_end(c, status, e);
    return status;
}

static int run(struct whole *w, const json_t *record, uint64_t rate, struct err *e)
{
    struct request_common common = w->r->common;
    common.memory = 2 * w->r->share;
    if (request_new(record, &common, &w->request, e) < 0)
        return -1;
    w->request->o.time_limit = 0;
    least(&w->request->o.rate_limit, rate);
    w->report.progress = (struct progress){.update = update, .ctx = w};
    w->report.warn = count_warning;
    w->report.give_up = give_up;
    w->report.ctx = w;
    return convert(w, e);
}

static enum result_status status_of(struct whole *w, int status)
{
    if (status == 0)
        return RESULT_DONE;
    return give_up(w) ? RESULT_STOPPED : RESULT_FAILED;
}

json_t *whole_run(struct fleet_rank *r, struct engine *serial, const json_t *record, uint64_t rate,
                  struct err *e)
{
    struct whole w = {.r = r, .serial = serial, .begun = clock_now()};
    const char *source = json_string_value(json_object_get(record, "source"));
    struct result result = {.start = clock_wall(),
                            .source_state = source ? fleet_state(source) : NULL,
                            .report = &w.report};
    result.status = status_of(&w, run(&w, record, rate, e));
    result.error = result.status == RESULT_FAILED ? e->text : NULL;
    result.end = clock_wall();
    result.salvaged = w.salvaged;
    result.hash = w.request && w.request->hash_given ? &w.request->o.hash : NULL;
    json_t *json = result_new(record, &result);
    json_decref(result.source_state);
    request_free(w.request);
    return json;
}
