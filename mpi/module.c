#include "mpi/module.h"

#include "base/module.h"

const struct wire_ops *module_load(struct err *e)
{
    /* global: the MPI library loads components of its own that look for its symbols */
    return module_symbol("mpi-img-openmpi.so", "the MPI module", WIRE_SYMBOL, 1, e);
}
