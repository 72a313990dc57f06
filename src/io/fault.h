/*
 * A file that fails when it is told to: for tests of what happens then.
 */
#ifndef IO_FAULT_H
#define IO_FAULT_H

#include "io/file_ops.h"

enum fault_op {
    FAULT_READ,
    FAULT_WRITE,
    FAULT_SPAN,
    FAULT_ZERO,
    FAULT_DISCARD,
    FAULT_TRUNCATE,
    FAULT_PREALLOCATE,
    FAULT_COPY,
    FAULT_SYNC,
    FAULT_RELOCK,
    FAULT_CLOSE, /* the file below is closed all the same */
    FAULT_OPS
};

struct fault {
    enum fault_op op;
    uint64_t nth;   /* the first is 1 */
    bool and_after; /* that one and all later ones: a disk that is gone */
    int no;         /* errno value to fail with */
    size_t partial; /* of a write that fails, this many bytes arrive */
};

/* Wrap `below`, which belongs to the new file on success. Requests of a batch count one by one. */
int fault_new(struct file *below, const struct fault *faults, size_t n, struct file **out,
              struct err *e);

/* How many operations of a kind were asked for: to run a test once for each of them. */
uint64_t fault_count(struct file *f, enum fault_op op);

#endif
