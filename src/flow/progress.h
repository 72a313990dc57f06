/* What a flow tells whoever watches: percent done, 0 to 100, ascending. Called on rank 0 only. */
#ifndef FLOW_PROGRESS_H
#define FLOW_PROGRESS_H

#include <stdint.h>

struct progress {
    void (*update)(void *ctx, double percent);               /* may be NULL */
    void (*bytes)(void *ctx, uint64_t done, uint64_t total); /* before it; may be NULL */
    void *ctx;
};

static inline void progress_update(const struct progress *p, double percent)
{
    if (p && p->update)
        p->update(p->ctx, percent);
}

/* The same for a flow that counts bytes. The end is said by progress_update. */
static inline void progress_bytes(const struct progress *p, uint64_t done, uint64_t total)
{
    if (p && p->bytes)
        p->bytes(p->ctx, done, total);
    progress_update(p, total ? 100 * (double)done / (double)total : 0);
}

#endif
