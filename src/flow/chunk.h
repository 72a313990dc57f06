/*
 * One chunk on its way: what a worker holds in a slot between reading and writing.
 *
 *   read.c     maps it and reads its data          (extents, pieces, buf)
 *   squeeze.c  finds zeros, packs blocks           (need, packed)
 *   place.c    rank 0: gives it its place          (order!)
 *   write.c    writes what is placed
 */
#ifndef FLOW_CHUNK_H
#define FLOW_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/writer.h"
#include "image/image.h"

enum piece_kind {
    PIECE_LEFT, /* not in the source's top image: the target's backing image has it */
    PIECE_ZERO, /* reads as zeros */
    PIECE_DATA, /* in buf */
    PIECE_COPY  /* plain bytes of a source file, to be copied inside the storage: not in buf */
};

struct piece {
    enum piece_kind kind;
    uint32_t at; /* in the chunk */
    uint32_t length;
    struct file *file; /* PIECE_COPY */
    uint64_t host;
};

/* An unreadable sector that --salvage made zeros. */
struct salvaged {
    uint64_t guest;
    int32_t error;
    uint32_t pad;
};

struct chunk {
    uint64_t guest;
    uint32_t length;
    unsigned char *buf; /* chunk_size bytes, I/O aligned */

    struct extent *extents; /* those to be read */
    size_t n_extents, cap_extents;
    struct piece *pieces; /* all of the chunk, in order */
    size_t n_pieces, cap_pieces;
    struct salvaged *salvaged;
    size_t n_salvaged, cap_salvaged;

    /* blocks */
    need_t *need;
    uint64_t *host;      /* where each block goes; PLACE_NONE = nowhere */
    uint32_t *packed_at; /* where in `packed` each encoded block begins */
    size_t n_blocks;     /* of this chunk: the image's last one may have fewer */
    unsigned char *packed;
    size_t packed_len, cap_packed;
    struct placing placing;

    struct file_io *io; /* writes of this chunk, in flight together */
    size_t n_io, cap_io;

    unsigned char *message; /* what goes to rank 0: need and salvaged; ends of runs */
    size_t n_message, cap_message;
};

/* Buffers for chunks of chunk_size bytes in blocks of block_size (0: no blocks), of which each
 * takes up to packed_max bytes when it is encoded (0: none is). */
int chunk_init(struct chunk *c, uint64_t chunk_size, uint32_t block_size, uint32_t packed_max,
               struct err *e);
void chunk_release(struct chunk *c);

/* The next piece; it is joined with the one before where that is of the same kind. */
int chunk_piece_add(struct chunk *c, const struct piece *p, struct err *e);

int chunk_io_add(struct chunk *c, void *buf, size_t len, uint64_t off, struct err *e);

/* Make room for n more bytes of message; NULL with the error set. */
void *chunk_message_add(struct chunk *c, size_t n, struct err *e);

#endif
