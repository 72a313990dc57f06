/* Numbers of things, the one with the largest key first. */
#ifndef FLEET_HEAP_H
#define FLEET_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct heap {
    const uint64_t *key; /* of each thing; borrowed, not changed while it is in the heap */
    size_t *thing;
    size_t n;
};

/* Of at most `room` things. */
int heap_init(struct heap *h, const uint64_t *key, size_t room, struct err *e);
void heap_release(struct heap *h);

void heap_put(struct heap *h, size_t thing);
bool heap_take(struct heap *h, size_t *thing);

#endif
