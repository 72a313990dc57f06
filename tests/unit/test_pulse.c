/* Which ranks are there: silence, counted in the time in which rank 0 listens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "mpi/pulse.h"

static struct err err;
static struct pulse_watch w;
static double now;

static void begin(const char *limit)
{
    if (limit)
        setenv("MPI_IMG_RANK_TIMEOUT", limit, 1);
    else
        unsetenv("MPI_IMG_RANK_TIMEOUT");
    assert_int_equal(pulse_watch_init(&w, 4, &err), 0);
    now = 1000;
    assert_int_equal(pulse_missing(&w, now), 0);
}

/* Rank 0 listens for so many seconds, looking ten times a second; gives the first rank missed. */
static unsigned listen(double seconds, unsigned talking)
{
    unsigned missing = 0;
    for (double end = now + seconds; now < end && !missing; now += 0.11) {
        if (talking)
            pulse_heard(&w, talking);
        missing = pulse_missing(&w, now);
    }
    return missing;
}

static void who_is_silent_is_missed(void **state)
{
    (void)state;
    begin(NULL);
    assert_int_equal(listen(59, 0), 0);
    assert_int_equal(listen(5, 1), 2);
    pulse_watch_release(&w);
}

static void who_has_ended_is_not_missed(void **state)
{
    (void)state;
    begin("5");
    pulse_over(&w, 1);
    pulse_over(&w, 3);
    pulse_heard(&w, 3);
    assert_int_equal(listen(100, 2), 0);
    assert_int_equal(listen(6, 0), 2);
    pulse_watch_release(&w);
}

/* The whole job was stopped for an hour, or rank 0 waited for storage. */
static void time_not_listened_does_not_count(void **state)
{
    (void)state;
    begin("5");
    assert_int_equal(listen(4, 0), 0);
    now += 3600;
    assert_int_equal(pulse_missing(&w, now), 0);
    assert_int_equal(listen(2, 0), 1);
    pulse_watch_release(&w);
}

static void without_a_limit_nobody_is_missed(void **state)
{
    (void)state;
    begin("0");
    assert_int_equal(listen(100000, 0), 0);
    pulse_watch_release(&w);
}

static void what_is_no_number_is_the_default(void **state)
{
    (void)state;
    static const char *const words[] = {"", "x", "5s", "-1", "nan"};
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++) {
        begin(words[i]);
        assert_true(w.limit == 60);
        pulse_watch_release(&w);
    }
}

static void a_beat_is_due_at_once_and_then_not(void **state)
{
    (void)state;
    struct pulse p = {0};
    assert_true(pulse_due(&p));
    assert_false(pulse_due(&p));
    p.said -= 3;
    assert_true(pulse_due(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_silent_is_missed),
        cmocka_unit_test(who_has_ended_is_not_missed),
        cmocka_unit_test(time_not_listened_does_not_count),
        cmocka_unit_test(without_a_limit_nobody_is_missed),
        cmocka_unit_test(what_is_no_number_is_the_default),
        cmocka_unit_test(a_beat_is_due_at_once_and_then_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
