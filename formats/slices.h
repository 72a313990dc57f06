/*
 * A bounded cache of pieces of a file that holds tables.
 *
 * A slice is SLICES_SIZE bytes at a multiple of SLICES_SIZE, whatever table they belong to: small
 * tables that lie side by side come with one read. Safe for many threads; a slice that somebody
 * holds stays where it is.
 */
#ifndef FORMATS_SLICES_H
#define FORMATS_SLICES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "io/file.h"

#define SLICES_SIZE           65536u
#define SLICES_DEFAULT_BUDGET (UINT64_C(16) << 20)

struct slices;

/* `tail`: the file may end inside its last unit of so many bytes (a power of two, the cluster
 * size); what lacks there reads as zeros. 0 or 1: nothing may lack. budget 0 = default. */
int slices_new(struct file *f, uint64_t budget, uint32_t tail, struct slices **out, struct err *e);
void slices_free(struct slices *s); /* NULL is fine */

/* A piece that is held. */
struct slice {
    const uint8_t *data; /* SLICES_SIZE bytes of which `valid` are the file's (or its tail's) */
    size_t valid;
    uint64_t offset; /* in the file */
    void *slot;      /* the cache's own */
};

/* Hold the slice in which `offset` lies. */
int slices_get(struct slices *s, uint64_t offset, struct slice *out, struct err *e);
void slices_put(struct slices *s, struct slice *p); /* a slice of {0} is fine */

/* The same through a slice that may be held already: changes it only if it must. */
int slices_move(struct slices *s, uint64_t offset, struct slice *p, struct err *e);

#endif
