/*
 * The coordinator, on rank 0's main thread: gives units to all workers of all ranks, keeps their
 * order (frontier.h) and calls the job's callbacks of rank 0.
 */
#ifndef MPI_COORDINATOR_H
#define MPI_COORDINATOR_H

#include "mpi/post.h"
#include "mpi/unit.h"

/* threads[r]: the workers of rank r; those of rank 0 are started here. The other ranks are in
 * relay_run. */
int coordinator_run(struct post *post, const unsigned *threads, const struct unit_job *job,
                    struct err *e);

#endif
