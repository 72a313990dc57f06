/* UUIDs: made of random bytes that were drawn before, and their two orders on disk. */
#ifndef FORMATS_UUID_H
#define FORMATS_UUID_H

#include <stdint.h>
#include <string.h>

#define UUID_SIZE 16u

/* A version 4 UUID as RFC 9562 orders it: all big-endian. */
static inline void uuid_make(const uint8_t random[UUID_SIZE], uint8_t out[UUID_SIZE])
{
    memcpy(out, random, UUID_SIZE);
    out[6] = (out[6] & 0x0f) | 0x40;
    out[8] = (out[8] & 0x3f) | 0x80;
}

/* To or from the order of a GUID: its first three fields little-endian. */
static inline void uuid_swap(uint8_t uuid[UUID_SIZE])
{
    static const uint8_t from[UUID_SIZE] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    uint8_t was[UUID_SIZE];
    memcpy(was, uuid, UUID_SIZE);
    for (unsigned i = 0; i < UUID_SIZE; i++)
        uuid[i] = was[from[i]];
}

#endif
