/* The workers of one rank, each on a thread of its own. */
#ifndef MPI_THREADS_H
#define MPI_THREADS_H

#include "mpi/worker.h"

struct team {
    struct worker *worker;
    unsigned n;
    unsigned started; /* threads that will say GONE */
};

/* n workers that answer into `out`, and if the job has checkpoints a keeper, number n. A thread
 * that cannot be started is one worker's BROKEN in `out`; -1 is for what went wrong before the
 * first. In both cases: team_join. */
int team_start(struct team *t, const struct unit_job *job, unsigned n, struct mailbox *out,
               struct err *e);

/* WORK, GRANT or PERSIST to worker h->worker; -1: out of memory. */
int team_post(struct team *t, const struct wire_head *h, const void *bytes);

/* Does this rank have the worker and the slot that a message from another rank names? */
bool team_has(const struct team *t, const struct wire_head *h);

void team_stop(struct team *t);

/* After team_stop, and best after `started` GONEs: wait for the threads, free all. */
void team_join(struct team *t);

#endif
