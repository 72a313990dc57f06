#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <inttypes.h>
#include <cmocka.h>

#include "flow/map_text.h"

static const char *yes(uint32_t flag)
{
    return flag ? "true" : "false";
}

/* The line as printf makes it. */
static void expect_json(const struct status *s, char *out, size_t n)
{
    int at = snprintf(out, n,
                      "{ \"start\": %" PRIu64 ", \"length\": %" PRIu64 ", \"depth\": %" PRIu32
                      ", \"present\": %s, \"zero\": %s, \"data\": %s",
                      s->start, s->length, s->depth, yes(s->flags & STATUS_PRESENT),
                      yes(s->flags & STATUS_ZERO), yes(s->flags & STATUS_DATA));
    if (s->flags & STATUS_PLACE)
        at += snprintf(out + at, n - (size_t)at, ", \"offset\": %" PRIu64, s->offset);
    snprintf(out + at, n - (size_t)at, "}");
}

static void expect_human(const struct status *s, char *out, size_t n)
{
    snprintf(out, n, "%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "%s\n", s->start, s->length,
             s->offset, s->file ? s->file : "");
}

static const uint64_t numbers[] = {0,
                                   1,
                                   9,
                                   10,
                                   99,
                                   100,
                                   999,
                                   1000,
                                   65535,
                                   65536,
                                   1000000,
                                   12345678,
                                   123456789,
                                   18014398509,
                                   UINT64_MAX / 10,
                                   1ull << 63,
                                   UINT64_MAX - 1,
                                   UINT64_MAX};
#define COUNT (sizeof numbers / sizeof numbers[0])

static void check_lines(const struct status *s, struct text *t)
{
    char want[512];
    struct err e = ERR_INIT;
    t->len = 0;
    assert_int_equal(text_json(t, s, &e), 0);
    expect_json(s, want, sizeof want);
    assert_int_equal(t->len, strlen(want));
    assert_memory_equal(t->data, want, t->len);
    t->len = 0;
    assert_int_equal(text_human(t, s, &e), 0);
    expect_human(s, want, sizeof want);
    assert_int_equal(t->len, strlen(want));
    assert_memory_equal(t->data, want, t->len);
}

static void lines_are_printfs(void **state)
{
    struct text t = {0};
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        for (uint32_t flags = 0; flags < 32; flags++) {
            struct status s = {.start = numbers[i],
                               .length = numbers[(i * 7 + flags) % COUNT],
                               .offset = numbers[(i + flags) % COUNT],
                               .depth = (uint32_t)numbers[(i + 5) % COUNT],
                               .flags = flags,
                               .file = flags & 1 ? "a/file.raw" : NULL};
            check_lines(&s, &t);
        }
    text_release(&t);
}

static void text_grows(void **state)
{
    struct text t = {0};
    struct err e = ERR_INIT;
    (void)state;
    for (unsigned i = 0; i < 10000; i++)
        assert_int_equal(text_add(&t, &i, sizeof i, &e), 0);
    for (unsigned i = 0; i < 10000; i++)
        assert_memory_equal(t.data + i * sizeof i, &i, sizeof i);
    text_release(&t);
}

static struct status row(uint64_t start, uint64_t length, uint32_t flags)
{
    return (struct status){.start = start, .length = length, .flags = flags};
}

static void rows_go_on(void **state)
{
    (void)state;
    struct status a = row(0, 100, STATUS_DATA | STATUS_PRESENT | STATUS_PLACE), b = a;
    a.offset = 1000;
    a.file = "x";
    b.start = 100;
    b.offset = 1100;
    b.file = (const char[]){'x', 0};
    assert_true(status_continues(&a, &b));
    b.offset++;
    assert_false(status_continues(&a, &b));
    b.offset--;
    b.file = "y";
    assert_false(status_continues(&a, &b));
    b.file = "x";
    b.depth = 1;
    assert_false(status_continues(&a, &b));
    b.depth = 0;
    b.flags |= STATUS_ZERO;
    assert_false(status_continues(&a, &b));

    struct status zero = row(0, 10, STATUS_ZERO | STATUS_PRESENT), next = zero;
    next.offset = 77; /* without a place the offset means nothing */
    assert_true(status_continues(&zero, &next));
    next.flags |= STATUS_PLACE;
    assert_false(status_continues(&zero, &next));
}

static void people_see_stored_data(void **state)
{
    (void)state;
    struct status s = row(0, 1, STATUS_DATA | STATUS_PLACE);
    assert_true(text_human_shows(&s));
    assert_false(text_human_fails(&s));
    s.flags = STATUS_DATA | STATUS_ZERO | STATUS_PLACE;
    assert_false(text_human_shows(&s));
    assert_false(text_human_fails(&s));
    s.flags = STATUS_DATA;
    assert_true(text_human_fails(&s));
    s.flags = STATUS_ZERO;
    assert_false(text_human_shows(&s));
    assert_false(text_human_fails(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_printfs),
        cmocka_unit_test(text_grows),
        cmocka_unit_test(rows_go_on),
        cmocka_unit_test(people_see_stored_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
