#include "flow/compare_chunk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"

#define SECTOR     512u
#define WINDOW_MIN (2 * MIB)

/* A stretch of the chunk of which each side is all zeros or all in its buffer. */
struct piece {
    uint64_t guest, length;
    bool data[2];
};

struct side {
    struct view view;
    struct status_reader status; /* strict */
    struct image_reader *reader;
    unsigned char *buf;
    struct extent at;    /* the extent that holds the offset that the walk has reached */
    struct extent *list; /* what must be read, ascending */
    size_t n, cap;
};

struct comparer {
    bool strict;
    struct side side[2];
    struct piece *pieces;
    size_t n, cap;

    uint64_t guest, limit; /* of this run: from the limit on nothing counts */
    struct found stop;     /* what is to be said at the limit */
};

/* ---- one worker's state ---------------------------------------------------------------------- */

static int side_init(struct side *s, struct image *image, uint64_t chunk, struct err *e)
{
    s->view = view_of(image);
    s->reader = image_reader_new(e);
    s->buf = s->reader ? mem_io(chunk, e) : NULL;
    return s->buf ? 0 : -1;
}

int comparer_new(const struct compared *of, uint64_t chunk, struct comparer **out, struct err *e)
{
    struct comparer *c = mem_new(1, sizeof *c, e);
    if (!c)
        return -1;
    c->strict = of->rules[0];
    for (unsigned i = 0; i < 2; i++) {
        if (c->strict)
            c->side[i].status = status_reader_of(of->rules[i]);
        if (side_init(&c->side[i], of->image[i], chunk, e) < 0) {
            comparer_free(c);
            return -1;
        }
    }
    *out = c;
    return 0;
}

void comparer_free(struct comparer *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < 2; i++) {
        image_reader_free(c->side[i].reader);
        free(c->side[i].buf);
        free(c->side[i].list);
    }
    free(c->pieces);
    free(c);
}

/* ---- what was found -------------------------------------------------------------------------- */

static void stop_at(struct comparer *c, enum found_what what, unsigned side, uint64_t offset)
{
    c->limit = offset;
    c->stop = (struct found){.what = what, .side = side, .offset = offset};
}

static void stop_failed(struct comparer *c, enum found_what what, unsigned side, uint64_t offset,
                        struct err *e)
{
    stop_at(c, what, side, offset);
    c->stop.error = e->no;
    snprintf(c->stop.text, sizeof c->stop.text, "%.500s", e->text);
    err_clear(e);
}

/* ---- strict: the status of both -------------------------------------------------------------- */

static void compare_status(struct comparer *c, struct err *e)
{
    struct status run[2];
    for (uint64_t at = c->guest; at < c->limit;) {
        for (unsigned i = 0; i < 2; i++)
            if (status_run(&c->side[i].status, at, &run[i], e) < 0) {
                stop_failed(c, FOUND_NO_MAP, i, at, e);
                return;
            }
        if (status_strict(&run[0]) != status_strict(&run[1])) {
            stop_at(c, FOUND_STATUS, 0, at);
            return;
        }
        at += num_min(run[0].length, run[1].length);
    }
}

/* ---- map: pieces and what to read ------------------------------------------------------------ */

static bool extent_joins(const struct extent *a, const struct extent *b)
{
    if (a->guest + a->length != b->guest || a->kind != b->kind || a->file != b->file)
        return false;
    if (a->kind == EXTENT_PACKED)
        return a->host == b->host && a->block_offset + a->length == b->block_offset;
    return a->host + a->length == b->host && a->image == b->image;
}

static int list_add(struct side *s, uint64_t length, struct err *e)
{
    struct extent x = s->at;
    x.length = length;
    if (s->n && extent_joins(&s->list[s->n - 1], &x)) {
        s->list[s->n - 1].length += length;
        return 0;
    }
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        struct extent *grown = mem_grow(s->list, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        s->list = grown;
        s->cap = cap;
    }
    s->list[s->n++] = x;
    return 0;
}

static int piece_add(struct comparer *c, const struct piece *p, struct err *e)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        struct piece *grown = mem_grow(c->pieces, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        c->pieces = grown;
        c->cap = cap;
    }
    c->pieces[c->n++] = *p;
    for (unsigned i = 0; i < 2; i++)
        if (p->data[i] && list_add(&c->side[i], p->length, e) < 0)
            return -1;
    return 0;
}

/* Bring both sides' extents to `at`; false if one cannot be mapped: the limit is then there. */
static bool map_both(struct comparer *c, uint64_t at, struct err *e)
{
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &c->side[i];
        if (s->at.length == 0 && view_map(&s->view, at, c->limit - at, &s->at, e) < 0) {
            stop_failed(c, FOUND_NO_MAP, i, at, e);
            return false;
        }
    }
    return true;
}

static int map_chunk(struct comparer *c, struct err *e)
{
    struct side *a = &c->side[0], *b = &c->side[1];
    c->n = a->n = b->n = 0;
    a->at.length = b->at.length = 0;
    for (uint64_t at = c->guest; at < c->limit && map_both(c, at, e);) {
        struct piece p = {.guest = at,
                          .length = num_min(a->at.length, b->at.length),
                          .data = {!walk_is_zero(&a->at), !walk_is_zero(&b->at)}};
        if ((p.data[0] || p.data[1]) && !walk_is_same_place(&a->at, &b->at) &&
            piece_add(c, &p, e) < 0)
            return -1;
        walk_skip(&a->at, p.length);
        walk_skip(&b->at, p.length);
        at += p.length;
    }
    return 0;
}

