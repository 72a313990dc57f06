/*
 * Several messages as one: what a rank has to say to another in one go. To hand a message to MPI,
 * and over TCP to the kernel, costs more than all that is done about what it says.
 *
 * A parcel travels as a message of kind PARCEL whose bytes are messages, head and bytes, each
 * filled up to eight bytes. The unit of its head is the pace (post.h).
 */
#ifndef MPI_PARCEL_H
#define MPI_PARCEL_H

#include "mpi/message.h"

/* A parcel's most bytes. MPI libraries send what is longer than some KiB only when the other side
 * has asked for it. */
#define PARCEL_MAX 4000

struct parcel {
    unsigned char *data;
    size_t room;
    size_t len;
    unsigned n; /* messages */
};

void parcel_release(struct parcel *p);

/* false: it does not fit (any more), or there is no memory; then nothing has changed. */
bool parcel_add(struct parcel *p, const struct wire_head *h, const void *bytes);

/* The next message of received bytes: *at goes past it. 0: that was the last; -1: these are not
 * messages. *bytes is aligned as data is, up to eight. */
int parcel_next(const void *data, size_t len, size_t *at, struct wire_head *h, const void **bytes);

#endif
