/*
 * Chunks that are placed and not yet done. They come in ascending order and go in any; there may be
 * tens of thousands of them, some for each worker of each rank.
 */
#ifndef FLOW_UNDERWAY_H
#define FLOW_UNDERWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct underway_chunk {
    uint64_t chunk;
    uint64_t low; /* the owner's: nothing of it lies below this host offset */
    void *what;   /* the owner's */
    bool gone;
};

struct underway {
    struct underway_chunk *all; /* ascending; those that count are [first, end) */
    size_t first, end, room;
};

void underway_release(struct underway *u);

/* Above all that came before. The new one's `low` and `what` are the caller's to set; it stays
 * where it is until the next call. NULL: out of memory. */
struct underway_chunk *underway_add(struct underway *u, uint64_t chunk, struct err *e);

/* It goes: true, and a copy of it as it was. false: there is no such chunk. */
bool underway_take(struct underway *u, uint64_t chunk, struct underway_chunk *out);

static inline size_t underway_count(const struct underway *u)
{
    return u->end - u->first;
}

#endif
