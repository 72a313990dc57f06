#include "flow/blkhash.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "flow/walk.h"

/* What a worker tells of a chunk: this head, then bytes of a block that began before the chunk,
 * digests, bytes of a block that ends behind it. */
struct told {
    uint32_t head;
    uint32_t blocks;
    uint32_t tail;
};

static int digest_zeros(const struct digest_kind *k, size_t n, uint8_t *out, struct err *e)
{
    AUTO_FREE void *zeros = mem_new(1, n, e);
    return zeros ? digest_of(k, zeros, n, out, e) : -1;
}

int blkhash_init(struct blkhash *h, const struct blkhash_params *params, uint64_t size,
                 struct err *e)
{
    *h = (struct blkhash){.params = *params, .size = size};
    return digest_zeros(params->kind, params->block_size, h->zero, e);
}

/* ---- a worker -------------------------------------------------------------------------------- */

/* Clear what the map says is zero in [at, end); *i is the first piece that reaches into it. Is
 * there anything else? */
static bool clear_zeros(struct chunk *c, size_t *i, uint32_t at, uint32_t end)
{
    bool data = false;
    while (c->pieces[*i].at + c->pieces[*i].length <= at)
        ++*i;
    for (size_t k = *i; k < c->n_pieces && c->pieces[k].at < end; k++)
        data |= c->pieces[k].kind != PIECE_ZERO;
    for (size_t k = *i; data && k < c->n_pieces && c->pieces[k].at < end; k++) {
        const struct piece *p = &c->pieces[k];
        uint32_t from = (uint32_t)num_max(p->at, at);
        uint32_t to = (uint32_t)num_min(p->at + p->length, end);
        if (p->kind == PIECE_ZERO)
            memset(c->buf + from, 0, to - from);
    }
    return data;
}

/* Bytes of a block that is cut: zeros by the map are bytes too. */
static int add_bytes(struct chunk *c, size_t *piece, uint32_t at, uint32_t end, struct err *e)
{
    if (at == end)
        return 0;
    if (!clear_zeros(c, piece, at, end))
        memset(c->buf + at, 0, end - at);
    void *to = chunk_message_add(c, end - at, e);
    if (!to)
        return -1;
    memcpy(to, c->buf + at, end - at);
    return 0;
}

static int digest_block(const struct blkhash *h, struct chunk *c, size_t *piece, uint32_t at,
                        uint32_t end, uint8_t *out, struct err *e)
{
    const struct digest_kind *k = h->params.kind;
    bool zero = !clear_zeros(c, piece, at, end) || zero_is(c->buf + at, end - at);
    if (!zero)
        return digest_of(k, c->buf + at, end - at, out, e);
    if (end - at < h->params.block_size) /* the image's last */
        return digest_zeros(k, end - at, out, e);
    memcpy(out, h->zero, k->length);
    return 0;
}

static int add_blocks(const struct blkhash *h, struct chunk *c, size_t *piece, uint32_t at,
                      uint32_t end, struct err *e)
{
    uint32_t bs = h->params.block_size;
    size_t length = h->params.kind->length;
    uint8_t *to = chunk_message_add(c, num_div_up(end - at, bs) * length, e);
    if (!to)
        return -1;
    for (; at < end; at += bs, to += length)
        if (digest_block(h, c, piece, at, (uint32_t)num_min(at + (uint64_t)bs, end), to, e) < 0)
            return -1;
    return 0;
}

