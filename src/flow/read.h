/* Read: map one chunk of the source, read its data into the chunk's buffer. */
#ifndef FLOW_READ_H
#define FLOW_READ_H

#include <stdbool.h>

#include "flow/chunk.h"
#include "flow/source.h"

struct read_rules {
    const struct source *source;
    unsigned stop_depth; /* UINT_MAX; 1 if the target has a backing image: what the top image leaves
                          * out is PIECE_LEFT */
    uint32_t block_size; /* of the target; 0 = none. A block is LEFT whole or not at all */
    bool offload;        /* plain extents become PIECE_COPY instead of being read */
    bool salvage;
};

/* Fills c->guest, length, pieces and buf. Errors: "error while reading at byte N: ...". */
int read_chunk(struct image_reader *r, const struct read_rules *rules, struct chunk *c,
               uint64_t guest, uint32_t length, struct err *e);

#endif
