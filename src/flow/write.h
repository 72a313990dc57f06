/* Write: a worker puts a chunk where it belongs. */
#ifndef FLOW_WRITE_H
#define FLOW_WRITE_H

#include <stdbool.h>

#include "flow/chunk.h"
#include "flow/throttle.h"

struct write_rules {
    const struct writer *writer; /* NULL: an existing image, guest offset is file offset */
    struct file *file;           /* where data goes, unless the writer has several files */
    uint32_t block_size;         /* 0 = guest offset is file offset */
    uint64_t sparse_size;        /* as in squeeze.h */
    bool fresh;                  /* what is not written reads as zeros */
    uint64_t shift;              /* without a writer: place of guest byte 0 in the file */
    bool offload;                /* chunks may hold PIECE_COPY */
    uint32_t page;               /* what is less of one, at the ends of runs, is an edge */
};

/* Targets without blocks: everything at its guest offset. */
int write_in_place(const struct write_rules *rules, struct throttle *t, struct chunk *c,
                   struct err *e);

/* Block targets, after placing (c->host). The ends of runs that do not fill their page go to
 * c->message as edges, for rank 0 to write. */
int write_placed(const struct write_rules *rules, struct throttle *t, struct chunk *c,
                 struct err *e);

/* An edge in a message: this head, then `length` bytes. */
struct write_edge {
    uint64_t host;
    uint64_t length;
};

#endif