int blkhash_chunk(const struct blkhash *h, struct chunk *c, struct err *e)
{
    uint32_t bs = h->params.block_size;
    uint64_t last = c->guest + c->length;
    /* [up, down) of the chunk are whole blocks */
    uint64_t up = num_min(num_up(c->guest, bs), last) - c->guest;
    uint64_t down = last == h->size ? c->length : num_max(num_down(last, bs), c->guest) - c->guest;
    if (down < up)
        down = up;
    const struct told told = {(uint32_t)up, (uint32_t)num_div_up(down - up, bs),
                              (uint32_t)(c->length - down)};
    size_t piece = 0;
    void *head = chunk_message_add(c, sizeof told, e);
    if (!head)
        return -1;
    memcpy(head, &told, sizeof told);
    if (add_bytes(c, &piece, 0, (uint32_t)up, e) < 0 ||
        add_blocks(h, c, &piece, (uint32_t)up, (uint32_t)down, e) < 0)
        return -1;
    return add_bytes(c, &piece, (uint32_t)down, c->length, e);
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

#define RUN  256u             /* digests of zero blocks that are taken at once */
#define LOOK ((uint64_t)4096) /* so many runs take about 10 ms: then look for a signal */

struct blkhash_order {
    const struct blkhash *h;
    struct digest *outer;
    struct digest *block; /* the block that `at` is in, as far as it has come byte by byte */
    uint64_t at;          /* guest bytes taken */
    uint8_t zeros[RUN * DIGEST_MAX];
};

void blkhash_order_free(struct blkhash_order *o)
{
    if (!o)
        return;
    digest_free(o->outer);
    digest_free(o->block);
    free(o);
}

static void order_cleanup(struct blkhash_order **o)
{
    blkhash_order_free(*o);
}

int blkhash_order_new(const struct blkhash *h, struct blkhash_order **out, struct err *e)
{
    const struct digest_kind *k = h->params.kind;
    AUTO(order_cleanup) struct blkhash_order *o = mem_new(1, sizeof *o, e);
    if (!o)
        return -1;
    o->h = h;
    o->outer = digest_new(k, e);
    o->block = o->outer ? digest_new(k, e) : NULL;
    if (!o->block)
        return -1;
    for (unsigned i = 0; i < RUN; i++)
        memcpy(o->zeros + i * k->length, h->zero, k->length);
    *out = MEM_TAKE(o);
    return 0;
}

/* Bytes of a block that comes in parts. */
static void take_bytes(struct blkhash_order *o, const uint8_t *bytes, uint64_t n)
{
    uint8_t digest[DIGEST_MAX];
    uint32_t bs = o->h->params.block_size;
    while (n) {
        uint64_t room = num_min(bs - o->at % bs, o->h->size - o->at);
        if (!room)
            return;
        uint64_t now = num_min(n, room);
        digest_add(o->block, bytes, now);
        o->at += now;
        bytes += now;
        n -= now;
        if (now < room)
            return;
        digest_end(o->block, digest);
        digest_add(o->outer, digest, o->h->params.kind->length);
    }
}

static void take_zero_bytes(struct blkhash_order *o, uint64_t n)
{
    static const uint8_t zeros[4096];
    for (uint64_t now; n; n -= now) {
        now = num_min(n, sizeof zeros);
        take_bytes(o, zeros, now);
    }
}

static int take_zero_blocks(struct blkhash_order *o, uint64_t n, struct err *e)
{
    size_t length = o->h->params.kind->length;
    o->at += n * o->h->params.block_size;
    for (uint64_t runs = 1, now; n; n -= now, runs++) {
        now = num_min(n, RUN);
        digest_add(o->outer, o->zeros, now * length);
        if (runs % LOOK == 0 && walk_tick(NULL, e) < 0)
            return -1;
    }
    return 0;
}

static int take_zeros(struct blkhash_order *o, uint64_t to, struct err *e)
{
    uint32_t bs = o->h->params.block_size;
    if (o->at < to && o->at % bs)
        take_zero_bytes(o, num_min(num_up(o->at, bs), to) - o->at);
    if (take_zero_blocks(o, (to - o->at) / bs, e) < 0)
        return -1;
    take_zero_bytes(o, to - o->at);
    return 0;
}

/* Behind it may be padding. */
static bool is_whole(const struct blkhash_order *o, uint64_t guest, const struct told *t, size_t n)
{
    return guest >= o->at && guest <= o->h->size &&
           n >= sizeof *t + t->head + t->blocks * o->h->params.kind->length + t->tail;
}

int blkhash_order_chunk(struct blkhash_order *o, uint64_t guest, const void *bytes, size_t len,
                        struct err *e)
{
    const uint8_t *from = bytes;
    struct told t;
    if (len >= sizeof t)
        memcpy(&t, from, sizeof t);
    if (len < sizeof t || !is_whole(o, guest, &t, len))
        return err_set(e, EPROTO, "Digests of %zu bytes", len);
    if (take_zeros(o, guest, e) < 0)
        return -1;
    from += sizeof t;
    take_bytes(o, from, t.head);
    from += t.head;
    digest_add(o->outer, from, t.blocks * o->h->params.kind->length);
    o->at = num_min(o->at + (uint64_t)t.blocks * o->h->params.block_size, o->h->size);
    take_bytes(o, from + t.blocks * o->h->params.kind->length, t.tail);
    return 0;
}

int blkhash_order_end(struct blkhash_order *o, uint8_t *hash, struct err *e)
{
    uint8_t length[8];
    if (take_zeros(o, o->h->size, e) < 0)
        return -1;
    le64_store(length, o->h->size);
    digest_add(o->outer, length, sizeof length);
    digest_end(o->outer, hash);
    return 0;
}
