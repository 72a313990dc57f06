/* The schedule: what is begun when, and on made-up clocks how busy it keeps the workers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/num.h"
#include "fleet/schedule.h"

static struct err err;

static struct schedule *made(const struct schedule_image *images, size_t n,
                             const struct schedule_rules *rules)
{
    struct schedule *s;
    assert_int_equal(schedule_new(images, n, rules, &s, &err), 0);
    return s;
}

static size_t whole(struct schedule *s)
{
    size_t i = SCHEDULE_NONE;
    schedule_take_whole(s, &i);
    return i;
}

/* ---- what is begun when ---------------------------------------------------------------------- */

static void test_largest_first(void **state)
{
    (void)state;
    static const struct schedule_image images[] = {
        {10, SCHEDULE_NONE, false, false}, {30, SCHEDULE_NONE, false, false},
        {20, SCHEDULE_NONE, false, false}, {30, SCHEDULE_NONE, false, false},
        {40, SCHEDULE_NONE, false, true},  {99, SCHEDULE_NONE, true, false}};
    struct schedule *s = made(images, 6, &(struct schedule_rules){.workers = 4, .lanes = 1});
    assert_int_equal(whole(s), 1);
    assert_int_equal(whole(s), 3);
    assert_int_equal(whole(s), 2);
    assert_int_equal(whole(s), 0);
    assert_int_equal(whole(s), SCHEDULE_NONE);
    size_t i;
    assert_true(schedule_take_spread(s, &i));
    assert_int_equal(i, 5);
    assert_false(schedule_take_spread(s, &i));
    for (i = 0; i < 4; i++)
        assert_true(schedule_ended(s, i, SCHEDULE_DONE));
    assert_false(schedule_over(s));
    assert_true(schedule_ended(s, 5, SCHEDULE_DONE));
    assert_true(schedule_over(s));
    schedule_free(s);
}

/* 0 <- 1 <- 2, and 3 waits for 0: what waits counts, and comes when it may. */
static void test_chains(void **state)
{
    (void)state;
    static const struct schedule_image images[] = {{1, SCHEDULE_NONE, false, false},
                                                   {5, 0, false, false},
                                                   {9, 1, false, false},
                                                   {2, 0, false, false},
                                                   {10, SCHEDULE_NONE, false, false}};
    struct schedule *s = made(images, 5, &(struct schedule_rules){.workers = 4});
    size_t i, because;
    assert_int_equal(whole(s), 0);
    assert_int_equal(whole(s), 4);
    assert_int_equal(whole(s), SCHEDULE_NONE);
    assert_true(schedule_ended(s, 0, SCHEDULE_DONE));
    assert_int_equal(whole(s), 1);
    assert_int_equal(whole(s), 3);
    assert_false(schedule_next_lost(s, &i, &because));
    assert_true(schedule_ended(s, 1, SCHEDULE_FAILED));
    assert_true(schedule_next_lost(s, &i, &because));
    assert_int_equal(i, 2);
    assert_int_equal(because, 1);
    assert_false(schedule_next_lost(s, &i, &because));
    schedule_ended(s, 3, SCHEDULE_DONE);
    assert_false(schedule_over(s));
    schedule_ended(s, 4, SCHEDULE_DONE);
    assert_true(schedule_over(s));
    schedule_free(s);
}

/* A failure takes with it all that stands on it, also by way of others. */
static void test_all_are_lost(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct schedule_image images[N];
    for (size_t i = 0; i < N; i++)
        images[i] = (struct schedule_image){1, i ? i - 1 : SCHEDULE_NONE, i % 2, false};
    struct schedule *s = made(images, N, &(struct schedule_rules){.workers = 1, .lanes = 1});
    size_t i, because, n = 0;
    assert_int_equal(whole(s), 0);
    assert_true(schedule_ended(s, 0, SCHEDULE_FAILED));
    for (; schedule_next_lost(s, &i, &because); n++)
        assert_int_equal(because, i - 1);
    assert_int_equal(n, N - 1);
    assert_true(schedule_over(s));
    schedule_free(s);
}

