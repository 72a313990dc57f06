/*
 * A worker: an actor with a mailbox. It takes one message at a time, answers it, and never waits
 * for a particular one; so it holds as many units as the coordinator gives it (`depth` slots).
 */
#ifndef MPI_WORKER_H
#define MPI_WORKER_H

#include <pthread.h>

#include "mpi/mailbox.h"
#include "mpi/unit.h"

struct worker_slot {
    struct message down; /* WORK or GRANT */
    struct message up;   /* NEED, DONE or FAIL */
    struct keep grant;   /* the bytes of WORK or GRANT, written by who posts it */
    struct keep error;   /* the bytes of FAIL */
};

struct worker {
    const struct unit_job *job;
    unsigned index; /* on this rank */
    unsigned depth;
    pthread_t thread;
    struct mailbox in;
    struct mailbox *out;
    struct worker_slot *slot;
    void *state; /* the job's own */
    bool keeper; /* does no units: it makes lasting what the others did */
    bool broken; /* worker_new failed: refuse all work until the stop */
    struct message stop;
    struct message fault; /* BROKEN */
    struct message gone;
    struct keep error;
    struct err err;
};

/* `out` gets the answers. */
int worker_init(struct worker *w, const struct unit_job *job, unsigned index, struct mailbox *out,
                struct err *e);
void worker_release(struct worker *w);

/* Post WORK, GRANT or PERSIST for a slot that is the poster's to use. The bytes are copied; -1: out
 * of memory. */
int worker_post(struct worker *w, const struct wire_head *h, const void *bytes);
/* To be posted once, after all grants. Work that it has not begun is dropped. */
void worker_stop(struct worker *w);
/* In the worker's name: it could not start. Once, instead of anything else. */
void worker_post_broken(struct worker *w, const struct err *e);

/* The loop, on the worker's own thread. */
void worker_run(struct worker *w);

#endif
