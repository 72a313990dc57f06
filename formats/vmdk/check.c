/* check: does every grain lie in its file? That is all that qemu-img looks at, and it stops at the
 * first that does not. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "formats/vmdk/state.h"

static void say(const struct check_sink *sink, const char *fmt, uint64_t sector)
{
    char text[128];
    snprintf(text, sizeof text, fmt, sector);
    sink->line(sink->ctx, text);
}

/* Where in a run of grains the first lies behind the end; UINT64_MAX: none does. */
static uint64_t first_behind(const struct vmdk_extent *x, const struct extent *run)
{
    uint64_t end = num_up(file_size(x->file), VMDK_SECTOR);
    bool stored = run->kind == EXTENT_DATA || run->kind == EXTENT_PACKED;
    if (!stored || run->host + run->length <= end)
        return UINT64_MAX;
    if (run->kind == EXTENT_PACKED)
        return run->host - x->lead_in >= end ? 0 : UINT64_MAX;
    uint64_t inside = run->host >= end ? 0 : num_div_up(end - run->host, x->grain) * x->grain;
    return inside < run->length ? inside : UINT64_MAX;
}

static int extent_check(struct vmdk *v, struct vmdk_extent *x, const struct check_sink *sink,
                        struct err *e)
{
    for (uint64_t at = 0; at < x->size;) {
        struct extent run = {0};
        if (vmdk_extent_map(v, x, at, x->size - at, &run, e)) {
            say(sink, "ERROR: could not get cluster_offset for sector %" PRIu64,
                (x->start + at) / VMDK_SECTOR);
            return -1;
        }
        uint64_t behind = first_behind(x, &run);
        if (behind != UINT64_MAX) {
            say(sink, "ERROR: cluster offset for sector %" PRIu64 " points after EOF",
                (x->start + at + behind) / VMDK_SECTOR);
            return err_set(e, EINVAL, "%s", strerror(EINVAL));
        }
        at += run.length;
    }
    return 0;
}

int vmdk_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
               struct check_result *out, struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    (void)fix;
    (void)out;
    for (size_t i = 0; i < v->n; i++)
        if (v->extents[i].grain && extent_check(v, &v->extents[i], sink, e))
            return -1;
    return 0;
}
