/* What a kind of queue implements: queue_aio.c, queue_uring.c. */
#ifndef IO_QUEUE_OPS_H
#define IO_QUEUE_OPS_H

#include "io/queue.h"

struct queue_request {
    unsigned number; /* below the depth */
    int fd;
    bool write;
    uint32_t alignment; /* of what is left after a part of it */
    struct file_io io;  /* what is still to be done */
    void *tag;
    struct queue_request *next_free;
};

struct queue_ops {
    /* The kind's own state; NULL with the error set. */
    void *(*open)(unsigned depth, struct err *e);
    /* Waits for what is in flight. */
    void (*close)(void *state);
    /* Given to the kernel by the next wait at the latest. */
    void (*add)(void *state, struct queue_request *r);
    /* One that has ended: *result = bytes, or a negative errno. */
    int (*wait)(void *state, struct queue_request **r, long *result, struct err *e);
};

extern const struct queue_ops queue_aio_ops;
extern const struct queue_ops queue_uring_ops; /* HAVE_LIBURING */

#endif
