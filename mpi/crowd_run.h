/*
 * The crowd on rank 0's main thread: offers the seats of all workers of all ranks to the job.
 */
#ifndef MPI_CROWD_RUN_H
#define MPI_CROWD_RUN_H

#include "mpi/crowd.h"
#include "mpi/post.h"

/* As coordinator_run (coordinator.h). */
int crowd_run(struct post *post, const unsigned *threads, const struct crowd_job *job,
              struct err *e);

#endif
