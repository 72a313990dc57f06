/*
 * The journal of an unfinished output: which chunks need not be done again, and what rank 0 would
 * have to be told of them.
 *
 *     "MPIIMGJ1" │ order │ length of head │ head │ hash          once, before any data
 *     lengths │ chunk │ data │ place │ needs │ content │ edges │ hash      a record for each chunk
 *
 * A chunk's record is written after its data is on storage. Hashes are seeded with the head's, so
 * that no record of another journal counts. The first record that is not whole ends the journal: it
 * is what a stop in the middle of a write has left. Numbers are those of the machine, as needs and
 * edges are; `order` tells whether it is this kind of machine.
 *
 * Rank 0, one thread.
 */
#ifndef FLOW_JOURNAL_H
#define FLOW_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct journal;

/* What a chunk has to tell. Without places there is no need and there are no edges. */
struct journal_record {
    uint64_t chunk;
    uint64_t data;    /* bytes of it that are data, for progress */
    uint64_t place;   /* hash of the cursor it was placed with */
    const void *need; /* as placer_place takes them: need_t words */
    size_t n_need;    /* words */
    const void *hash; /* of what the guest reads, as blkhash_order_chunk takes it; may be none */
    size_t hash_len;
    const void *edges; /* as placer_done takes them */
    size_t edges_len;
};

/* ---- an earlier run's ------------------------------------------------------------------------ */

/* *out = NULL: there is none, or its head is not whole (then nothing was done yet). */
int journal_open(const char *path, struct journal **out, struct err *e);
void journal_close(struct journal *j); /* NULL is fine */
void journal_cleanup(struct journal **j);

const void *journal_head(const struct journal *j, size_t *len);

/* Chunks that are recorded, ascending: the i-th, i < journal_count. */
size_t journal_count(const struct journal *j);
uint64_t journal_chunk(const struct journal *j, size_t i);
/* Its record, valid until the next call. */
int journal_read(struct journal *j, size_t i, struct journal_record *out, struct err *e);

/* ---- writing --------------------------------------------------------------------------------- */

/* A new one with this head, on storage when it returns; what stood there is overwritten. */
int journal_create(const char *path, const void *head, size_t len, struct journal **out,
                   struct err *e);

/* Write behind the last whole record of one that was opened. */
int journal_append(struct journal *j, struct err *e);

/* Keep a record in memory. */
int journal_add(struct journal *j, const struct journal_record *r, struct err *e);
/* Bytes kept since the last turn. */
size_t journal_waiting(const struct journal *j);
/* All records kept until now are those that the next write writes; those of the last turn are
 * written. */
void journal_turn(struct journal *j);
/* Write and sync those; the data of their chunks is on storage. */
int journal_write(struct journal *j, struct err *e);

/* FNV-like, for what is checked against accidents, not against malice. */
uint64_t journal_hash(uint64_t seed, const void *bytes, size_t len);

#endif
