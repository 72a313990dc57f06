/*
 * The transport: carries messages between ranks. The mpi module implements it; the coordinator and
 * the workers' loop know nothing else of MPI. Inside a rank messages go through mailboxes.
 */
#ifndef MPI_WIRE_H
#define MPI_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A message between two ranks. Bytes follow the head on the wire. */
struct wire_head {
    uint32_t kind;   /* enum message_kind of message.h */
    uint32_t worker; /* thread on the rank that is not rank 0 */
    uint64_t unit;
    uint32_t slot;
    uint32_t len; /* bytes that follow */
};

struct wire_ops {
    const char *name;
    /* One thread of a rank does all calls. */
    int (*start)(unsigned *rank, unsigned *size, struct err *e);
    /* Adds v[0..n-1] up over the ranks of this host; all of them call it, once they are started. */
    int (*host_sum)(uint32_t *v, unsigned n, struct err *e);
    /* Takes a copy; returns without waiting for the other side. */
    int (*send)(unsigned to, const struct wire_head *h, const void *bytes, struct err *e);
    /* A message if one is there: *got. The bytes stay valid until the next poll, aligned to eight.
     */
    int (*poll)(bool *got, unsigned *from, struct wire_head *h, const void **bytes, struct err *e);
    /* Wait until all sends have left, then end MPI on this rank. */
    void (*end)(void);
};

/* The one symbol that the module exports. */
#define WIRE_SYMBOL "mpi_img_wire"

#endif
