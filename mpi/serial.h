/* The reference: the same job without threads and without messages, one unit after the other. */
#ifndef MPI_SERIAL_H
#define MPI_SERIAL_H

#include "mpi/unit.h"

int serial_run(const struct unit_job *job, struct err *e);

#endif
