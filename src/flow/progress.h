/* What a flow tells whoever watches: percent done, 0 to 100, ascending. Called on rank 0 only. */
#ifndef FLOW_PROGRESS_H
#define FLOW_PROGRESS_H

struct progress {
    void (*update)(void *ctx, double percent); /* may be NULL */
    void *ctx;
};

static inline void progress_update(const struct progress *p, double percent)
{
    if (p && p->update)
        p->update(p->ctx, percent);
}

#endif
