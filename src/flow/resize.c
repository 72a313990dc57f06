#include "flow/resize.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"
#include "image/edit.h"

int resize_zero_added(struct image *img, uint64_t from, uint64_t to, struct err *e)
{
    AUTO(edit_cleanup) struct edit *d = NULL;
    if (edit_begin(img, &d, e))
        return -1;
    while (from < to) {
        struct extent x;
        if (image_map_chain(img, from, to - from, UINT_MAX, &x, e))
            return -1;
        bool zero = x.kind == EXTENT_HOLE || x.kind == EXTENT_ZERO;
        if (!zero && edit_zero(d, from, x.length, EDIT_ZERO_DROP, e))
            return -1;
        from += x.length;
    }
    return edit_end(MEM_TAKE(d), e);
}

static int grow_check(const struct image *img, const struct edit_ops *ops, struct err *e)
{
    if (!ops->reach && img->backing && img->backing->size > img->size)
        return err_set(e, ENOTSUP, "Block driver does not support requested flags");
    return 0;
}

int resize_image(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e)
{
    const struct edit_ops *ops = img->format->edit;
    uint64_t had = img->size;
    if (size > RESIZE_MAX)
        return err_set(e, EFBIG, "offset(%" PRIu64 ") exceeds maximum(%" PRIu64 ")", size,
                       RESIZE_MAX);
    if (!ops || !ops->resize)
        return err_set(e, ENOTSUP, "Image format driver does not support resize");
    if (size > had && grow_check(img, ops, e))
        return -1;
    if (size > had && ops->reach &&
        (ops->reach(img, size, e) || resize_zero_added(img, had, size, e)))
        return -1;
    return ops->resize(img, size, prealloc, e);
}