/* ---- read ------------------------------------------------------------------------------------ */

/* Drop what lies behind the limit. */
static void list_clip(struct side *s, uint64_t limit)
{
    while (s->n && s->list[s->n - 1].guest >= limit)
        s->n--;
    if (s->n) {
        struct extent *last = &s->list[s->n - 1];
        last->length = num_min(last->length, limit - last->guest);
    }
}

/* A read that fails lowers the limit; what is below must be there, so it is read again. */
static void read_side(struct comparer *c, unsigned side, struct err *e)
{
    struct side *s = &c->side[side];
    for (list_clip(s, c->limit); s->n; list_clip(s, c->limit)) {
        uint64_t first = s->list[0].guest, bad = first;
        if (image_read_extents(s->reader, s->list, s->n, s->buf + (first - c->guest), &bad, e) == 0)
            return;
        bool inside = bad >= first && bad < c->limit;
        stop_failed(c, FOUND_NO_READ, side, inside ? bad : first, e);
    }
}

/* ---- compare --------------------------------------------------------------------------------- */

/* The first byte in which they differ, or n. */
static size_t first_difference(const unsigned char *a, const unsigned char *b, size_t n)
{
    size_t at = 0;
    if (memcmp(a, b, n) == 0)
        return n;
    for (; n - at > SECTOR && memcmp(a + at, b + at, SECTOR) == 0; at += SECTOR)
        ;
    while (at < n && a[at] == b[at])
        at++;
    return at;
}

static size_t first_nonzero(const unsigned char *p, size_t n)
{
    bool is_zero;
    size_t run = zero_run(p, n, SECTOR, &is_zero);
    size_t at = is_zero ? run : 0;
    while (at < n && !p[at])
        at++;
    return at;
}

/* Messages name the sector, but never one that begins before the piece. */
static bool compare_piece(struct comparer *c, const struct piece *p)
{
    const unsigned char *a = c->side[0].buf + (p->guest - c->guest);
    const unsigned char *b = c->side[1].buf + (p->guest - c->guest);
    size_t n = (size_t)num_min(p->length, c->limit - p->guest);
    size_t at =
        p->data[0] && p->data[1] ? first_difference(a, b, n) : first_nonzero(p->data[0] ? a : b, n);
    if (at == n)
        return true;
    stop_at(c, FOUND_CONTENT, 0, num_max(num_down(p->guest + at, SECTOR), p->guest));
    return false;
}

int comparer_run(struct comparer *c, uint64_t guest, uint64_t length, struct found *out,
                 struct err *e)
{
    c->guest = guest;
    c->limit = guest + length;
    c->stop = (struct found){.what = FOUND_NOTHING};
    if (c->strict)
        compare_status(c, e);
    if (map_chunk(c, e) < 0)
        return -1;
    read_side(c, 0, e);
    read_side(c, 1, e);
    for (size_t i = 0; i < c->n && c->pieces[i].guest < c->limit; i++)
        if (!compare_piece(c, &c->pieces[i]))
            break;
    *out = c->stop;
    return 0;
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

struct skipper skipper_of(const struct compared *of)
{
    struct skipper s = {.strict = of->rules[0], .window = WINDOW_MIN};
    for (unsigned i = 0; i < 2; i++) {
        s.view[i] = view_of(of->image[i]);
        if (s.strict)
            s.status[i] = status_reader_of(of->rules[i]);
    }
    return s;
}

/* How many bytes from `at` on are surely equal: 0 = look. */
static uint64_t equal_content(struct skipper *s, uint64_t at, uint64_t length, struct err *e)
{
    struct extent x[2];
    for (unsigned i = 0; i < 2; i++)
        if (view_map(&s->view[i], at, length, &x[i], e) < 0) {
            err_clear(e);
            return 0;
        }
    bool equal = (walk_is_zero(&x[0]) && walk_is_zero(&x[1])) || walk_is_same_place(&x[0], &x[1]);
    return equal ? num_min(x[0].length, x[1].length) : 0;
}

/* How many of these bytes have the same status on both sides, from the front. */
static uint64_t equal_status(struct skipper *s, uint64_t at, uint64_t length, struct err *e)
{
    struct status run[2];
    uint64_t end = at + length, from = at;
    while (at < end) {
        for (unsigned i = 0; i < 2; i++)
            if (status_run(&s->status[i], at, &run[i], e) < 0) {
                err_clear(e);
                return at - from;
            }
        if (status_strict(&run[0]) != status_strict(&run[1]))
            return at - from;
        at += num_min(run[0].length, run[1].length);
    }
    return length;
}

static uint64_t equal_length(struct skipper *s, uint64_t at, uint64_t length, struct err *e)
{
    uint64_t asked = num_min(length, s->window);
    uint64_t n = equal_content(s, at, asked, e);
    s->window = walk_window(asked, n, WINDOW_MIN);
    return n && s->strict ? equal_status(s, at, n, e) : n;
}

uint64_t skipper_next(struct skipper *s, uint64_t guest, uint64_t end, struct err *e)
{
    for (uint64_t n; guest < end; guest += n) {
        n = equal_length(s, guest, end - guest, e);
        if (n == 0)
            break;
    }
    return guest;
}
