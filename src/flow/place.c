#include "flow/place.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/underway.h"
#include "flow/write.h"

struct placer {
    struct writer *writer;
    struct pages *pages;
    struct cursor cursor;
    struct placing placing;
    struct underway out; /* placed, not yet written */
    struct file *ahead;  /* whose length is kept ahead of the cursor; NULL = not needed */
    uint64_t length;
    unsigned done_since; /* chunks done since pages were last told how low they may look */
};

/* Telling the pages costs a walk through them and through what is under way: now and then is enough
 * to keep them few. */
#define TELL_PAGES_EVERY 32

/* With O_DIRECT, file systems do writes inside of a file side by side, those that make it longer
 * one after the other: so the file is made longer ahead of them. The writer's finish sets its
 * length. */
#define AHEAD (256 * MIB)

int placer_new(struct writer *w, struct file *file, struct pages *pages, struct placer **out,
               struct err *e)
{
    struct placer *p = mem_new(1, sizeof *p, e);
    if (!p)
        return -1;
    *out = p;
    p->writer = w;
    p->pages = pages;
    bool direct = file_is_regular(file) && file_alignment(file) > 1;
    p->ahead = direct && !w->ops->part ? file : NULL;
    w->ops->begin(w, &p->cursor);
    p->placing.host = mem_new(num_div_up(w->chunk_size, w->block_size), sizeof *p->placing.host, e);
    return p->placing.host ? 0 : -1;
}

void placer_free(struct placer *p)
{
    if (!p)
        return;
    free(p->placing.host);
    free(p->placing.meta);
    underway_release(&p->out);
    free(p);
}

struct cursor *placer_cursor(struct placer *p)
{
    return &p->cursor;
}

static uint64_t low_of(const struct cursor *c)
{
    return c->packed_left ? num_min(c->packed, c->end) : c->end;
}

/* Only a help: where it fails, writing will tell. */
static void keep_ahead(struct placer *p, struct err *e)
{
    if (!p->ahead || p->cursor.end <= p->length)
        return;
    p->length = num_up(p->cursor.end, AHEAD) + AHEAD;
    if (file_truncate(p->ahead, p->length, e) < 0) {
        err_clear(e);
        p->ahead = NULL;
    }
}

int placer_place(struct placer *p, uint64_t chunk, const need_t *need, size_t n,
                 struct cursor *granted, struct err *e)
{
    const struct writer_ops *ops = p->writer->ops;
    *granted = p->cursor;
    p->placing.n_meta = 0;
    struct underway_chunk *u = underway_add(&p->out, chunk, e);
    if (!u)
        return -1;
    u->low = low_of(granted);
    if (ops->place(p->writer, chunk, need, n, &p->cursor, &p->placing, e) < 0)
        return -1;
    keep_ahead(p, e);
    return ops->publish(p->writer, chunk, need, n, &p->placing, p->pages, e);
}

static int tell_pages(struct placer *p, struct err *e)
{
    size_t every = num_max(TELL_PAGES_EVERY, underway_count(&p->out) / 8);
    if (p->writer->ops->part || ++p->done_since < every)
        return 0;
    p->done_since = 0;
    uint64_t low = low_of(&p->cursor);
    for (size_t i = p->out.first; i < p->out.end; i++)
        low = num_min(low, p->out.all[i].low);
    return pages_below(p->pages, low, e);
}

/* Pages are gathered for the image file; in the further files of an image few pages are shared, and
 * rank 0 writes those alone too. */
static int put_edge(struct placer *p, uint64_t chunk, const struct write_edge *edge,
                    const unsigned char *bytes, struct err *e)
{
    const struct writer_ops *ops = p->writer->ops;
    struct writer_part part;
    if (!ops->part)
        return pages_put(p->pages, edge->host, bytes, edge->length, e);
    if (ops->part(p->writer, chunk, &part, e) < 0)
        return -1;
    return file_write(part.file, bytes, edge->length, edge->host, e);
}

int placer_done(struct placer *p, uint64_t chunk, const void *edges, size_t len, struct err *e)
{
    const unsigned char *at = edges, *end = at + len;
    while (at < end) {
        struct write_edge edge = {0};
        if ((size_t)(end - at) >= sizeof edge)
            memcpy(&edge, at, sizeof edge);
        at += sizeof edge;
        if (at > end || edge.length > (size_t)(end - at))
            return err_set(e, EPROTO, "Edges that are not whole");
        if (put_edge(p, chunk, &edge, at, e) < 0)
            return -1;
        at += edge.length;
    }
    struct underway_chunk done;
    if (!underway_take(&p->out, chunk, &done))
        return err_set(e, EPROTO, "A chunk is done that was not placed");
    return tell_pages(p, e);
}
