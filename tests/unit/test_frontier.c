/* The frontier against a model: random windows, gaps, orders of reports, lengths and failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "mpi/frontier.h"

#define MODEL_MAX 300

static struct err err;

struct model_unit {
    uint64_t unit;
    uint64_t ticket;
    bool reported;
    bool failed;
    unsigned char bytes[200];
    size_t len;
};

struct model {
    struct model_unit unit[MODEL_MAX];
    unsigned given;
    unsigned left;
    uint64_t window;
};

static void step_give(struct frontier *f, struct model *m)
{
    bool full = m->given - m->left == m->window;
    assert_int_equal(frontier_full(f), full);
    if (full || m->given == MODEL_MAX)
        return;
    struct model_unit *u = &m->unit[m->given];
    uint64_t above = m->given ? u[-1].unit + 1 : 0;
    *u = (struct model_unit){.unit = above + (rand() % 3 ? 0 : (uint64_t)rand() << 20)};
    assert_int_equal(frontier_give(f, u->unit, u, &u->ticket, &err), 0);
    m->given++;
}

static void step_report(struct frontier *f, struct model *m)
{
    if (m->given == m->left)
        return;
    struct model_unit *u = &m->unit[m->left + (unsigned)rand() % (m->given - m->left)];
    if (u->reported)
        return;
    unsigned char scratch[sizeof u->bytes];
    u->reported = true;
    u->failed = rand() % 7 == 0;
    u->len = (size_t)rand() % sizeof u->bytes;
    for (size_t i = 0; i < u->len; i++)
        scratch[i] = u->bytes[i] = (unsigned char)rand();
    frontier_report(f, u->ticket, u->failed, scratch, u->len);
    memset(scratch, 0xee, sizeof scratch);
}

static void step_advance(struct frontier *f, struct model *m)
{
    const struct frontier_unit *got = frontier_lowest(f);
    if (m->given == m->left) {
        assert_null(got);
        return;
    }
    const struct model_unit *u = &m->unit[m->left];
    assert_non_null(got);
    assert_true(got->unit == u->unit);
    assert_ptr_equal(got->holder, u);
    assert_int_equal(got->reported, u->reported);
    if (!got->reported)
        return;
    assert_int_equal(got->failed, u->failed);
    assert_int_equal(got->bytes.len, u->len);
    if (u->len)
        assert_memory_equal(got->bytes.data, u->bytes, u->len);
    frontier_advance(f);
    m->left++;
}

static void any_order_against_the_model(void **state)
{
    (void)state;
    static void (*const steps[])(struct frontier *, struct model *) = {step_give, step_report,
                                                                       step_advance};
    for (unsigned seed = 1; seed <= 200; seed++) {
        srand(seed);
        static struct model m;
        m = (struct model){.window = 1 + (uint64_t)rand() % 40};
        struct frontier f;
        assert_int_equal(frontier_init(&f, m.window, &err), 0);
        while (m.left < MODEL_MAX)
            steps[rand() % 3](&f, &m);
        assert_null(frontier_lowest(&f));
        frontier_release(&f);
    }
}

static void units_only_ascend(void **state)
{
    (void)state;
    struct frontier f;
    uint64_t ticket;
    assert_int_equal(frontier_init(&f, 8, &err), 0);
    assert_int_equal(frontier_give(&f, 5, NULL, &ticket, &err), 0);
    assert_int_equal(frontier_give(&f, 5, NULL, &ticket, &err), -1);
    assert_int_equal(frontier_give(&f, 4, NULL, &ticket, &err), -1);
    assert_int_equal(frontier_give(&f, 6, NULL, &ticket, &err), 0);
    assert_int_equal(frontier_give(&f, UINT64_MAX, NULL, &ticket, &err), 0);
    frontier_release(&f);
}

static void a_window_is_at_least_one_unit_and_is_kept(void **state)
{
    (void)state;
    struct frontier f;
    uint64_t ticket;
    assert_int_equal(frontier_init(&f, 0, &err), 0);
    assert_false(frontier_full(&f));
    assert_int_equal(frontier_give(&f, 0, NULL, &ticket, &err), 0);
    assert_true(frontier_full(&f));
    assert_int_equal(frontier_give(&f, 1, NULL, &ticket, &err), -1);
    frontier_report(&f, ticket, false, NULL, 0);
    assert_true(frontier_full(&f));
    frontier_advance(&f);
    assert_int_equal(frontier_give(&f, 1, NULL, &ticket, &err), 0);
    frontier_release(&f);
}

static void a_huge_window_costs_little(void **state)
{
    (void)state;
    struct frontier f;
    assert_int_equal(frontier_init(&f, UINT64_MAX, &err), 0);
    assert_true(f.window <= 1 << 18);
    frontier_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_against_the_model),
        cmocka_unit_test(units_only_ascend),
        cmocka_unit_test(a_window_is_at_least_one_unit_and_is_kept),
        cmocka_unit_test(a_huge_window_costs_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
