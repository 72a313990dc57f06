/*
 * A dirty image that is only read: its file as it will be when the log is replayed.
 *
 * The patches are laid over the file as pieces that do not overlap: of patches that do, the last
 * one counts. Bytes stay where they are, in the log and in the file; what is held is a few words a
 * patch.
 */
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/vhdx.h"
#include "io/file_ops.h"

#define NOBODY UINT32_MAX

/* Bytes [start, end) of the file as `patch` says. */
struct piece {
    uint64_t start, end;
    uint32_t patch;
};

struct overlay {
    struct file file;
    struct file *base; /* borrowed */
    struct vhdx_log log;
    struct piece *pieces; /* ascending */
    size_t n;
    uint64_t size;
};

static struct overlay *overlay_of(const struct file *f)
{
    return (struct overlay *)(uintptr_t)f;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

/* Between two neighbouring edges of patches: who is the last to paint it? */
struct canvas {
    uint64_t *edge;
    uint32_t *owner; /* of [edge[i], edge[i + 1]) */
    uint32_t *skip;  /* the first part from here on that may have no owner yet */
    size_t n;        /* edges */
};

static void canvas_release(struct canvas *c)
{
    free(c->edge);
    free(c->owner);
    free(c->skip);
}

static int edge_order(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int canvas_init(struct canvas *c, const struct vhdx_log *log, struct err *e)
{
    size_t n = 2 * log->n;
    c->edge = mem_new(n + 1, sizeof *c->edge, e);
    c->owner = mem_new(n + 1, sizeof *c->owner, e);
    c->skip = mem_new(n + 1, sizeof *c->skip, e);
    if (!c->edge || !c->owner || !c->skip)
        return -1;
    for (size_t i = 0; i < log->n; i++) {
        c->edge[2 * i] = log->patches[i].start;
        c->edge[2 * i + 1] = log->patches[i].end;
    }
    qsort(c->edge, n, sizeof *c->edge, edge_order);
    for (size_t i = 0; i < n; i++)
        if (!i || c->edge[i] != c->edge[c->n - 1])
            c->edge[c->n++] = c->edge[i];
    for (size_t i = 0; i <= c->n; i++) {
        c->owner[i] = NOBODY;
        c->skip[i] = (uint32_t)i;
    }
    return 0;
}

static uint32_t canvas_free(struct canvas *c, uint32_t at)
{
    while (c->skip[at] != at) {
        c->skip[at] = c->skip[c->skip[at]];
        at = c->skip[at];
    }
    return at;
}

static uint32_t canvas_find(const struct canvas *c, uint64_t edge)
{
    const uint64_t *at = bsearch(&edge, c->edge, c->n, sizeof *c->edge, edge_order);
    return (uint32_t)(at - c->edge);
}

/* From the last patch to the first: each takes what nobody has. */
static void canvas_paint(struct canvas *c, const struct vhdx_log *log)
{
    for (size_t i = log->n; i--;) {
        uint32_t end = canvas_find(c, log->patches[i].end);
        uint32_t at = canvas_free(c, canvas_find(c, log->patches[i].start));
        for (; at < end; at = canvas_free(c, at)) {
            c->owner[at] = (uint32_t)i;
            c->skip[at] = at + 1;
        }
    }
}

static int pieces_make(struct overlay *o, struct err *e)
{
    AUTO(canvas_release) struct canvas c = {0};
    if (canvas_init(&c, &o->log, e))
        return -1;
    canvas_paint(&c, &o->log);
    o->pieces = mem_new(c.n, sizeof *o->pieces, e);
    if (!o->pieces)
        return -1;
    for (size_t i = 0; i + 1 < c.n; i++) {
        if (c.owner[i] == NOBODY)
            continue;
        o->pieces[o->n++] = (struct piece){c.edge[i], c.edge[i + 1], c.owner[i]};
    }
    return 0;
}

/* The first piece that ends behind `off`: number o->n if there is none. */
static size_t piece_from(const struct overlay *o, uint64_t off)
{
    size_t low = 0, high = o->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (o->pieces[mid].end > off)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int piece_read(const struct overlay *o, const struct piece *p, uint8_t *buf, size_t len,
                      uint64_t off, struct err *e)
{
    const struct vhdx_patch *patch = &o->log.patches[p->patch];
    if (!patch->source) {
        memset(buf, 0, len);
        return 0;
    }
    AUTO_FREE uint8_t *sector = mem_io(VHDX_LOG_SECTOR, e);
    if (!sector || vhdx_patch_read(o->base, patch, sector, e))
        return -1;
    memcpy(buf, sector + (off - patch->start), len);
    return 0;
}

static int overlay_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                        struct err *e)
{
    const struct overlay *o = overlay_of(f);
    *got = 0;
    if (off >= o->size)
        return 0;
    len = num_min(len, o->size - off);
    for (size_t i = piece_from(o, off); *got < len;) {
        const struct piece *p = i < o->n ? &o->pieces[i] : NULL;
        bool patched = p && p->start <= off;
        uint64_t end = !p ? UINT64_MAX : patched ? p->end : p->start;
        size_t n = num_min(len - *got, end - off);
        uint8_t *to = (uint8_t *)buf + *got;
        if (patched ? piece_read(o, p, to, n, off, e)
                    : file_read_padded(o->base, to, n, off, NULL, e))
            return -1;
        i += patched;
        *got += n;
        off += n;
    }
    return 0;
}

static int overlay_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                        struct err *e)
{
    const struct overlay *o = overlay_of(f);
    *is_hole = off >= o->size;
    *length = len;
    if (*is_hole)
        return 0;
    size_t i = piece_from(o, off);
    const struct piece *p = i < o->n ? &o->pieces[i] : NULL;
    if (p && p->start <= off) {
        *length = num_min(len, p->end - off);
        return 0;
    }
    return file_span(o->base, off, p ? num_min(len, p->start - off) : len, is_hole, length, e);
}

static uint64_t overlay_size(const struct file *f)
{
    return overlay_of(f)->size;
}

static int64_t overlay_allocated(const struct file *f)
{
    return file_allocated(overlay_of(f)->base);
}

static void overlay_forget(struct file *f, uint64_t off, uint64_t len)
{
    file_forget(overlay_of(f)->base, off, len);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int overlay_close(struct file *f, struct err *e)
{
    struct overlay *o = overlay_of(f);
    (void)e;
    vhdx_log_release(&o->log);
    free(o->pieces);
    free(o);
    return 0;
}

int vhdx_overlay_new(struct file *base, struct vhdx_log *log, struct file **out, struct err *e)
{
    static const struct file_ops ops = {
        .protocol = "vhdx-log",
        .close = overlay_close,
        .size = overlay_size,
        .allocated = overlay_allocated,
        .read = overlay_read,
        .span = overlay_span,
        .forget = overlay_forget,
    };
    struct overlay *o = mem_new(1, sizeof *o, e);
    if (!o)
        return -1;
    o->base = base;
    o->log = *log;
    *log = (struct vhdx_log){0};
    o->size = num_max(file_size(base), o->log.last);
    o->file = (struct file){.ops = &ops, .alignment = file_alignment(base)};
    o->file.opt = base->opt;
    o->file.opt.write = false;
    o->file.name = mem_strdup(file_name(base), e);
    if (o->file.name && !pieces_make(o, e)) {
        *out = &o->file;
        return 0;
    }
    free(o->file.name);
    overlay_close(&o->file, e);
    return -1;
}
