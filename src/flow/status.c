#include "flow/status.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"

/* ---- rules of each format -------------------------------------------------------------------- */

struct rule {
    struct image *image;
    bool opaque; /* all is data without a place */
    bool absent_is_present;
    bool finds_holes; /* the format's own map looks for the holes of the file below */
    bool shows_holes; /* what the file below does not store is zero, but still data */
    uint64_t reach;   /* guest bytes, an answer never crosses a multiple; 0 = no limit */
};

struct status_rules {
    unsigned n;
    struct rule of[]; /* each image of the chain, from the top */
};

static const struct quirk {
    const char *format;
    bool opaque, absent_is_present, finds_holes;
    bool by_cluster; /* an answer never goes beyond a cluster */
} quirks[] = {
    {"bochs", .opaque = true},
    {"cloop", .opaque = true},
    {"dmg", .opaque = true},
    {"luks", .opaque = true},
    {"raw", .finds_holes = true},
    {"vdi", .absent_is_present = true, .by_cluster = true},
    {"vhdx", .opaque = true},
    {"vmdk", .by_cluster = true},
    {"vpc", .absent_is_present = true},
};

static const struct quirk *quirk_of(const char *format)
{
    static const struct quirk none = {0};
    for (size_t i = 0; i < ARRAY_LEN(quirks); i++)
        if (strcmp(quirks[i].format, format) == 0)
            return &quirks[i];
    return &none;
}

static struct rule rule_of(struct image *img)
{
    const struct quirk *q = quirk_of(img->format->name);
    struct rule r = {
        .image = img,
        .opaque = q->opaque,
        .absent_is_present = q->absent_is_present,
        .finds_holes = q->finds_holes,
        .shows_holes = img->cluster_size == 0 && !q->finds_holes, /* fixed and flat layouts */
        .reach = q->by_cluster ? img->cluster_size : 0,
    };
    if (img->format->status) {
        struct format_status own = {0};
        img->format->status(img, &own);
        r.shows_holes = own.shows_holes;
        r.reach = own.reach;
    }
    return r;
}

int status_rules_new(struct image *image, struct status_rules **out, struct err *e)
{
    unsigned n = 0;
    for (struct image *i = image; i; i = i->backing)
        n++;
    struct status_rules *rules = mem_new(1, sizeof *rules + n * sizeof rules->of[0], e);
    if (!rules)
        return -1;
    for (struct image *i = image; i; i = i->backing)
        rules->of[rules->n++] = rule_of(i);
    *out = rules;
    return 0;
}

void status_rules_free(struct status_rules *rules)
{
    free(rules);
}

struct status_reader status_reader_of(const struct status_rules *rules)
{
    return (struct status_reader){.view = view_of(rules->of[0].image), .rules = rules};
}

/* ---- one extent ------------------------------------------------------------------------------ */

#define FLAGS_STORED (STATUS_DATA | STATUS_PRESENT | STATUS_ALLOCATED)

static int flags_of_data(struct status_reader *r, const struct rule *rule, struct extent *x,
                         uint32_t *flags, struct err *e)
{
    *flags = FLAGS_STORED | STATUS_PLACE;
    if (!rule->shows_holes)
        return 0;
    if (view_refine(&r->view, x, e) < 0)
        return -1;
    if (x->file_hole)
        *flags |= STATUS_ZERO;
    return 0;
}

static int flags_of_kind(struct status_reader *r, const struct rule *rule, struct extent *x,
                         uint32_t *flags, struct err *e)
{
    if (rule->opaque) {
        *flags = FLAGS_STORED;
        return 0;
    }
    switch (x->kind) {
    case EXTENT_DATA:
        return flags_of_data(r, rule, x, flags, e);
    case EXTENT_PACKED:
        *flags = FLAGS_STORED | STATUS_PACKED;
        return 0;
    case EXTENT_ZERO:
        *flags = STATUS_ZERO | STATUS_ALLOCATED;
        if (!x->past_end)
            *flags |= STATUS_PRESENT;
        if (x->has_host && (x->host || rule->finds_holes)) /* 0 in a qcow2 data file: not shown */
            *flags |= STATUS_PLACE;
        return 0;
    default:
        *flags = STATUS_ZERO | (x->has_host ? STATUS_PLACE : 0);
        if (rule->absent_is_present)
            *flags |= STATUS_PRESENT | STATUS_ALLOCATED;
        return 0;
    }
}

