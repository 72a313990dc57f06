/*
 * Seats: rank 0's picture of the slots of all workers of all ranks. A seat goes FREE → WORKING →
 * WAITING → GRANTED → FREE, or is free again once its unit has reported.
 */
#ifndef MPI_SEATS_H
#define MPI_SEATS_H

#include <stddef.h>

#include "base/err.h"
#include "mpi/wire.h"

enum seat_state { SEAT_FREE, SEAT_WORKING, SEAT_WAITING, SEAT_GRANTED };

struct seat {
    struct seat *next; /* while free: its owner's list */
    uint64_t unit;
    uint64_t ticket; /* of the unit in the frontier, if there is one */
    uint32_t rank;
    uint32_t worker;
    uint32_t slot;
    enum seat_state state;
};

struct seats {
    struct seat *seat; /* rank by rank, worker by worker */
    size_t n;
    size_t *first; /* of each rank */
    unsigned ranks;
    const unsigned *threads; /* workers of each rank */
    unsigned depth;
};

int seats_init(struct seats *s, unsigned ranks, const unsigned *threads, unsigned depth,
               struct err *e);
void seats_release(struct seats *s);

/* The seat that a worker's message speaks of; NULL if there is none, or none that is waiting for
 * this. */
struct seat *seats_find(const struct seats *s, unsigned from, const struct wire_head *h);

/* Calls `add` for all seats, in the order in which they are to get their first units so that few of
 * these are spread over the ranks: all slots 0 before all slots 1, and the ranks in turn. */
void seats_line_up(struct seats *s, void (*add)(void *ctx, struct seat *seat), void *ctx);

#endif
