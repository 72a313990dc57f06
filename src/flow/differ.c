/* One chunk of an overlay: which of its units would read differently, and what they hold now. */
#include "flow/differ.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "flow/differ_impl.h"

struct extent_list {
    struct extent *item;
    size_t n, cap;
};

struct differ {
    struct differ_map map;
    uint64_t unit;
    unsigned char *other;      /* what the new side shows, as chunk.buf what the old one does */
    struct differ_part *parts; /* all of the chunk, in order */
    size_t n, cap;
    struct extent_list list[DIFFER_SIDES]; /* what is to be read */
};

int differ_new(const struct differ_images *images, uint64_t unit, uint64_t chunk,
               struct differ **out, struct err *e)
{
    struct differ *d = mem_new(1, sizeof *d, e);
    if (!d)
        return -1;
    d->map = differ_map_of(images);
    d->unit = unit;
    d->other = mem_io(chunk, e);
    if (!d->other) {
        differ_free(d);
        return -1;
    }
    *out = d;
    return 0;
}

void differ_free(struct differ *d)
{
    if (!d)
        return;
    free(d->other);
    free(d->parts);
    free(d->list[DIFFER_OLD].item);
    free(d->list[DIFFER_NEW].item);
    free(d);
}

/* ---- parts and what to read of them ---------------------------------------------------------- */

static int list_add(struct extent_list *l, const struct extent *x, struct err *e)
{
    if (l->n == l->cap) {
        size_t cap = num_max(16, 2 * l->cap);
        struct extent *grown = mem_grow(l->item, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        l->item = grown;
        l->cap = cap;
    }
    l->item[l->n++] = *x;
    return 0;
}

static int part_add(struct differ *d, const struct differ_part *p, struct err *e)
{
    if (d->n == d->cap) {
        size_t cap = num_max(16, 2 * d->cap);
        struct differ_part *grown = mem_grow(d->parts, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        d->parts = grown;
        d->cap = cap;
    }
    d->parts[d->n++] = *p;
    return 0;
}

static int map_chunk(struct differ *d, uint64_t guest, uint64_t end, struct err *e)
{
    struct differ_part p;
    d->n = d->list[DIFFER_OLD].n = d->list[DIFFER_NEW].n = 0;
    for (differ_seek(&d->map, guest, end);;) {
        if (differ_next(&d->map, &p, e))
            return -1;
        if (!p.length)
            return 0;
        if (part_add(d, &p, e))
            return -1;
        for (unsigned i = 0; i < DIFFER_SIDES && p.kind == DIFFER_UNLIKE; i++)
            if (!walk_is_zero(&p.side[i]) && list_add(&d->list[i], &p.side[i], e))
                return -1;
    }
}

static int read_side(struct differ *d, struct image_reader *r, enum differ_side side,
                     unsigned char *buf, uint64_t guest, struct err *e)
{
    const struct extent_list *l = &d->list[side];
    if (l->n && image_read_extents(r, l->item, l->n, buf + (l->item[0].guest - guest), NULL, e))
        return differ_side_failed(side, e);
    return 0;
}

/* ---- units ----------------------------------------------------------------------------------- */

/* A range of the chunk that becomes one piece, and the parts that lie in it: a unit, or what the
 * overlay holds itself. */
struct unit {
    uint64_t from, to;
    size_t first, end;
};

/* The one at u->from; `first` is where the one before began. */
static void unit_find(const struct differ *d, uint64_t end, struct unit *u)
{
    const struct differ_part *p = d->parts;
    while (p[u->first].guest + p[u->first].length <= u->from)
        u->first++;
    u->end = u->first + 1;
    u->to = p[u->first].guest + p[u->first].length;
    if (p[u->first].kind == DIFFER_OWN)
        return;
    u->to = num_min(num_down_to(u->from, d->unit) + d->unit, end);
    while (u->end < d->n && p[u->end].guest < u->to && p[u->end].kind != DIFFER_OWN)
        u->end++;
    if (u->end < d->n)
        u->to = num_min(u->to, p[u->end].guest);
}

/* What of a part lies in the unit. */
static uint64_t clip(const struct unit *u, const struct differ_part *p, uint64_t *from)
{
    *from = num_max(u->from, p->guest);
    return num_min(u->to, p->guest + p->length) - *from;
}

static bool part_differs(const struct differ *d, const struct chunk *c, const struct unit *u,
                         const struct differ_part *p)
{
    uint64_t from, n = clip(u, p, &from);
    const unsigned char *was = c->buf + (from - c->guest), *will = d->other + (from - c->guest);
    if (walk_is_zero(&p->side[DIFFER_OLD]))
        return !zero_is(will, n);
    return walk_is_zero(&p->side[DIFFER_NEW]) ? !zero_is(was, n) : memcmp(was, will, n) != 0;
}

static bool unit_differs(const struct differ *d, const struct chunk *c, const struct unit *u)
{
    for (size_t i = u->first; i < u->end; i++)
        if (d->parts[i].kind == DIFFER_UNLIKE && part_differs(d, c, u, &d->parts[i]))
            return true;
    return false;
}

/* The rest of a unit that will be the overlay's own: what was not read to be compared. */
static int unit_complete(struct differ *d, struct image_reader *r, struct chunk *c,
                         const struct unit *u, struct err *e)
{
    for (size_t i = u->first; i < u->end; i++) {
        const struct differ_part *p = &d->parts[i];
        uint64_t from, n = clip(u, p, &from);
        unsigned char *to = c->buf + (from - c->guest);
        struct extent x = p->side[DIFFER_OLD];
        if (walk_is_zero(&x)) {
            memset(to, 0, n);
            continue;
        }
        if (p->kind != DIFFER_SAME)
            continue;
        walk_skip(&x, from - x.guest);
        x.length = n;
        if (image_read_extents(r, &x, 1, to, NULL, e))
            return differ_side_failed(DIFFER_OLD, e);
    }
    return 0;
}

static int unit_piece(struct differ *d, struct image_reader *r, struct chunk *c,
                      const struct unit *u, struct err *e)
{
    struct piece p = {.at = (uint32_t)(u->from - c->guest), .length = (uint32_t)(u->to - u->from)};
    if (unit_differs(d, c, u)) {
        if (unit_complete(d, r, c, u, e))
            return -1;
        p.kind = zero_is(c->buf + p.at, p.length) ? PIECE_ZERO : PIECE_DATA;
    }
    return chunk_piece_add(c, &p, e);
}

int differ_read(struct differ *d, struct image_reader *r, struct chunk *c, uint64_t guest,
                uint32_t length, struct err *e)
{
    uint64_t end = guest + length;
    c->guest = guest;
    c->length = length;
    c->n_pieces = c->n_extents = c->n_salvaged = 0;
    if (map_chunk(d, guest, end, e) || read_side(d, r, DIFFER_OLD, c->buf, guest, e) ||
        read_side(d, r, DIFFER_NEW, d->other, guest, e))
        return -1;
    struct unit u = {.from = guest};
    for (; u.from < end; u.from = u.to) {
        unit_find(d, end, &u);
        if (unit_piece(d, r, c, &u, e))
            return -1;
    }
    return 0;
}
