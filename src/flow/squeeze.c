#include "flow/squeeze.h"

#include <string.h>

#include "base/num.h"
#include "base/zero.h"

/* ---- blocks ---------------------------------------------------------------------------------- */

/* What a block's pieces say, before its bytes are looked at. */
struct content {
    bool left, zero, data, copy;
};

/* Clear what the map says is zero in [at, end); *i is the first piece that reaches into it. */
static struct content look(struct chunk *c, size_t *i, uint32_t at, uint32_t end)
{
    struct content has = {0};
    while (c->pieces[*i].at + c->pieces[*i].length <= at)
        ++*i;
    for (size_t k = *i; k < c->n_pieces && c->pieces[k].at < end; k++) {
        switch (c->pieces[k].kind) {
        case PIECE_LEFT:
            has.left = true;
            break;
        case PIECE_ZERO:
            has.zero = true;
            break;
        case PIECE_DATA:
            has.data = true;
            break;
        case PIECE_COPY:
            has.copy = true;
            break;
        }
    }
    return has;
}

static void clear_zero_pieces(struct chunk *c, size_t i, uint32_t at, uint32_t end)
{
    for (; i < c->n_pieces && c->pieces[i].at < end; i++) {
        const struct piece *p = &c->pieces[i];
        uint32_t from = (uint32_t)num_max(p->at, at);
        uint32_t to = (uint32_t)num_min(p->at + p->length, end);
        if (p->kind == PIECE_ZERO)
            memset(c->buf + from, 0, to - from);
    }
}

static need_t need_of_zeros(const struct squeeze_rules *rules, struct chunk *c, uint32_t at,
                            uint32_t length)
{
    if (!rules->sparse_size) {
        memset(c->buf + at, 0, length);
        return NEED_PLAIN;
    }
    if (rules->reserve)
        return NEED_RESERVED;
    if (c->guest + at >= rules->backed)
        return NEED_HOLE;
    if (rules->zero_flag)
        return NEED_ZERO;
    memset(c->buf + at, 0, length);
    return NEED_PLAIN;
}

static need_t need_of(const struct squeeze_rules *rules, struct chunk *c, size_t *piece,
                      uint32_t at)
{
    uint32_t end = (uint32_t)num_min(at + (uint64_t)rules->block_size, c->length);
    struct content has = look(c, piece, at, end);
    if (has.copy)
        return NEED_PLAIN;
    if (!has.data && has.left)
        return rules->reserve ? NEED_RESERVED : NEED_HOLE;
    if (!has.data)
        return need_of_zeros(rules, c, at, rules->block_size);
    if (has.zero)
        clear_zero_pieces(c, *piece, at, end);
    if (end - at < rules->block_size)
        memset(c->buf + end, 0, rules->block_size - (end - at));
    if (rules->sparse_size && zero_is(c->buf + at, end - at))
        return need_of_zeros(rules, c, at, rules->block_size);
    return NEED_PLAIN;
}

/* -S larger than a block: zeros found in data, in runs shorter than that, are written. */
static void keep_short_zeros(const struct squeeze_rules *rules, struct chunk *c)
{
    uint64_t least = num_div_up(rules->sparse_size, rules->block_size);
    for (size_t i = 0, end; least > 1 && i < c->n_blocks; i = end) {
        for (end = i + 1; end < c->n_blocks && c->need[end] == c->need[i]; end++)
            ;
        bool inner = i > 0 && end < c->n_blocks && c->need[i - 1] == NEED_PLAIN;
        if (c->need[i] != NEED_HOLE || !inner || end - i >= least)
            continue;
        for (size_t k = i; k < end; k++)
            c->need[k] = NEED_PLAIN;
        memset(c->buf + i * rules->block_size, 0, (end - i) * rules->block_size);
    }
}

static int pack(const struct squeeze_rules *rules, const struct writer_ops *ops,
                struct packer *packer, struct chunk *c, struct err *e)
{
    c->packed_len = 0;
    for (size_t i = 0; i < c->n_blocks; i++) {
        if (c->need[i] != NEED_PLAIN)
            continue;
        size_t at = i * rules->block_size, len = 0;
        if (ops->pack(packer, c->guest + at, c->buf + at, c->packed + c->packed_len,
                      c->cap_packed - c->packed_len, &len, e) < 0)
            return -1;
        if (!len)
            continue;
        c->need[i] = NEED_PACKED | (need_t)len;
        c->packed_at[i] = (uint32_t)c->packed_len;
        c->packed_len += len;
    }
    return 0;
}

int squeeze_blocks(const struct squeeze_rules *rules, const struct writer_ops *ops,
                   struct packer *packer, struct chunk *c, struct err *e)
{
    size_t piece = 0;
    c->n_blocks = num_div_up(c->length, rules->block_size);
    for (size_t i = 0; i < c->n_blocks; i++)
        c->need[i] = need_of(rules, c, &piece, (uint32_t)(i * rules->block_size));
    if (rules->sparse_size > rules->block_size)
        keep_short_zeros(rules, c);
    return packer ? pack(rules, ops, packer, c, e) : 0;
}

/* ---- without blocks -------------------------------------------------------------------------- */

/* Length of the run of zero grains, or of others, at `at`. Grains are counted from the start of the
 * image, so the first may be short. */
static uint32_t grain_run(const struct chunk *c, uint32_t at, uint32_t end, uint32_t grain,
                          bool *zero)
{
    uint64_t guest = c->guest + at;
    uint32_t head = (uint32_t)num_min(num_up(guest + 1, grain) - guest, end - at);
    *zero = zero_is(c->buf + at, head);
    if (head == end - at)
        return head;
    bool same;
    uint32_t rest = (uint32_t)zero_run(c->buf + at + head, end - at - head, grain, &same);
    return same == *zero ? head + rest : head;
}

/* The run of DATA at `from`: zeros only if they are long enough, or reach the end of the piece. */
struct squeeze_run squeeze_next(uint64_t sparse_size, const struct chunk *c, const struct piece *p,
                                uint32_t from)
{
    struct squeeze_run run = {p->kind, p->at + from, p->length - from};
    if (p->kind != PIECE_DATA || !sparse_size)
        return run;
    uint32_t grain = UINT32_C(1) << (63 - __builtin_clzll(sparse_size));
    uint32_t end = run.at + run.length, at = run.at;
    while (at < end) {
        bool zero;
        uint32_t n = grain_run(c, at, end, grain, &zero);
        bool hole = zero && (n >= sparse_size || at + n == end);
        if (at == run.at)
            run.kind = hole ? PIECE_ZERO : PIECE_DATA;
        else if (hole != (run.kind == PIECE_ZERO))
            break;
        at += n;
    }
    run.length = at - run.at;
    return run;
}
