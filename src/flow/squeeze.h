/* Squeeze: find the zeros of a chunk and pack its blocks. What is left is what the target needs. */
#ifndef FLOW_SQUEEZE_H
#define FLOW_SQUEEZE_H

#include <stdbool.h>

#include "flow/chunk.h"

struct squeeze_rules {
    uint32_t block_size;
    uint64_t sparse_size; /* runs of zeros shorter than this are data; 0 = zeros are data too */
    bool zero_flag;       /* zeros over a backing image are a mark, not bytes */
    bool reserve;         /* blocks without data are allocated all the same */
    uint64_t backed;      /* guest bytes below which the target's backing image has content */
};

/* Block targets: from c->pieces and c->buf to c->need (and c->packed with a packer, which may be
 * NULL). Bytes of buf that are zeros by the map are cleared where their block is written. */
int squeeze_blocks(const struct squeeze_rules *rules, const struct writer_ops *ops,
                   struct packer *packer, struct chunk *c, struct err *e);

/* Targets without blocks: cut DATA pieces into data and zeros of at least sparse_size. */
struct squeeze_run {
    enum piece_kind kind; /* PIECE_DATA, PIECE_ZERO, PIECE_COPY */
    uint32_t at, length;
};
/* The run of piece p that begins `from` bytes into it. */
struct squeeze_run squeeze_next(uint64_t sparse_size, const struct chunk *c, const struct piece *p,
                                uint32_t from);

#endif
