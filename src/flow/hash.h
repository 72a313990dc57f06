/*
 * hash: what the guest reads from one image, as a hash (blkhash.h), on all workers of all ranks.
 */
#ifndef FLOW_HASH_H
#define FLOW_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/blkhash.h"
#include "flow/progress.h"
#include "flow/source.h"
#include "image/image.h"
#include "mpi/engine.h"

struct hash_options {
    const char *name;
    json_t *spec;            /* borrowed */
    const char *driver;      /* -f, or NULL */
    struct file_cache cache; /* -T */
    bool force_share;
    struct safety_rules safety;
    struct secrets *secrets;
    uint64_t memory; /* 0 = default */
    struct blkhash_params params;
};

struct hash_result {
    uint8_t hash[DIGEST_MAX]; /* rank 0's; params.kind->length bytes */
    uint64_t size;            /* guest bytes */
    char format[32];
};

/* Every rank calls it with the same options. */
int hash_run(struct engine *g, const struct hash_options *o, const struct progress *p,
             struct hash_result *out, struct err *e);

/* ---- of what is open already ----------------------------------------------------------------- */

struct hash_walk {
    const struct source *source; /* open on every rank (first_only: on rank 0) */
    struct blkhash_params params;
    uint64_t chunk_size;
    bool salvage;           /* what cannot be read counts as zeros */
    bool first_only;        /* rank 0 alone */
    unsigned least_workers; /* as in unit.h */
    uint64_t memory;        /* 0 = default */
    /* rank 0, may be NULL */
    unsigned (*avoid)(void *ctx, uint64_t chunk);             /* as in unit.h */
    void (*passed)(void *ctx, uint64_t guest, uint64_t data); /* `data` bytes of a chunk there */
    bool (*give_up)(void *ctx); /* asked often; NULL: when a signal says so */
    void *ctx;
};

/* Every rank calls it; `hash` is rank 0's. */
int hash_walk(struct engine *g, const struct hash_walk *w, uint8_t *hash, struct err *e);

/* ---- the same, step by step ------------------------------------------------------------------ */

/* On one rank; `w` is borrowed. */
struct hash_pass;
int hash_pass_new(const struct hash_walk *w, struct hash_pass **out, struct err *e);
void hash_pass_free(struct hash_pass *p); /* NULL is fine */
/* What is to be run, on ranks of up to so many threads. */
void hash_pass_job(struct hash_pass *p, unsigned threads, struct unit_job *job);
/* Rank 0, when it has run. */
int hash_pass_end(struct hash_pass *p, uint8_t *hash, struct err *e);

#endif
