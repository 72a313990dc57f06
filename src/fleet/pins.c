#include "fleet/pins.h"

#include "base/mem.h"

int pins_init(struct pins *p, unsigned ranks, struct err *e)
{
    p->ranks = ranks;
    p->rank = mem_new(ranks, sizeof *p->rank, e);
    if (!p->rank)
        return -1;
    for (unsigned r = 0; r < ranks; r++)
        p->rank[r].last = &p->rank[r].first;
    return 0;
}

void pins_release(struct pins *p)
{
    free(p->rank);
}

void pins_add(struct pins *p, unsigned rank, struct pin *pin)
{
    struct rank_pins *r = &p->rank[rank];
    pin->next = NULL;
    pin->waits = true;
    *r->last = pin;
    r->last = &pin->next;
}

bool pins_wait(const struct pins *p, unsigned rank)
{
    return p->rank[rank].first;
}

struct pin *pins_take(struct pins *p, unsigned rank)
{
    struct rank_pins *r = &p->rank[rank];
    struct pin *pin = r->first;
    r->first = pin->next;
    if (!r->first)
        r->last = &r->first;
    r->drains = 0;
    pin->waits = false;
    return pin;
}

bool pins_drain(struct pins *p, unsigned rank, unsigned worker)
{
    struct rank_pins *r = &p->rank[rank];
    if (!r->first)
        return false;
    if (!r->drains)
        r->drains = worker + 1;
    return r->drains == worker + 1;
}
