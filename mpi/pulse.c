#include "mpi/pulse.h"

#include <stdlib.h>
#include <time.h>

#include "base/mem.h"

#define BEAT    2.0
#define TIMEOUT 60.0
/* No more than this counts between two looks, which are some milliseconds apart. */
#define LOOK_MAX 0.5
#define LOOK_MIN 0.1
#define OVER     1e18

double pulse_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool pulse_due(struct pulse *p)
{
    double now = pulse_now();
    if (now - p->said < BEAT)
        return false;
    p->said = now;
    return true;
}

static double watch_limit(void)
{
    const char *s = getenv("MPI_IMG_RANK_TIMEOUT");
    char *end = NULL;
    double limit = s ? strtod(s, &end) : TIMEOUT;
    bool number = !s || (end != s && *end == '\0' && limit >= 0);
    return number ? limit : TIMEOUT;
}

int pulse_watch_init(struct pulse_watch *w, unsigned ranks, struct err *e)
{
    *w = (struct pulse_watch){.ranks = ranks, .limit = watch_limit()};
    w->silence = mem_new(ranks, sizeof *w->silence, e);
    return w->silence ? 0 : -1;
}

void pulse_watch_release(struct pulse_watch *w)
{
    free(w->silence);
}

void pulse_heard(struct pulse_watch *w, unsigned rank)
{
    if (w->silence && w->silence[rank] > 0)
        w->silence[rank] = 0;
}

void pulse_over(struct pulse_watch *w, unsigned rank)
{
    if (w->silence)
        w->silence[rank] = -OVER;
}

unsigned pulse_missing(struct pulse_watch *w, double now)
{
    double passed = w->looked > 0 ? now - w->looked : 0;
    if (!w->silence || w->limit <= 0 || (w->looked > 0 && passed < LOOK_MIN))
        return 0;
    w->looked = now;
    if (passed > LOOK_MAX)
        passed = LOOK_MAX;
    unsigned missing = 0;
    for (unsigned r = w->ranks; r-- > 1;) {
        w->silence[r] += passed;
        if (w->silence[r] > w->limit)
            missing = r;
    }
    return missing;
}
