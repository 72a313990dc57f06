/*
 * Crowds: units without a common order.
 *
 *   rank 0                                        every rank, one per thread
 *   crowd                                         worker (of mpi/unit.h)
 *     offer(seat) → k ── WORK k, bytes ─────────▶  brief(k), prepare(k)
 *     reported(k) ◀──── NEED k, bytes ───────────  or FAIL k, error
 *     grant() → seat ── GRANT k, bytes ─────────▶  commit(k)
 *     committed(k) ◀─── DONE k, bytes ───────────  or FAIL k, error
 *     halting() ─────── HALT ───────────────────▶  halt() once a rank
 *     STOP ─────────────────────────────────────▶  settle() once a rank, then the end
 *
 * An ordered run (engine_run) asks the job for the next unit and finds a worker for it. A crowd
 * turns this round: it offers each free seat to the job, which says what this seat is to do. So a
 * job may mix units of many kinds, bind some to a rank, give one worker nothing else while it does
 * a long one, hold work back until other work is done, and order what needs an order by itself: a
 * unit that waits gets its grant when the job says so.
 *
 * What is as in an ordered run: the workers' half; all ranks settle and all return the same; a
 * worker that cannot start, a rank that is silent or lost, a broken wire end the run with an error
 * on rank 0, and no rank is left waiting. What is not: an error of a unit is told to the job, which
 * may do it again or leave it, and ends nothing else.
 *
 * Seats. A worker has `depth` of them (one with the serial engine); depth, workers and ranks do not
 * change during a run. Their ids are dense: id / depth is the worker's number among all,
 * 0..engine_used()-1, rank by rank; id % depth is the slot. So a job can keep what it must know of
 * a worker in an array.
 *
 * When a seat is offered. Offers are made in rounds, one after each lot of messages has been told.
 * Of a worker with several free seats one is offered at a time: the answer would be the same for
 * the others, so a refusal (UNIT_LATER) sets the worker aside with all its free seats. Those that
 * are not aside are offered until each is full or has refused; workers that hold fewest units
 * first, among those who hold as many the ranks in turn. A worker that was set aside costs nothing
 * until it is offered again, which is
 *   - as soon as one of its own units is back, or its waiting unit dropped,
 *   - in the next round, when `news` says yes,
 *   - within 0.2 seconds in any case: a job that forgets `news` is slow, not stuck.
 *
 * UNIT_ALL_LATER sets all workers aside at once, so a job that knows that it has nothing for
 * anybody, or has given out the last of what it had, pays for one offer, not for thousands.
 */
#ifndef MPI_CROWD_H
#define MPI_CROWD_H

#include "mpi/unit.h"

struct engine;

struct crowd_seat {
    uint32_t id;
    unsigned rank;
    unsigned worker; /* on its rank */
    unsigned slot;
    unsigned held; /* other units that this worker has now: given, not yet back or dropped */
};

/* Callbacks of rank 0 are called from one thread, one at a time. After one has failed, or after the
 * run has failed otherwise, none is called any more: units that were out are then lost to the job.
 * Seats and blobs are borrowed for the call. An error that ends the run belongs in *e. */
struct crowd_job {
    /* The workers' half: depth, max_workers, least_workers, first_only, worker_new, worker_free,
     * brief, prepare, commit, halt, settle. The rest of it is not looked at. On ranks other than 0
     * it is all that is used of the crowd_job. */
    const struct unit_job *work;
    void *ctx; /* of the callbacks below; `work` has its own */

    /* A seat is free.
     *   UNIT_THERE      it does *unit, a number of the job's own that is not out at the time.
     *                   *brief (it may stay empty) stays valid until the next call of any callback.
     *   UNIT_LATER      nothing for this seat now.
     *   UNIT_ALL_LATER  nothing for any seat now.
     *   UNIT_NONE       nothing more for any seat, ever: the run ends when all that is out is back.
     *   UNIT_FAILED     the run ends with the error. */
    enum unit_next (*offer)(void *ctx, const struct crowd_seat *s, uint64_t *unit,
                            struct blob *brief, struct err *e);

    /* brief and prepare of the unit went well (why is NULL; `need` is theirs) or one of them failed
     * (with *why). *waits = true: the unit keeps its seat and waits for its grant; this does not
     * count if it failed, or if there is no commit. Else the unit is back. -1 ends the run. */
    int (*reported)(void *ctx, const struct crowd_seat *s, uint64_t unit, const struct blob *need,
                    const struct err *why, bool *waits, struct err *e);

    /* Before each round of offers, again and again until it says no: may one of the units that wait
     * go on? *seat: its seat's id. *grant goes to commit and stays valid until the next call of any
     * callback. *drop = true instead: it does not go on, and is back. In any order. Whatever waits
     * must be granted or dropped one day, or the run does not end. NULL: nothing ever waits. */
    bool (*grant)(void *ctx, uint32_t *seat, struct blob *grant, bool *drop);

    /* commit of a granted unit went well (why is NULL) or failed. The unit is back. -1 ends the
     * run. May be NULL if `grant` is. */
    int (*committed)(void *ctx, const struct crowd_seat *s, uint64_t unit, const struct blob *done,
                     const struct err *why, struct err *e);

    /* Before each round: has anything come up for workers that are set aside? Then all are offered
     * again in it. The job's own flag is enough, set where work appears (a unit's end makes others
     * possible, a retry falls due) and cleared here; not needed for work that only the seat can do
     * that has just become free. May be NULL. */
    bool (*news)(void *ctx);

    /* At least ten times a second while waiting, and after each message: progress, signals. -1 ends
     * the run. May be NULL. */
    int (*tick)(void *ctx, struct err *e);

    /* As often as tick, until it says yes: are all ranks to give up what takes long? Then `halt` of
     * the work is called on each, and the run goes on: offers too, so that the job can have synced
     * what there is, and ends it by UNIT_NONE. This is the way to end early and well (a signal, the
     * end of the batch job's time). May be NULL. */
    bool (*halting)(void *ctx);
};

/* Run it on all workers of all ranks; every rank calls it with its own `work` and that one's ctx.
 * Every rank returns the same; *e is set on rank 0 only. No rank is left waiting, whatever failed.
 */
int engine_crowd(struct engine *g, const struct crowd_job *job, struct err *e);

#endif
