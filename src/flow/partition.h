/*
 * Partition: which chunks there are to do. Chunk k is the k-th fixed range of the guest; chunks
 * that the map shows empty are never handed out, however many there are.
 */
#ifndef FLOW_PARTITION_H
#define FLOW_PARTITION_H

#include <stdbool.h>

#include "flow/source.h"

struct partition {
    const struct source *source;
    uint64_t chunk_size;
    unsigned stop_depth; /* as in read.h */
    bool zeros_count;   /* zeros must be written: only what is left to the backing image is empty */
    bool all;           /* every chunk counts (preallocation) */
    struct image *over; /* zeros are written over this image: where it reads as zeros they do not
                         * count; NULL: no matter */
    uint64_t backed;    /* zeros below this guest offset count too (they hide a backing image) */
    uint64_t at;        /* guest offset reached */
    uint64_t window;    /* how far the map is asked: far only where all is empty; 0 = a chunk */
};

/* 1 and *chunk, or 0 at the end, or -1. */
int partition_next(struct partition *p, uint64_t *chunk, struct err *e);

#endif
