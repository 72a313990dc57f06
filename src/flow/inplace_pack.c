#include "flow/inplace_pack.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* ---- whole blocks ---------------------------------------------------------------------------- */

/* What the image holds of [from, to), behind its end zeros. */
static int read_held(const struct inplace_rules *rules, struct image_reader *r, struct chunk *c,
                     uint32_t from, uint32_t to, struct err *e)
{
    uint32_t end = (uint32_t)num_min(rules->image->size - c->guest, to);
    if (from < end && image_read(r, rules->image, c->guest + from, end - from, c->buf + from, e))
        return -1;
    end = (uint32_t)num_max(from, end);
    memset(c->buf + end, 0, to - end);
    return 0;
}

/* All bytes of an ask: its data is there. */
static int fill_ask(const struct inplace_rules *rules, struct image_reader *r,
                    struct inplace_slot *s, const struct inplace_part *ask, struct err *e)
{
    struct chunk *c = &s->chunk;
    uint32_t end = ask->at + ask->length;
    for (size_t i = 0; i < s->runs.n; i++) {
        const struct inplace_part *p = &s->runs.part[i];
        uint32_t from = (uint32_t)num_max(p->at, ask->at);
        uint32_t to = (uint32_t)num_min(p->at + p->length, end);
        if (from >= to || p->kind == PIECE_DATA)
            continue;
        if (p->kind == PIECE_ZERO)
            memset(c->buf + from, 0, to - from);
        else if (read_held(rules, r, c, from, to, e))
            return -1;
    }
    return end > c->length ? read_held(rules, r, c, c->length, end, e) : 0;
}

/* The runs of `was` in [from, to) stay as they are. */
static int keep_runs(struct inplace_slot *s, const struct inplace_parts *was, uint32_t from,
                     uint32_t to, struct err *e)
{
    for (size_t i = 0; i < was->n; i++) {
        const struct inplace_part *p = &was->part[i];
        if (inplace_part_add(&s->runs, p->kind, (uint32_t)num_max(p->at, from),
                             (uint32_t)num_min(p->at + p->length, to), e))
            return -1;
    }
    return 0;
}

/* What is asked for is data from end to end now. */
static int set_runs(struct inplace_slot *s, struct err *e)
{
    const struct inplace_parts was = s->runs;
    AUTO_FREE struct inplace_part *owned = was.part;
    uint32_t at = 0, length = s->chunk.length;
    s->runs = (struct inplace_parts){0};
    for (size_t i = 0; i < s->asks.n; i++) {
        const struct inplace_part *ask = &s->asks.part[i];
        uint32_t end = (uint32_t)num_min(ask->at + ask->length, length);
        if (keep_runs(s, &was, at, ask->at, e) ||
            inplace_part_add(&s->runs, PIECE_DATA, ask->at, end, e))
            return -1;
        at = end;
    }
    return keep_runs(s, &was, at, length, e);
}

/* ---- encoding -------------------------------------------------------------------------------- */

static int pack_block(const struct inplace_rules *rules, struct packer *packer, struct chunk *c,
                      uint32_t at, struct err *e)
{
    size_t len = 0, block = at / rules->block;
    if (rules->packing->pack(packer, c->guest + at, c->buf + at, c->packed + c->packed_len,
                             c->cap_packed - c->packed_len, &len, e))
        return -1;
    c->need[block] = len ? NEED_PACKED | (need_t)len : NEED_PLAIN;
    c->packed_at[block] = (uint32_t)c->packed_len;
    c->packed_len += len;
    return 0;
}

int inplace_pack(const struct inplace_rules *rules, struct packer *packer, struct image_reader *r,
                 struct inplace_slot *s, struct err *e)
{
    s->chunk.packed_len = 0;
    for (size_t i = 0; i < s->asks.n; i++) {
        const struct inplace_part *ask = &s->asks.part[i];
        if (fill_ask(rules, r, s, ask, e))
            return -1;
        for (uint32_t at = ask->at; at < ask->at + ask->length; at += (uint32_t)rules->block)
            if (pack_block(rules, packer, &s->chunk, at, e))
                return -1;
    }
    return set_runs(s, e);
}
