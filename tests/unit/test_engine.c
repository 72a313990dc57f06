/* Whole runs on one rank: serial and on threads, all well and failing anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/num.h"
#include "tests/mpi/trial.h"

static struct err err;
static struct trial trial;

/* Engines that must not differ: threads 0 stands for the serial one. */
static const unsigned engines[] = {0, 1, 2, 5};

static struct engine *start(unsigned threads)
{
    struct engine *g = NULL;
    struct engine_options o = {.kind = threads ? ENGINE_THREADS : ENGINE_SERIAL,
                               .threads = threads};
    assert_int_equal(engine_start(&o, &g, &err), 0);
    assert_int_equal(engine_rank(g), 0);
    assert_int_equal(engine_size(g), 1);
    assert_int_equal(engine_workers(g), threads ? threads : 1);
    assert_int_equal(engine_threads_of(g, 0), threads ? threads : 1);
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    assert_string_equal(engine_host(g, 0), host);
    assert_string_equal(engine_name(g), threads ? "threads" : "serial");
    return g;
}

static int run(struct engine *g)
{
    struct unit_job job = trial_job(&trial);
    err_clear(&err);
    int r = engine_run(g, &job, &err);
    assert_true(trial_clean(&trial, g, r));
    assert_int_equal(err.set, r < 0);
    return r;
}

/* `change` sets up the trial; the run must end well and be complete. */
static void expect_complete(void (*change)(struct trial *))
{
    for (unsigned i = 0; i < ARRAY_LEN(engines); i++) {
        struct engine *g = start(engines[i]);
        for (unsigned seed = 0; seed < 5; seed++) {
            trial_init(&trial, 400, seed);
            change(&trial);
            assert_int_equal(run(g), 0);
            assert_true(trial_complete(&trial));
            assert_int_equal(trial.settled, 1);
            assert_true(trial.ticks > 0);
        }
        assert_int_equal(engine_end(g, 7), 7);
    }
}

static void expect_error(void (*change)(struct trial *), const char *text)
{
    for (unsigned i = 0; i < ARRAY_LEN(engines); i++) {
        struct engine *g = start(engines[i]);
        for (unsigned round = 0; round < 10; round++) {
            trial_init(&trial, 400, 1);
            trial.sleep_us = round * 20;
            trial.depth = 1 + round % 4;
            change(&trial);
            assert_int_equal(run(g), -1);
            assert_string_equal(err.text, text);
            assert_int_equal(err.no, 5);
            assert_memory_equal(err.hint, "hint of ", 8);
        }
        /* an engine whose run failed can be used again */
        trial_init(&trial, 50, 1);
        assert_int_equal(run(g), 0);
        assert_true(trial_complete(&trial));
        engine_end(g, 0);
    }
}

/* Units that the trial with seed 1 has; the n-th one. */
static uint64_t unit_n(const struct trial *t, unsigned n)
{
    uint64_t unit = 0;
    for (;; unit++)
        if (trial_has(t, unit) && n-- == 0)
            return unit;
}

static char *text_of(const char *where, unsigned n)
{
    static char text[64];
    struct trial t;
    trial_init(&t, 400, 1);
    snprintf(text, sizeof text, "%s %lu", where, (unsigned long)unit_n(&t, n));
    return text;
}

/* -- all well ---------------------------------------------------------------------------------- */

static void plainly(struct trial *t)
{
    (void)t;
}

static void with_sleeps(struct trial *t)
{
    t->sleep_us = 200;
    t->depth = 1 + t->seed;
}

static void in_one_step(struct trial *t)
{
    t->sleep_us = 100;
    t->one_step = true;
}

static void in_small_windows(struct trial *t)
{
    t->sleep_us = 50;
    t->depth = 4;
    t->window = 1 + t->seed;
    t->one_step = t->seed % 2;
}

static void with_few_units(struct trial *t)
{
    t->units = t->seed;
}

static void with_a_stop(struct trial *t)
{
    t->sleep_us = 100;
    t->stop_at = unit_n(t, 80);
    t->one_step = t->seed % 2;
    t->fail_next = unit_n(t, 81) + 1; /* never reached by a serial run */
    t->fail_prepare = unit_n(t, 81);
}

