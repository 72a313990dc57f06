/*
 * convert --hash, --verify: the hash of what the sources hold, made of the chunks that are read
 * anyway.
 *
 * A conversion that does not read all of it (what is left to a backing image), or that rank 0 does
 * alone, hashes the sources in a pass of its own (prove.h).
 */
#ifndef FLOW_CONVERT_HASH_H
#define FLOW_CONVERT_HASH_H

#include "flow/blkhash.h"
#include "flow/convert.h"
#include "flow/source.h"
#include "flow/target.h"
#include "flow/telling.h"

/* On one rank. */
struct convert_hash {
    bool on; /* chunks are hashed as they are converted */
    struct blkhash blkhash;

    /* rank 0 */
    struct blkhash_order *order;
    uint16_t *wrote; /* 1 + the rank that wrote a chunk, by chunk modulo n_wrote; NULL: no matter */
    uint64_t n_wrote;
};

/* Of `size` guest bytes; `first`: this is rank 0. */
int convert_hash_begin(struct convert_hash *h, const struct convert_options *o, uint64_t size,
                       uint64_t chunk_size, bool first, struct err *e);
void convert_hash_release(struct convert_hash *h);

/* A worker: add to the message of a chunk that was read. What is added ends where needs may begin.
 */
int convert_hash_chunk(const struct convert_hash *h, struct chunk *c, struct err *e);
/* Rank 0: chunk `chunk` at `guest`, which `rank` wrote, in guest order. */
int convert_hash_take(struct convert_hash *h, uint64_t chunk, uint64_t guest, unsigned rank,
                      const void *bytes, size_t len, struct err *e);

/* All chunks are taken: the hash. */
int convert_hash_end(struct convert_hash *h, uint8_t *hash, struct err *e);

#endif
