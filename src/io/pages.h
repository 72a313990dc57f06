/*
 * Gather small pieces into whole pages before writing.
 *
 * Workers write only pages that their own chunk fills; the rest (the ends of packed runs, tables,
 * refcounts) comes here, on rank 0, which is so the only writer of any page that is shared. A page
 * is written when it is full, or when the caller says that nothing more comes below an offset.
 */
#ifndef IO_PAGES_H
#define IO_PAGES_H

#include "io/file.h"

#define PAGES_SIZE 4096u

/* Bytes of a page of this machine's page cache, PAGES_SIZE at least. A client of a network file
 * system that is given a part of one may read the rest from the server and write all of it back,
 * with what others have put there meanwhile undone: so no two ranks write parts of one. */
uint32_t pages_here(void);

struct pages;
int pages_new(struct file *f, struct pages **out, struct err *e);
void pages_free(struct pages *p); /* what is not written is lost; NULL is fine */

/* Bytes for the file; whole pages go out at once, the rest waits. Never twice for one byte. */
int pages_put(struct pages *p, uint64_t off, const void *buf, size_t len, struct err *e);
/* Hardly anything more comes below `off`: write what waits there, zeros where nothing came. A piece
 * that comes all the same (a table that is written late) goes out at once, by itself. */
int pages_below(struct pages *p, uint64_t off, struct err *e);
/* Write all that waits. */
int pages_flush(struct pages *p, struct err *e);
size_t pages_waiting(const struct pages *p); /* bytes of memory held */

#endif
