/*
 * The metadata of a fresh image, on rank 0: takes what chunks placed, in chunk order, and writes
 * what no later chunk can touch. What stays in memory: one L2 table, two or three refcount blocks,
 * L1 and the places of the refcount blocks.
 */
#ifndef FORMATS_QCOW2_META_H
#define FORMATS_QCOW2_META_H

#include "formats/qcow2/header.h"
#include "formats/qcow2/layout.h"

struct qcow2_meta;

/* layout and create are borrowed. */
int qcow2_meta_new(const struct qcow2_layout *l, const struct qcow2_create *create,
                   struct file *file, struct qcow2_meta **out, struct err *e);
void qcow2_meta_free(struct qcow2_meta *m);

/* writer_ops.publish: the blocks are first_block + 0..n-1. */
int qcow2_meta_publish(struct qcow2_meta *m, uint64_t first_block, const need_t *need, size_t n,
                       const struct placing *placed, struct pages *pages, struct err *e);

/* After the last publish: len bytes at a place of their own, whole clusters, each counted once.
 * buf NULL: their contents come later. */
int qcow2_meta_append(struct qcow2_meta *m, struct cursor *c, const void *buf, size_t len,
                      uint64_t *host, struct pages *pages, struct err *e);

/* meta_bitmap.c: a bitmap with its bits; then, once, the directory (fills h->ext). */
int qcow2_meta_add_bitmap(struct qcow2_meta *m, struct cursor *c, struct image *from,
                          struct bitmap *b, struct pages *pages, struct err *e);

/* All tables, the length of the file. Fills the fields of h that say where things are. */
int qcow2_meta_finish(struct qcow2_meta *m, struct cursor *c, struct pages *pages,
                      struct qcow2_head *h, struct err *e);

/* Bytes of tables in memory: for tests. */
size_t qcow2_meta_memory(const struct qcow2_meta *m);

#endif
