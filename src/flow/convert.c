#include "flow/convert.h"

#include <string.h>

#include "base/mem.h"
#include "flow/conversion.h"

static int set_up(struct engine *g, const struct convert_options *o, struct convert_report *r,
                  struct conversion **c, struct err *e)
{
    bool first = engine_rank(g) == 0;
    int status = first ? conversion_begin(o, r, c, e) : 0;
    struct blob plan = *c ? conversion_plan(*c) : (struct blob){0};
    if (engine_share(g, status, &plan, e) < 0)
        return -1;
    if (!first) {
        status = conversion_join(o, r, engine_rank(g), &plan, c, e);
        explicit_bzero(plan.data, plan.len);
        free(plan.data);
    }
    return engine_agree(g, status, e);
}

static int run(struct engine *g, struct conversion *c, struct err *e)
{
    const struct conversion_crew crew = {engine_size(g), engine_most_threads(g)};
    struct unit_job job;
    if (conversion_is_alone(c))
        return conversion_run_alone(g, c, e);
    conversion_job(c, &crew, &job);
    conversion_share(c, engine_used(g, &job));
    return engine_run(g, &job, e);
}

static int run_pass(struct engine *g, struct conversion *c, enum conversion_pass pass,
                    struct err *e)
{
    struct unit_job job;
    if (engine_agree(g, conversion_pass_open(c, g, pass, e), e) < 0)
        return -1;
    conversion_pass_job(c, engine_most_threads(g), &job);
    if (engine_run(g, &job, e) < 0)
        return -1;
    int status = engine_rank(g) == 0 ? conversion_pass_end(c, e) : 0;
    return engine_agree(g, status, e);
}

/* The hash, and the output read back by it. */
static int prove(struct engine *g, struct conversion *c, struct err *e)
{
    for (enum conversion_pass p = 0; p < CONVERSION_PASSES; p++) {
        if (!conversion_has_pass(c, p))
            continue;
        if (run_pass(g, c, p, e) < 0)
            return conversion_pass_fail(c, p, e);
        conversion_pass_close(c);
    }
    return 0;
}

int conversion_run(struct engine *g, struct conversion *c, struct err *e)
{
    bool first = engine_rank(g) == 0;
    if (conversion_is_finished(c))
        return 0;
    if (run(g, c, e) < 0 || engine_agree(g, first ? conversion_finish(c, e) : 0, e) < 0)
        return -1;
    conversion_leave(c);
    if (prove(g, c, e) < 0)
        return -1;
    return engine_agree(g, first ? conversion_publish(c, e) : 0, e);
}

int convert_run(struct engine *g, const struct convert_options *o, struct convert_report *r,
                struct err *e)
{
    struct conversion *c = NULL;
    int status = set_up(g, o, r, &c, e);
    if (status == 0)
        status = conversion_run(g, c, e);
    if (c)
        conversion_end(c, status, e);
    return status;
}
