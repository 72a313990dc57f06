#include "flow/deadline.h"

#include <stdlib.h>

#include "base/clock.h"

#define MARGIN_MAX 30.0

struct deadline deadline_from_now(double limit)
{
    const char *job_end = getenv("SLURM_JOB_END_TIME");
    double of_job = job_end ? strtod(job_end, NULL) - clock_wall() : 0;
    /* a job that is over is not ours: its shell was left open */
    if (of_job > 0)
        limit = limit > 0 && limit < of_job ? limit : of_job;
    if (limit <= 0)
        return (struct deadline){0};
    double margin = limit / 10 < MARGIN_MAX ? limit / 10 : MARGIN_MAX;
    return (struct deadline){clock_now() + limit, margin};
}

bool deadline_is_near(const struct deadline *d, double needed)
{
    double keep = d->margin > needed ? d->margin : needed;
    return d->end > 0 && clock_now() >= d->end - keep;
}
