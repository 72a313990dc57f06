/*
 * What every run has on rank 0, whoever gives out its units (coordinator.h, crowd.h): rank 0's own
 * workers, the seats of all, what comes in, the watch over the other ranks, the error that the user
 * will see, and the end.
 */
#ifndef MPI_RUN_H
#define MPI_RUN_H

#include "mpi/post.h"
#include "mpi/pulse.h"
#include "mpi/seats.h"
#include "mpi/threads.h"
#include "mpi/unit.h"

/* Who gives out the units. */
struct run_ops {
    /* A seat that was WORKING or GRANTED has answered, or failed: then the bytes are the error. */
    void (*answered)(void *ctx, struct seat *s, bool failed, const void *bytes, size_t len);
    /* Messages of other kinds; may be NULL. */
    post_handler *other;
    /* After each message, and at least ten times a second. */
    void (*look)(void *ctx);
};

struct run {
    struct post *post;
    const struct unit_job *work;
    const struct run_ops *ops;
    void *ctx;        /* theirs */
    struct team team; /* rank 0's own workers */
    struct seats seats;
    struct pulse_watch watch;
    unsigned gone;  /* own workers that have ended */
    unsigned ended; /* other ranks that have ended */
    bool closed;    /* no more units are given out */
    bool ending;    /* the workers have been told to stop */
    bool halted;    /* `halt` has been called here */
    bool failed;
    uint64_t failed_at; /* of several errors the one with the lowest number stands */
    struct err *err;    /* it; the caller's */
    struct err scratch; /* of the callback that runs */
    struct err post_err;
};

/* r->ops and r->ctx are set, the rest is empty. threads[r]: the workers of rank r; those of rank 0
 * are started here, the other ranks are in relay_run. A failure is in the run. In any case:
 * run_end. */
void run_start(struct run *r, struct post *post, const unsigned *threads,
               const struct unit_job *work, struct err *e);

/* The error in r->scratch, or in the bytes; an error of no unit is numbered 0. The run is closed.
 */
void run_fail(struct run *r, uint64_t at);
void run_fail_packed(struct run *r, uint64_t at, const void *bytes, size_t len);

/* To the worker of a seat. -1: the bytes are too many, memory lacks, or the wire is broken. */
int run_send(struct run *r, const struct seat *s, enum message_kind kind, const struct blob *b,
             struct err *e);
/* A message without bytes to a worker or keeper. */
int run_send_head(struct run *r, unsigned rank, const struct wire_head *h, struct err *e);

/* Deal with what is there, or wait a while for it. Failures are in the run. */
void run_receive(struct run *r);

/* All ranks are to give up what takes long (`halt`). */
void run_halt(struct run *r);

/* All workers end, all ranks settle, all learn how it went: 0 or -1. */
int run_end(struct run *r);

#endif
