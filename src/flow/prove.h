/*
 * Proving a conversion whose data is written: a pass over the sources that makes their hash, where
 * the conversion could not; a pass over the output that reads it back, before it gets its name.
 */
#ifndef FLOW_PROVE_H
#define FLOW_PROVE_H

#include "flow/convert_hash.h"
#include "mpi/engine.h"

/* What is proved; borrowed. */
struct proof_of {
    const struct convert_options *o;
    const struct source *source; /* open on every rank, or on rank 0 if that is `alone` */
    bool alone;
    const struct target_plan *plan;
    const struct convert_hash *hash;
    uint64_t chunk_size;
    struct telling *telling; /* the hash is in its report, or goes there */
};

struct proof; /* on one rank */

int proof_of_sources(const struct proof_of *of, struct proof **out, struct err *e);
/* Its writers are closed; rank 0's tables are written and synced. Every rank of g calls it. */
int proof_of_output(struct engine *g, const struct proof_of *of, struct proof **out, struct err *e);
void proof_free(struct proof *p); /* NULL is fine */

/* What is to be run, on ranks of up to so many threads. */
void proof_job(struct proof *p, unsigned threads, struct unit_job *job);
/* Rank 0, when it has run: is it right? */
int proof_end(struct proof *p, struct err *e);
/* The output could not be opened, read, or is wrong: the error says so. Always -1. */
int proof_fail(const struct proof_of *of, struct err *e);

#endif
