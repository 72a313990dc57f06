/* A worker of the fleet: it does what the tasks say. These are the callbacks of mpi/unit.h. */
#ifndef FLEET_HAND_H
#define FLEET_HAND_H

#include "fleet/rank.h"
#include "mpi/unit.h"

/* Fills worker_new, worker_free, brief, prepare and commit; ctx is the rank. */
void hand_job(struct unit_job *job);

#endif
