#include "mpi/pace.h"

#include "base/num.h"

/* Seconds that are looked at as a whole. */
#define WATCH 0.004
/* Less sleep than the first is too little, more than the second is more than is needed. */
#define SLEEP_MIN 0.10
#define SLEEP_MAX 0.25
/* Microseconds. A worker has two chunks and more to do while its messages wait. */
#define PACE_MIN 100
#define PACE_MAX 20000

static unsigned slower(unsigned us)
{
    return (unsigned)num_min(num_max(us + us / 4, PACE_MIN), PACE_MAX);
}

static unsigned faster(unsigned us)
{
    us -= us / 4;
    return us < PACE_MIN ? 0 : us;
}

void pace_watch(struct pace *p, double now, double slept)
{
    p->slept += slept;
    double passed = now - p->begun;
    if (passed < WATCH || passed * 1e6 < 2 * p->us)
        return;
    if (p->slept < SLEEP_MIN * passed)
        p->us = slower(p->us);
    else if (p->slept > SLEEP_MAX * passed)
        p->us = faster(p->us);
    p->begun = now;
    p->slept = 0;
}

unsigned pace_left(const struct pace *p, double now)
{
    double waited = (now - p->sent) * 1e6;
    return waited < p->us ? (unsigned)(p->us - waited) + 1 : 0;
}
