/*
 * Engines: serial, threads, mpi. One coordinator, one worker loop, three ways to carry messages.
 */
#ifndef MPI_ENGINE_H
#define MPI_ENGINE_H

#include "mpi/unit.h"

struct engine;

enum engine_kind { ENGINE_AUTO, ENGINE_SERIAL, ENGINE_THREADS, ENGINE_MPI };

struct engine_options {
    enum engine_kind kind; /* AUTO: mpi if a launcher started us, else threads */
    unsigned threads;      /* workers on this rank; 0 = the CPUs this process may use */
};

/* Was this process started by an MPI launcher? (launcher.h) */
bool engine_launched(void);

/* Loads the MPI module only for ENGINE_MPI. Call once, before any thread is started; but for
 * ENGINE_SERIAL as often as wanted, in any thread, for one that is used in that thread. */
int engine_start(const struct engine_options *o, struct engine **out, struct err *e);

unsigned engine_rank(const struct engine *g);
unsigned engine_size(const struct engine *g);         /* ranks */
unsigned engine_threads(const struct engine *g);      /* workers on this rank */
unsigned engine_most_threads(const struct engine *g); /* of the rank that has most */
unsigned engine_workers(const struct engine *g);      /* on all ranks */
/* Of any rank. Its host is known there and on rank 0, elsewhere it is "". */
unsigned engine_threads_of(const struct engine *g, unsigned rank);
const char *engine_host(const struct engine *g, unsigned rank);
/* Workers that would run this job, on all ranks. */
unsigned engine_used(const struct engine *g, const struct unit_job *job);
const char *engine_name(const struct engine *g); /* "serial", "threads", "mpi" */

/* Rank 0 did something alone: all learn of it. `status` and *e count on rank 0 only. On success
 * every rank has rank 0's bytes (b->data is malloced on other ranks). On failure every rank
 * returns -1; *e is set on rank 0. */
int engine_share(struct engine *g, int status, struct blob *b, struct err *e);

/* All ranks did something: 0 only if all did well. On failure rank 0's *e is that of the lowest
 * rank that failed. */
int engine_agree(struct engine *g, int status, struct err *e);

/* Run a job on all workers of all ranks; every rank calls it with its own ctx. Every rank returns
 * the same; *e is set on rank 0 only. No rank is left waiting, whatever failed. */
int engine_run(struct engine *g, const struct unit_job *job, struct err *e);

/* Was another rank lost? Then nothing can be told to any rank. */
bool engine_is_broken(const struct engine *g);

/* End: every rank returns rank 0's exit code (from mpirun and srun too). Frees g. */
int engine_end(struct engine *g, int exit_code);

#endif
