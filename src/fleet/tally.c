#include "fleet/tally.h"

struct tally tally_of(unsigned workers)
{
    return (struct tally){.workers = workers};
}

double tally_work(const struct tally *t, double now)
{
    return t->sum + t->active * (now - t->first);
}

void tally_give(struct tally *t, unsigned held, double now)
{
    if (t->first == 0)
        t->first = now;
    if (held == 0) {
        t->active++;
        t->sum -= now - t->first;
    }
    t->last = now;
    t->until_last = tally_work(t, now);
}

void tally_back(struct tally *t, unsigned held, double now)
{
    if (held)
        return;
    t->active--;
    t->sum += now - t->first;
}

double tally_busy(const struct tally *t)
{
    double all = t->workers * (t->last - t->first);
    return all > 0 ? t->until_last / all : 1;
}
