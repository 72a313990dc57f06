/*
 * A queue of messages between threads. Who waits sleeps; who posts wakes only a sleeper.
 */
#ifndef MPI_MAILBOX_H
#define MPI_MAILBOX_H

#include <pthread.h>
#include <stdbool.h>

#include "base/err.h"
#include "mpi/message.h"

struct mailbox_list {
    struct message *first;
    struct message **last;
};

/* Any number of threads post, one takes. */
struct mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct mailbox_list urgent;
    struct mailbox_list normal;
    bool asleep; /* the taker waits and nobody has woken it yet */
};

int mailbox_init(struct mailbox *m, struct err *e);
void mailbox_release(struct mailbox *m);

/* The message stays the caller's memory; it may be posted again once it has been taken. Urgent
 * messages are taken before all others. */
void mailbox_post(struct mailbox *m, struct message *msg, bool urgent);

/* The next message; sleeps until there is one. */
struct message *mailbox_take(struct mailbox *m);

/* All messages, a list in order; NULL if none came in `us` microseconds. */
struct message *mailbox_take_all(struct mailbox *m, unsigned us);

#endif
