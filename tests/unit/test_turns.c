/* The order in which workers are offered work. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "mpi/turns.h"

#define WORKERS 6
#define DEPTH   3

static struct turns turns;
static struct turn worker[WORKERS];
static struct err err;

static int begin(void **state)
{
    (void)state;
    memset(worker, 0, sizeof worker);
    return turns_init(&turns, DEPTH, &err);
}

static int end(void **state)
{
    (void)state;
    turns_release(&turns);
    return 0;
}

static int first(void)
{
    const struct turn *w = turns_first(&turns);
    return w ? (int)(w - worker) : -1;
}

/* Workers in the order of their turns, which takes them out: as "031". */
static void expect_order(const char *order)
{
    for (; *order; order++) {
        assert_int_equal(first(), *order - '0');
        turns_remove(&worker[*order - '0']);
    }
    assert_int_equal(first(), -1);
}

static void who_holds_least_is_first(void **state)
{
    (void)state;
    turns_add(&turns, &worker[0], 1);
    turns_add(&turns, &worker[1], 0);
    turns_add(&turns, &worker[2], 2);
    turns_add(&turns, &worker[3], 0);
    turns_add(&turns, &worker[4], 1);
    expect_order("13042");
}

static void who_has_a_unit_more_is_last_of_those(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        turns_add(&turns, &worker[i], 0);
    turns_add(&turns, &worker[0], 1);
    turns_add(&turns, &worker[1], 1);
    turns_add(&turns, &worker[0], 0);
    expect_order("201");
}

static void who_is_aside_has_no_turn_until_recalled(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        turns_add(&turns, &worker[i], i % 2);
    turns_set_aside(&turns, &worker[0]);
    turns_set_aside(&turns, &worker[1]);
    assert_int_equal(first(), 2);
    turns_recall(&turns);
    expect_order("0213");
}

static void all_aside_are_recalled_in_order(void **state)
{
    (void)state;
    turns_recall(&turns);
    turns_set_all_aside(&turns);
    for (int i = 0; i < 4; i++)
        turns_add(&turns, &worker[i], 0);
    turns_set_all_aside(&turns);
    assert_int_equal(first(), -1);
    turns_add(&turns, &worker[4], 0);
    turns_remove(&worker[2]);
    turns_add(&turns, &worker[1], 1); /* out of those aside */
    turns_recall(&turns);
    expect_order("0341");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_holds_least_is_first, begin, end),
        cmocka_unit_test_setup_teardown(who_has_a_unit_more_is_last_of_those, begin, end),
        cmocka_unit_test_setup_teardown(who_is_aside_has_no_turn_until_recalled, begin, end),
        cmocka_unit_test_setup_teardown(all_aside_are_recalled_in_order, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
