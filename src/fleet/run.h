/*
 * The run of a fleet: many conversions as one job, on all workers of all ranks.
 *
 *   a small image    whole, by one worker                          largest first
 *   a large image    BEGIN ─▶ its chunks, by many workers ─▶ SYNC on each rank ─▶ FINISH
 *                    ─▶ what proves it, chunk by chunk ─▶ PUBLISH      (lane.h)
 *
 * Units of many images are out at a time, so no rank idles while work remains. An image that fails
 * fails alone. Large images keep a journal: a run that is stopped, by whatever, is gone on with by
 * the next.
 */
#ifndef FLEET_RUN_H
#define FLEET_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "fleet/request.h"
#include "mpi/engine.h"

#define FLEET_NOTHING       SIZE_MAX
#define FLEET_WHOLE_BELOW   ((uint64_t)256 << 20)
#define FLEET_LANES         4u /* large images that are open at a time */
#define FLEET_PROGRESS_SECS 10.0

struct fleet_item {
    uint64_t bytes; /* allocated bytes of the source: the work */
    size_t after;   /* the item that it waits for (it is backed by its target), or NOTHING */
    bool skip;      /* an earlier run has done it: counts as done, no result is told of it */
};

/* The same on every rank, but that items are rank 0's alone. */
struct fleet_options {
    const struct fleet_item *items;
    size_t n;
    /* Item `i` of the manifest as request.h wants it: asked for when it is begun, as a million of
     * them are not kept in memory. New reference; NULL with the error set. */
    json_t *(*record)(void *ctx, size_t i, struct err *e);
    void *records;                /* its ctx */
    struct request_common common; /* memory is that of a rank */
    unsigned retries;         /* of an image that failed; it is done again when all others are */
    bool fail_fast;           /* after the first that failed for good none is begun any more */
    unsigned max_in_flight;   /* images begun and not ended; 0 = no limit */
    uint64_t rate_limit;      /* bytes a second over all ranks; 0 = none */
    uint64_t whole_below;     /* smaller images are done whole; 0 = FLEET_WHOLE_BELOW */
    double progress_interval; /* seconds; 0 = FLEET_PROGRESS_SECS */
    double time_limit;        /* seconds; 0 = none but that of the batch job */
};

struct fleet_summary {
    enum { FLEET_COMPLETE, FLEET_FAILED, FLEET_STOPPED } status; /* exit 0, 1, 75 */
    size_t images, done, failed, skipped;
    size_t left;    /* not begun, or stopped */
    uint64_t bytes; /* guest data moved */
    double seconds;
    double busy; /* 0..1: of the workers' time, until there was not work for all, that with work */
};

struct fleet_progress {
    double time; /* seconds since 1970 */
    size_t images, done, failed, skipped, left;
    size_t running;     /* begun and not ended */
    uint64_t work;      /* of all images, as fleet_item.bytes */
    uint64_t work_done; /* of it */
    uint64_t bytes;     /* guest data moved */
    double rate;        /* of it a second, since the last */
    double busy;        /* since the last */
};

/* Who watches, on rank 0, from the thread that calls fleet_run. Each may be NULL. */
struct fleet_watch {
    void *ctx;
    void (*started)(void *ctx, size_t item, unsigned attempt, bool spread);
    /* It has failed, but will be tried again: then it is told as started once more. */
    void (*again)(void *ctx, size_t item, const char *why);
    /* Of a large image: percent of this attempt, 0 to 100. */
    void (*moved)(void *ctx, size_t item, double percent);
    void (*warn)(void *ctx, size_t item, const char *text);
    /* An item has ended: its record for the results (borrowed). -1 ends the run: what is not
     * written down would be done again. */
    int (*image)(void *ctx, size_t item, const json_t *result, struct err *e);
    int (*progress)(void *ctx, const struct fleet_progress *p, struct err *e);
    /* Ten times a second and more: for a display. */
    void (*tick)(void *ctx);
};

/* Every rank calls it. 0: all that could be done was, or it was stopped: see the summary, which is
 * rank 0's. -1: the run itself has failed (a rank was lost, a result cannot be written). */
int fleet_run(struct engine *g, const struct fleet_options *o, const struct fleet_watch *w,
              struct fleet_summary *out, struct err *e);

#endif
