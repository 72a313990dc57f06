/* The MPI modules: shared objects of their own, so that the program runs where MPI is not installed
 * and starts quickly where it is. One for each MPI, from the same source. */
#ifndef MPI_MODULE_H
#define MPI_MODULE_H

#include "mpi/launcher.h"
#include "mpi/wire.h"

/* That of the launcher's MPI; of several that can be loaded, the likeliest. NULL: there is none, or
 * it cannot be loaded. It is never unloaded: MPI libraries do not survive that. */
const struct wire_ops *module_load(const struct launcher *l, struct err *e);

#endif