static void with_checkpoints(struct trial *t)
{
    t->sleep_us = 100;
    t->checkpoint_every = 1 + 3 * t->seed;
    t->one_step = t->seed % 2;
}

static void and_a_short_run(struct trial *t)
{
    t->units = t->seed;
    t->checkpoint_every = 1;
}

static void all_units_in_order(void **state)
{
    (void)state;
    expect_complete(plainly);
    expect_complete(with_sleeps);
    expect_complete(in_one_step);
    expect_complete(in_small_windows);
    expect_complete(with_few_units);
}

static void a_stop_ends_early_and_well(void **state)
{
    (void)state;
    expect_complete(with_a_stop);
}

static void checkpoints_disturb_nothing(void **state)
{
    (void)state;
    expect_complete(with_checkpoints);
    expect_complete(and_a_short_run);
    for (unsigned i = 0; i < ARRAY_LEN(engines); i++) {
        struct engine *g = start(engines[i]);
        trial_init(&trial, 1000, 3);
        trial.checkpoint_every = 5;
        trial.least_persists = 5; /* the last may be dropped */
        assert_int_equal(run(g), 0);
        assert_true(trial.persisted > 3);
        assert_true(trial.collected_then > 0);
        engine_end(g, 0);
    }
}

/* What is out is still done: nothing is lost. */
static void enough_is_not_a_stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(engines); i++)
        for (unsigned round = 0; round < 20; round++) {
            struct engine *g = start(engines[i]);
            trial_init(&trial, 1500, round);
            trial.depth = 1 + round % 3;
            trial.enough_at = round * 7;
            trial.checkpoint_every = round % 2 ? 3 : 0;
            trial.one_step = round % 4 == 1;
            trial.sleep_us = 100;
            assert_int_equal(run(g), 0);
            assert_true(trial_complete_so_far(&trial));
            assert_true(trial.placed >= trial.enough_at);
            assert_false(trial_complete(&trial));
            assert_int_equal(trial.settled, 1);
            engine_end(g, 0);
        }
}

static void depth_and_window_bound_what_is_held(void **state)
{
    (void)state;
    struct engine *g = start(3);
    trial_init(&trial, 1000, 9);
    trial.depth = 3;
    trial.window = 5;
    trial.sleep_us = 20;
    assert_int_equal(run(g), 0); /* which looks at the window at each unit */
    assert_true(atomic_load(&trial.held_most) <= 9);
    engine_end(g, 0);
}

static void a_job_may_use_fewer_workers(void **state)
{
    (void)state;
    struct engine *g = start(5);
    trial_init(&trial, 300, 2);
    trial.max_workers = 2;
    assert_int_equal(run(g), 0);
    assert_true(trial_complete(&trial));
    assert_int_equal(atomic_load(&trial.workers_ever), 2);
    engine_end(g, 0);
}

/* -- failures ---------------------------------------------------------------------------------- */

static void prepare_fails(struct trial *t)
{
    t->fail_prepare = unit_n(t, 60);
}

static void place_fails(struct trial *t)
{
    t->fail_place = unit_n(t, 61);
    t->fail_prepare = t->fail_place + 1;
}

static void commit_fails(struct trial *t)
{
    t->fail_commit = unit_n(t, 62);
    t->fail_place = unit_n(t, 63);
    t->fail_prepare = unit_n(t, 64);
}

static void collect_fails(struct trial *t)
{
    t->fail_collect = unit_n(t, 63);
    t->fail_place = unit_n(t, 65);
    t->fail_commit = unit_n(t, 64);
}

static void next_fails(struct trial *t)
{
    t->fail_next = unit_n(t, 64);
}

static void next_fails_after_commit(struct trial *t)
{
    t->fail_next = unit_n(t, 64);
    t->fail_commit = unit_n(t, 63);
}

static void persist_fails(struct trial *t)
{
    t->checkpoint_every = 2;
    t->least_persists = 3;
    t->fail_persist = true;
}

static void prepare_fails_in_one_step(struct trial *t)
{
    t->one_step = true;
    t->fail_prepare = unit_n(t, 60);
}

static void first_fails(struct trial *t)
{
    t->fail_prepare = unit_n(t, 0);
}

