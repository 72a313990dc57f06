/*
 * A source is opened by every rank, its headers are read by one.
 *
 *   rank 0           opening_new ──▶ images are opened ──▶ opening_end ──▶ opening_bytes
 *                                    files and reads are recorded              │ to all ranks
 *   the others       opening_load ◀────────────────────────────────────────────╯
 *                         ╰────────▶ images are opened ──▶ opening_end
 *                                    reads are answered, no locks are taken: rank 0's stand for
 * all; that a name stands for another file here is seen at once
 *
 * Images are opened by one thread; after opening_end the files may be read by many, and the opening
 * lives as long as they do. What is too long to be sent around is left out: each rank reads it.
 */
#ifndef IO_OPENING_H
#define IO_OPENING_H

#include "io/file.h"

struct opening;

int opening_new(struct opening **out, struct err *e);
/* The bytes are copied. */
int opening_load(const void *bytes, size_t len, struct opening **out, struct err *e);
void opening_free(struct opening *o); /* NULL is fine */

/* All is open. NULL is fine. */
void opening_end(struct opening *o);
/* What was recorded. */
const void *opening_bytes(const struct opening *o, size_t *len);

/* ---- for those that open (o may be NULL) ----------------------------------------------------- */

/* Does another rank hold the locks? */
bool opening_is_replayed(const struct opening *o);

/* file_open for a source: recorded, or compared with what rank 0 has. */
int opening_file(struct opening *o, const json_t *node, const struct file_options *fo,
                 struct file **out, struct err *e);

/* ---- for file.c ------------------------------------------------------------------------------ */

/* Is this read answered? Then *got is what it gives. */
bool opening_answers(struct opening *o, const struct file *f, void *buf, size_t len, uint64_t off,
                     size_t *got);
/* It was read: record it. */
void opening_note(struct opening *o, const struct file *f, const void *buf, size_t len,
                  uint64_t off, size_t got);

#endif
