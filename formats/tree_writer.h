/*
 * The writer of images with two levels of tables, the second among the data: what such formats
 * share.
 *
 * A format's own writer begins with a struct tree_writer, fills it in its open, and uses
 * tree_writer_begin, _place and _publish as its writer_ops. Its finish calls tree_writer_tables,
 * then writes the header.
 */
#ifndef FORMATS_TREE_WRITER_H
#define FORMATS_TREE_WRITER_H

#include "formats/layout.h"
#include "formats/table_writer.h"

struct tree_writer {
    struct writer writer; /* first: the core's pointer is to this */
    struct layout layout;
    struct table_writer_params table_params;
    uint64_t first_offset;       /* of the first-level table */
    unsigned packed_shift;       /* an encoded block's entry: its mark | length << this | host */
    struct table_writer *tables; /* rank 0; made when first needed */
    uint64_t open;               /* the second-level table that is open: its index + 1 */
};

/* Set `writer` and the rest of table_params; layout and the first level are set. */
void tree_writer_init(struct tree_writer *w, const struct table_format *format, struct file *file);
void tree_writer_release(struct tree_writer *w);

void tree_writer_begin(const struct writer *w, struct cursor *c);
int tree_writer_place(const struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                      struct cursor *c, struct placing *out, struct err *e);
int tree_writer_publish(struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                        const struct placing *placed, struct pages *pages, struct err *e);

/* All chunks are published: write the tables and all that `pages` holds, and sync it. */
int tree_writer_tables(struct tree_writer *w, const struct cursor *c, struct pages *pages,
                       struct err *e);

#endif
