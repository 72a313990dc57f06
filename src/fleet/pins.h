/*
 * Units that belong to a rank: syncs, and on rank 0 what begins and ends large images. A worker
 * does such a unit while it holds no other, so that nothing waits behind it.
 */
#ifndef FLEET_PINS_H
#define FLEET_PINS_H

#include <stdbool.h>

#include "base/err.h"
#include "fleet/task.h"

struct lane;

struct pin {
    struct pin *next;
    struct lane *lane;
    enum task_kind kind;
    bool settle, leave; /* as in task.h */
    bool waits;         /* in a rank's list */
};

struct pins {
    struct rank_pins {
        struct pin *first, **last;
        unsigned drains; /* 1 + the worker that is to do it when it holds nothing; 0: none */
    } * rank;
    unsigned ranks;
};

int pins_init(struct pins *p, unsigned ranks, struct err *e);
void pins_release(struct pins *p);

/* The pin is the caller's, and in no list. */
void pins_add(struct pins *p, unsigned rank, struct pin *pin);
bool pins_wait(const struct pins *p, unsigned rank);
/* The first of them; there is one. */
struct pin *pins_take(struct pins *p, unsigned rank);

/* Is this worker of the rank, which holds units, to get no more, so that it can do the first? */
bool pins_drain(struct pins *p, unsigned rank, unsigned worker);

#endif
