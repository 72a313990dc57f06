/*
 * The schedule: which image is begun next, and how many workers are at large images' chunks. No
 * time, no files, no messages: the run tells what has happened and asks.
 *
 *   WAITING ──▶ READY ──▶ BEGUN ──▶ ENDED
 *      ▲ another's target   ▲  │ again, when all
 *      │ is its backing     ╰──╯ others are done
 *
 * - Largest first, with what waits for an image counted to it: what is begun last is then small, so
 *   the workers end at about the same time.
 * - Workers are divided between whole images and chunks as the bytes that remain of either, so that
 *   both end together: a large image that was left for the end would be done with few chunks at a
 *   time, whole images that were left would leave most workers without one.
 * - A worker that finds nothing of its own kind takes the other.
 */
#ifndef FLEET_SCHEDULE_H
#define FLEET_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SCHEDULE_NONE SIZE_MAX

struct schedule_image {
    uint64_t bytes;
    size_t after; /* or SCHEDULE_NONE */
    bool spread;
    bool done; /* before this run */
};

struct schedule_rules {
    unsigned workers;
    unsigned lanes;         /* spread images begun at a time */
    unsigned max_in_flight; /* images begun at a time; 0 = no limit */
    unsigned retries;
    bool fail_fast;
};

struct schedule;

/* Images are copied. No circles among them. */
int schedule_new(const struct schedule_image *images, size_t n, const struct schedule_rules *rules,
                 struct schedule **out, struct err *e);
void schedule_free(struct schedule *s); /* NULL is fine */

/* ---- beginning ------------------------------------------------------------------------------- */

/* The image that is to be begun now; false: none, now. */
bool schedule_take_whole(struct schedule *s, size_t *image);
bool schedule_take_spread(struct schedule *s, size_t *image);
/* Begin none any more. */
void schedule_close(struct schedule *s);

/* ---- dividing -------------------------------------------------------------------------------- */

/* A worker has gone over to chunks, or has left them. */
void schedule_lane_worker(struct schedule *s, int change);
/* What a worker that is free does next. `at_chunks`: that is what it did last, its files are open;
 * `chunks`: there is one for it. */
enum schedule_work { WORK_NONE, WORK_CHUNK, WORK_WHOLE };
enum schedule_work schedule_work(const struct schedule *s, bool at_chunks, bool chunks);
/* So much of a begun spread image remains. */
void schedule_remains(struct schedule *s, size_t image, uint64_t bytes);

/* ---- ending ---------------------------------------------------------------------------------- */

enum schedule_end { SCHEDULE_DONE, SCHEDULE_FAILED, SCHEDULE_STOPPED };
/* True: it is over with this image. False: it will be begun again. */
bool schedule_ended(struct schedule *s, size_t image, enum schedule_end how);
/* Images that will never be begun because another has failed, one by one; it is over with them. */
bool schedule_next_lost(struct schedule *s, size_t *image, size_t *because);

/* Attempts begun. */
unsigned schedule_attempts(const struct schedule *s, size_t image);
size_t schedule_in_flight(const struct schedule *s);
/* Is there an image that may be begun now? */
bool schedule_has_whole(const struct schedule *s);
bool schedule_has_spread(const struct schedule *s);
/* Are there spread images that are not ended? */
bool schedule_has_lanes_left(const struct schedule *s);
/* Nothing is begun, and nothing will be. */
bool schedule_over(const struct schedule *s);

#endif
