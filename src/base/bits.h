/* Runs of bits in bytes, the lowest bit of each byte first. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Set the bits [from, to). */
void bits_set(uint8_t *bits, uint64_t from, uint64_t to);
/* Clear the bits [from, to). */
void bits_clear(uint8_t *bits, uint64_t from, uint64_t to);

/* The first run of set bits of [at, end): false if there is none. */
bool bits_run(const uint8_t *bits, uint64_t at, uint64_t end, uint64_t *from, uint64_t *to);

/* a |= b; did that change a? */
bool bits_or(uint8_t *a, const uint8_t *b, size_t n);

/* Are all n bytes 0xff? */
bool bits_full(const uint8_t *bits, size_t n);

#endif
