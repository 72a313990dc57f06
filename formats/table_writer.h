/*
 * Writing two-level block tables whose second level lies among the data.
 *
 * Blocks come in ascending order, so one second-level table is open at a time: it is written when
 * the next one opens. The first-level table stays in memory (its owner writes it).
 */
#ifndef FORMATS_TABLE_WRITER_H
#define FORMATS_TABLE_WRITER_H

#include "formats/table.h"

struct pages;
struct table_writer;

struct table_writer_params {
    const struct table_format *format; /* entry_size, big_endian, absent */
    unsigned words;         /* entries that make up one block's (qcow2 extended: 2), else 1 */
    uint64_t table_entries; /* blocks of one second-level table */
    uint64_t first_entries; /* of the first-level table, its entries as wide as the others */
    uint64_t first_scale;   /* first-level entry = host / scale | used */
    uint64_t first_used;
    struct file *file; /* borrowed */
};

int table_writer_new(const struct table_writer_params *p, struct table_writer **out, struct err *e);
void table_writer_free(struct table_writer *t);

/* Second-level table `index` is at `host`, and open. Ascending. */
int table_writer_place(struct table_writer *t, uint64_t index, uint64_t host, struct pages *pages,
                       struct err *e);
/* Word `word` of a block's entry; its table must be open. */
int table_writer_set(struct table_writer *t, uint64_t block, unsigned word, uint64_t raw,
                     struct err *e);
/* Write the open table, if there is one. */
int table_writer_close(struct table_writer *t, struct pages *pages, struct err *e);

/* The first-level table as it goes to the file. */
const void *table_writer_first(const struct table_writer *t, size_t *len);

#endif