static void test_again_when_others_are_done(void **state)
{
    (void)state;
    static const struct schedule_image images[] = {{3, SCHEDULE_NONE, false, false},
                                                   {2, SCHEDULE_NONE, false, false},
                                                   {1, SCHEDULE_NONE, false, false}};
    struct schedule *s = made(images, 3, &(struct schedule_rules){.workers = 1, .retries = 1});
    assert_int_equal(whole(s), 0);
    assert_false(schedule_ended(s, 0, SCHEDULE_FAILED));
    assert_int_equal(whole(s), 1);
    assert_true(schedule_ended(s, 1, SCHEDULE_DONE));
    assert_int_equal(whole(s), 2);
    assert_true(schedule_ended(s, 2, SCHEDULE_DONE));
    assert_int_equal(whole(s), 0);
    assert_int_equal(schedule_attempts(s, 0), 2);
    assert_true(schedule_ended(s, 0, SCHEDULE_FAILED));
    assert_true(schedule_over(s));
    schedule_free(s);
}

static void test_limits(void **state)
{
    (void)state;
    static const struct schedule_image images[] = {{3, SCHEDULE_NONE, false, false},
                                                   {2, SCHEDULE_NONE, false, false},
                                                   {1, SCHEDULE_NONE, false, false},
                                                   {1, SCHEDULE_NONE, true, false}};
    struct schedule *s = made(
        images, 4,
        &(struct schedule_rules){.workers = 8, .lanes = 4, .max_in_flight = 2, .fail_fast = true});
    size_t i;
    assert_int_equal(whole(s), 0);
    assert_true(schedule_take_spread(s, &i));
    assert_int_equal(whole(s), SCHEDULE_NONE);
    assert_true(schedule_ended(s, 0, SCHEDULE_DONE));
    assert_int_equal(whole(s), 1);
    assert_true(schedule_ended(s, 1, SCHEDULE_FAILED));
    assert_int_equal(whole(s), SCHEDULE_NONE);
    assert_false(schedule_over(s));
    assert_true(schedule_ended(s, i, SCHEDULE_STOPPED));
    assert_true(schedule_over(s));
    schedule_free(s);
}

/* ---- made-up clocks -------------------------------------------------------------------------- */

#define WORKERS_MAX 64
#define SMALL       10000
#define CHUNK       MIB
#define BEGIN_SECS  0.05

struct simulation {
    struct schedule *s;
    unsigned workers;
    double speed, chunk_speed; /* bytes a second */
    struct {
        double free_at, busy;
        size_t image; /* that it does whole */
        bool at_chunks, working, on_chunk;
    } worker[WORKERS_MAX];
    size_t lane;        /* the large image */
    double lane_at;     /* open from then on */
    uint64_t lane_left; /* chunks not given out */
    uint64_t lane_out;
    double last_given;
};

static double jitter(void)
{
    return 0.5 + (double)rand() / RAND_MAX;
}

static void leave_chunks(struct simulation *m, unsigned w)
{
    if (m->worker[w].at_chunks)
        schedule_lane_worker(m->s, -1);
    m->worker[w].at_chunks = false;
}

static void give(struct simulation *m, unsigned w, double now, double seconds)
{
    m->worker[w].working = true;
    m->worker[w].free_at = now + seconds;
    m->worker[w].busy += seconds;
    m->last_given = now;
}

static void give_chunk(struct simulation *m, unsigned w, double now)
{
    if (!m->worker[w].at_chunks)
        schedule_lane_worker(m->s, 1);
    m->worker[w].at_chunks = m->worker[w].on_chunk = true;
    m->lane_left--;
    m->lane_out++;
    schedule_remains(m->s, m->lane, m->lane_left * CHUNK);
    give(m, w, now, CHUNK / m->chunk_speed * jitter());
}

static void give_whole(struct simulation *m, unsigned w, double now,
                       const struct schedule_image *images)
{
    leave_chunks(m, w);
    assert_true(schedule_take_whole(m->s, &m->worker[w].image));
    m->worker[w].on_chunk = false;
    give(m, w, now, 0.01 + (double)images[m->worker[w].image].bytes / m->speed * jitter());
}

