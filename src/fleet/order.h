/*
 * Which image of a fleet waits for which: one whose backing file another one makes comes after it.
 */
#ifndef FLEET_ORDER_H
#define FLEET_ORDER_H

#include <stddef.h>
#include <stdint.h>

#define ORDER_NONE SIZE_MAX

/* Images by number; after[i] is the one that i waits for, or ORDER_NONE. For each chain that goes
 * in a circle `circle` is called once, with one of its images. Returns how many there are. */
size_t order_circles(const size_t *after, size_t n, uint8_t *marks,
                     void (*circle)(void *ctx, size_t image), void *ctx);

/* How many images wait for each other in a row at most: 1 without chains; no circles. `depth` has
 * room for n. */
size_t order_longest(const size_t *after, size_t n, uint32_t *depth);

#endif
