#include "flow/partition.h"

#include <inttypes.h>
#include <limits.h>

#include "base/num.h"

static bool counts(const struct partition *p, const struct extent *x)
{
    if (x->kind == EXTENT_HOLE && p->stop_depth != UINT_MAX)
        return false;
    bool zero = x->kind == EXTENT_HOLE || x->kind == EXTENT_ZERO || x->file_hole;
    return !zero || p->zeros_count || x->guest < p->backed;
}

int partition_next(struct partition *p, uint64_t *chunk, struct err *e)
{
    uint64_t size = p->source->size;
    struct extent x;
    for (; p->at < size && !p->all; p->at += x.length) {
        if (source_map(p->source, p->at, size - p->at, p->stop_depth, &x, e) < 0)
            return err_prefix(e, "error while reading block status at offset %" PRIu64 ": ", p->at);
        if (counts(p, &x))
            break;
    }
    if (p->at >= size)
        return 0;
    *chunk = p->at / p->chunk_size;
    p->at = (*chunk + 1) * p->chunk_size;
    return 1;
}
