/*
 * Messages between the coordinator, the workers and the ranks.
 *
 * Inside a rank a message is a link in a mailbox's list. It is part of the slot (or the worker) it
 * speaks of, which has one message under way in each direction at most: so posting needs no memory
 * and cannot fail. Its bytes belong to the slot too and stay until the slot is used again.
 */
#ifndef MPI_MESSAGE_H
#define MPI_MESSAGE_H

#include <stddef.h>

#include "base/err.h"
#include "mpi/wire.h"

enum message_kind {
    /* coordinator to worker */
    MESSAGE_WORK = 1,
    MESSAGE_GRANT,
    MESSAGE_STOP,    /* to a rank; slot: 0 = all went well, 1 = it did not */
    MESSAGE_PERSIST, /* to a rank's keeper */
    MESSAGE_HALT,    /* to a rank: give up what takes long */
    /* worker to coordinator */
    MESSAGE_NEED,
    MESSAGE_DONE,
    MESSAGE_FAIL,      /* bytes: the error */
    MESSAGE_BROKEN,    /* the worker could not start; bytes: the error */
    MESSAGE_GONE,      /* inside a rank: the worker's last word */
    MESSAGE_PERSISTED, /* of a rank's keeper; slot: 0 or 1, then the bytes are the error */
    /* rank to rank, where slot is the status: 0 or 1 */
    MESSAGE_ENDED,   /* to rank 0: this rank's workers have ended and it has settled */
    MESSAGE_VERDICT, /* to the others: how all of it went */
    MESSAGE_HELLO,   /* to rank 0: worker = this rank's workers; bytes: its host */
    MESSAGE_SHARE,   /* to the others: rank 0's bytes */
    MESSAGE_AGREE,   /* to rank 0: how it went here; bytes: the error */
    MESSAGE_EXIT,    /* to the others: slot = rank 0's exit code */
    /* a rank to rank 0, while units are worked on */
    MESSAGE_ALIVE,
    /* several messages of one rank to another (parcel.h) */
    MESSAGE_PARCEL,
};

/* The most bytes that one message carries (MPI counts in int). */
#define MESSAGE_MAX ((size_t)1 << 30)

/* Is it one of those that come with each unit? They may wait a little for others that go the same
 * way. */
static inline bool message_of_unit(uint32_t kind)
{
    return kind == MESSAGE_WORK || kind == MESSAGE_GRANT || kind == MESSAGE_NEED ||
           kind == MESSAGE_DONE;
}

struct message {
    struct message *next;
    struct wire_head head;
    const void *bytes;
};

/* A copy of some bytes, in memory that is used again for the next copy. */
struct keep {
    void *data;
    size_t len;
    size_t room;
};

/* -1: out of memory; then nothing is kept. */
int keep_copy(struct keep *k, const void *bytes, size_t len);
void keep_release(struct keep *k);

/* An error as bytes: what is used of its text and hint. No bytes stand for "out of memory", so that
 * packing cannot fail. */
void error_pack(struct keep *k, const struct err *e);
void error_unpack(struct err *e, const void *bytes, size_t len);

#endif
