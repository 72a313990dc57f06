/*
 * A job that can be checked: its units need random numbers of bytes, take random times, and may
 * fail anywhere. Every rank has a trial of its own with the same parameters.
 */
#ifndef TESTS_MPI_TRIAL_H
#define TESTS_MPI_TRIAL_H

#include <stdatomic.h>

#include "mpi/engine.h"

#define TRIAL_UNITS_MAX 2000
#define TRIAL_NEVER     UINT64_MAX

struct trial {
    /* parameters */
    uint64_t units; /* numbers below; about a third of them are left out */
    unsigned seed;
    unsigned depth;
    unsigned max_workers;
    uint64_t window;
    unsigned sleep_us; /* the longest */
    bool one_step;
    unsigned checkpoint_every; /* looks of rank 0; 0 = there are none */
    uint64_t enough_at;        /* units placed */
    unsigned ranks, rank;      /* each unit avoids one of so many ranks; this one. 0: none does */
    /* the units at which these callbacks fail */
    uint64_t fail_next;
    uint64_t fail_prepare; /* and every fifth after it */
    uint64_t fail_place;
    uint64_t fail_commit;
    uint64_t fail_collect;
    uint64_t stop_at; /* place says that it is enough */
    /* callbacks that fail on this rank whatever the unit */
    bool fail_worker_new;
    bool fail_settle;
    unsigned least_persists; /* on this rank, before the run ends */
    bool fail_persist;       /* the last of these */
    bool fail_tick;          /* when half of the units have been placed */

    /* what happened: on rank 0 */
    uint64_t next;
    uint64_t given;
    uint64_t placed;
    uint64_t last_placed;
    uint64_t at; /* sum of the needs placed */
    uint64_t collected;
    uint64_t place_of[TRIAL_UNITS_MAX];
    uint64_t grant[64];
    uint64_t ticks;
    uint64_t looks; /* for a checkpoint */
    uint64_t checkpoints, persisted;
    uint64_t collected_then; /* when the last checkpoint began */
    /* on every rank */
    atomic_uint workers; /* alive */
    atomic_uint workers_ever;
    atomic_uint prepared;
    atomic_uint held; /* prepared, not committed */
    atomic_uint persists;
    atomic_bool persisting;
    atomic_uint held_most;
    unsigned settled;
    atomic_bool wrong; /* a callback saw what must not be */
};

/* All well, nothing fails. */
void trial_init(struct trial *t, uint64_t units, unsigned seed);

/* The job of which t is the context. */
struct unit_job trial_job(struct trial *t);

/* After a run on rank 0 that ended well: were all units up to the stop placed, in order, where they
 * belong, and collected? */
bool trial_complete(const struct trial *t);

/* The same for one that had enough: all units that were given out. */
bool trial_complete_so_far(const struct trial *t);

/* After any run on any rank: nothing wrong seen, nothing alive, no more held than allowed; settled
 * only if well. */
bool trial_clean(const struct trial *t, const struct engine *g, int status);

/* Is there a unit with this number? */
bool trial_has(const struct trial *t, uint64_t unit);

#endif
