/* Crowds on one rank: serial and on threads, all well and failing anywhere. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <cmocka.h>

#include "base/num.h"
#include "tests/mpi/crowd_trial.h"

static struct err err;
static struct crowd_trial trial;

/* Engines that must not differ: threads 0 stands for the serial one. */
static const unsigned engines[] = {0, 1, 2, 5};

static struct engine *start(unsigned threads)
{
    struct engine *g = NULL;
    struct engine_options o = {.kind = threads ? ENGINE_THREADS : ENGINE_SERIAL,
                               .threads = threads};
    assert_int_equal(engine_start(&o, &g, &err), 0);
    return g;
}

static int run(struct engine *g)
{
    bool clean = false;
    err_clear(&err);
    int r = crowd_trial_run(&trial, g, &clean, &err);
    assert_true(clean);
    assert_int_equal(err.set, r < 0);
    return r;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* `change` sets up the trial; the run must end well and be complete. */
static void expect_complete(void (*change)(struct crowd_trial *))
{
    for (unsigned i = 0; i < ARRAY_LEN(engines); i++) {
        struct engine *g = start(engines[i]);
        for (unsigned seed = 0; seed < 6; seed++) {
            crowd_trial_init(&trial, g, 300, seed);
            trial.depth = 1 + seed % 4;
            trial.grants = (enum crowd_grants)(seed % 3);
            change(&trial);
            assert_int_equal(run(g), 0);
            assert_true(crowd_trial_complete(&trial));
            assert_int_equal(trial.settled, 1);
            assert_int_equal(atomic_load(&trial.halts), 0);
            assert_true(trial.ticks > 0);
        }
        assert_int_equal(engine_end(g, 7), 7);
    }
}

static void expect_error(void (*change)(struct crowd_trial *), const char *text)
{
    for (unsigned i = 0; i < ARRAY_LEN(engines); i++) {
        struct engine *g = start(engines[i]);
        for (unsigned round = 0; round < 8; round++) {
            crowd_trial_init(&trial, g, 300, 1);
            trial.sleep_us = round * 20;
            trial.depth = 1 + round % 4;
            change(&trial);
            assert_int_equal(run(g), -1);
            assert_string_equal(err.text, text);
        }
        /* an engine whose run failed can be used again */
        crowd_trial_init(&trial, g, 50, 1);
        assert_int_equal(run(g), 0);
        assert_true(crowd_trial_complete(&trial));
        engine_end(g, 0);
    }
}

/* -- all well ---------------------------------------------------------------------------------- */

static void plainly(struct crowd_trial *t)
{
    t->manners = 0;
}

static void of_all_kinds(struct crowd_trial *t)
{
    t->all_later = t->seed % 2;
}

static void with_sleeps(struct crowd_trial *t)
{
    t->sleep_us = 300;
    t->all_later = true;
}

static void in_one_step(struct crowd_trial *t)
{
    t->one_step = true;
    t->sleep_us = 50;
}

static void in_a_chain(struct crowd_trial *t)
{
    t->units = 60;
    t->chain = true;
    t->manners = CROWD_LONELY | CROWD_FAILING;
    t->all_later = t->seed % 2;
}

static void and_few(struct crowd_trial *t)
{
    t->units = t->todo = t->seed;
}

static void units_of_all_kinds_are_done(void **state)
{
    (void)state;
    expect_complete(plainly);
    expect_complete(of_all_kinds);
    expect_complete(with_sleeps);
    expect_complete(in_one_step);
    expect_complete(and_few);
}

static void in_a_chain_and_todo(struct crowd_trial *t)
{
    in_a_chain(t);
    t->todo = t->units;
}

static void what_comes_later_is_done(void **state)
{
    (void)state;
    expect_complete(in_a_chain_and_todo);
}

static void news_may_be_left_out(void **state)
{
    (void)state;
    struct engine *g = start(4);
    crowd_trial_init(&trial, g, 200, 3);
    trial.silent = true;
    assert_int_equal(run(g), 0);
    assert_true(crowd_trial_complete(&trial));
    engine_end(g, 0);
}

/* A seat that has just become free takes what follows; the others are asked ten times a second. */
static void idle_workers_cost_nothing(void **state)
{
    (void)state;
    struct engine *g = start(32);
    crowd_trial_init(&trial, g, 2000, 3);
    trial.depth = 4;
    trial.manners = 0;
    trial.chain = true;
    trial.silent = true;
    double begin = now();
    assert_int_equal(run(g), 0);
    assert_true(crowd_trial_complete(&trial));
    double rounds = 2 + (now() - begin) * 10;
    assert_true((double)trial.refusals < trial.units + 32 * rounds + 10);
    engine_end(g, 0);
}

/* One offer for all, however many there are: with news at each unit's end. */
static void one_answer_stands_for_all(void **state)
{
    (void)state;
    struct engine *g = start(32);
    crowd_trial_init(&trial, g, 300, 3); /* all of them in sight */
    trial.manners = 0;
    trial.sleep_us = 3000;
    trial.all_later = true;
    assert_int_equal(run(g), 0);
    assert_true(crowd_trial_complete(&trial));
    assert_true(trial.refusals < 200);
    engine_end(g, 0);
}

static void a_crowd_may_use_fewer_workers(void **state)
{
    (void)state;
    struct engine *g = start(5);
    crowd_trial_init(&trial, g, 100, 3);
    trial.max_workers = 2;
    assert_int_equal(run(g), 0);
    assert_true(crowd_trial_complete(&trial));
    assert_int_equal(trial.where[1], 1 + (1 << 16));
    assert_int_equal(trial.where[2], 0);
    engine_end(g, 0);
}

/* -- a crowd that is hard to please ------------------------------------------------------------ */

struct picky {
    uint64_t patience; /* offers that are refused at first */
    unsigned only;     /* worker that may do the units */
    uint64_t units;
    uint64_t offers, given, back;
    atomic_uint wrong;
    bool nested; /* each unit is a run of its own */
};

static enum unit_next picky_offer(void *ctx, const struct crowd_seat *s, uint64_t *unit,
                                  struct blob *brief, struct err *e)
{
    struct picky *p = ctx;
    (void)brief, (void)e;
    if (p->given == p->units)
        return UNIT_NONE;
    if (p->offers++ < p->patience || (p->only != UINT_MAX && s->id / 2 != p->only))
        return UNIT_LATER;
    *unit = p->given++;
    return UNIT_THERE;
}

static int picky_reported(void *ctx, const struct crowd_seat *s, uint64_t unit,
                          const struct blob *need, const struct err *why, bool *waits,
                          struct err *e)
{
    struct picky *p = ctx;
    (void)s, (void)unit, (void)e;
    p->back++;
    p->wrong += need->len != 0 || why || *waits;
    return 0;
}

static int picky_worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    (void)depth, (void)e;
    *worker = ctx;
    return 0;
}

