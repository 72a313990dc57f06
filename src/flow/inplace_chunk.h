/*
 * One chunk on its way into an image that is there: what a worker cuts it into, and how it gets to
 * the places that rank 0 gave (inplace.h has the whole).
 *
 *     pieces ──▶ runs: LEFT, ZERO (whole units), DATA ──▶ asks ──▶ places ──▶ fill, write
 */
#ifndef FLOW_INPLACE_CHUNK_H
#define FLOW_INPLACE_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "flow/chunk.h"
#include "flow/throttle.h"
#include "formats/edit.h"

struct inplace_rules {
    struct image *image;
    uint64_t unit;        /* what zeros and places are whole of */
    uint64_t group;       /* units that may have to move together are asked for at once */
    uint64_t chunk_size;  /* whole groups */
    uint64_t sparse_size; /* as in squeeze.h */
    bool zeros_written;   /* the image cannot mark zeros */
    bool zeros_there;     /* the image is known to read as zeros */
    const struct edit_packing *packing; /* blocks are to be encoded; NULL: not */
    uint64_t block;                     /* with it: bytes that are encoded together */
};

/* A part of a chunk. */
struct inplace_part {
    enum piece_kind kind;
    uint32_t at, length;
};

struct inplace_parts {
    struct inplace_part *part;
    size_t n, cap;
};

struct inplace_slot {
    struct chunk chunk;
    struct inplace_parts runs; /* all of the chunk, in order; bytes of DATA are in its buf */
    struct inplace_parts asks; /* whole units that need a place */
    struct edit_place *places; /* rank 0's answer */
    size_t n_places, cap_places;
};

int inplace_slot_init(struct inplace_slot *s, const struct inplace_rules *rules, struct err *e);
void inplace_slot_release(struct inplace_slot *s);

/* [from, to), if there is any; the like of the last part makes that longer. */
int inplace_part_add(struct inplace_parts *p, enum piece_kind kind, uint32_t from, uint32_t to,
                     struct err *e);

/* After the chunk was read: its runs and asks. */
int inplace_cut(const struct inplace_rules *rules, struct image_reader *r, struct inplace_slot *s,
                struct err *e);

/* Rank 0 adds a place. */
int inplace_place_add(struct inplace_slot *s, const struct edit_place *p, struct err *e);

/* Everything to its place. What a fresh one holds besides comes from what the image held before.
 * *at = where in the guest it failed. */
int inplace_write(const struct inplace_rules *rules, struct image_reader *r, struct throttle *t,
                  struct inplace_slot *s, uint64_t *at, struct err *e);

#endif
