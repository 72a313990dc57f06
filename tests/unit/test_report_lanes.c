/* Lanes of ranks: which bar is in which row, what is folded, what becomes a curve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "report/lanes.h"

static struct history h;
static struct lanes l;
static struct err err;

static int teardown(void **state)
{
    (void)state;
    lanes_release(&l);
    history_release(&h);
    return 0;
}

static void add(const char *fmt, ...)
{
    char line[1000];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    assert_true(history_line(&h, line, (size_t)n, &err));
}

static void run(unsigned ranks, const char *threads)
{
    add("{\"record\":\"run\",\"time\":1000,\"ranks\":%u,\"threads\":%s}", ranks, threads);
    add("{\"record\":\"end\",\"time\":1100,\"status\":\"complete\"}");
}

static void whole(int number, const char *status, int rank, const char *worker, double start,
                  double end)
{
    add("{\"record\":\"image\",\"target\":\"w%d\",\"status\":\"%s\",\"rank\":%d,\"worker\":%s,"
        "\"start\":%f,\"end\":%f,\"bytes\":10}",
        number, status, rank, worker, start, end);
}

static void spread(int number, double start, double end)
{
    add("{\"record\":\"image\",\"target\":\"s%d\",\"status\":\"done\",\"spread\":true,\"start\":%f,"
        "\"end\":%f,\"bytes\":30,\"lanes\":[{\"rank\":0,\"start\":%f,\"end\":%f,\"bytes\":20},"
        "{\"rank\":1,\"start\":%f,\"end\":%f,\"bytes\":10}]}",
        number, start, end, start, end, start + 1, end);
}

static void make(size_t most)
{
    assert_int_equal(history_settle(&h, &err), 0);
    assert_int_equal(lanes_make(&h, &h.run[0], most, &l, &err), 0);
}

static void bars_are_where_the_work_was(void **state)
{
    (void)state;
    run(2, "[2,1]");
    whole(1, "done", 0, "1", 1010, 1020);
    whole(2, "failed", 1, "0", 1050, 1150); /* ends after the end: cut there */
    spread(3, 1000, 1040);
    spread(4, 1020, 1060);
    spread(5, 1045, 1050); /* goes where the first one was */
    make(1000);
    assert_int_equal(l.lanes, 2);
    assert_int_equal(l.spread_rows, 2);
    assert_int_equal(l.lane[0].rows, 4);
    assert_int_equal(l.lane[1].rows, 3);
    assert_int_equal(l.row[0].bars, 2);
    assert_true(l.row[0].spread && l.row[0].bar[0].kind == LANE_SPREAD);
    assert_int_equal(l.row[1].bars, 1);
    const struct lane_row *worker = &l.row[l.lane[0].row + 3];
    assert_int_equal(worker->worker, 1);
    assert_int_equal(worker->bars, 1);
    assert_true(fabs(worker->bar[0].from - 0.1) < 1e-9 && fabs(worker->bar[0].to - 0.2) < 1e-9);
    const struct lane_bar *failed = l.row[l.lane[1].row + 2].bar;
    assert_true(failed->kind == LANE_FAILED && failed->failed == 1 && failed->to == 1);
    assert_int_equal(l.lane[0].bytes, 10 + 3 * 20);
    assert_int_equal(l.lane[1].bytes, 10 + 3 * 10);
    assert_int_equal(l.lane[0].images, 1);
}

static void more_workers_than_were_told(void **state)
{
    (void)state;
    run(0, "[]");
    whole(1, "done", 3, "5", 1010, 1020);
    make(1000);
    assert_int_equal(l.lanes, 4);
    assert_int_equal(l.lane[3].workers, 6);
    assert_int_equal(l.lane[0].workers, 1);
}

static void workers_that_are_not_known(void **state)
{
    (void)state;
    run(1, "[2]");
    whole(1, "done", 0, "null", 1010, 1020);
    whole(2, "done", 0, "null", 1015, 1030);
    whole(3, "done", 0, "null", 1021, 1025);
    add("{\"record\":\"image\",\"target\":\"x\",\"status\":\"done\"}");
    add("{\"record\":\"image\",\"target\":\"y\",\"status\":\"skipped\"}");
    make(1000);
    assert_int_equal(l.row[0].bars, 2);
    assert_int_equal(l.row[1].bars, 1);
    assert_int_equal(l.unplaced, 1); /* of y nothing is missing */
}

static void thin_bars_are_folded(void **state)
{
    (void)state;
    run(1, "[1]");
    for (int k = 0; k < 1000; k++)
        whole(k, k == 500 ? "failed" : "done", 0, "0", 1000 + k * 0.1, 1000 + k * 0.1 + 0.09);
    make(100);
    size_t images = 0, failed = 0;
    assert_in_range(l.row[0].bars, 10, 100);
    for (size_t k = 0; k < l.row[0].bars; k++) {
        images += l.row[0].bar[k].images;
        failed += l.row[0].bar[k].kind == LANE_FAILED;
        assert_true(!k || l.row[0].bar[k].from >= l.row[0].bar[k - 1].from);
    }
    assert_int_equal(images, 1000);
    assert_int_equal(failed, 1);
    assert_int_equal(l.left_out, 0);
}

/* Bars that cannot be folded, too many for any picture. */
static void bars_that_overlap(void **state)
{
    (void)state;
    run(1, "[1]");
    for (int k = 0; k < 200; k++)
        whole(k, "done", 0, "0", 1000 + k * 0.1, 1070 + k * 0.1);
    make(50);
    assert_int_equal(l.row[0].bars, 50);
    assert_int_equal(l.left_out, 150);
}

static void many_ranks_share_rows(void **state)
{
    (void)state;
    run(1000, "[]");
    whole(1, "done", 0, "0", 1000, 1050);
    whole(2, "done", 1, "0", 1000, 1100);
    whole(3, "done", 999, "0", 1000, 1100);
    make(1000);
    assert_true(l.dense);
    assert_in_range(l.lanes, 100, LANES_ROWS_MAX);
    assert_int_equal(l.lane[0].last, 6); /* seven ranks a row */
    assert_int_equal(l.lane[l.lanes - 1].last, 999);
    assert_true(fabs(l.row[0].busy->bin[0] - 2.0 / 7) < 1e-6);
    assert_true(fabs(l.row[0].busy->bin[CURVE_BINS - 1] - 1.0 / 7) < 1e-6);
    assert_true(l.row[l.lanes - 1].busy->bin[0] > 0.1);
}

static void no_ranks_at_all(void **state)
{
    (void)state;
    add("{\"record\":\"image\",\"target\":\"x\",\"status\":\"done\",\"start\":5,\"end\":6}");
    make(1000);
    assert_int_equal(l.lanes, 0);
    assert_int_equal(l.unplaced, 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, NULL, teardown)
    const struct CMUnitTest tests[] = {
        TEST(bars_are_where_the_work_was),
        TEST(more_workers_than_were_told),
        TEST(workers_that_are_not_known),
        TEST(thin_bars_are_folded),
        TEST(bars_that_overlap),
        TEST(many_ranks_share_rows),
        TEST(no_ranks_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
