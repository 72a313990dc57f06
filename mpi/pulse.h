/*
 * Are the other ranks there? While units are worked on, each rank says so to rank 0 every two
 * seconds, and rank 0 ends the run when it has heard nothing of one for a minute: neither MPI nor
 * its launcher can be relied on to notice a host that cannot be reached any more.
 *
 * Time in which rank 0 did not listen itself (a batch system had stopped the job) does not count.
 * While ranks settle, which can take long, nothing is expected of them.
 */
#ifndef MPI_PULSE_H
#define MPI_PULSE_H

#include <stdbool.h>

#include "base/err.h"

/* -- a rank's own ------------------------------------------------------------------------------ */

struct pulse {
    double said; /* when; 0 = never yet */
};

/* Is it time to say MESSAGE_ALIVE? Once a beat. */
bool pulse_due(struct pulse *p);

/* -- rank 0's watch over the others ------------------------------------------------------------ */

struct pulse_watch {
    unsigned ranks;
    double *silence; /* of each rank, in seconds of listening */
    double limit;    /* 0: any silence will do */
    double looked;   /* when */
};

/* The limit is 60 seconds, or MPI_IMG_RANK_TIMEOUT; 0 = none. */
int pulse_watch_init(struct pulse_watch *w, unsigned ranks, struct err *e);
void pulse_watch_release(struct pulse_watch *w);

void pulse_heard(struct pulse_watch *w, unsigned rank);
/* Nothing is expected of this rank any more. */
void pulse_over(struct pulse_watch *w, unsigned rank);

/* The rank that has been silent for too long, else 0. `now` in seconds, of any clock that only goes
 * forward. */
unsigned pulse_missing(struct pulse_watch *w, double now);

double pulse_now(void);

#endif
