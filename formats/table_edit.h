/*
 * formats/edit.h for images whose blocks stand in tables (formats/table.h), and whose fresh blocks
 * and tables come behind all others.
 *
 *     flush:  data, counts, fresh tables of zeros ─sync─▶ entries of both levels ─sync
 *
 * What is linked is in the tables' own memory until then, so the image's map sees it; at most a
 * part of the table's budget, or a flush comes early. Nothing that an entry refers to is given free
 * or moves, so there is nothing to do after the tables. A driver says what is its own: where its
 * file ends, what has to be counted, what stands behind the blocks.
 */
#ifndef FORMATS_TABLE_EDIT_H
#define FORMATS_TABLE_EDIT_H

#include "formats/edit.h"
#include "formats/table.h"
#include "image/image.h"

struct table_edit {      /* first in image.state */
    struct table *table; /* that of the image's map; set when that is opened. Borrowed */
    uint64_t end;        /* from here on, in the file, nothing is the image's */
    uint64_t align;      /* of blocks (before their lead) and tables, from the table's base on */
    uint64_t entry_max;  /* the largest entry of a block */
    bool keeps_space;    /* a preallocated image: zeros are written, holes are not made */

    /* All optional. A block's place that is free before `end`: 0 if there is none. */
    uint64_t (*reuse)(struct image *img);
    /* The file is about to be used up to `end`: move what stands in the way. */
    int (*reserve)(struct image *img, uint64_t end, struct err *e);
    /* What has to be on storage before the entries of this flush are. */
    int (*count)(struct image *img, struct err *e);
    /* The data is on storage: the entries are about to be written, and may be elsewhere too. */
    int (*copies)(struct image *img, struct err *e);

    /* kept here */
    uint64_t linked_end; /* above all that was linked */
    uint64_t zero_from;  /* the file has never held anything behind it */
    uint64_t most;       /* bytes of tables that may wait for a flush */
};

/* For edit_ops.begin: all but what is kept here is set. */
void table_edit_begin(struct image *img);

uint64_t table_edit_unit(struct image *img);
int table_edit_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                     struct err *e);
int table_edit_link(struct image *img, const struct edit_place *p, struct err *e);
int table_edit_zero(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                    uint64_t *done, struct err *e);
int table_edit_flush(struct image *img, struct err *e);

/* Each entry of a table of one level as the file has it, in order, for what is counted; entries
 * that an earlier flush failed to write are written first. */
typedef void table_edit_see_fn(void *ctx, uint64_t block, uint64_t raw);
int table_edit_scan(struct table *t, table_edit_see_fn *see, void *ctx, struct err *e);

#endif
