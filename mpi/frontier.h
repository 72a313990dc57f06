/*
 * The ordered ticket's order-keeping, without threads and without messages: units are given out in
 * ascending order, reported in any order, and leave in the order in which they were given out.
 */
#ifndef MPI_FRONTIER_H
#define MPI_FRONTIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "mpi/message.h"

struct frontier_unit {
    uint64_t unit;
    void *holder; /* the caller's: who has it */
    bool reported;
    bool failed;       /* it reported an error; bytes are that error, packed */
    struct keep bytes; /* what it reported */
};

struct frontier {
    struct frontier_unit *ring;
    uint64_t window;
    uint64_t head; /* tickets [head, tail) are out; ticket t is in ring[t % window] */
    uint64_t tail;
    uint64_t floor; /* no unit below may be given out any more */
};

/* A window of 0 counts as 1; very large ones are cut. */
int frontier_init(struct frontier *f, uint64_t window, struct err *e);
void frontier_release(struct frontier *f);

/* Is the window full: must the lowest unit leave before another is given out? */
bool frontier_full(const struct frontier *f);

/* Give a unit out, above all earlier ones; *ticket names it from now on. The window has room. */
int frontier_give(struct frontier *f, uint64_t unit, void *holder, uint64_t *ticket, struct err *e);

/* The unit's need, or its error. The bytes are copied. Once a unit. Where memory for the copy is
 * lacking, that becomes the report. */
void frontier_report(struct frontier *f, uint64_t ticket, bool failed, const void *bytes,
                     size_t len);

/* The lowest unit that is out, whether reported or not; NULL if none is. */
const struct frontier_unit *frontier_lowest(const struct frontier *f);

/* The lowest unit, which has reported, leaves. What frontier_lowest gave ends to be valid. */
void frontier_advance(struct frontier *f);

#endif
