/* How many workers a rank should have. */
#ifndef MPI_CPUS_H
#define MPI_CPUS_H

#include "mpi/wire.h"

/* This process's part of the CPUs it may use, at least 1: each CPU counts for one over the number
 * of ranks of this host that may use it. So it is right for ranks that are bound to cores, that
 * share a socket, and that are not bound at all. wire == NULL: there are no other ranks. */
int cpus_share(const struct wire_ops *wire, unsigned *out, struct err *e);

#endif
