/* Guest offset -> extent, for one image and through its chain. No locks, no memory. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "base/trace.h"
#include "formats/format.h"
#include "image/image.h"

int image_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e)
{
    *out = (struct extent){.guest = guest, .image = img};
    if (!length || !num_inside(guest, length, img->size))
        return err_set(e, EINVAL, "Offset %" PRIu64 " is outside of the image", guest);
    if (img->format->map(img, guest, length, out, e))
        return -1;
    if (!out->length)
        return err_set(e, EIO, "Format '%s' has no answer for offset %" PRIu64, img->format->name,
                       guest);
    out->length = num_min(out->length, length);
    out->has_host |= out->kind == EXTENT_DATA;
    TRACE(image_map, img->name, guest, out->length, (int)out->kind, out->host);
    return 0;
}

/* Below `depth` images that hold nothing here there is none that could. */
static int map_nothing(struct extent *out, unsigned depth)
{
    out->depth = depth;
    return 0;
}

static int map_past_end(struct extent *out, unsigned depth)
{
    out->kind = EXTENT_ZERO;
    out->has_host = false;
    out->file = NULL;
    out->past_end = true;
    out->depth = depth;
    return 0;
}

int image_map_chain(struct image *img, uint64_t guest, uint64_t length, unsigned stop_depth,
                    struct extent *out, struct err *e)
{
    if (!stop_depth) {
        *out = (struct extent){.kind = EXTENT_HOLE, .guest = guest, .length = length};
        return 0;
    }
    for (unsigned depth = 0;; depth++) {
        if (image_map(img, guest, length, out, e))
            return -1;
        out->depth = depth;
        if (out->kind != EXTENT_HOLE)
            return 0;
        if (!img->backing || depth + 1 >= stop_depth)
            return map_nothing(out, depth + 1);
        img = img->backing;
        if (guest >= img->size)
            return map_past_end(out, depth);
        length = num_min(out->length, img->size - guest);
    }
}

int image_refine(struct extent *x, struct err *e)
{
    if (x->kind != EXTENT_DATA || x->file_hole || x->crypt) /* zeros on disk are no zeros then */
        return 0;
    /* Behind its end a file holds nothing either, but an image that has data there is cut off: that
     * is for reading to tell. */
    uint64_t run, size = file_size(x->file);
    if (x->host >= size)
        return 0;
    x->length = num_min(x->length, size - x->host);
    if (file_span(x->file, x->host, x->length, &x->file_hole, &run, e))
        return -1;
    x->length = num_min(x->length, run);
    return 0;
}