static void come_back(struct simulation *m, unsigned w)
{
    if (!m->worker[w].working)
        return;
    m->worker[w].working = false;
    if (!m->worker[w].on_chunk)
        schedule_ended(m->s, m->worker[w].image, SCHEDULE_DONE);
    else if (--m->lane_out == 0 && m->lane_left == 0)
        schedule_ended(m->s, m->lane, SCHEDULE_DONE);
}

/* One worker is free: what it was given, or nothing, until something changes. */
static bool work(struct simulation *m, unsigned w, double now, const struct schedule_image *images)
{
    bool chunks = m->lane_left && now >= m->lane_at;
    if (m->lane == SCHEDULE_NONE && schedule_take_spread(m->s, &m->lane)) {
        m->lane_left = images[m->lane].bytes / CHUNK;
        m->lane_at = now + BEGIN_SECS;
    }
    switch (schedule_work(m->s, m->worker[w].at_chunks, chunks)) {
    case WORK_CHUNK:
        give_chunk(m, w, now);
        return true;
    case WORK_WHOLE:
        give_whole(m, w, now, images);
        return true;
    case WORK_NONE:
        break;
    }
    leave_chunks(m, w);
    return false;
}

static unsigned next_free(const struct simulation *m)
{
    unsigned w = 0;
    for (unsigned i = 1; i < m->workers; i++)
        if (m->worker[i].free_at < m->worker[w].free_at)
            w = i;
    return w;
}

/* The share of the workers' time with work, until the last of it was given out. */
static double busy_share(const struct simulation *m)
{
    double busy = 0;
    for (unsigned w = 0; w < m->workers; w++) {
        double over = m->worker[w].free_at - m->last_given;
        busy += m->worker[w].busy - (m->worker[w].working && over > 0 ? over : 0);
    }
    return busy / (m->workers * m->last_given);
}

static double simulate(unsigned workers, double speed, double chunk_speed,
                       const struct schedule_image *images, size_t n, double *tail)
{
    static struct simulation m;
    m = (struct simulation){
        .workers = workers, .speed = speed, .chunk_speed = chunk_speed, .lane = SCHEDULE_NONE};
    m.s = made(images, n, &(struct schedule_rules){.workers = workers, .lanes = 4});
    double now = 0, share = 0;
    while (!schedule_over(m.s)) {
        unsigned w = next_free(&m);
        now = m.worker[w].free_at;
        come_back(&m, w);
        if (!work(&m, w, now, images))
            m.worker[w].free_at = now + 0.02; /* asks again */
        share = m.last_given > 0 ? busy_share(&m) : 0;
    }
    *tail = now - m.last_given;
    schedule_free(m.s);
    return share;
}

static void fill_fleet(struct schedule_image *images, uint64_t large)
{
    srand(7);
    for (size_t i = 0; i < SMALL; i++)
        images[i] = (struct schedule_image){(uint64_t)(1 + rand() % 100) * MIB, SCHEDULE_NONE,
                                            false, false};
    images[SMALL] = (struct schedule_image){large, SCHEDULE_NONE, true, false};
}

/* 10,000 images of 1 to 100 MiB and one of 100 GiB. A chunk of the large one may take as long as
 * the same of a small one, or much longer (packed), or less. */
static void test_workers_are_kept_busy(void **state)
{
    (void)state;
    static struct schedule_image images[SMALL + 1];
    static const double chunk_speeds[] = {500e6, 100e6, 2000e6};
    static const uint64_t larges[] = {100 * GIB, 4 * GIB, 600 * GIB};
    for (unsigned workers = 16; workers <= WORKERS_MAX; workers *= 2)
        for (size_t i = 0; i < ARRAY_LEN(chunk_speeds); i++) {
            double tail;
            fill_fleet(images, larges[i]);
            double share = simulate(workers, 500e6, chunk_speeds[i], images, SMALL + 1, &tail);
            print_message("%u workers, %.0f MB/s: %.3f busy, then a tail of %.2f s\n", workers,
                          chunk_speeds[i] / 1e6, share, tail);
            assert_true(share > 0.97);
            assert_true(tail < 0.5);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_largest_first), cmocka_unit_test(test_chains),
        cmocka_unit_test(test_all_are_lost),  cmocka_unit_test(test_again_when_others_are_done),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_workers_are_kept_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
