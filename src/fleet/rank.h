/* What the workers of a rank share. */
#ifndef FLEET_RANK_H
#define FLEET_RANK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fleet/request.h"
#include "flow/deadline.h"
#include "mpi/engine.h"

struct opened;

struct fleet_rank {
    unsigned rank, ranks;
    unsigned threads; /* workers of the rank that has most, in this run */
    unsigned depth;   /* units of a worker */
    uint64_t memory;  /* bytes, of which half is for what workers hold: */
    uint64_t share;   /* of that, of one worker */
    struct request_common common;
    struct deadline deadline;
    _Atomic double halted;    /* clock_now of when all was to be given up; 0 = not */
    _Atomic double signalled; /* when a signal was noticed here */
    atomic_uint hands;        /* workers that have begun */

    pthread_mutex_t
        large; /* an image of which one worker holds more than its share: one at a time */

    /* opened.h */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct opened *opened; /* list */
};

int fleet_rank_init(struct fleet_rank *r, const struct engine *g,
                    const struct request_common *common, double time_limit, struct err *e);
void fleet_rank_release(struct fleet_rank *r);

/* A signal to stop has come to this rank, and rank 0 does not seem to have got it. */
bool fleet_rank_knows_better(struct fleet_rank *r);

/* The workers' half of the crowd's job. */
void fleet_rank_job(struct fleet_rank *r, struct unit_job *job);

#endif
