/* What meta.c and meta_bitmap.c share. */
#ifndef FORMATS_QCOW2_META_IMPL_H
#define FORMATS_QCOW2_META_IMPL_H

#include "formats/qcow2/meta.h"
#include "formats/qcow2/refs.h"
#include "formats/table_writer.h"

struct qcow2_meta {
    const struct qcow2_layout *l;
    const struct qcow2_create *create;
    struct file *file;
    struct qcow2_refs *refs;
    struct table_writer *tables; /* L2, and L1 in memory */
    uint64_t begin_end;          /* where the file ends before anything is placed */
    uint64_t end;                /* ... and now */
    uint64_t packed;             /* end of the last encoded block, or PLACE_NONE */

    uint8_t *bitmap_dir; /* the directory so far */
    size_t bitmap_dir_len;
    uint32_t n_bitmaps;
};

int qcow2_meta_put_bitmap_dir(struct qcow2_meta *m, struct cursor *c, struct pages *pages,
                              struct qcow2_head *h, struct err *e);

#endif
