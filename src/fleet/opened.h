/*
 * The large images that are open on a rank.
 *
 * An image is opened by the first unit of a stage that comes to the rank; others that come
 * meanwhile wait. It is closed by the stage's last SYNC; what workers have of it is freed then,
 * too. On rank 0 it is there from BEGIN to END, through all stages.
 *
 * A worker has buffers for one image at a time: it lets go of one when it comes to another.
 */
#ifndef FLEET_OPENED_H
#define FLEET_OPENED_H

#include "fleet/rank.h"
#include "fleet/task.h"
#include "flow/conversion.h"

struct opened {
    struct opened *next;
    uint64_t key;
    enum task_stage stage;
    enum { OPENED_BUSY, OPENED_READY, OPENED_BROKEN } state; /* under the rank's lock */
    struct err *err;                                         /* why it is broken */

    struct request *request;
    struct convert_report report;
    struct conversion *c;
    struct unit_job job; /* of the stage */
    void **worker;       /* the job's own, by hand; under the rank's lock */
    unsigned n_workers;
    _Atomic double percent;
    uint64_t salvaged; /* sectors that could not be read */
    double start;      /* clock_wall */
    json_t *source_state;
};

/* ---- rank 0, in the order of a conversion; the error is told of the unit ------------------------
 */

/* Keeps a journal, if there can be one. */
int opened_begin(struct fleet_rank *r, const struct task *t, struct err *e);
int opened_next(struct fleet_rank *r, struct engine *serial, const struct task *t, struct err *e);
/* With the reason in o->err; it may be put better. What it was stays, to be told of. */
int opened_end(struct fleet_rank *r, const struct task *t, struct err *e);
/* After END, or a stage DONE. */
void opened_remove(struct fleet_rank *r, struct opened *o);

/* NULL if there is none. Also of another thread. */
struct opened *opened_find(struct fleet_rank *r, uint64_t key);

/* ---- any rank -------------------------------------------------------------------------------- */

/* For a CHUNK: the image, and what worker `hand` has of it (made at need). */
int opened_enter(struct fleet_rank *r, struct engine *serial, const struct task *t, unsigned hand,
                 struct opened **out, void **worker, struct err *e);
/* Worker `hand` needs what it has of images no more. */
void opened_let_go(struct fleet_rank *r, unsigned hand);
/* For a SYNC. */
int opened_sync(struct fleet_rank *r, const struct task *t, struct err *e);
/* At the end of a run that failed: what is there is closed. */
void opened_release(struct fleet_rank *r);

#endif
