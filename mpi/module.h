/* The MPI module: a shared object of its own, so that the program runs where MPI is not installed
 * and starts quickly where it is. */
#ifndef MPI_MODULE_H
#define MPI_MODULE_H

#include "mpi/wire.h"

/* NULL: there is none, or it cannot be loaded. It is never unloaded: MPI libraries do not survive
 * that. */
const struct wire_ops *module_load(struct err *e);

#endif
