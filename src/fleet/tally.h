/*
 * How busy the workers were. A worker is busy from the first unit that it gets to the last that it
 * gives back. What counts is the time until the last unit was given out: from then on there was not
 * work for all (the tail).
 */
#ifndef FLEET_TALLY_H
#define FLEET_TALLY_H

#include <stdint.h>

/* Seconds are of clock_now, and counted from the first. */
struct tally {
    unsigned workers;
    unsigned active;
    double sum;         /* of when workers became idle, less those of when they became busy */
    double first, last; /* when the first unit was given out, and the last yet ... */
    double until_last;  /* ... and the seconds of work until then */
};

struct tally tally_of(unsigned workers);
/* A worker gets a unit; `held`: the others that it has. */
void tally_give(struct tally *t, unsigned held, double now);
/* A unit is back; `held`: those that the worker still has. */
void tally_back(struct tally *t, unsigned held, double now);

/* Seconds of work until now, of all workers. */
double tally_work(const struct tally *t, double now);
/* Of the whole, 0 to 1. */
double tally_busy(const struct tally *t);

#endif
