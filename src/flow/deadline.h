/* When a run must have ended: the batch job's end, or the time that we were given. */
#ifndef FLOW_DEADLINE_H
#define FLOW_DEADLINE_H

#include <stdbool.h>

struct deadline {
    double end;    /* of clock_now; 0 = never */
    double margin; /* what is kept of the time for an end in good order */
};

/* `limit` seconds from now (0 = none), or SLURM_JOB_END_TIME, whichever is sooner. */
struct deadline deadline_from_now(double limit);
/* Is it time to end, if that takes `needed` seconds? */
bool deadline_is_near(const struct deadline *d, double needed);

#endif
