#include "flow/status.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"

/* ---- rules of each format -------------------------------------------------------------------- */

enum holes {
    HOLES_HIDDEN,   /* an allocated block is data, whatever the file stores */
    HOLES_ARE_ZERO, /* zero, but still data */
    HOLES_ARE_HOLES /* zero and not data */
};

/* How far one answer of the format goes at most. */
enum reach { REACH_FAR, REACH_CLUSTER, REACH_TABLE8, REACH_TABLE_QED };

struct status_rules {
    struct image *image;
    bool opaque; /* all is data without a place */
    bool absent_is_present;
    enum holes holes;
    uint64_t reach; /* guest bytes, an answer never crosses a multiple; 0 = no limit */
};

static const struct quirk {
    const char *format;
    bool opaque, absent_is_present;
    enum reach reach;
} quirks[] = {
    {"bochs", .opaque = true},
    {"cloop", .opaque = true},
    {"dmg", .opaque = true},
    {"luks", .opaque = true},
    {"qcow", .reach = REACH_CLUSTER},
    {"qcow2", .reach = REACH_TABLE8},
    {"qed", .reach = REACH_TABLE_QED},
    {"vdi", .absent_is_present = true, .reach = REACH_CLUSTER},
    {"vhdx", .opaque = true},
    {"vmdk", .reach = REACH_CLUSTER},
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

/* A qcow2 image's holes count, also those of its data file, only if its own file looks
 * preallocated: clearly more clusters in it than on storage. */
static bool looks_preallocated(const struct image *img)
{
    int64_t stored = file_allocated(img->file);
    if (stored < 0 || !img->cluster_size)
        return false;
    uint64_t real = (uint64_t)stored / img->cluster_size;
    uint64_t clusters = num_div_up(file_size(img->file), img->cluster_size);
    return clusters >= num_max(real + real / 9, real + 2);
}

static enum holes holes_of(const struct image *img)
{
    const char *format = img->format->name;
    if (strcmp(format, "raw") == 0)
        return HOLES_ARE_HOLES;
    if (strcmp(format, "qcow2") == 0)
        return looks_preallocated(img) ? HOLES_ARE_ZERO : HOLES_HIDDEN;
    return img->cluster_size ? HOLES_HIDDEN : HOLES_ARE_ZERO; /* 0: fixed and flat layouts */
}

static uint64_t reach_of(const struct image *img, enum reach reach)
{
    uint64_t cluster = img->cluster_size;
    switch (reach) {
    case REACH_CLUSTER:
        return cluster;
    case REACH_TABLE8: /* a second-level table of one cluster, 8 bytes an entry */
        return cluster * (cluster / 8);
    case REACH_TABLE_QED: /* of four clusters */
        return cluster * (cluster / 2);
    default:
        return 0;
    }
}

static struct status_rules rules_of(struct image *img)
{
    const struct quirk *q = quirk_of(img->format->name);
    return (struct status_rules){
        .image = img,
        .opaque = q->opaque,
        .absent_is_present = q->absent_is_present,
        .holes = holes_of(img),
        .reach = reach_of(img, q->reach),
    };
}

int status_reader_init(struct status_reader *r, struct image *image, struct err *e)
{
    *r = (struct status_reader){.view = view_of(image)};
    for (struct image *i = image; i; i = i->backing)
        r->n++;
    r->rules = mem_new(r->n, sizeof *r->rules, e);
    if (!r->rules)
        return -1;
    unsigned depth = 0;
    for (struct image *i = image; i; i = i->backing)
        r->rules[depth++] = rules_of(i);
    return 0;
}

void status_reader_release(struct status_reader *r)
{
    free(r->rules);
    *r = (struct status_reader){0};
}

#define FLAGS_STORED (STATUS_DATA | STATUS_PRESENT | STATUS_ALLOCATED)

/* ---- one extent ------------------------------------------------------------------------------ */

static int flags_of_data(struct status_reader *r, const struct status_rules *rules,
                         struct extent *x, uint32_t *flags, struct err *e)
{
    *flags = FLAGS_STORED;
    if (!rules->image->encrypted)
        *flags |= STATUS_PLACE;
    if (rules->holes == HOLES_HIDDEN)
        return 0;
    if (view_refine(&r->view, x, e) < 0)
        return -1;
    if (x->file_hole)
        *flags |= STATUS_ZERO;
    if (x->file_hole && rules->holes == HOLES_ARE_HOLES)
        *flags &= ~(uint32_t)STATUS_DATA;
    return 0;
}

static int flags_of(struct status_reader *r, const struct status_rules *rules, struct extent *x,
                    uint32_t *flags, struct err *e)
{
    if (rules->opaque) {
        *flags = FLAGS_STORED;
        return 0;
    }
    switch (x->kind) {
    case EXTENT_DATA:
        return flags_of_data(r, rules, x, flags, e);
    case EXTENT_PACKED:
        *flags = FLAGS_STORED | STATUS_PACKED;
        return 0;
    case EXTENT_ZERO:
        *flags = STATUS_ZERO | STATUS_ALLOCATED | (x->past_end ? 0 : STATUS_PRESENT) |
                 (x->has_host ? STATUS_PLACE : 0);
        return 0;
    default:
        *flags = STATUS_ZERO | (x->has_host ? STATUS_PLACE : 0);
        if (rules->absent_is_present)
            *flags |= STATUS_PRESENT | STATUS_ALLOCATED;
        return 0;
    }
}

int status_at(struct status_reader *r, uint64_t guest, uint64_t end, struct status *out,
              struct err *e)
{
    struct extent x;
    uint32_t flags;
    if (r->rules[0].opaque) {
        *out = (struct status){.start = guest, .length = end - guest, .flags = FLAGS_STORED};
        return 0;
    }
    if (image_map_chain(r->view.image, guest, end - guest, UINT32_MAX, &x, e) < 0)
        return -1;
    unsigned depth = (unsigned)num_min(x.depth, r->n - 1);
    if (flags_of(r, &r->rules[depth], &x, &flags, e) < 0)
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
        uint64_t reach = r->rules[i].reach;
        if (reach)
            end = num_min(end, (guest / reach + 1) * reach);
    }
    return end;
}

static bool reaches_end(const struct status_reader *r, const struct status *run)
{
    uint64_t end = run->start + run->length;
    bool nowhere = !(run->flags & STATUS_ALLOCATED);
    return end == r->view.image->size || (nowhere && end == r->rules[r->n - 1].image->size);
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
        if (status_at(r, guest, r->view.image->size, &first, e) < 0)
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
