#include "flow/bitmaps.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "formats/format.h"

/* A list with its length, for AUTO(). */
struct list {
    struct bitmap *b;
    size_t n;
};

static void list_cleanup(struct list *l)
{
    bitmap_list_free(l->b, l->n);
}

static int list_load(const struct source *s, struct list *l, struct err *e)
{
    struct image *top = s->parts[0].image;
    return top->format->bitmap_list(top, &l->b, &l->n, e);
}

static int unsupported(const struct format *f, struct err *e)
{
    return err_set(e, 0, "Format driver '%s' does not support bitmaps", f->name);
}

/* ---- may it be? ------------------------------------------------------------------------------ */

int bitmaps_check(const struct convert_options *o, const struct source *s, struct err *e)
{
    AUTO(list_cleanup) struct list list = {0};
    if (s->n > 1)
        return err_set(e, 0, "Copying bitmaps only possible with single source");
    if (!s->parts[0].image->format->bitmap_list)
        return err_set(e, 0, "Source lacks bitmap support");
    if (list_load(s, &list, e) < 0)
        return -1;
    for (size_t i = 0; i < list.n && !o->skip_broken_bitmaps; i++) {
        if (!list.b[i].inconsistent)
            continue;
        err_set(e, 0, "Cannot copy inconsistent bitmap '%s'", list.b[i].name);
        return err_hint(e, "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to "
                           "delete it\n");
    }
    const struct format *target = o->target_driver ? format_find(o->target_driver) : NULL;
    bool can = !target || (target->writer && target->writer->add_bitmap);
    return can ? 0 : unsupported(target, e);
}

/* One that is there already is none of ours. */
static int check_absent(struct image *img, const char *name, struct err *e)
{
    struct bitmap found;
    if (bitmap_find(img, name, &found, e)) {
        err_clear(e);
        return 0;
    }
    bitmap_release(&found);
    err_set(e, EEXIST, "Bitmap already exists: %s", name);
    return err_prefix(e, "Failed to create bitmap %s: ", name);
}

static int check_one(const struct target *t, uint64_t size, const struct bitmap *b, struct err *e)
{
    if (t->image && check_absent(t->image, b->name, e))
        return -1;
    return bitmap_check_size(b, size, e) ? err_prefix(e, "Failed to populate bitmap %s: ", b->name)
                                         : 0;
}

int bitmaps_check_target(const struct source *s, const struct target *t, struct err *e)
{
    AUTO(list_cleanup) struct list list = {0};
    const struct bitmap_ops *ops = t->image ? t->image->format->bitmaps : NULL;
    bool can = t->image ? ops && ops->supported(t->image)
                        : t->writer->ops->takes_bitmaps && t->writer->ops->takes_bitmaps(t->writer);
    if (!can)
        return unsupported(t->format, e);
    if (list_load(s, &list, e) < 0)
        return -1;
    uint64_t size = t->image ? t->image->size : s->size;
    for (size_t i = list.n; i--;) /* the original has them the other way round */
        if (!list.b[i].inconsistent && check_one(t, size, &list.b[i], e))
            return -1;
    return 0;
}

/* ---- copying --------------------------------------------------------------------------------- */

static void warn_skipped(const struct convert_report *r, const struct bitmap *b)
{
    char text[1100]; /* a name has 1023 bytes */
    snprintf(text, sizeof text, "Skipping inconsistent bitmap '%s'", b->name);
    if (r->warn)
        r->warn(r->ctx, text);
}

static int add_to_image(struct image *img, struct image *from, struct bitmap *b, struct err *e)
{
    const struct bitmap_ops *ops = img->format->bitmaps;
    if (ops->check(img, b->name, b->granularity_bits, e) ||
        ops->add(img, b->name, b->granularity_bits, b->enabled, e))
        return err_prefix(e, "Failed to create bitmap %s: ", b->name);
    return ops->merge(img, b->name, from, b, e)
               ? err_prefix(e, "Failed to populate bitmap %s: ", b->name)
               : 0;
}

static int add_to_writer(struct target *t, struct cursor *c, struct image *from, struct bitmap *b,
                         struct err *e)
{
    return t->writer->ops->add_bitmap(t->writer, c, from, b, t->pages, e)
               ? err_prefix(e, "Failed to populate bitmap %s: ", b->name)
               : 0;
}

static int copy_all(const struct convert_report *r, struct image *from, struct target *t,
                    struct cursor *c, const struct list *list, struct err *e)
{
    for (size_t i = 0; i < list->n; i++) {
        struct bitmap *b = &list->b[i];
        if (b->inconsistent) {
            warn_skipped(r, b);
            continue;
        }
        if (t->image ? add_to_image(t->image, from, b, e) : add_to_writer(t, c, from, b, e))
            return -1;
        free(MEM_TAKE(b->table));
    }
    return 0;
}

static int copy_to_image(const struct convert_report *r, struct image *from, struct target *t,
                         const struct list *list, struct err *e)
{
    const struct bitmap_ops *ops = t->image->format->bitmaps;
    if (edit_end(MEM_TAKE(t->edit), e) || ops->begin(t->image, e))
        return -1;
    int status = copy_all(r, from, t, NULL, list, e) || ops->commit(t->image, e) ? -1 : 0;
    ops->end(t->image);
    return status;
}

int bitmaps_copy(const struct convert_report *r, const struct source *s, struct target *t,
                 struct cursor *c, struct err *e)
{
    AUTO(list_cleanup) struct list list = {0};
    struct image *top = s->parts[0].image;
    if (list_load(s, &list, e) < 0)
        return -1;
    if (!list.n)
        return 0;
    return t->image ? copy_to_image(r, top, t, &list, e) : copy_all(r, top, t, c, &list, e);
}
