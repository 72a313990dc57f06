/*
 * What started this process, as the environment tells it: an MPI launcher or none, and whose.
 * SLURM_* alone is none: a batch script has SLURM_NTASKS=4 with no MPI around.
 */
#ifndef MPI_LAUNCHER_H
#define MPI_LAUNCHER_H

#include <stdbool.h>

#include "base/err.h"

/* The MPIs for which there can be a module (module.h). */
enum launcher_mpi { LAUNCHER_OPENMPI, LAUNCHER_MPICH, LAUNCHER_MPIS };

struct launcher {
    unsigned n_mpis;
    /* those that can be its ranks' MPI, the likeliest first */
    enum launcher_mpi mpi[LAUNCHER_MPIS];
    unsigned size;    /* ranks, by its own word; 0 = it does not say */
    const char *sign; /* the variable that gave it away; NULL: there is no launcher */
};

bool launcher_there(void);

/* MPI_IMG_MPI=openmpi or mpich decides where launchers leave doubt. Of two launchers, one inside
 * the other, the first of the table in launcher.c counts. */
int launcher_find(struct launcher *l, struct err *e);

/* MPI has started with so many ranks: are these the launcher's? Where MPI and launcher do not
 * understand each other, each process is told that it is alone, and all of them would write the
 * same output. */
int launcher_check(const struct launcher *l, const char *mpi, unsigned size, struct err *e);

#endif