static void picky_worker_free(void *worker)
{
    (void)worker;
}

static int picky_prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need,
                         struct err *e)
{
    struct picky *p = worker;
    struct crowd_trial own;
    struct engine *g = NULL;
    bool clean = false;
    (void)slot, (void)need;
    if (!p->nested)
        return 0;
    if (engine_start(&(struct engine_options){.kind = ENGINE_SERIAL}, &g, e) < 0)
        return -1;
    crowd_trial_init(&own, g, 50, (unsigned)unit);
    int r = crowd_trial_run(&own, g, &clean, e);
    p->wrong += r < 0 || !clean || !crowd_trial_complete(&own);
    engine_end(g, 0);
    return r;
}

static void run_picky(struct picky *p, unsigned threads)
{
    const struct unit_job work = {.ctx = p,
                                  .depth = 2,
                                  .worker_new = picky_worker_new,
                                  .worker_free = picky_worker_free,
                                  .prepare = picky_prepare};
    const struct crowd_job job = {
        .work = &work, .ctx = p, .offer = picky_offer, .reported = picky_reported};
    struct engine *g = start(threads);
    assert_int_equal(engine_crowd(g, &job, &err), 0);
    assert_int_equal(p->back, p->units);
    assert_int_equal(p->wrong, 0);
    engine_end(g, 0);
}

/* Without news and without messages, seats that were set aside are offered again in time. */
static void nobody_is_set_aside_for_ever(void **state)
{
    (void)state;
    struct picky p = {.patience = 9, .only = UINT_MAX, .units = 20};
    run_picky(&p, 3);
    p = (struct picky){.patience = 3, .only = UINT_MAX, .units = 20};
    run_picky(&p, 0);
}

