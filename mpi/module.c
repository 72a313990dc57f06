#include "mpi/module.h"

#include "base/module.h"

struct mpi_module {
    const char *file;
    int global; /* its library loads components of its own that look for its symbols */
};

static const struct mpi_module modules[] = {
    [LAUNCHER_OPENMPI] = {"mpi-img-openmpi.so", 1},
    [LAUNCHER_MPICH] = {"mpi-img-mpich.so", 0},
};

static const struct wire_ops *module_try(enum launcher_mpi mpi, struct err *e)
{
    const struct mpi_module *m = &modules[mpi];
    return module_symbol(m->file, "the MPI module", WIRE_SYMBOL, m->global, e);
}

const struct wire_ops *module_load(const struct launcher *l, struct err *e)
{
    for (unsigned i = 0; i < l->n_mpis; i++) {
        const struct wire_ops *wire = module_try(l->mpi[i], e);
        err_clear(e);
        if (wire)
            return wire;
    }
    return module_try(l->mpi[0], e); /* for the likeliest one's error */
}
