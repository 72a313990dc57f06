/* The fleet's small parts: the heap, the tally of busy time, units that belong to a rank, tasks as
 * bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fleet/heap.h"
#include "fleet/pins.h"
#include "fleet/tally.h"
#include "fleet/task.h"

static struct err err;

#define THINGS 500

static void test_heap_is_sorted(void **state)
{
    (void)state;
    static uint64_t key[THINGS];
    struct heap h;
    size_t thing, last = 0;
    assert_int_equal(heap_init(&h, key, THINGS, &err), 0);
    for (size_t i = 0; i < THINGS; i++)
        key[i] = (uint64_t)rand() % 50;
    for (size_t i = 0; i < THINGS; i++)
        heap_put(&h, i);
    for (size_t n = 0; n < THINGS; n++) {
        assert_true(heap_take(&h, &thing));
        if (n)
            assert_true(key[thing] < key[last] || (key[thing] == key[last] && thing > last));
        last = thing;
    }
    assert_false(heap_take(&h, &thing));
    heap_release(&h);
}

/* Two workers: one from 10 to 20, the other from 10 to 14 and 16 to 18, when the last is given. */
static void test_tally(void **state)
{
    (void)state;
    struct tally t = tally_of(2);
    assert_true(tally_busy(&t) == 1);
    tally_give(&t, 0, 10);
    tally_give(&t, 0, 10);
    tally_give(&t, 1, 11);
    tally_back(&t, 1, 12);
    tally_back(&t, 0, 14);
    assert_true(tally_work(&t, 15) == 9);
    tally_give(&t, 0, 16);
    tally_give(&t, 1, 18);
    tally_back(&t, 1, 19);
    tally_back(&t, 0, 20);
    tally_back(&t, 0, 20);
    assert_true(tally_busy(&t) == (8. + 4 + 2) / 16);
    assert_true(tally_work(&t, 30) == 10 + 4 + 4);
}

/* One worker is kept from more until it holds nothing; who holds nothing does them in turn. */
static void test_pins(void **state)
{
    (void)state;
    struct pins p;
    struct pin a = {.kind = TASK_SYNC}, b = {.kind = TASK_NEXT};
    assert_int_equal(pins_init(&p, 3, &err), 0);
    assert_false(pins_drain(&p, 1, 5));
    pins_add(&p, 1, &a);
    pins_add(&p, 1, &b);
    assert_false(pins_wait(&p, 0));
    assert_true(pins_wait(&p, 1));
    assert_true(pins_drain(&p, 1, 5));
    assert_false(pins_drain(&p, 1, 6));
    assert_false(pins_drain(&p, 0, 5));
    assert_ptr_equal(pins_take(&p, 1), &a);
    assert_true(pins_drain(&p, 1, 6));
    assert_ptr_equal(pins_take(&p, 1), &b);
    assert_false(pins_wait(&p, 1));
    assert_false(pins_drain(&p, 1, 6));
    pins_release(&p);
}

static void test_tasks(void **state)
{
    (void)state;
    struct task_bytes bytes = {0};
    struct task back, t = {.kind = TASK_CHUNK,
                           .stage = STAGE_VERIFY,
                           .slot = 3,
                           .key = 7,
                           .chunk = UINT64_MAX - 1,
                           .n_record = 5,
                           .n_plan = 4,
                           .record = "{'a'}",
                           .plan = "plan"};
    assert_int_equal(task_pack(&bytes, &t, &err), 0);
    struct blob blob = {bytes.data, bytes.len};
    assert_int_equal(task_unpack(&back, &blob, &err), 0);
    assert_int_equal(back.kind, TASK_CHUNK);
    assert_int_equal(back.stage, STAGE_VERIFY);
    assert_true(back.chunk == t.chunk && back.key == 7 && back.slot == 3);
    assert_memory_equal(back.record, "{'a'}", 5);
    assert_memory_equal(back.plan, "plan", 4);
    for (blob.len = 0; blob.len < bytes.len; blob.len++)
        assert_int_equal(task_unpack(&back, &blob, &err), -1);
    t = (struct task){.kind = TASK_SYNC};
    assert_int_equal(task_pack(&bytes, &t, &err), 0);
    blob.len = bytes.len;
    assert_int_equal(task_unpack(&back, &blob, &err), 0);
    t.kind = TASK_KINDS;
    assert_int_equal(task_pack(&bytes, &t, &err), 0);
    assert_int_equal(task_unpack(&back, &blob, &err), -1);
    task_bytes_release(&bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_is_sorted),
        cmocka_unit_test(test_tally),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