static void a_refusal_is_for_one_worker(void **state)
{
    (void)state;
    struct picky p = {.only = 6, .units = 20};
    double begin = now();
    run_picky(&p, 7);
    double rounds = 2 + (now() - begin) * 10;
    assert_true((double)p.offers < 3 * 20 + 7 * rounds);
}

static void a_unit_may_have_an_engine_of_its_own(void **state)
{
    (void)state;
    struct picky p = {.only = UINT_MAX, .units = 40, .nested = true};
    run_picky(&p, 4);
}

/* -- an early end ------------------------------------------------------------------------------ */

static void a_halt_ends_long_units_and_the_run_well(void **state)
{
    (void)state;
    struct engine *g = start(3);
    crowd_trial_init(&trial, g, 300, 1);
    trial.manners = 0;
    trial.long_unit = 20;
    trial.halt_after = 100;
    double begin = now();
    assert_int_equal(run(g), 0);
    assert_true(now() - begin < 20);
    assert_int_equal(atomic_load(&trial.halts), 1);
    assert_int_equal(trial.settled, 1);
    assert_int_equal(trial.out, 0);
    engine_end(g, 0);
}

static void a_failure_ends_long_units(void **state)
{
    (void)state;
    struct engine *g = start(3);
    crowd_trial_init(&trial, g, 300, 1);
    trial.manners = 0;
    trial.long_unit = 20;
    trial.fail_reported = 60;
    double begin = now();
    assert_int_equal(run(g), -1);
    assert_string_equal(err.text, "reported 60");
    assert_true(now() - begin < 20);
    assert_int_equal(atomic_load(&trial.halts), 1);
    engine_end(g, 0);
}

/* -- failures ---------------------------------------------------------------------------------- */

static void offer_fails(struct crowd_trial *t)
{
    t->fail_offer = 100;
}

static void first_offer_fails(struct crowd_trial *t)
{
    t->fail_offer = 1;
}

static void reported_fails(struct crowd_trial *t)
{
    t->fail_reported = 50;
}

static uint64_t unit_that_waits(const struct crowd_trial *t)
{
    uint64_t u = 50;
    while (!crowd_unit_is(t, u, CROWD_WAITING) || crowd_unit_is(t, u, CROWD_FAILING))
        u++;
    return u;
}

static void committed_fails(struct crowd_trial *t)
{
    t->fail_committed = unit_that_waits(t);
}

static void a_wrong_seat_is_granted(struct crowd_trial *t)
{
    t->wrong_seat = 30;
}

static void tick_fails(struct crowd_trial *t)
{
    t->fail_tick = 70;
}

static void worker_new_fails(struct crowd_trial *t)
{
    t->fail_worker_new = true;
}

static void settle_fails(struct crowd_trial *t)
{
    t->fail_settle = true;
}

static void failures_of_the_job_end_the_run(void **state)
{
    (void)state;
    char committed[32];
    struct engine *g = start(1);
    crowd_trial_init(&trial, g, 300, 1);
    snprintf(committed, sizeof committed, "committed %lu", (unsigned long)unit_that_waits(&trial));
    engine_end(g, 0);
    expect_error(offer_fails, "offer 100");
    expect_error(first_offer_fails, "offer 1");
    expect_error(reported_fails, "reported 50");
    expect_error(committed_fails, committed);
    expect_error(a_wrong_seat_is_granted, "Seat 1000000 has no unit that waits");
    expect_error(tick_fails, "tick 70");
    expect_error(worker_new_fails, "worker_new 0");
    expect_error(settle_fails, "settle 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_of_all_kinds_are_done),
        cmocka_unit_test(what_comes_later_is_done),
        cmocka_unit_test(news_may_be_left_out),
        cmocka_unit_test(nobody_is_set_aside_for_ever),
        cmocka_unit_test(a_refusal_is_for_one_worker),
        cmocka_unit_test(a_unit_may_have_an_engine_of_its_own),
        cmocka_unit_test(idle_workers_cost_nothing),
        cmocka_unit_test(one_answer_stands_for_all),
        cmocka_unit_test(a_crowd_may_use_fewer_workers),
        cmocka_unit_test(a_halt_ends_long_units_and_the_run_well),
        cmocka_unit_test(a_failure_ends_long_units),
        cmocka_unit_test(failures_of_the_job_end_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
