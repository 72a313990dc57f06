/* What a file's requests must keep to, or do well to keep to. 0: no such limit. */
#ifndef IO_LIMITS_H
#define IO_LIMITS_H

#include "io/file.h"

struct file_limits {
    uint32_t alignment;        /* of offsets and lengths */
    uint32_t memory_alignment; /* of buffers: what works */
    uint32_t memory_optimal;   /* ... and what works best */
    uint32_t max_iov;          /* buffers in one request */
    /* of a device's queue */
    uint64_t max_hw_transfer;
    uint32_t max_hw_iov;
    uint64_t opt_transfer;
    uint64_t max_discard, discard_alignment;
    uint64_t max_write_zeroes;
};

void file_limits(const struct file *f, struct file_limits *out);

#endif
