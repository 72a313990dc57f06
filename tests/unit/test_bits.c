/* Runs of bits, against bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"

#define BITS 300u

static uint64_t seed = 7;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

static bool bit(const uint8_t *bits, uint64_t at)
{
    return bits[at / 8] >> at % 8 & 1;
}

static void ranges(void **state)
{
    (void)state;
    uint8_t bits[BITS / 8 + 1] = {0};
    bool model[BITS] = {false};
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t from = draw(BITS), to = from + draw(draw(2) ? 9 : BITS + 1 - from);
        to = to > BITS ? BITS : to;
        bool set = draw(2);
        (set ? bits_set : bits_clear)(bits, from, to);
        for (uint64_t k = from; k < to; k++)
            model[k] = set;
        for (uint64_t k = 0; k < BITS; k++)
            assert_int_equal(bit(bits, k), model[k]);
    }
    assert_int_equal(bits[BITS / 8] >> BITS % 8, 0);
}

static void runs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t bits[BITS / 8 + 1] = {0}, seen[BITS / 8 + 1] = {0};
        for (uint64_t n = draw(8); n--;) {
            uint64_t at = draw(BITS);
            bits_set(bits, at, at + draw(BITS - at + 1));
        }
        uint64_t start = draw(BITS), end = start + draw(BITS - start + 1), from, to, last = start;
        for (uint64_t at = start; bits_run(bits, at, end, &from, &to); at = to) {
            assert_true(from >= last && to > from && to <= end);
            assert_true(from == start || !bit(bits, from - 1));
            assert_true(to == end || !bit(bits, to));
            bits_set(seen, from, to);
            last = to;
        }
        for (uint64_t k = start; k < end; k++)
            assert_int_equal(bit(seen, k), bit(bits, k));
    }
}

static void unite(void **state)
{
    (void)state;
    uint8_t a[21] = {0}, b[21] = {0}, full[21];
    assert_false(bits_or(a, b, sizeof a));
    b[20] = 4;
    assert_true(bits_or(a, b, sizeof a));
    assert_false(bits_or(a, b, sizeof a));
    assert_int_equal(a[20], 4);
    b[3] = 1;
    assert_true(bits_or(a, b, sizeof a));
    assert_false(bits_full(a, sizeof a));
    memset(full, 0xff, sizeof full);
    assert_true(bits_full(full, sizeof full));
    full[20] = 0xfe;
    assert_false(bits_full(full, sizeof full));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges),
        cmocka_unit_test(runs),
        cmocka_unit_test(unite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
