/*
 * How long messages may wait for others that go the same way (parcel.h).
 *
 * Rank 0 watches how much of its time it sleeps. As long as it sleeps, nothing waits: that is so
 * with few ranks, or large chunks. When it does not come to sleep any more, all ranks, itself too,
 * send at most one parcel to another in so many microseconds; rank 0 finds how many by trying, and
 * tells it with what it sends. So parcels grow just as much as rank 0 must save time.
 */
#ifndef MPI_PACE_H
#define MPI_PACE_H

#include <stdbool.h>

struct pace {
    unsigned us; /* between two parcels to a rank; 0 = none waits */
    double sent; /* when, all these in seconds */
    /* on rank 0 */
    double begun; /* the time that is watched */
    double slept; /* in it */
};

/* On rank 0: it has just slept for so long, or not. */
void pace_watch(struct pace *p, double now, double slept);

/* Microseconds until what waits may be sent; 0: now. */
unsigned pace_left(const struct pace *p, double now);

#endif
