/* Chains of a fleet: circles are found, each once, and the longest chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "fleet/order.h"

#define NONE ORDER_NONE
#define MOST 64

static size_t seen[MOST], n_seen;

static void remember(void *ctx, size_t image)
{
    (void)ctx;
    seen[n_seen++] = image;
}

static size_t circles(const size_t *after, size_t n)
{
    uint8_t marks[MOST];
    n_seen = 0;
    size_t found = order_circles(after, n, marks, remember, NULL);
    assert_int_equal(found, n_seen);
    return found;
}

static void test_chains_have_no_circle(void **state)
{
    (void)state;
    const size_t after[] = {NONE, 0, 1, 2, NONE, 4, 4, 3};
    uint32_t depth[ARRAY_LEN(after)];
    assert_int_equal(circles(after, ARRAY_LEN(after)), 0);
    assert_int_equal(order_longest(after, ARRAY_LEN(after), depth), 5);
    assert_int_equal(depth[0], 1);
    assert_int_equal(depth[3], 4);
    assert_int_equal(depth[6], 2);
    assert_int_equal(depth[7], 5);
}

static void test_backwards(void **state)
{
    (void)state;
    size_t after[MOST];
    uint32_t depth[MOST];
    for (size_t i = 0; i < MOST; i++)
        after[i] = i + 1 < MOST ? i + 1 : NONE;
    assert_int_equal(circles(after, MOST), 0);
    assert_int_equal(order_longest(after, MOST, depth), MOST);
    assert_int_equal(depth[0], MOST);
    assert_int_equal(depth[MOST - 1], 1);
}

static void test_circles(void **state)
{
    (void)state;
    const size_t itself[] = {0};
    assert_int_equal(circles(itself, 1), 1);
    const size_t two[] = {1, 0, 3, 2};
    assert_int_equal(circles(two, 4), 2);
    /* 0 and 1 lead into the circle of 2, 3, 4 */
    const size_t tail[] = {1, 2, 3, 4, 2};
    assert_int_equal(circles(tail, 5), 1);
    assert_true(seen[0] >= 2);
    /* the same, found from inside first */
    const size_t inside[] = {1, 2, 0, 0, 3};
    assert_int_equal(circles(inside, 5), 1);
}

static void test_none(void **state)
{
    (void)state;
    uint32_t depth[1];
    assert_int_equal(circles(NULL, 0), 0);
    assert_int_equal(order_longest(NULL, 0, depth), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chains_have_no_circle),
        cmocka_unit_test(test_backwards),
        cmocka_unit_test(test_circles),
        cmocka_unit_test(test_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
