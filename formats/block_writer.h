/*
 * The writer of images whose only block table stands in front of the data: what such formats share.
 *
 * A format's own writer begins with a struct block_writer, fills it in its open, and uses
 * block_writer_begin, _place and _publish as its writer_ops. Its finish calls block_writer_tables,
 * then writes what makes the file an image.
 */
#ifndef FORMATS_BLOCK_WRITER_H
#define FORMATS_BLOCK_WRITER_H

#include "formats/front_table.h"
#include "formats/layout.h"

struct block_writer {
    struct writer writer; /* first: the core's pointer is to this */
    struct layout layout;
    struct front_table_params table_params;
    uint64_t base;             /* of the entries (table_encode) */
    struct front_table *table; /* rank 0; made when first needed */
    uint64_t blocks;           /* rank 0: how many have a place */
};

/* Set `writer` for blocks that are placed by `layout`, which is set. */
void block_writer_placed(struct block_writer *w, struct file *file);
/* Set `writer` for data that stands at guest offset + `data_offset`. */
void block_writer_in_place(struct block_writer *w, struct file *file, uint64_t data_offset);
void block_writer_release(struct block_writer *w);

void block_writer_begin(const struct writer *w, struct cursor *c);
int block_writer_place(const struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                       struct cursor *c, struct placing *out, struct err *e);
int block_writer_publish(struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                         const struct placing *placed, struct pages *pages, struct err *e);

/* Blocks that stand side by side from `host` on: the entries of all of them. */
int block_writer_fill(struct block_writer *w, uint64_t blocks, uint64_t host, struct pages *pages,
                      struct err *e);
/* The table is complete: write it, and all that `pages` holds. */
int block_writer_tables(struct block_writer *w, struct pages *pages, struct err *e);

#endif
