#include "flow/bitmaps.h"

#include <stdio.h>

#include "base/mem.h"

/* A list with its length, for AUTO(). */
struct list {
    struct bitmap *b;
    size_t n;
};

static void list_cleanup(struct list *l)
{
    bitmap_list_free(l->b, l->n);
}

int bitmaps_check(const struct convert_options *o, const struct source *s, struct err *e)
{
    struct image *top = s->parts[0].image;
    if (s->n > 1)
        return err_set(e, 0, "Copying bitmaps only possible with single source");
    if (!top->format->bitmap_list)
        return err_set(e, 0, "Source lacks bitmap support");
    const struct format *target = o->target_driver ? format_find(o->target_driver) : NULL;
    if (target && (!target->writer || !target->writer->add_bitmap))
        return err_set(e, 0, "Format driver '%s' does not support bitmaps", target->name);
    AUTO(list_cleanup) struct list list = {0};
    if (top->format->bitmap_list(top, &list.b, &list.n, e) < 0)
        return -1;
    for (size_t i = 0; i < list.n && !o->skip_broken_bitmaps; i++) {
        if (!list.b[i].inconsistent)
            continue;
        err_set(e, 0, "Cannot copy inconsistent bitmap '%s'", list.b[i].name);
        return err_hint(e, "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to "
                           "delete it\n");
    }
    return 0;
}

int bitmaps_copy(const struct convert_options *o, const struct source *s, struct target *t,
                 struct cursor *c, struct err *e)
{
    (void)o;
    struct image *top = s->parts[0].image;
    AUTO(list_cleanup) struct list list = {0};
    if (!t->writer || !t->writer->ops->add_bitmap)
        return 0;
    if (top->format->bitmap_list(top, &list.b, &list.n, e) < 0)
        return -1;
    for (size_t i = 0; i < list.n; i++) {
        struct bitmap *b = &list.b[i];
        if (b->inconsistent)
            continue;
        if (t->writer->ops->add_bitmap(t->writer, c, top, b, t->pages, e) < 0)
            return err_prefix(e, "Failed to populate bitmap %s: ", b->name);
        free(MEM_TAKE(b->table));
    }
    return 0;
}
