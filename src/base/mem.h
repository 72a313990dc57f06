/*
 * Memory: allocation that reports, cleanup attributes for locals, aligned I/O buffers.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdlib.h>

#include "base/err.h"

/* Alignment of every buffer that data is read into or written from; enough for O_DIRECT on 4 KiB
 * sector devices. */
#define MEM_IO_ALIGN 4096u

/* Zeroed memory of n*size bytes, or NULL with the error set. free() it. n*size == 0 gives a
 * pointer that can be freed. */
void *mem_new(size_t n, size_t size, struct err *e);

/* Grow or shrink; on failure the old block stays valid and NULL is returned with the error set. */
void *mem_grow(void *p, size_t n, size_t size, struct err *e);

/* An I/O buffer: aligned to MEM_IO_ALIGN, not zeroed. free() it. */
void *mem_io(size_t size, struct err *e);

char *mem_strdup(const char *s, struct err *e);

/* NULL with the error set when out of memory. */
char *mem_printf(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static inline void mem_cleanup_free(void *p)
{
    free(*(void **)p);
}

/* `AUTO_FREE char *s = NULL;` is freed when it goes out of scope. */
#define AUTO_FREE __attribute__((cleanup(mem_cleanup_free), unused))
/* `AUTO(file_cleanup) struct file *f = NULL;` where file_cleanup takes `struct file **`. */
#define AUTO(fn) __attribute__((cleanup(fn), unused))
/* Give a local with AUTO_FREE or AUTO away: its value is returned, the local becomes NULL. */
#define MEM_TAKE(p)                                                                                \
    ({                                                                                             \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#endif
