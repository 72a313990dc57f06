/* Pieces gathered into pages, against a model; nothing is written twice or torn. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>

#include "base/num.h"
#include "base/zero.h"
#include "io/fault.h"
#include "io/memory.h"
#include "io/pages.h"
#include "scratch.h"

#define SIZE 400000u

static struct err err;

static struct file *counting_file(void)
{
    struct file *below = NULL, *f = NULL;
    assert_int_equal(memory_new("m", NULL, 0, &below, &err), 0);
    assert_int_equal(fault_new(below, NULL, 0, &f, &err), 0);
    return f;
}

static void full_pages_go_out_at_once(void **state)
{
    (void)state;
    struct file *f = counting_file();
    struct pages *p;
    uint8_t buf[3 * PAGES_SIZE] = {1};
    assert_int_equal(pages_new(f, &p, &err), 0);
    assert_int_equal(pages_put(p, 0, buf, sizeof buf, &err), 0);
    assert_int_equal(fault_count(f, FAULT_WRITE), 1);
    assert_int_equal(pages_waiting(p), 0);
    /* two ends and two whole pages between */
    assert_int_equal(pages_put(p, 4 * PAGES_SIZE - 10, buf, 2 * PAGES_SIZE + 20, &err), 0);
    assert_int_equal(fault_count(f, FAULT_WRITE), 2);
    assert_int_equal(pages_waiting(p), 2 * PAGES_SIZE);
    /* the missing part of the first of them */
    assert_int_equal(pages_put(p, 3 * PAGES_SIZE, buf, PAGES_SIZE - 10, &err), 0);
    assert_int_equal(fault_count(f, FAULT_WRITE), 3);
    assert_int_equal(pages_waiting(p), PAGES_SIZE);
    assert_int_equal(pages_flush(p, &err), 0);
    assert_int_equal(file_size(f), 6 * PAGES_SIZE + 10);
    assert_int_equal(pages_waiting(p), 0);
    pages_free(p);
    assert_int_equal(file_close(f, &err), 0);
}

static void below_keeps_the_page_it_is_in(void **state)
{
    (void)state;
    struct file *f = counting_file();
    struct pages *p;
    assert_int_equal(pages_new(f, &p, &err), 0);
    assert_int_equal(pages_put(p, 100, "abc", 3, &err), 0);
    assert_int_equal(pages_put(p, PAGES_SIZE + 100, "abc", 3, &err), 0);
    assert_int_equal(pages_below(p, PAGES_SIZE + 200, &err), 0);
    assert_int_equal(pages_waiting(p), PAGES_SIZE);
    assert_int_equal(fault_count(f, FAULT_WRITE), 1);
    assert_int_equal(pages_put(p, PAGES_SIZE + 200, "def", 3, &err), 0);
    assert_int_equal(pages_flush(p, &err), 0);
    assert_int_equal(file_size(f), PAGES_SIZE + 203);
    pages_free(p);
    pages_free(NULL);
    assert_int_equal(file_close(f, &err), 0);
}

static void late_pieces_bring_no_zeros(void **state)
{
    (void)state;
    struct file *f = counting_file();
    struct pages *p;
    char buf[8];
    assert_int_equal(pages_new(f, &p, &err), 0);
    assert_int_equal(pages_put(p, 0, "first", 5, &err), 0);
    assert_int_equal(pages_below(p, PAGES_SIZE, &err), 0);
    assert_int_equal(pages_put(p, 5, "late", 4, &err), 0);
    assert_int_equal(pages_flush(p, &err), 0);
    assert_int_equal(file_read(f, buf, 8, 0, &err), 0);
    assert_memory_equal(buf, "firstlat", 8);
    pages_free(p);
    assert_int_equal(file_close(f, &err), 0);
}

/* The bytes of SIZE cut into pieces, put in nearly ascending order; some never come. */
static void random_order(void **state)
{
    (void)state;
    uint8_t *model = malloc(SIZE), *back = malloc(SIZE);
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct {
            uint64_t off;
            size_t len;
        } piece[2000];
        size_t n = 0;
        uint64_t at = 0, random = seed, last = 0;
        scratch_fill(&random, model, SIZE);
        while (at < SIZE && n < 2000) {
            uint32_t most = scratch_random(&random) % 20 ? 1000 : 30000;
            size_t len = num_min(1 + scratch_random(&random) % most, SIZE - at);
            if (scratch_random(&random) % 10 == 0) {
                memset(model + at, 0, len);
            } else {
                piece[n].off = at;
                piece[n++].len = len;
                last = at + len;
            }
            at += len;
        }
        struct file *f = counting_file();
        struct pages *p;
        assert_int_equal(pages_new(f, &p, &err), 0);
        for (size_t i = 0; i < n; i += 8) {
            size_t some = num_min(8, n - i), first = scratch_random(&random);
            for (size_t k = 0; k < some; k++) {
                size_t x = i + (first + k) % some;
                assert_int_equal(
                    pages_put(p, piece[x].off, model + piece[x].off, piece[x].len, &err), 0);
            }
            uint64_t done = piece[i + some - 1].off + piece[i + some - 1].len;
            assert_int_equal(pages_below(p, done, &err), 0);
            assert_true(pages_waiting(p) <= 2 * PAGES_SIZE);
        }
        assert_int_equal(pages_flush(p, &err), 0);
        assert_int_equal(file_size(f), last);
        assert_int_equal(file_read(f, back, last, 0, &err), 0);
        assert_memory_equal(back, model, last);
        pages_free(p);
        assert_int_equal(file_close(f, &err), 0);
    }
    free(model);
    free(back);
}

static void failure_is_told(void **state)
{
    (void)state;
    struct file *below = NULL, *f = NULL;
    struct pages *p;
    const struct fault full = {.op = FAULT_WRITE, .nth = 2, .and_after = true, .no = ENOSPC};
    uint8_t buf[PAGES_SIZE] = {1};
    assert_int_equal(memory_new("m", NULL, 0, &below, &err), 0);
    assert_int_equal(fault_new(below, &full, 1, &f, &err), 0);
    assert_int_equal(pages_new(f, &p, &err), 0);
    assert_int_equal(pages_put(p, 0, buf, PAGES_SIZE, &err), 0);
    assert_int_equal(pages_put(p, PAGES_SIZE, buf, PAGES_SIZE, &err), -1);
    assert_string_equal(err.text, "No space left on device");
    assert_int_equal(pages_put(p, 3 * PAGES_SIZE, buf, 10, &err), 0);
    assert_int_equal(pages_flush(p, &err), -1);
    assert_int_equal(pages_put(p, UINT64_MAX - 5, buf, 10, &err), -1);
    assert_int_equal(err.no, EFBIG);
    pages_free(p);
    assert_int_equal(file_close(f, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_pages_go_out_at_once),
        cmocka_unit_test(below_keeps_the_page_it_is_in),
        cmocka_unit_test(late_pieces_bring_no_zeros),
        cmocka_unit_test(random_order),
        cmocka_unit_test(failure_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
