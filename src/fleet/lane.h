/*
 * A lane: a large image that is open, as rank 0 sees it. Many workers are at it at a time.
 *
 *   BEGINNING ──▶ RUNNING ──▶ CLOSING ──▶ STEPPING ──▶ ENDED
 *    rank 0 opens  chunks of    a SYNC on    rank 0: tables; then
 *                  a stage      each rank    │ the next stage, or
 *                     ▲                      │ the name, or (failed,
 *                     ╰──────────────────────╯ stopped) the end
 *
 * Chunks are given out in ascending order, at most a window beyond the oldest that is out, and
 * placed in that order (mpi/frontier.h), as a conversion by itself does it: so its bytes are the
 * same. An error is the image's alone: what is out comes back, then the image is ended.
 */
#ifndef FLEET_LANE_H
#define FLEET_LANE_H

#include <stdbool.h>

#include <jansson.h>

#include "fleet/opened.h"
#include "fleet/pins.h"
#include "mpi/crowd.h"
#include "mpi/frontier.h"

/* What a rank did of it. */
struct lane_rank {
    bool here;        /* a unit of this stage was sent there */
    bool knows;       /* and one has come back: no need to send the plan again */
    unsigned workers; /* that are at it now */
    uint64_t bytes;   /* guest data, in all stages but those that prove it */
    double start, end;
};

enum lane_state {
    LANE_FREE,
    LANE_BEGINNING,
    LANE_RUNNING,
    LANE_CLOSING,
    LANE_STEPPING,
    LANE_ENDED
};

struct lane {
    struct fleet_rank *r;
    struct pins *pins;
    unsigned workers; /* on all ranks */
    uint64_t rate;    /* of one of them; 0 = no limit */

    enum lane_state state;
    size_t item;
    uint64_t key;
    double begun; /* of clock_now: the oldest lane is served first */
    json_t *record;
    char *text; /* the record as JSON */
    double start;
    struct opened *o; /* from the end of BEGIN on */
    uint64_t bytes;

    struct lane_rank *rank;
    struct pin *pin; /* one of each rank's; the last is for rank 0's steps */
    unsigned syncing;
    bool checkpoint; /* what is syncing is one */

    unsigned most; /* workers of a rank that may be at it */
    struct frontier frontier;
    bool has_frontier;
    bool held; /* chunk `next` is known, and not given out */
    uint64_t next;
    bool exhausted;
    unsigned out; /* units that are not back */
    bool *waits;  /* by seat: its unit is reported, and not granted */

    bool failed, stopping, stopped;
    bool cut; /* a chunk was given up for a signal: none above it counts */
    uint64_t failed_chunk;
    struct err *err, *scratch;
};

int lane_init(struct lane *l, struct fleet_rank *r, struct pins *pins, unsigned workers,
              struct err *e);
void lane_release(struct lane *l);

/* A free lane takes an image; the record's reference is kept. -1: no memory. */
int lane_begin(struct lane *l, size_t item, uint64_t key, json_t *record, struct err *e);
/* Its end is noted: it is free again. */
void lane_clear(struct lane *l);

/* ---- chunks ---------------------------------------------------------------------------------- */

/* Is there a chunk for a worker of this rank? `at`: it is at this lane already. */
bool lane_has_chunk(struct lane *l, unsigned rank, bool at);
/* How many a worker may hold. */
unsigned lane_depth(const struct lane *l);
/* Give it out: the task is filled, its slot is the caller's. */
int lane_give(struct lane *l, const struct crowd_seat *s, struct task *t, uint64_t *ticket,
              struct err *e);
void lane_reported(struct lane *l, const struct crowd_seat *s, uint64_t chunk, uint64_t ticket,
                   const struct blob *need, const struct err *why, bool *waits);
/* As in crowd.h. */
bool lane_grant(struct lane *l, uint32_t *seat, struct blob *grant, bool *drop);
void lane_committed(struct lane *l, uint64_t chunk, const struct blob *done, const struct err *why);
/* A worker of this rank has come to it, or left it. */
void lane_workers(struct lane *l, unsigned rank, int change);

/* ---- what belongs to a rank ------------------------------------------------------------------ */

void lane_pin_task(struct lane *l, const struct pin *pin, struct task *t);
void lane_pin_back(struct lane *l, enum task_kind kind, const struct err *why);

/* ---- all ------------------------------------------------------------------------------------- */

/* After anything has happened, and now and then: what is due. True: there is something new to do.
 */
bool lane_look(struct lane *l);
/* Go no further than is needed to go on another time. */
void lane_stop(struct lane *l);
/* 0 to 1. */
double lane_done(const struct lane *l);
/* An ended one's record for the results: new reference, or NULL without memory. */
json_t *lane_result(const struct lane *l);

#endif