/* What is encrypted cannot be read at its place, so none is shown. */
static int flags_of(struct status_reader *r, const struct rule *rule, struct extent *x,
                    uint32_t *flags, struct err *e)
{
    int rc = flags_of_kind(r, rule, x, flags, e);
    if (rule->image->encrypted)
        *flags &= ~(uint32_t)STATUS_PLACE;
    return rc;
}

int status_at(struct status_reader *r, uint64_t guest, uint64_t end, struct status *out,
              struct err *e)
{
    struct extent x;
    uint32_t flags;
    if (r->rules->of[0].opaque) {
        *out = (struct status){.start = guest, .length = end - guest, .flags = FLAGS_STORED};
        return 0;
    }
    if (image_map_chain(r->view.image, guest, end - guest, UINT32_MAX, &x, e) < 0)
        return -1;
    unsigned depth = (unsigned)num_min(x.depth, r->rules->n - 1);
    if (flags_of(r, &r->rules->of[depth], &x, &flags, e) < 0)
        return -1;
    *out = (struct status){.start = guest, .length = x.length, .depth = depth, .flags = flags};
    if (flags & STATUS_PLACE) {
        out->offset = x.host;
        out->file = file_name(x.file);
    }
    return 0;
}

/* ---- joined ---------------------------------------------------------------------------------- */

bool status_continues(const struct status *s, const struct status *next)
{
    if ((s->flags ^ next->flags) & ~(uint32_t)(STATUS_PACKED | STATUS_ALLOCATED | STATUS_END) ||
        s->depth != next->depth)
        return false;
    if (!(s->flags & STATUS_PLACE))
        return true;
    return s->offset + s->length == next->offset &&
           (s->file == next->file || strcmp(s->file, next->file) == 0);
}

/* Where an answer about `guest` that comes from `depth` must end: each image that was asked on the
 * way down limits it. */
static uint64_t reach_end(const struct status_reader *r, uint64_t guest, unsigned depth)
{
    uint64_t end = r->view.image->size;
    for (unsigned i = 0; i <= depth; i++) {
        uint64_t reach = r->rules->of[i].reach;
        if (reach)
            end = num_min(end, (guest / reach + 1) * reach);
    }
    return end;
}

static bool reaches_end(const struct status_reader *r, const struct status *run)
{
    uint64_t end = run->start + run->length;
    bool nowhere = !(run->flags & STATUS_ALLOCATED);
    return end == r->view.image->size ||
           (nowhere && end == r->rules->of[r->rules->n - 1].image->size);
}

/* Lengthen the run. What cannot be read behind it is met, and reported, when it is asked for. */
static void extend(struct status_reader *r, struct status *run, uint64_t end, struct err *e)
{
    while (run->start + run->length < end && !(run->flags & STATUS_PACKED)) {
        struct status next;
        if (status_at(r, run->start + run->length, end, &next, e) < 0) {
            err_clear(e);
            return;
        }
        if (next.flags != run->flags || !status_continues(run, &next))
            return;
        run->length += next.length;
    }
}

int status_run(struct status_reader *r, uint64_t guest, struct status *out, struct err *e)
{
    struct status *run = &r->run;
    if (guest < run->start || guest - run->start >= run->length) {
        struct status first;
        if (status_at(r, guest, reach_end(r, guest, 0), &first, e) < 0)
            return -1;
        uint64_t end = reach_end(r, guest, first.depth);
        first.length = num_min(first.length, end - guest);
        extend(r, &first, end, e);
        if (reaches_end(r, &first))
            first.flags |= STATUS_END;
        *run = first;
    }
    *out = *run;
    uint64_t skip = guest - run->start;
    out->start += skip;
    out->length -= skip;
    out->offset += skip;
    return 0;
}
