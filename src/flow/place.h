/*
 * Place: the one step that knows order. Rank 0 runs it chunk by chunk, ascending; its state is a
 * cursor. Each chunk is granted the cursor as it stood before it.
 */
#ifndef FLOW_PLACE_H
#define FLOW_PLACE_H

#include "flow/chunk.h"
#include "io/pages.h"

struct placer; /* rank 0 */

/* `file` is the image file that grows; `pages` gather for it. Both borrowed. */
int placer_new(struct writer *w, struct file *file, struct pages *pages, struct placer **out,
               struct err *e);
void placer_free(struct placer *p); /* NULL is fine */
struct cursor *placer_cursor(struct placer *p);

/* Place chunk `chunk` that needs `need`; *granted = the cursor its worker must begin with. */
int placer_place(struct placer *p, uint64_t chunk, const need_t *need, size_t n,
                 struct cursor *granted, struct err *e);

/* The chunk is written: its edges (write.h) are `edges`. */
int placer_done(struct placer *p, uint64_t chunk, const void *edges, size_t len, struct err *e);

#endif
