/*
 * A layout: how the blocks of most formats find their place in a fresh image.
 *
 *     head, tables … │ begin: block │ block │ table │ block …        (lead before a block's data)
 *
 * Blocks get their place in the order of the guest, each behind the last one. A block may be larger
 * than what a worker should hold: then need[] counts in units, a part of a block each, and the
 * first unit with data opens the block's place, in which the later ones, of this chunk or the next,
 * stand at their offset. The rest of the block is not written: a new file reads as zeros there.
 *
 * That rest does not read from a backing image: over one, the unit must be the whole block.
 */
#ifndef FORMATS_LAYOUT_H
#define FORMATS_LAYOUT_H

#include "formats/writer.h"

struct layout {
    uint32_t unit;  /* guest bytes of a need; divides block */
    uint64_t block; /* guest bytes of an entry */
    uint64_t lead;  /* bytes in the file before a block's data (vhd's bitmap) */
    uint64_t align; /* of a block's data in the file */
    uint64_t begin; /* the first free byte behind what stands in front */
    uint64_t
        table_blocks;     /* blocks of a second-level table that lies among the data; 0 = none do */
    uint64_t table_bytes; /* of such a table, aligned as blocks are */
    uint32_t packed_align; /* of an encoded block (unit == block); 0 = there are none */
};

/* The largest power of two, at most 64 KiB, that divides `block`: the unit where nothing is
 * backed. */
uint32_t layout_unit(uint64_t block);

/* Chunk size for these units: about 1 MiB, a whole number of units, at least one. */
uint64_t layout_chunk(uint32_t unit);

void layout_begin(const struct layout *l, struct cursor *c);

/* writer_ops.place for units from `first_unit` on (of the guest). out->host as writer.h says;
 * out->meta: first PLACE_TABLE for each table that is opened, then PLACE_BLOCK for each block that
 * is (index: block, host: its data), both ascending. Encoded blocks have no meta: their place is
 * out->host; in a chunk they stand before the plain blocks, so that they are packed densely. */
int layout_place(const struct layout *l, uint64_t first_unit, const need_t *need, size_t n,
                 struct cursor *c, struct placing *out, struct err *e);

#endif
