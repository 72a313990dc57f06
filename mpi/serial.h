/* The reference: the same jobs without threads and without messages, one unit after the other. */
#ifndef MPI_SERIAL_H
#define MPI_SERIAL_H

#include "mpi/crowd.h"
#include "mpi/unit.h"

int serial_run(const struct unit_job *job, struct err *e);

/* One worker with one seat. (serial_crowd.c) */
int serial_crowd(const struct crowd_job *job, struct err *e);

#endif
