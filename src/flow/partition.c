#include "flow/partition.h"

#include <inttypes.h>
#include <limits.h>

#include "base/num.h"
#include "flow/walk.h"

static bool counts(const struct partition *p, const struct extent *x)
{
    if (x->kind == EXTENT_HOLE && p->stop_depth != UINT_MAX)
        return false;
    return !walk_is_zero(x) || p->zeros_count || x->guest < p->backed;
}

/* How much of an extent of zeros changes nothing; 0 = none. */
static int zeros_already(const struct partition *p, const struct extent *x, uint64_t *length,
                         struct err *e)
{
    struct extent was;
    *length = 0;
    if (!p->over || !walk_is_zero(x) || x->guest >= p->over->size)
        return 0;
    uint64_t most = num_min(x->length, p->over->size - x->guest);
    if (image_map_chain(p->over, x->guest, most, UINT_MAX, &was, e) < 0)
        return -1;
    *length = walk_is_zero(&was) ? was.length : 0;
    return 0;
}

/* The part of [at, size) that is empty for certain: 0 = none. */
static int empty_length(struct partition *p, uint64_t *length, struct err *e)
{
    uint64_t left = p->source->size - p->at;
    uint64_t asked = num_min(left, p->window ? p->window : p->chunk_size);
    struct extent x;
    if (source_map(p->source, p->at, asked, p->stop_depth, &x, e) < 0)
        return err_prefix(e, "error while reading block status at offset %" PRIu64 ": ", p->at);
    *length = x.length;
    if (counts(p, &x) && zeros_already(p, &x, length, e) < 0)
        return -1;
    p->window = walk_window(asked, *length, p->chunk_size);
    return 0;
}

int partition_next(struct partition *p, uint64_t *chunk, struct err *e)
{
    uint64_t size = p->source->size;
    for (uint64_t length = 1; p->at < size && !p->all && length; p->at += length)
        if (empty_length(p, &length, e) < 0)
            return -1;
    if (p->at >= size)
        return 0;
    *chunk = p->at / p->chunk_size;
    p->at = (*chunk + 1) * p->chunk_size;
    return 1;
}
