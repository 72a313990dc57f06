/* Squeeze against a plain model: which blocks are needed, which runs are holes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "base/zero.h"
#include "flow/squeeze.h"

#define CHUNK (64u << 10)

static unsigned roll(unsigned n)
{
    return (unsigned)random() % n;
}

/* Data of random sectors, many of them zeros, cut into random pieces. */
static void random_chunk(struct chunk *c, unsigned char *model, bool left)
{
    c->guest = (uint64_t)roll(100) * CHUNK;
    c->length = roll(4) ? CHUNK : 512 * (1 + roll(CHUNK / 512));
    c->n_pieces = 0;
    memset(c->buf, 0xee, CHUNK); /* what no piece of data covers is not to be relied on */
    memset(model, 0, CHUNK);
    for (uint32_t at = 0; at < c->length;) {
        struct piece p = {PIECE_DATA, at, 512 * (1 + roll(24)), NULL, 0};
        unsigned kind = roll(left ? 4 : 3);
        p.kind = kind == 0 ? PIECE_ZERO : kind == 3 ? PIECE_LEFT : PIECE_DATA;
        p.length = (uint32_t)num_min(p.length, c->length - at);
        if (p.kind == PIECE_LEFT) /* never a part of a block: read.c sees to that */
            p.length = (uint32_t)num_min(num_up(p.length, 4096), c->length - at);
        if (p.kind == PIECE_LEFT && at % 4096)
            p.kind = PIECE_ZERO;
        for (uint32_t s = 0; p.kind == PIECE_DATA && s < p.length; s += 512)
            memset(c->buf + at + s, roll(3) ? 0 : 1 + (int)roll(200), 512);
        if (p.kind == PIECE_DATA)
            memcpy(model + at, c->buf + at, p.length);
        c->pieces[c->n_pieces++] = p;
        at += p.length;
    }
}

static void prepare(struct chunk *c)
{
    struct err e = ERR_INIT;
    assert_int_equal(chunk_init(c, CHUNK, 512, 0, &e), 0);
    c->pieces = calloc(CHUNK / 512, sizeof *c->pieces);
}

static bool all_left(const struct chunk *c, uint32_t at, uint32_t end)
{
    for (size_t i = 0; i < c->n_pieces; i++) {
        const struct piece *p = &c->pieces[i];
        if (p->at < end && p->at + p->length > at && p->kind != PIECE_LEFT)
            return false;
    }
    return true;
}

static void blocks_match_model(void **state)
{
    (void)state;
    struct chunk c;
    static unsigned char model[CHUNK];
    struct err e = ERR_INIT;
    prepare(&c);
    for (unsigned round = 0; round < 3000; round++) {
        bool backed = roll(2);
        struct squeeze_rules rules = {.block_size = backed ? 4096 : 512u << roll(5),
                                      .sparse_size = 512,
                                      .zero_flag = roll(2),
                                      .backed = backed ? UINT64_MAX : 0};
        random_chunk(&c, model, backed);
        assert_int_equal(squeeze_blocks(&rules, NULL, NULL, &c, &e), 0);
        assert_int_equal(c.n_blocks, num_div_up(c.length, rules.block_size));
        for (size_t i = 0; i < c.n_blocks; i++) {
            uint32_t at = (uint32_t)i * rules.block_size;
            uint32_t end = (uint32_t)num_min(at + rules.block_size, c.length);
            if (backed && all_left(&c, at, end)) {
                assert_int_equal(c.need[i], NEED_HOLE);
            } else if (zero_is(model + at, end - at) && (!backed || rules.zero_flag)) {
                assert_int_equal(c.need[i], backed ? NEED_ZERO : NEED_HOLE);
            } else {
                assert_int_equal(c.need[i], NEED_PLAIN);
                assert_memory_equal(c.buf + at, model + at, end - at);
                assert_true(zero_is(c.buf + end, rules.block_size - (end - at)));
            }
        }
    }
    chunk_release(&c);
}

static void sparse_size_zero_needs_everything(void **state)
{
    (void)state;
    struct chunk c;
    static unsigned char model[CHUNK];
    struct err e = ERR_INIT;
    prepare(&c);
    const struct squeeze_rules rules = {.block_size = 4096};
    random_chunk(&c, model, false);
    assert_int_equal(squeeze_blocks(&rules, NULL, NULL, &c, &e), 0);
    for (size_t i = 0; i < c.n_blocks; i++)
        assert_int_equal(c.need[i], NEED_PLAIN);
    assert_memory_equal(c.buf, model, c.length);
    chunk_release(&c);
}

/* Runs cover the piece; holes are zeros, and long enough or at the end; no long hole is missed. */
static void runs_keep_the_rule(void **state)
{
    (void)state;
    struct chunk c;
    static unsigned char model[CHUNK];
    prepare(&c);
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t sparse = 512u * (1 + roll(20));
        uint32_t grain = UINT32_C(1) << (63 - __builtin_clzll(sparse));
        random_chunk(&c, model, false);
        for (size_t i = 0; i < c.n_pieces; i++) {
            const struct piece *p = &c.pieces[i];
            enum piece_kind last = PIECE_LEFT;
            for (uint32_t from = 0; from < p->length;) {
                struct squeeze_run run = squeeze_next(sparse, &c, p, from);
                assert_int_equal(run.at, p->at + from);
                assert_true(run.length > 0 && from + run.length <= p->length);
                assert_true(run.kind != last);
                last = run.kind;
                from += run.length;
                if (run.kind == PIECE_ZERO)
                    assert_true(zero_is(model + run.at, run.length) &&
                                (run.length >= sparse || from == p->length));
                uint64_t zeros = 0;
                for (uint32_t at = run.at; run.kind == PIECE_DATA && at < run.at + run.length;) {
                    uint32_t step = grain - (uint32_t)((c.guest + at) % grain);
                    step = (uint32_t)num_min(step, run.at + run.length - at);
                    zeros = zero_is(model + at, step) ? zeros + step : 0;
                    assert_true(zeros < sparse);
                    at += step;
                }
            }
        }
    }
    chunk_release(&c);
}

int main(void)
{
    srandom(7);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_match_model),
        cmocka_unit_test(sparse_size_zero_needs_everything),
        cmocka_unit_test(runs_keep_the_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
