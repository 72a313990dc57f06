#include "flow/place.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/write.h"

/* A chunk that is placed and not yet written. */
struct outstanding {
    uint64_t chunk;
    uint64_t low; /* nothing of it lies below this host offset */
    bool done;
};

struct placer {
    struct writer *writer;
    struct pages *pages;
    struct cursor cursor;
    struct placing placing;
    struct outstanding *out; /* in chunk order */
    size_t n_out, cap_out;
    struct file *ahead; /* whose length is kept ahead of the cursor; NULL = not needed */
    uint64_t length;
    unsigned done_since; /* chunks done since pages were last told how low they may look */
};

/* Telling the pages costs a walk through them: now and then is enough to keep them few. */
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
    free(p->out);
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

static int outstanding_add(struct placer *p, uint64_t chunk, uint64_t low, struct err *e)
{
    if (p->n_out == p->cap_out) {
        size_t cap = num_max(64, 2 * p->cap_out);
        struct outstanding *grown = mem_grow(p->out, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        p->out = grown;
        p->cap_out = cap;
    }
    p->out[p->n_out++] = (struct outstanding){chunk, low, false};
    return 0;
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
    if (outstanding_add(p, chunk, low_of(granted), e) < 0 ||
        ops->place(p->writer, chunk, need, n, &p->cursor, &p->placing, e) < 0)
        return -1;
    keep_ahead(p, e);
    return ops->publish(p->writer, chunk, need, n, &p->placing, p->pages, e);
}

static void outstanding_remove(struct placer *p, uint64_t chunk)
{
    size_t lead = 0;
    for (size_t i = 0; i < p->n_out; i++)
        if (p->out[i].chunk == chunk)
            p->out[i].done = true;
    while (lead < p->n_out && p->out[lead].done)
        lead++;
    p->n_out -= lead;
    if (lead && p->n_out)
        memmove(p->out, p->out + lead, p->n_out * sizeof *p->out);
}

static int tell_pages(struct placer *p, struct err *e)
{
    if (p->writer->ops->part || ++p->done_since < TELL_PAGES_EVERY)
        return 0;
    p->done_since = 0;
    uint64_t low = low_of(&p->cursor);
    for (size_t i = 0; i < p->n_out; i++)
        low = num_min(low, p->out[i].low);
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
    outstanding_remove(p, chunk);
    return tell_pages(p, e);
}
