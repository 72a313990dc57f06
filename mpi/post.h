/*
 * The post office of a rank: what its main thread receives, from the rank's own workers and from
 * other ranks, in one stream; and what it sends to other ranks.
 *
 * With one rank it sleeps on the inbox. With several it must poll the wire: it does so with sleeps
 * that grow while nothing comes, and that a message of an own worker cuts short.
 *
 * Messages that come with each unit go in parcels: a rank first takes all that is there, then sends
 * all that it has to say about it. When rank 0 is short of time it has them wait longer (pace.h).
 */
#ifndef MPI_POST_H
#define MPI_POST_H

#include "mpi/mailbox.h"
#include "mpi/outbox.h"
#include "mpi/pace.h"

#define POST_HOST 64

struct post {
    struct mailbox inbox;        /* from this rank's workers */
    const struct wire_ops *wire; /* NULL: there is one rank */
    struct outbox out;           /* to other ranks */
    struct pace pace;
    unsigned asked; /* the relay's: orders that its workers have not answered yet */
    unsigned rank;
    unsigned size;
    unsigned nap; /* microseconds to sleep if nothing is there */
    bool broken;  /* the wire failed: it is not used any more */
    bool left;    /* rank 0 has said how it ends */
    int exit_code;
    char (*host)[POST_HOST]; /* on rank 0: the name of each rank's, for messages */
};

int post_init(struct post *p, struct err *e);
/* Start the wire: this is one of several ranks. */
int post_connect(struct post *p, const struct wire_ops *wire, struct err *e);
void post_release(struct post *p);

/* To another rank: now, or if the message is one of those that come with each unit, at the next
 * post_receive or later. */
int post_send(struct post *p, unsigned to, const struct wire_head *h, const void *bytes,
              struct err *e);

/* To all other ranks. */
int post_send_all(struct post *p, const struct wire_head *h, const void *bytes, struct err *e);

/* What a handler returns: all well; all well, and what follows from other ranks is for the next
 * one; a failure, which breaks the wire. */
enum post_handled { POST_FAILED = -1, POST_GO_ON = 0, POST_ENOUGH = 1 };

/* `from` is this rank for an own worker's message. */
typedef enum post_handled post_handler(void *ctx, unsigned from, const struct wire_head *h,
                                       const void *bytes, struct err *e);

/* Hand the messages that are there to the handler; if none is, wait a while for one (at most 100
 * ms). -1: the wire failed, or rank 0 has left. */
int post_receive(struct post *p, post_handler *handle, void *ctx, struct err *e);

/* On rank 0: a rank has said where it runs. */
void post_name(struct post *p, unsigned rank, const void *name, size_t len);

/* The wire is given up, since nothing has come from this rank for so long. Returns -1. */
int post_lose(struct post *p, unsigned rank, double seconds, struct err *e);

/* For handlers: a message that has no place here. */
enum post_handled post_unexpected(unsigned from, const struct wire_head *h, struct err *e);

#endif
