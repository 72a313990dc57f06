#include "flow/source.h"

#include <limits.h>

#include "base/mem.h"
#include "base/num.h"
#include "image/inspect.h"
#include "io/opening.h"

#define SECTOR 512u

/* dd: as much of the window as the image has. */
static void set_range(const struct convert_window *w, struct source_part *part)
{
    uint64_t size = part->image->size;
    uint64_t end = w->on ? num_min(w->to, size) : size;
    part->from = w->on ? num_min(w->from, end) : 0;
    part->length = end - part->from;
    part->size = num_up(part->length, SECTOR);
}

static int open_part(const struct convert_options *o, unsigned i, const struct source *s,
                     struct err *e)
{
    struct source_part *part = &s->parts[i];
    const struct image_flags flags = {
        .force_share = o->force_share,
        .forget = true,
        .cache = o->source_cache,
        .secrets = o->secrets,
        .driver = o->source_driver,
        .safety = o->safety,
        .opening = s->opening,
    };
    part->name = o->sources[i].name;
    if (image_open(o->sources[i].spec, part->name, &flags, &part->image, e) < 0)
        return -1;
    if (o->snapshot && image_load_snapshot(part->image, o->snapshot, e) < 0)
        return err_prefix(e, "Failed to load snapshot: ");
    set_range(&o->window, part);
    return 0;
}

static int open_parts(const struct convert_options *o, struct source *out, struct err *e)
{
    out->parts = mem_new(o->n_sources, sizeof *out->parts, e);
    if (!out->parts)
        return -1;
    for (unsigned i = 0; i < o->n_sources; i++) {
        struct source_part *part = &out->parts[i];
        out->n = i + 1;
        if (open_part(o, i, out, e) < 0)
            return -1;
        part->start = out->size;
        if (!num_add(out->size, part->size, &out->size) || out->size > INT64_MAX)
            return err_set(e, 0, "The joined sources are too large");
        if (inspect_size(&o->safety, out->size, e) < 0)
            return -1;
    }
    return 0;
}

static int open_all(const struct convert_options *o, struct source *out, struct err *e)
{
    int status = open_parts(o, out, e);
    opening_end(out->opening);
    return status;
}

int source_open(const struct convert_options *o, struct source *out, struct err *e)
{
    *out = (struct source){0};
    return opening_new(&out->opening, e) < 0 ? -1 : open_all(o, out, e);
}

int source_join(const struct convert_options *o, const void *bytes, size_t len, struct source *out,
                struct err *e)
{
    *out = (struct source){0};
    return opening_load(bytes, len, &out->opening, e) < 0 ? -1 : open_all(o, out, e);
}

struct source source_of_image(struct image *img, const char *name, struct source_part *part)
{
    *part = (struct source_part){.image = img, .name = name};
    set_range(&(struct convert_window){0}, part);
    return (struct source){.parts = part, .n = 1, .size = part->size, .by_map = true};
}

void source_close(struct source *s)
{
    for (unsigned i = 0; i < s->n; i++)
        image_cleanup(&s->parts[i].image);
    free(s->parts);
    opening_free(s->opening);
    *s = (struct source){0};
}

uint64_t source_largest_block(const struct source *s)
{
    uint64_t largest = 0;
    for (unsigned i = 0; i < s->n; i++)
        for (const struct image *img = s->parts[i].image; img; img = img->backing)
            largest = num_max(largest, img->largest_block);
    return largest;
}

static const struct source_part *part_at(const struct source *s, uint64_t guest)
{
    unsigned i = 0;
    while (i + 1 < s->n && guest >= s->parts[i].start + s->parts[i].size)
        i++;
    return &s->parts[i];
}

int source_map(const struct source *s, uint64_t guest, uint64_t length, unsigned stop_depth,
               struct extent *out, struct err *e)
{
    const struct source_part *part = part_at(s, guest);
    uint64_t inside = guest - part->start;
    if (inside >= part->length) { /* the rounding up to a sector */
        *out = (struct extent){
            .kind = EXTENT_ZERO, .guest = guest, .length = num_min(length, part->size - inside)};
        return 0;
    }
    length = num_min(length, part->length - inside);
    if (image_map_chain(part->image, part->from + inside, length, stop_depth, out, e) < 0 ||
        (!s->by_map && image_refine(out, e) < 0))
        return -1;
    out->guest = guest;
    return 0;
}

int source_own_bytes(const struct source *s, unsigned stop_depth, uint64_t *bytes, struct err *e)
{
    *bytes = 0;
    struct extent x;
    for (uint64_t at = 0; at < s->size; at += x.length) {
        if (source_map(s, at, s->size - at, stop_depth, &x, e) < 0)
            return -1;
        if ((x.kind == EXTENT_DATA && !x.file_hole) || x.kind == EXTENT_PACKED)
            *bytes += x.length;
    }
    return 0;
}

int source_data_bytes(const struct source *s, uint64_t *bytes, struct err *e)
{
    return source_own_bytes(s, UINT_MAX, bytes, e);
}
