#include "flow/walk.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "base/signals.h"
#include "io/opening.h"

/* ---- opening on all ranks -------------------------------------------------------------------- */

struct plan {
    uint64_t size[WALK_IMAGES];
    uint64_t chunk;
};

static int open_all(struct walk *w, struct err *e)
{
    for (unsigned i = 0; i < w->n; i++) {
        struct image_flags flags = w->flags;
        flags.driver = w->driver[i];
        flags.opening = w->opening;
        if (image_open(w->spec[i], w->name[i], &flags, &w->image[i], e) < 0)
            return -1;
    }
    return 0;
}

static struct plan plan_of(const struct walk *w)
{
    struct plan plan = {.chunk = w->chunk};
    for (unsigned i = 0; i < w->n && w->image[i]; i++)
        plan.size[i] = w->image[i]->size;
    return plan;
}

/* A rank that sees other images (a node's own /tmp) must not take part. */
static int join(struct walk *w, const struct blob *from, struct err *e)
{
    struct plan plan;
    if (from->len != sizeof plan)
        return err_set(e, EPROTO, "A plan of %zu bytes", from->len);
    memcpy(&plan, from->data, sizeof plan);
    if (open_all(w, e) < 0)
        return -1;
    for (unsigned i = 0; i < w->n; i++)
        if (w->image[i]->size != plan.size[i])
            return err_set(e, EIO, "Could not open '%s': it has another size on this rank",
                           w->name[i]);
    w->chunk = plan.chunk;
    return 0;
}

static int open_first(struct walk *w, struct err *e)
{
    return opening_new(&w->opening, e) < 0 ? -1 : open_all(w, e);
}

/* What rank 0 has read while it opened need not be read by others. */
static int share_opening(struct engine *g, struct walk *w, struct err *e)
{
    struct blob read = {0};
    if (w->opening)
        read.data = (void *)opening_bytes(w->opening, &read.len);
    if (engine_share(g, 0, &read, e) < 0)
        return -1;
    if (engine_rank(g) == 0)
        return 0;
    int status = opening_load(read.data, read.len, &w->opening, e);
    free(read.data);
    return status;
}

int walk_open(struct engine *g, struct walk *w, struct err *e)
{
    int status = engine_rank(g) == 0 ? open_first(w, e) : 0;
    struct plan plan = plan_of(w);
    struct blob blob = {&plan, sizeof plan};
    if (engine_share(g, status, &blob, e) < 0)
        return -1;
    status = share_opening(g, w, e);
    if (engine_rank(g) != 0) {
        if (status == 0)
            status = join(w, &blob, e);
        free(blob.data);
    }
    opening_end(w->opening);
    return engine_agree(g, status, e);
}

void walk_close(struct walk *w)
{
    for (unsigned i = 0; i < w->n; i++)
        image_cleanup(&w->image[i]);
    opening_free(w->opening);
    w->opening = NULL;
}

unsigned walk_least_workers(const struct walk *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (image_is_remote(w->image[i]))
            return WALK_WAITING;
    return 0;
}

int walk_tick(void *ctx, struct err *e)
{
    (void)ctx;
    int sig = signals_stop();
    return sig ? err_set(e, EINTR, "Stopped by signal %d (%s)", sig, strsignal(sig)) : 0;
}

int walk_fail(struct err *e, int no, const char *said, const char *fmt, ...)
{
    char what[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    const char *why = no ? strerror(no) : said;
    err_set(e, no, "%s: %s", what, why);
    return strcmp(why, said) ? err_hint(e, "%s", said) : -1;
}

/* ---- the map, refined ------------------------------------------------------------------------ */

struct view view_of(struct image *image)
{
    return (struct view){.image = image};
}

struct span {
    uint64_t from, to;
    bool hole;
};

static int ask_span(struct file *f, uint64_t from, uint64_t size, struct span *out, struct err *e)
{
    uint64_t length;
    if (file_span(f, from, size - from, &out->hole, &length, e) < 0)
        return -1;
    out->from = from;
    out->to = from + length;
    return 0;
}

/* Files tell only what comes behind an offset. A table that runs backwards would so learn nothing
 * from the answer before: then look from further and further before the extent. */
static int ask_below(struct view_told *v, const struct extent *x, uint64_t size, struct span *out,
                     struct err *e)
{
    bool backwards = v->file == x->file && x->host < v->from;
    v->back = !backwards ? 0 : v->back ? num_min(2 * v->back, GIB) : MIB;
    uint64_t from = x->host - num_min(v->back, x->host);
    if (ask_span(x->file, from, size, out, e) < 0)
        return -1;
    if (out->to > x->host)
        return 0;
    v->back = 0;
    return ask_span(x->file, x->host, size, out, e);
}

/* A file that is behind a huge stretch of one kind is asked once, in whatever order its parts are
 * come by: answers that meet are joined. */
static int look_below(struct view_told *v, const struct extent *x, uint64_t size, struct err *e)
{
    struct span s;
    if (ask_below(v, x, size, &s, e) < 0)
        return -1;
    if (v->file == x->file && v->hole == s.hole && s.to >= v->from && s.from <= v->to) {
        s.from = num_min(s.from, v->from);
        s.to = num_max(s.to, v->to);
    }
    v->file = x->file;
    v->from = s.from;
    v->to = s.to;
    v->hole = s.hole;
    return 0;
}

int view_refine(struct view *view, struct extent *x, struct err *e)
{
    struct view_told *v = &view->told[x->depth % VIEW_FILES];
    if (x->kind != EXTENT_DATA || x->crypt) /* zeros on disk are no zeros then */
        return 0;
    if (v->file != x->file || x->host < v->from || x->host >= v->to) {
        uint64_t size = file_size(x->file);
        if (x->host >= size)
            return image_refine(x, e); /* behind the end of the file: the image knows better */
        if (look_below(v, x, size, e) < 0)
            return -1;
    }
    x->file_hole = v->hole;
    x->length = num_min(x->length, v->to - x->host);
    return 0;
}

int view_map(struct view *v, uint64_t guest, uint64_t length, struct extent *out, struct err *e)
{
    uint64_t size = v->image->size;
    if (guest >= size) {
        *out = (struct extent){.kind = EXTENT_ZERO, .guest = guest, .length = length};
        return 0;
    }
    length = num_min(length, size - guest);
    if (image_map_chain(v->image, guest, length, UINT_MAX, out, e) < 0)
        return -1;
    return view_refine(v, out, e);
}

bool walk_is_same_place(const struct extent *a, const struct extent *b)
{
    if (a->kind != b->kind || (a->kind != EXTENT_DATA && a->kind != EXTENT_PACKED))
        return false;
    if (a->host != b->host || a->crypt || b->crypt || !file_is_same(a->file, b->file))
        return false;
    return a->kind == EXTENT_DATA ||
           (a->codec == b->codec && a->packed_len == b->packed_len &&
            a->block_size == b->block_size && a->block_offset == b->block_offset);
}

void walk_skip(struct extent *x, uint64_t n)
{
    x->guest += n;
    x->length -= n;
    x->crypt_at += n;
    if (x->kind == EXTENT_PACKED)
        x->block_offset += (uint32_t)n;
    else
        x->host += n;
}