static void worker_new_fails(struct trial *t)
{
    t->fail_worker_new = true;
}

static void settle_fails(struct trial *t)
{
    t->fail_settle = true;
}

static void tick_fails(struct trial *t)
{
    t->fail_tick = true;
}

static void the_lowest_unit_s_error_wins(void **state)
{
    (void)state;
    expect_error(prepare_fails, text_of("prepare", 60));
    expect_error(place_fails, text_of("place", 61));
    expect_error(commit_fails, text_of("commit", 62));
    expect_error(collect_fails, text_of("collect", 63));
    expect_error(next_fails, text_of("next", 64));
    expect_error(next_fails_after_commit, text_of("commit", 63));
    expect_error(prepare_fails_in_one_step, text_of("prepare", 60));
    expect_error(first_fails, text_of("prepare", 0));
}

static void failures_of_no_unit_end_the_run(void **state)
{
    (void)state;
    expect_error(worker_new_fails, "worker_new 0");
    expect_error(settle_fails, "settle 0");
    expect_error(tick_fails, "tick 0");
    expect_error(persist_fails, "persist 0");
}

static void an_interrupt_needs_no_message(void **state)
{
    (void)state;
    struct engine *g = start(1);
    trial_init(&trial, 400, 1);
    trial.depth = 1;
    trial.fail_tick = true;
    trial.units = 2; /* 2 / 3 = 0: the first tick fails */
    assert_int_equal(run(g), -1);
    assert_string_equal(err.text, "tick 0");
    engine_end(g, 0);
}

/* -- an engine of one rank --------------------------------------------------------------------- */

static void alone_it_agrees_with_itself(void **state)
{
    (void)state;
    struct engine *g = start(2);
    struct blob b = {(void *)"abc", 3};
    assert_int_equal(engine_share(g, 0, &b, &err), 0);
    assert_int_equal(b.len, 3);
    assert_int_equal(engine_share(g, -1, &b, &err), -1);
    assert_int_equal(engine_agree(g, 0, &err), 0);
    assert_int_equal(engine_agree(g, -1, &err), -1);
    engine_end(g, 0);
}

static void without_a_launcher_auto_means_threads(void **state)
{
    (void)state;
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("PMI_RANK");
    unsetenv("PMIX_RANK");
    setenv("SLURM_PROCID", "0", 1);
    assert_false(engine_launched());
    struct engine *g = NULL;
    assert_int_equal(engine_start(&(struct engine_options){0}, &g, &err), 0);
    assert_string_equal(engine_name(g), "threads");
    assert_true(engine_threads(g) >= 1);
    engine_end(g, 0);
}

static void a_missing_module_matters_only_to_several_ranks(void **state)
{
    (void)state;
    struct engine *g = NULL;
    setenv("MPI_IMG_MODULE_DIR", "/no/such/folder", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    assert_true(engine_launched());
    assert_int_equal(engine_start(&(struct engine_options){0}, &g, &err), -1);
    assert_string_equal(err.text, "Could not find the MPI module: "
                                  "'/no/such/folder/mpi-img-openmpi.so'");
    setenv("OMPI_COMM_WORLD_SIZE", "1", 1);
    assert_int_equal(engine_start(&(struct engine_options){0}, &g, &err), 0);
    assert_string_equal(engine_name(g), "threads");
    engine_end(g, 0);
    unsetenv("OMPI_COMM_WORLD_SIZE");
    unsetenv("MPI_IMG_MODULE_DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_units_in_order),
        cmocka_unit_test(a_stop_ends_early_and_well),
        cmocka_unit_test(checkpoints_disturb_nothing),
        cmocka_unit_test(enough_is_not_a_stop),
        cmocka_unit_test(depth_and_window_bound_what_is_held),
        cmocka_unit_test(a_job_may_use_fewer_workers),
        cmocka_unit_test(the_lowest_unit_s_error_wins),
        cmocka_unit_test(failures_of_no_unit_end_the_run),
        cmocka_unit_test(an_interrupt_needs_no_message),
        cmocka_unit_test(alone_it_agrees_with_itself),
        cmocka_unit_test(without_a_launcher_auto_means_threads),
        cmocka_unit_test(a_missing_module_matters_only_to_several_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
