/* Chunks under way: added in order, taken in any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "flow/underway.h"

static struct err err;

static void taken_in_any_order_each_once(void **state)
{
    (void)state;
    struct underway u = {0};
    struct underway_chunk c;
    unsigned seed = 1;
    uint64_t next = 0, window[64], n = 0;
    assert_false(underway_take(&u, 0, &c));
    for (unsigned i = 0; i < 20000; i++) {
        seed = seed * 1103515245u + 12345u;
        if (n < 64 && seed >> 30) {
            next += 1 + (seed >> 20) % 3;
            struct underway_chunk *added = underway_add(&u, next, &err);
            assert_non_null(added);
            added->low = 7 * next;
            window[n++] = next;
        } else if (n) {
            uint64_t at = (seed >> 16) % n, chunk = window[at];
            window[at] = window[--n];
            assert_false(underway_take(&u, next + 1, &c));
            assert_true(underway_take(&u, chunk, &c));
            assert_int_equal(c.chunk, chunk);
            assert_int_equal(c.low, 7 * chunk);
            assert_false(underway_take(&u, chunk, &c));
        }
        assert_true(underway_count(&u) >= n);
        assert_true(n || underway_count(&u) == 0);
    }
    assert_true(u.room <= 4096); /* room is used again */
    underway_release(&u);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(taken_in_any_order_each_once)};
    return cmocka_run_group_tests_name("underway", tests, NULL, NULL);
}
