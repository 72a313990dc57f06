#include "flow/read.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/file.h"

#define SECTOR 512u

/* ---- pieces and extents ---------------------------------------------------------------------- */

static int extent_add(struct chunk *c, const struct extent *x, struct err *e)
{
    if (c->n_extents == c->cap_extents) {
        size_t cap = num_max(16, 2 * c->cap_extents);
        struct extent *grown = mem_grow(c->extents, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        c->extents = grown;
        c->cap_extents = cap;
    }
    c->extents[c->n_extents++] = *x;
    return 0;
}

/* Not the last cluster of a file that ends inside it: what lacks there cannot be copied. */
static bool is_stored(const struct extent *x)
{
    return num_inside(x->host, x->length, file_size(x->file));
}

static enum piece_kind kind_of(const struct read_rules *rules, const struct extent *x)
{
    if (x->kind == EXTENT_HOLE)
        return rules->stop_depth == UINT_MAX ? PIECE_ZERO : PIECE_LEFT;
    if (x->kind == EXTENT_ZERO || x->file_hole)
        return PIECE_ZERO;
    bool copies = rules->offload && x->kind == EXTENT_DATA && !x->crypt && is_stored(x);
    return copies ? PIECE_COPY : PIECE_DATA;
}

/* ---- mapping --------------------------------------------------------------------------------- */

/* Pieces and extents of [at, end) of the chunk, looking down to stop_depth. */
static int map_range(const struct read_rules *rules, unsigned stop_depth, struct chunk *c,
                     uint32_t at, uint32_t end, struct err *e)
{
    const struct read_rules here = {.stop_depth = stop_depth, .offload = rules->offload};
    struct extent x;
    for (; at < end; at += (uint32_t)x.length) {
        if (source_map(rules->source, c->guest + at, end - at, stop_depth, &x, e) < 0)
            return err_prefix(e, "error while reading block status at offset %" PRIu64 ": ",
                              c->guest + at);
        struct piece p = {kind_of(&here, &x), at, (uint32_t)x.length, x.file, x.host};
        if (chunk_piece_add(c, &p, e) < 0 || (p.kind == PIECE_DATA && extent_add(c, &x, e) < 0))
            return -1;
    }
    return 0;
}

/* Blocks of the target that are only partly left to its backing image are read whole: the parts of
 * a LEFT piece outside [up, down) are looked up in the whole chain. */
static int map_left(const struct read_rules *rules, struct chunk *c, const struct piece *p,
                    struct err *e)
{
    uint32_t end = p->at + p->length;
    uint32_t up = (uint32_t)num_min(num_up(p->at, rules->block_size), end);
    uint32_t down = end == c->length ? end : (uint32_t)num_down(end, rules->block_size);
    if (down < up)
        down = up;
    if (map_range(rules, UINT_MAX, c, p->at, up, e) < 0)
        return -1;
    const struct piece left = {PIECE_LEFT, up, down - up, NULL, 0};
    if (left.length && chunk_piece_add(c, &left, e) < 0)
        return -1;
    return map_range(rules, UINT_MAX, c, down, end, e);
}

static bool left_is_ragged(const struct read_rules *rules, const struct chunk *c)
{
    for (size_t i = 0; i < c->n_pieces; i++) {
        const struct piece *p = &c->pieces[i];
        uint32_t end = p->at + p->length;
        if (p->kind == PIECE_LEFT &&
            (p->at % rules->block_size || (end % rules->block_size && end != c->length)))
            return true;
    }
    return false;
}

static int map_chunk(const struct read_rules *rules, struct chunk *c, struct err *e)
{
    c->n_extents = c->n_pieces = 0;
    if (map_range(rules, rules->stop_depth, c, 0, c->length, e) < 0)
        return -1;
    if (rules->stop_depth == UINT_MAX || !rules->block_size || !left_is_ragged(rules, c))
        return 0;
    size_t n = c->n_pieces;
    AUTO_FREE struct piece *first = MEM_TAKE(c->pieces);
    c->n_extents = c->n_pieces = c->cap_pieces = 0;
    for (size_t i = 0; i < n; i++) {
        const struct piece *p = &first[i];
        int status = p->kind == PIECE_LEFT
                         ? map_left(rules, c, p, e)
                         : map_range(rules, rules->stop_depth, c, p->at, p->at + p->length, e);
        if (status < 0)
            return -1;
    }
    return 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static int salvaged_add(struct chunk *c, uint64_t guest, int error, struct err *e)
{
    if (c->n_salvaged == c->cap_salvaged) {
        size_t cap = num_max(16, 2 * c->cap_salvaged);
        struct salvaged *grown = mem_grow(c->salvaged, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        c->salvaged = grown;
        c->cap_salvaged = cap;
    }
    c->salvaged[c->n_salvaged++] = (struct salvaged){guest, error ? error : EIO, 0};
    return 0;
}

/* One sector of an extent, or zeros if it cannot be read. */
static int salvage_sector(struct image_reader *r, struct chunk *c, const struct extent *x,
                          uint64_t skip, struct err *e)
{
    struct extent s = *x;
    s.guest += skip;
    s.length = num_min(SECTOR, x->length - skip);
    if (s.kind == EXTENT_DATA) {
        s.host += skip;
        s.crypt_at += skip;
    } else {
        s.block_offset += (uint32_t)skip;
    }
    unsigned char *to = c->buf + (s.guest - c->guest);
    if (image_read_extents(r, &s, 1, to, NULL, e) == 0)
        return 0;
    int error = e->no;
    err_clear(e);
    memset(to, 0, s.length);
    return salvaged_add(c, s.guest, error, e);
}

static int salvage(struct image_reader *r, struct chunk *c, struct err *e)
{
    err_clear(e);
    for (size_t i = 0; i < c->n_extents; i++) {
        const struct extent *x = &c->extents[i];
        if (image_read_extents(r, x, 1, c->buf + (x->guest - c->guest), NULL, e) == 0)
            continue;
        err_clear(e);
        for (uint64_t skip = 0; skip < x->length; skip += SECTOR)
            if (salvage_sector(r, c, x, skip, e) < 0)
                return -1;
    }
    return 0;
}

int read_chunk(struct image_reader *r, const struct read_rules *rules, struct chunk *c,
               uint64_t guest, uint32_t length, struct err *e)
{
    c->guest = guest;
    c->length = length;
    c->n_salvaged = 0;
    if (map_chunk(rules, c, e) < 0)
        return -1;
    if (!c->n_extents)
        return 0;
    uint64_t bad = c->extents[0].guest;
    unsigned char *to = c->buf + (c->extents[0].guest - guest);
    if (image_read_extents(r, c->extents, c->n_extents, to, &bad, e) == 0)
        return 0;
    if (rules->salvage)
        return salvage(r, c, e);
    return err_prefix(e, "error while reading at byte %" PRIu64 ": ", bad);
}
