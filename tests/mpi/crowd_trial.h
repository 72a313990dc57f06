/*
 * A crowd that can be checked: its units are bound to ranks, want their worker for themselves, wait
 * for grants, follow other units, fail and are done again. Every rank has a trial of its own with
 * the same parameters.
 */
#ifndef TESTS_MPI_CROWD_TRIAL_H
#define TESTS_MPI_CROWD_TRIAL_H

#include <stdatomic.h>

#include "mpi/crowd.h"
#include "mpi/engine.h"

#define CROWD_UNITS_MAX   2000
#define CROWD_WORKERS_MAX 4096
#define CROWD_NEVER       UINT64_MAX

/* What some of the units do. */
enum crowd_manners {
    CROWD_PINNED = 1,    /* are for one rank */
    CROWD_LONELY = 2,    /* want their worker for themselves */
    CROWD_WAITING = 4,   /* wait for a grant */
    CROWD_FOLLOWING = 8, /* come after another unit's end */
    CROWD_FAILING = 16,  /* fail once or more, some for good */
    CROWD_DROPPED = 32,  /* are dropped once where they wait */
    CROWD_ALL = 63
};

enum crowd_grants {
    GRANTS_ASCENDING, /* in the order of units */
    GRANTS_AS_THEY_COME,
    GRANTS_LATE /* the last first, and only when nothing else is going on or many wait */
};

struct crowd_trial {
    /* parameters */
    uint64_t units;
    unsigned seed;
    unsigned depth;
    unsigned max_workers;
    unsigned manners;
    enum crowd_grants grants;
    unsigned ranks, rank; /* this one */
    unsigned sleep_us;    /* the longest */
    bool chain;           /* each unit follows the one before it */
    bool silent;          /* no news are told */
    bool all_later;       /* UNIT_ALL_LATER where that is right */
    bool one_step;        /* no commit, no grant */
    /* callbacks that fail: at the n-th offer, at a unit */
    uint64_t fail_offer;
    uint64_t fail_reported;
    uint64_t fail_committed;
    uint64_t fail_tick;   /* when so many are finished */
    uint64_t wrong_seat;  /* when so many are finished, a grant names a seat that does not wait */
    bool fail_worker_new; /* on this rank */
    bool fail_settle;     /* on this rank */
    uint64_t long_unit;   /* takes until it is halted, or a minute */
    uint64_t halt_after;  /* so many are finished */

    /* what happened: on rank 0 */
    uint64_t first; /* unit that is not finished */
    uint64_t todo, out, waiting, finished;
    uint64_t offers, refusals, ticks;
    bool news;
    bool over; /* a callback has failed: no other is to come */
    unsigned char state[CROWD_UNITS_MAX];
    unsigned char attempts[CROWD_UNITS_MAX]; /* begun */
    uint32_t seat[CROWD_UNITS_MAX];
    unsigned held[CROWD_WORKERS_MAX];
    bool lonely[CROWD_WORKERS_MAX];
    unsigned where[CROWD_WORKERS_MAX]; /* rank and worker, as seen first; 0 = not yet */
    unsigned char brief[400];
    uint64_t grant[64];
    /* on every rank */
    atomic_uint workers; /* alive */
    atomic_uint prepared;
    atomic_uint halts;
    unsigned settled;
    atomic_bool wrong; /* a callback saw what must not be */
};

/* All manners, nothing fails for the run. */
void crowd_trial_init(struct crowd_trial *t, const struct engine *g, uint64_t units, unsigned seed);

/* Run it; afterwards on any rank: nothing wrong seen, nothing alive, settled only if well. */
int crowd_trial_run(struct crowd_trial *t, struct engine *g, bool *clean, struct err *e);

/* After a run on rank 0 that ended well: is every unit done, or has failed as often as it may? */
bool crowd_trial_complete(const struct crowd_trial *t);

/* Does this unit do that? */
bool crowd_unit_is(const struct crowd_trial *t, uint64_t unit, enum crowd_manners manner);

#endif
