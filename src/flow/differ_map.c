/* What the maps of an overlay, of what lies below it and of what shall lie below it say together.
 */
#include "flow/differ.h"

#include <limits.h>
#include <stdio.h>

#include "base/num.h"
#include "flow/differ_impl.h"

#define WINDOW_MIN   (2 * MIB)
#define REFINE_LEAST (256 * KIB)

struct differ_map differ_map_of(const struct differ_images *images)
{
    return (struct differ_map){
        .top = images->top,
        .window = WINDOW_MIN,
        .view = {view_of(images->below[DIFFER_OLD]), view_of(images->below[DIFFER_NEW])}};
}

void differ_seek(struct differ_map *d, uint64_t guest, uint64_t end)
{
    if (guest != d->guest)
        d->own.length = d->at[DIFFER_OLD].length = d->at[DIFFER_NEW].length = 0;
    d->guest = guest;
    d->end = end;
}

/* The original names the side alone; why goes into the hint. */
int differ_side_failed(enum differ_side side, struct err *e)
{
    char why[ERR_HINT_MAX];
    snprintf(why, sizeof why, "%.*s", ERR_HINT_MAX - 1, e->text);
    err_set(e, e->no, "error while reading from %s backing file",
            side == DIFFER_OLD ? "old" : "new");
    return err_hint(e, "%s", why);
}

static int map_side(const struct view *v, uint64_t guest, uint64_t length, struct extent *out,
                    struct err *e)
{
    uint64_t size = v->image ? v->image->size : 0;
    *out = (struct extent){.kind = EXTENT_HOLE, .guest = guest, .length = length};
    if (guest >= size)
        return 0;
    return image_map_chain(v->image, guest, num_min(length, size - guest), UINT_MAX, out, e);
}

static int map_here(struct differ_map *d, struct err *e)
{
    uint64_t length = num_min(d->end - d->guest, d->window);
    if (!d->own.length && image_map(d->top, d->guest, length, &d->own, e))
        return err_prefix(e, "error while reading image metadata: ");
    if (d->own.kind != EXTENT_HOLE)
        return 0;
    length = num_min(length, d->own.length);
    for (unsigned i = 0; i < DIFFER_SIDES; i++)
        if (!d->at[i].length && map_side(&d->view[i], d->guest, length, &d->at[i], e))
            return differ_side_failed((enum differ_side)i, e);
    return 0;
}

/* Where both do not stand at one place it matters whether the files below hold anything. To read
 * what is short is as good as to ask. */
static int refine(struct differ_map *d, struct err *e)
{
    for (unsigned i = 0; i < DIFFER_SIDES; i++)
        if (d->at[i].length >= REFINE_LEAST && !d->at[i].file_hole &&
            view_refine(&d->view[i], &d->at[i], e))
            return differ_side_failed((enum differ_side)i, e);
    return 0;
}

static int kind_here(struct differ_map *d, enum differ_kind *kind, struct err *e)
{
    const struct extent *a = &d->at[DIFFER_OLD], *b = &d->at[DIFFER_NEW];
    *kind = d->own.kind != EXTENT_HOLE           ? DIFFER_OWN
            : walk_is_zero(a) && walk_is_zero(b) ? DIFFER_ZERO
            : walk_is_same_place(a, b)           ? DIFFER_SAME
                                                 : DIFFER_UNLIKE;
    if (*kind != DIFFER_UNLIKE)
        return 0;
    if (refine(d, e))
        return -1;
    if (walk_is_zero(a) && walk_is_zero(b))
        *kind = DIFFER_ZERO;
    return 0;
}

static void skip(struct extent *x, uint64_t n)
{
    if (n < x->length)
        walk_skip(x, n);
    else
        x->length = 0;
}

int differ_next(struct differ_map *d, struct differ_part *out, struct err *e)
{
    *out = (struct differ_part){.guest = d->guest};
    if (d->guest >= d->end)
        return 0;
    if (map_here(d, e) || kind_here(d, &out->kind, e))
        return -1;
    out->length = num_min(d->own.length, d->end - d->guest);
    for (unsigned i = 0; i < DIFFER_SIDES && out->kind != DIFFER_OWN; i++) {
        out->length = num_min(out->length, d->at[i].length);
        out->side[i] = d->at[i];
    }
    for (unsigned i = 0; i < DIFFER_SIDES; i++) {
        out->side[i].length = out->length;
        skip(&d->at[i], out->length);
    }
    skip(&d->own, out->length);
    d->guest += out->length;
    d->window = walk_window(d->window, out->kind == DIFFER_UNLIKE ? 0 : out->length, WINDOW_MIN);
    return 0;
}
