/*
 * A hash of what a guest reads, that many can work on: the construction called blkhash, the one of
 * `nbdcopy --blkhash` and `blksum`.
 *
 *     H( H(block 0) H(block 1) ... H(block n-1) length )
 *
 * Blocks have a fixed size (64 KiB), the last one is as long as what is left; `length` is that of
 * the whole, eight bytes, the lowest first. It depends on neither format nor place of anything. The
 * digest of a block of zeros is known, so that what is not stored is not looked at; it costs a
 * 2000th of what the same amount of data costs (32 bytes of 64 KiB).
 *
 * A worker makes the digests of a chunk's blocks; rank 0 takes them in guest order. A chunk need
 * not begin or end with a block: of one that is cut the bytes themselves go to rank 0.
 */
#ifndef FLOW_BLKHASH_H
#define FLOW_BLKHASH_H

#include "flow/chunk.h"
#include "formats/digest.h"

#define BLKHASH_ALGORITHM "sha256"
#define BLKHASH_BLOCK     65536u
#define BLKHASH_BLOCK_MIN 512u
#define BLKHASH_BLOCK_MAX (16u << 20)

/* kind NULL: no hash is asked for. */
struct blkhash_params {
    const struct digest_kind *kind;
    uint32_t block_size; /* a power of two in the bounds above */
};

struct blkhash {
    struct blkhash_params params;
    uint64_t size;            /* guest bytes */
    uint8_t zero[DIGEST_MAX]; /* of a whole block of zeros */
};

int blkhash_init(struct blkhash *h, const struct blkhash_params *params, uint64_t size,
                 struct err *e);

/* ---- a worker -------------------------------------------------------------------------------- */

/* Add what rank 0 needs of a chunk that was read (no LEFT, no COPY) to its message. Bytes of its
 * buffer that are zeros by the map are cleared, where their block holds data too. */
int blkhash_chunk(const struct blkhash *h, struct chunk *c, struct err *e);

/* ---- rank 0 ---------------------------------------------------------------------------------- */

struct blkhash_order;
int blkhash_order_new(const struct blkhash *h, struct blkhash_order **out, struct err *e);
void blkhash_order_free(struct blkhash_order *o); /* NULL is fine */

/* The chunk that begins at `guest`; chunks come in guest order, what is left out between them is
 * zeros. `bytes` are those of blkhash_chunk. */
int blkhash_order_chunk(struct blkhash_order *o, uint64_t guest, const void *bytes, size_t len,
                        struct err *e);
/* All that follows is zeros: the hash. */
int blkhash_order_end(struct blkhash_order *o, uint8_t *hash, struct err *e);

#endif
