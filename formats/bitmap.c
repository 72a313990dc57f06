#include "formats/bitmap.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"

void bitmap_release(struct bitmap *b)
{
    free(b->name);
    free(b->table);
    *b = (struct bitmap){0};
}

void bitmap_list_free(struct bitmap *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bitmap_release(&list[i]);
    free(list);
}

int bitmap_not_found(const char *name, struct err *e)
{
    return err_set(e, ENOENT, "Dirty bitmap '%s' not found", name);
}

int bitmap_find(struct image *img, const char *name, struct bitmap *out, struct err *e)
{
    struct bitmap *list = NULL;
    size_t n = 0;
    *out = (struct bitmap){0};
    if (img->format->bitmap_list && img->format->bitmap_list(img, &list, &n, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) != 0)
            continue;
        *out = list[i];
        list[i] = (struct bitmap){0};
        bitmap_list_free(list, n);
        return 0;
    }
    bitmap_list_free(list, n);
    return bitmap_not_found(name, e);
}

int bitmap_check_usable(const struct bitmap *b, struct err *e)
{
    if (!b->inconsistent)
        return 0;
    err_set(e, EINVAL, "Bitmap '%s' is inconsistent and cannot be used", b->name);
    return err_hint(e, "Try block-dirty-bitmap-remove to delete this bitmap from disk\n");
}

int bitmap_check_size(const struct bitmap *b, uint64_t size, struct err *e)
{
    return b->size == size ? 0
                           : err_set(e, EINVAL,
                                     "Bitmaps are of different sizes (destination size is %" PRIu64
                                     ", source size is %" PRIu64 ") and can't be merged",
                                     size, b->size);
}

/* ---- another granularity --------------------------------------------------------------------- */

struct projection {
    unsigned from_bits, to_bits; /* granularities */
    uint64_t first, n;           /* of the bits that are made */
    uint8_t *bits;
};

/* The bits [from, to) are set in the one: set what stands for the same guest bytes in the other. */
static void project_run(const struct projection *p, uint64_t from, uint64_t to)
{
    uint64_t guest = from << p->from_bits, end = to << p->from_bits;
    uint64_t a = num_max(guest >> p->to_bits, p->first) - p->first;
    uint64_t b = num_min(num_div_up(end, (uint64_t)1 << p->to_bits), p->first + p->n) - p->first;
    bits_set(p->bits, a, b);
}

int bitmap_project(struct image *img, struct bitmap *b, unsigned granularity_bits, uint64_t first,
                   uint64_t n, uint8_t *bits, uint8_t piece[BITMAP_PIECE], struct err *e)
{
    const struct projection p = {b->granularity_bits, granularity_bits, first, n, bits};
    uint64_t begin = first << granularity_bits >> b->granularity_bits;
    uint64_t end = num_min(
        num_div_up((first + n) << granularity_bits, (uint64_t)1 << b->granularity_bits), b->n_bits);
    for (uint64_t at = begin / 8, left; at * 8 < end; at += left) {
        bool zero;
        left = num_min(num_div_up(end, 8) - at, BITMAP_PIECE);
        if (img->format->bitmap_read(img, b, at, left, piece, &zero, e))
            return -1;
        uint64_t base = at * 8, from, to, stop = num_min(end - base, left * 8);
        for (uint64_t k = begin > base ? begin - base : 0;
             !zero && bits_run(piece, k, stop, &from, &to); k = to)
            project_run(&p, base + from, base + to);
    }
    return 0;
}
