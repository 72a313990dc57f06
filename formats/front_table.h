/*
 * Writing a block table that stands in front of the data, in one piece.
 *
 * Entries come in ascending order, so only a window of the table is held, however large it is:
 * what no later entry can touch is written, entries that never came with their fill value.
 */
#ifndef FORMATS_FRONT_TABLE_H
#define FORMATS_FRONT_TABLE_H

#include "formats/table.h"

#define FRONT_COPIES 2u

struct pages;
struct front_table;

struct front_table_params {
    const struct table_format *format; /* entry_size, big_endian; borrowed */
    struct file *file;                 /* borrowed */
    uint64_t offset[FRONT_COPIES];     /* where each copy stands */
    unsigned copies;
    uint64_t entries; /* of the whole table */
    uint64_t fill;    /* the entry of what is never set */
    /* After so many entries comes one of no block (vhdx), 0 on disk; indices below do not count
     * it, `entries` does. 0: there are none. */
    uint64_t gap_every;
};

int front_table_new(const struct front_table_params *p, struct front_table **out, struct err *e);
void front_table_free(struct front_table *t); /* NULL is fine */

/* The entry of block `index`. Ascending. */
int front_table_set(struct front_table *t, uint64_t index, uint64_t raw, struct pages *pages,
                    struct err *e);
/* Write all that is not written yet; then only front_table_free. */
int front_table_finish(struct front_table *t, struct pages *pages, struct err *e);

#endif
