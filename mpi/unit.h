/*
 * Units of work, done by workers in parallel, taking effect in order.
 *
 *   rank 0                                        every rank, one per thread
 *   coordinator                                   worker
 *     next() ──── WORK k ───────────────────────▶  prepare(k)
 *     [order!] ◀── NEED k, bytes ────────────────  (never waits for a grant before it answers)
 *     place(k) ── GRANT k, bytes ───────────────▶  commit(k)
 *     collect(k) ◀ DONE k, bytes ────────────────
 *                ◀ FAIL k, error ────────────────  from prepare or commit
 *     due() ────── PERSIST ─────────────────────▶  persist() once a rank, beside the workers
 *     persisted() ◀ PERSISTED ───────────────────
 *     STOP ─────────────────────────────────────▶  settle() once a rank, then the end
 *
 * This layer knows no image and no format: a job is a set of callbacks. Units are handed out in
 * ascending order, at most `window` beyond the frontier; place is called strictly in ascending
 * order, whatever order the needs arrive in; an error in unit k takes effect when the frontier
 * reaches k, so that the one the user sees is the one a serial run would have met first:
 * units below k are still placed, committed and collected, units above are not.
 */
#ifndef MPI_UNIT_H
#define MPI_UNIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct blob {
    void *data;
    size_t len;
};

enum unit_next {
    UNIT_FAILED = -1,
    UNIT_NONE = 0,
    UNIT_THERE = 1,
    /* of crowds alone (crowd.h) */
    UNIT_LATER = 2,
    UNIT_ALL_LATER = 3
};
enum unit_place {
    PLACE_FAILED = -1,
    PLACE_GO_ON = 0,
    PLACE_STOP = 1 /* enough: end well, early. Neither this unit nor any above is committed */
};

struct unit_job {
    void *ctx;
    unsigned depth; /* units that one worker may hold at a time: memory = workers*depth*unit */
    unsigned max_workers;   /* of a rank, the same on all ranks, as depth is; 0 = all threads */
    unsigned least_workers; /* of a rank whose number of threads nobody has set: for work that waits
                             * more than it computes; the same on all ranks */
    bool first_only;        /* rank 0's workers alone: messages may hold pointers */
    uint64_t window;        /* units beyond the frontier that may be out; 0 = 4 * workers * depth */

    /* -- rank 0, all from one thread ---------------------------------------------------------- */
    /* The next unit, ascending; empty ones are left out here and cost nothing. */
    enum unit_next (*next)(void *ctx, uint64_t *unit, struct err *e);
    /* In unit order. `need` is what prepare gave (borrowed). Fill grant with bytes that stay valid
     * until the next call; not sent if commit is NULL. */
    enum unit_place (*place)(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e);
    /* In order of arrival; may be NULL. */
    int (*collect)(void *ctx, uint64_t unit, const struct blob *done, struct err *e);
    /* At least ten times a second while waiting, and after each message: progress, signals. Returns
     * -1 with the error set to end the run (interrupt). May be NULL. */
    int (*tick)(void *ctx, struct err *e);

    /* The rank that is not to get the unit, if there is another (what one rank wrote is read by
     * another); UINT_MAX: any may. Units wait for such a rank. May be NULL. */
    unsigned (*avoid)(void *ctx, uint64_t unit);

    /* -- checkpoints: all of them, or none ----------------------------------------------------- */
    /* Rank 0, as often as tick: is it time? Then `persist` runs once on each rank, beside its
     * workers, and when it is through on all, `persisted` on rank 0: what had been collected (or,
     * without commit, placed) when `due` said yes is then on storage. One at a time; one that is
     * under way at the end of the run is dropped: settle follows. */
    bool (*due)(void *ctx);
    int (*persist)(void *ctx, struct err *e); /* on a thread of its own */
    int (*persisted)(void *ctx, struct err *e);
    /* Rank 0, as often as tick: hand out no more? What is out is still done, then the run ends
     * well. May be NULL. */
    bool (*enough)(void *ctx);

    /* -- every rank --------------------------------------------------------------------------- */
    /* One worker's own state (its thread calls this). */
    int (*worker_new)(void *ctx, unsigned depth, void **worker, struct err *e);
    void (*worker_free)(void *worker);
    /* What rank 0 sent with the unit (crowd.h), right before prepare; a failure is the unit's. The
     * bytes are valid during the call. May be NULL. */
    int (*brief)(void *worker, uint64_t unit, unsigned slot, const struct blob *brief,
                 struct err *e);
    /* Do unit `unit` in `slot` (0..depth-1) as far as it needs no order. need's bytes belong to the
     * slot and are valid until the slot is used again. */
    int (*prepare)(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e);
    /* The rest, with what place granted; done's bytes belong to the slot, too. NULL: the unit is
     * done after prepare. Units that were prepared may be dropped without a commit. */
    int (*commit)(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                  struct blob *done, struct err *e);
    /* Once on each rank, at most, on its main thread beside its workers: what prepare and commit
     * are doing is of no use any more, or not worth its time. The run has failed (a rank was lost),
     * or rank 0 wants it so (crowd.h). For units that take long; it sets a flag that they look at.
     * Workers that had begun work are still waited for. May be NULL. */
    void (*halt)(void *ctx);
    /* Once on each rank when its workers have ended well, before the run ends (sync). May be NULL.
     */
    int (*settle)(void *ctx, struct err *e);
};

#endif
