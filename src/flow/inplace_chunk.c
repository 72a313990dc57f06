#include "flow/inplace_chunk.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/squeeze.h"
#include "formats/crypt/crypt.h"

#define ZEROS_MANY (64 * KIB) /* from here on zeros are asked of the file, not written */

int inplace_slot_init(struct inplace_slot *s, const struct inplace_rules *rules, struct err *e)
{
    const struct edit_packing *packing = rules->packing;
    uint32_t block = packing ? (uint32_t)rules->block : 0;
    uint32_t most = packing && packing->packed_max ? packing->packed_max(rules->image) : block;
    *s = (struct inplace_slot){0};
    return chunk_init(&s->chunk, rules->chunk_size, block, most, e);
}

void inplace_slot_release(struct inplace_slot *s)
{
    chunk_release(&s->chunk);
    free(s->runs.part);
    free(s->asks.part);
    free(s->places);
    *s = (struct inplace_slot){0};
}

int inplace_place_add(struct inplace_slot *s, const struct edit_place *p, struct err *e)
{
    if (s->n_places == s->cap_places) {
        size_t cap = num_max(16, 2 * s->cap_places);
        struct edit_place *grown = mem_grow(s->places, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        s->places = grown;
        s->cap_places = cap;
    }
    s->places[s->n_places++] = *p;
    return 0;
}

/* ---- parts ----------------------------------------------------------------------------------- */

int inplace_part_add(struct inplace_parts *p, enum piece_kind kind, uint32_t from, uint32_t to,
                     struct err *e)
{
    struct inplace_part *last = p->n ? &p->part[p->n - 1] : NULL;
    if (from >= to)
        return 0;
    if (last && last->kind == kind && last->at + last->length == from) {
        last->length += to - from;
        return 0;
    }
    if (p->n == p->cap) {
        size_t cap = num_max(16, 2 * p->cap);
        struct inplace_part *grown = mem_grow(p->part, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        p->part = grown;
        p->cap = cap;
    }
    p->part[p->n++] = (struct inplace_part){kind, from, to - from};
    return 0;
}

/* Does the image read as zeros at [from, ...) of the chunk? *to = how far it is like that. What
 * only lies below it does not count if something else is going to lie there. */
static int reads_zero(const struct inplace_rules *rules, const struct chunk *c, uint32_t from,
                      uint32_t *to, bool *zero, struct err *e)
{
    struct extent x;
    bool alone = rules->image->backing_changes;
    if (image_map_chain(rules->image, c->guest + from, *to - from, alone ? 1 : UINT_MAX, &x, e))
        return -1;
    *zero = x.kind == EXTENT_ZERO || (x.kind == EXTENT_HOLE && !alone);
    *to = from + (uint32_t)x.length;
    return 0;
}

/* Zeros that are less than a unit are bytes, but where there are zeros already. */
static int cut_ragged(const struct inplace_rules *rules, struct inplace_slot *s, uint32_t from,
                      uint32_t to, struct err *e)
{
    bool zero;
    for (uint32_t end; from < to; from = end) {
        end = to;
        if (reads_zero(rules, &s->chunk, from, &end, &zero, e) ||
            inplace_part_add(&s->runs, zero ? PIECE_LEFT : PIECE_DATA, from, end, e))
            return -1;
        if (!zero)
            memset(s->chunk.buf + from, 0, end - from);
    }
    return 0;
}

/* Whole units of zeros: those that read as zeros already are left. */
static int cut_units(const struct inplace_rules *rules, struct inplace_slot *s, uint32_t from,
                     uint32_t to, struct err *e)
{
    bool zero;
    for (uint32_t end; from < to; from = end) {
        end = to;
        if (reads_zero(rules, &s->chunk, from, &end, &zero, e))
            return -1;
        if (end < to) /* a unit that is zero in part is not */
            end = (uint32_t)(zero ? num_down_to(end, rules->unit)
                                  : num_min(num_up_to(end, rules->unit), to));
        if (zero && end <= from) {
            end = (uint32_t)num_min(from + rules->unit, to);
            zero = false;
        }
        if (inplace_part_add(&s->runs, zero ? PIECE_LEFT : PIECE_ZERO, from, end, e))
            return -1;
    }
    return 0;
}

static int cut_zeros(const struct inplace_rules *rules, struct inplace_slot *s, uint32_t from,
                     uint32_t to, struct err *e)
{
    uint64_t end = s->chunk.guest + to;
    uint32_t up = (uint32_t)num_up_to(from, rules->unit);
    uint32_t down = end == rules->image->size ? to : (uint32_t)num_down_to(to, rules->unit);
    if (rules->zeros_there)
        return inplace_part_add(&s->runs, PIECE_LEFT, from, to, e);
    if (rules->zeros_written || up >= down)
        return cut_ragged(rules, s, from, to, e);
    return cut_ragged(rules, s, from, up, e) || cut_units(rules, s, up, down, e) ||
                   cut_ragged(rules, s, down, to, e)
               ? -1
               : 0;
}

static int cut_runs(const struct inplace_rules *rules, struct inplace_slot *s, struct err *e)
{
    struct chunk *c = &s->chunk;
    s->runs.n = 0;
    for (size_t i = 0; i < c->n_pieces; i++) {
        const struct piece *p = &c->pieces[i];
        for (uint32_t from = 0; from < p->length;) {
            struct squeeze_run run = squeeze_next(rules->sparse_size, c, p, from);
            uint32_t end = run.at + run.length;
            if (run.kind == PIECE_ZERO ? cut_zeros(rules, s, run.at, end, e)
                                       : inplace_part_add(&s->runs, run.kind, run.at, end, e))
                return -1;
            from += run.length;
        }
    }
    return 0;
}

/* ---- encrypted images: whole sectors --------------------------------------------------------- */

static int add_held(const struct inplace_rules *rules, struct image_reader *r,
                    struct inplace_slot *s, struct inplace_parts *to, uint32_t from, uint32_t end,
                    struct err *e)
{
    struct chunk *c = &s->chunk;
    if (from >= end)
        return 0;
    return image_read(r, rules->image, c->guest + from, end - from, c->buf + from, e) ||
                   inplace_part_add(to, PIECE_DATA, from, end, e)
               ? -1
               : 0;
}

/* Sectors that are left in part are written with what the image holds. */
static int whole_sectors(const struct inplace_rules *rules, struct image_reader *r,
                         struct inplace_slot *s, struct err *e)
{
    struct inplace_parts was = s->runs;
    AUTO_FREE struct inplace_part *owned = was.part;
    int status = 0;
    s->runs = (struct inplace_parts){0};
    for (size_t i = 0; i < was.n && !status; i++) {
        const struct inplace_part *p = &was.part[i];
        uint32_t end = p->at + p->length, up = end, down = end;
        if (p->kind == PIECE_LEFT) {
            up = (uint32_t)num_min(num_up(p->at, CRYPT_SECTOR), end);
            down = end == s->chunk.length ? end : (uint32_t)num_down(end, CRYPT_SECTOR);
            down = (uint32_t)num_max(up, down);
            status = add_held(rules, r, s, &s->runs, p->at, up, e) ||
                     inplace_part_add(&s->runs, PIECE_LEFT, up, down, e) ||
                     add_held(rules, r, s, &s->runs, down, end, e);
        } else {
            status = inplace_part_add(&s->runs, p->kind, p->at, end, e);
        }
    }
    return status ? -1 : 0;
}

/* ---- asks ------------------------------------------------------------------------------------ */

/* Whole units around the data. Those of one group are asked for together, with what is between
 * them: two places at once for one group would be two copies of it. */
static int cut_asks(const struct inplace_rules *rules, struct inplace_slot *s, struct err *e)
{
    struct inplace_parts *asks = &s->asks;
    uint64_t unit = rules->packing ? rules->block : rules->unit;
    asks->n = 0;
    for (size_t i = 0; i < s->runs.n; i++) {
        const struct inplace_part *p = &s->runs.part[i];
        struct inplace_part *last = asks->n ? &asks->part[asks->n - 1] : NULL;
        uint32_t from = (uint32_t)num_down_to(p->at, unit);
        uint32_t to = (uint32_t)num_up_to(p->at + p->length, unit);
        if (p->kind != PIECE_DATA)
            continue;
        uint32_t reached = last ? last->at + last->length : 0;
        if (last && (from <= reached || from / rules->group == (reached - 1) / rules->group))
            last->length = (uint32_t)num_max(to, reached) - last->at;
        else if (inplace_part_add(asks, PIECE_DATA, from, to, e))
            return -1;
    }
    return 0;
}

int inplace_cut(const struct inplace_rules *rules, struct image_reader *r, struct inplace_slot *s,
                struct err *e)
{
    s->n_places = 0;
    if (cut_runs(rules, s, e) || (rules->image->encrypted && whole_sectors(rules, r, s, e)))
        return -1;
    return cut_asks(rules, s, e);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* What one worker writes: requests to one file that go out together. */
struct output_to {
    const struct inplace_rules *rules;
    struct image_reader *reader;
    struct throttle *throttle;
    struct inplace_slot *slot;
    struct file *file;
    uint64_t at; /* guest offset of what is being written */
};

static int send(struct output_to *o, struct err *e)
{
    struct chunk *c = &o->slot->chunk;
    uint64_t bytes = 0;
    size_t failed = 0;
    for (size_t i = 0; i < c->n_io; i++)
        bytes += c->io[i].len;
    throttle_wait(o->throttle, bytes);
    if (c->n_io && file_write_batch(o->file, c->io, c->n_io, &failed, e)) {
        const unsigned char *buf = c->io[failed].buf;
        bool plain = buf >= c->buf && buf < c->buf + o->rules->chunk_size;
        o->at = c->guest + (plain ? (uint64_t)(buf - c->buf) : 0);
        return -1;
    }
    for (size_t i = 0; i < c->n_io; i++)
        file_forget(o->file, c->io[i].off, c->io[i].len);
    c->n_io = 0;
    return 0;
}

/* Requests that continue the last one become part of it. */
static int add(struct output_to *o, struct file *file, unsigned char *buf, size_t len,
               uint64_t host, struct err *e)
{
    struct chunk *c = &o->slot->chunk;
    struct file_io *last = c->n_io ? &c->io[c->n_io - 1] : NULL;
    if (last && o->file == file && (unsigned char *)last->buf + last->len == buf &&
        last->off + last->len == host) {
        last->len += len;
        return 0;
    }
    if (o->file != file && send(o, e))
        return -1;
    o->file = file;
    return chunk_io_add(c, buf, len, host, e);
}

/* [from, to) of the chunk's buf, inside the place. It is encrypted where it is. */
static int put(struct output_to *o, const struct edit_place *p, uint32_t from, uint32_t to,
               struct err *e)
{
    uint64_t into = o->slot->chunk.guest + from - p->guest;
    unsigned char *buf = o->slot->chunk.buf + from;
    if (p->crypt && p->crypt->encrypt(p->crypt, buf, to - from, p->crypt_at + into, e))
        return -1;
    return add(o, p->file, buf, to - from, p->host + into, e);
}

static int put_packed(struct output_to *o, const struct edit_place *p, struct err *e)
{
    struct chunk *c = &o->slot->chunk;
    size_t block = (p->guest - c->guest) / o->rules->block;
    return add(o, p->file, c->packed + c->packed_at[block], p->packed_len, p->host, e);
}

static int put_zeros(struct output_to *o, const struct edit_place *p, uint32_t from, uint32_t to,
                     struct err *e)
{
    struct chunk *c = &o->slot->chunk;
    if (p->is_zero && !p->crypt)
        return 0;
    if (!p->crypt && to - from >= ZEROS_MANY)
        return file_zero(p->file, p->host + (c->guest + from - p->guest), to - from, FILE_ZERO_KEEP,
                         e);
    memset(c->buf + from, 0, to - from);
    return put(o, p, from, to, e);
}

/* What the image holds of [from, to), to a fresh place. */
static int put_held(struct output_to *o, const struct edit_place *p, uint32_t from, uint32_t to,
                    struct err *e)
{
    struct chunk *c = &o->slot->chunk;
    struct image *img = o->rules->image;
    uint32_t size = (uint32_t)num_min(img->size - c->guest, to);
    while (from < size) {
        struct extent x;
        if (image_map_chain(img, c->guest + from, size - from, UINT_MAX, &x, e))
            return -1;
        uint32_t end = from + (uint32_t)x.length;
        bool zero = x.kind == EXTENT_HOLE || x.kind == EXTENT_ZERO;
        if (zero ? put_zeros(o, p, from, end, e)
                 : image_read_extents(o->reader, &x, 1, c->buf + from, NULL, e) ||
                       put(o, p, from, end, e))
            return -1;
        from = end;
    }
    return from < to ? put_zeros(o, p, from, to, e) : 0;
}

/* What of a run lies in a place. Where the image's own bytes are written, zeros and what is left
 * need nothing. */
static int put_run(struct output_to *o, const struct edit_place *p, const struct inplace_part *run,
                   struct err *e)
{
    uint32_t begin = (uint32_t)(p->guest - o->slot->chunk.guest);
    uint32_t from = (uint32_t)num_max(run->at, begin);
    uint32_t to = (uint32_t)num_min(run->at + run->length, begin + p->length);
    if (from >= to || (!p->fresh && run->kind != PIECE_DATA))
        return 0;
    o->at = o->slot->chunk.guest + from;
    switch (run->kind) {
    case PIECE_ZERO:
        return put_zeros(o, p, from, to, e);
    case PIECE_LEFT:
        return put_held(o, p, from, to, e);
    default:
        return put(o, p, from, to, e);
    }
}

/* *run: the first that may reach into this place, or one after the last. */
static int put_place(struct output_to *o, const struct edit_place *p, size_t *run, struct err *e)
{
    const struct inplace_parts *runs = &o->slot->runs;
    const struct chunk *c = &o->slot->chunk;
    uint64_t begin = p->guest - c->guest, end = begin + p->length;
    if (p->packed_len)
        return put_packed(o, p, e);
    while (*run < runs->n && runs->part[*run].at + runs->part[*run].length <= begin)
        ++*run;
    for (size_t i = *run; i < runs->n && runs->part[i].at < end; i++)
        if (put_run(o, p, &runs->part[i], e))
            return -1;
    if (!p->fresh || end <= c->length)
        return 0;
    const struct inplace_part rest = {PIECE_LEFT, c->length, (uint32_t)(end - c->length)};
    return put_run(o, p, &rest, e);
}

int inplace_write(const struct inplace_rules *rules, struct image_reader *r, struct throttle *t,
                  struct inplace_slot *s, uint64_t *at, struct err *e)
{
    struct output_to o = {
        .rules = rules, .reader = r, .throttle = t, .slot = s, .at = s->chunk.guest};
    size_t run = 0;
    int status = 0;
    s->chunk.n_io = 0;
    image_reader_forget(r); /* what it decoded may stand elsewhere by now */
    for (size_t i = 0; i < s->n_places && !status; i++)
        status = put_place(&o, &s->places[i], &run, e);
    if (!status)
        status = send(&o, e);
    *at = o.at;
    return status;
}
