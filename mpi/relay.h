/*
 * The main thread of every rank but rank 0: carries messages between rank 0's coordinator and the
 * workers of its own rank.
 */
#ifndef MPI_RELAY_H
#define MPI_RELAY_H

#include "mpi/post.h"
#include "mpi/unit.h"

/* 0 or -1 as on rank 0; *e is set only if the connection failed. */
int relay_run(struct post *post, unsigned threads, const struct unit_job *job, struct err *e);

#endif
