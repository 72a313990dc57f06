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
#include <string.h>

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

/* ---- changing entries: by one thread, while others read ----------------------------------------
 */

/* An entry of 4 or 8 bytes, aligned to its size, as it stands on disk; who reads beside this loads
 * it by __atomic_load_n of its size. */
static inline void slice_entry_store(void *to, const void *entry, size_t size)
{
    uint32_t four;
    uint64_t eight;
    if (size == sizeof four) {
        memcpy(&four, entry, sizeof four);
        __atomic_store_n((uint32_t *)to, four, __ATOMIC_RELEASE);
    } else {
        memcpy(&eight, entry, sizeof eight);
        __atomic_store_n((uint64_t *)to, eight, __ATOMIC_RELEASE);
    }
}

/* Store an entry: who reads here sees it from now on, the file has it after slices_flush. */
int slices_store(struct slices *s, uint64_t at, const void *entry, size_t size, struct err *e);
/* How many slices hold what the file does not have yet: they stay in memory, beyond the budget. */
size_t slices_changed(const struct slices *s);
/* What the file does not have yet, piece by piece: ascending in a slice, slices in any order. */
typedef int slices_change_fn(void *ctx, uint64_t at, const uint8_t *data, size_t len,
                             struct err *e);
int slices_changes(struct slices *s, slices_change_fn *see, void *ctx, struct err *e);
/* Write them, no byte more than what was stored; the caller syncs. After a failure they stay. */
int slices_flush(struct slices *s, struct err *e);
/* [at, at + len) was behind the end of the file, and is a new table of zeros now. */
void slices_grown(struct slices *s, uint64_t at, uint64_t len);

#endif
