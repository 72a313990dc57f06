#include "mpi/launcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"

struct sign {
    const char *variable;
    const char *size; /* the variable with the number of ranks, or NULL */
    unsigned n_mpis;
    enum launcher_mpi mpi[LAUNCHER_MPIS];
};

/* Whoever starts daemons by another launcher (mpirun in a Slurm job starts its own by srun) hands
 * that one's variables on. So those come first that are set for ranks alone, never for daemons. */
static const struct sign signs[] = {
    {"OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", 1, {LAUNCHER_OPENMPI}},
    /* Hydra and what descends from it, srun --mpi=pmi2, PALS; older Open MPIs knew PMI2 too */
    {"PMI_RANK", "PMI_SIZE", 2, {LAUNCHER_MPICH, LAUNCHER_OPENMPI}},
    /* srun --mpi=pmix, prterun */
    {"PMIX_RANK", NULL, 2, {LAUNCHER_OPENMPI, LAUNCHER_MPICH}},
};

static unsigned size_of(const char *variable)
{
    const char *s = variable ? getenv(variable) : NULL;
    unsigned long n = s ? strtoul(s, NULL, 10) : 0;
    return n < 1u << 24 ? (unsigned)n : 0;
}

/* PMIx has no variable for it; Slurm has, and so are the ranks of a step. */
static unsigned size_of_pmix(void)
{
    const char *name = getenv("PMIX_NAMESPACE");
    bool by_slurm = name && strncmp(name, "slurm.pmix", strlen("slurm.pmix")) == 0;
    return by_slurm ? size_of("SLURM_STEP_NUM_TASKS") : 0;
}

static const struct sign *sign_find(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(signs); i++)
        if (getenv(signs[i].variable))
            return &signs[i];
    return NULL;
}

bool launcher_there(void)
{
    return sign_find() != NULL;
}

/* MPI_IMG_MPI: that module and no other. */
static int launcher_override(struct launcher *l, struct err *e)
{
    static const char *const names[] = {"openmpi", "mpich"};
    const char *name = getenv("MPI_IMG_MPI");
    if (!name || !*name)
        return 0;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            l->n_mpis = 1;
            l->mpi[0] = (enum launcher_mpi)i;
            return 0;
        }
    }
    return err_set(e, 0, "MPI_IMG_MPI: there is no '%.100s'; there are openmpi and mpich", name);
}

int launcher_find(struct launcher *l, struct err *e)
{
    const struct sign *s = sign_find();
    *l = (struct launcher){.n_mpis = 2, .mpi = {LAUNCHER_OPENMPI, LAUNCHER_MPICH}};
    if (s) {
        l->sign = s->variable;
        l->n_mpis = s->n_mpis;
        memcpy(l->mpi, s->mpi, sizeof l->mpi);
        l->size = s->size ? size_of(s->size) : size_of_pmix();
    }
    return launcher_override(l, e);
}

int launcher_check(const struct launcher *l, const char *mpi, unsigned size, struct err *e)
{
    if (l->size == 0 || l->size == size)
        return 0;
    return err_set(
        e, 0,
        "The launcher (%s) has started %u ranks, but %s knows of %u: it is another MPI's "
        "launcher, or was built without that one's support",
        l->sign, l->size, mpi, size);
}
