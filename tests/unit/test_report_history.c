/* Results files: what is read, what is not believed, which record counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <stdio.h>

#include "report/history.h"
#include "scratch.h"

static struct scratch scratch;
static struct history h;
static struct err err;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch, scratch_disk());
    err = ERR_INIT;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    history_release(&h);
    scratch_release(&scratch);
    return 0;
}

static const char *file(const char *name, const char *text)
{
    const char *path = scratch_name(&scratch, name);
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
    return path;
}

static void read_text(const char *text)
{
    if (history_read(&h, file("r", text), &err) || history_settle(&h, &err))
        fail_msg("%s", err.text);
}

static void refused(const char *text, const char *why)
{
    char want[ERR_TEXT_MAX];
    const char *path = file("bad", text);
    snprintf(want, sizeof want, "Could not read '%s': %s", path, why);
    assert_int_equal(history_read(&h, path, &err), -1);
    assert_string_equal(err.text, want);
    history_release(&h);
    err = ERR_INIT;
}

#define RUN(time, images)                                                                          \
    "{\"record\":\"run\",\"version\":1,\"time\":" #time                                            \
    ",\"ranks\":2,\"threads\":[4,3],\"hosts\":[\"n0\",\"n1\"],\"images\":" #images                 \
    ",\"manifest\":\"m.jsonl\"}\n"
#define IMAGE(target, status, start, end)                                                          \
    "{\"record\":\"image\",\"target\":\"" target "\",\"source\":\"s\",\"status\":\"" status        \
    "\",\"bytes\":100,\"start\":" #start ",\"end\":" #end ",\"rank\":1,\"worker\":2}\n"
#define END(time, status)                                                                          \
    "{\"record\":\"end\",\"time\":" #time ",\"status\":\"" status "\",\"bytes\":700,\"left\":1}\n"

static const struct history_image *find(const char *target, size_t run)
{
    for (size_t k = 0; k < h.images; k++)
        if (strcmp(h.image[k].target, target) == 0 && h.image[k].run == run)
            return &h.image[k];
    fail_msg("no %s in run %zu", target, run);
    return NULL;
}

static void all_records(void **state)
{
    (void)state;
    read_text(RUN(1000, 3) IMAGE(
        "a", "done", 1001,
        1002.5) "{\"record\":\"progress\",\"time\":1010,\"bytes\":5,\"rate\":2.5,\"busy\":0.5}\n"
                "{\"record\":\"image\",\"target\":\"b\",\"source\":\"/s\",\"id\":\"x\",\"status\":"
                "\"failed\",\"error\":\"why\",\"spread\":true,\"rank\":null,\"seconds\":7,"
                "\"lanes\":"
                "[{\"rank\":1,\"start\":1003,\"end\":1009,\"bytes\":9},{\"rank\":-1}]}\n" END(
                    1020, "failed"));
    assert_int_equal(h.runs, 1);
    const struct history_run *r = &h.run[0];
    assert_string_equal(r->manifest, "m.jsonl");
    assert_string_equal(r->host[1], "n1");
    assert_int_equal(r->threads[1], 3);
    assert_int_equal(r->images, 3);
    assert_true(r->began == 1000 && r->ended == 1020);
    assert_int_equal(r->progresses, 1);
    assert_true(r->progress[0].rate == 2.5 && r->progress[0].busy == 0.5);
    assert_string_equal(r->end.status, "failed");
    const struct history_image *a = find("a", 0), *b = find("b", 0);
    assert_true(a->seconds == 1.5 && a->rank == 1 && a->worker == 2 && a->bytes == 100);
    assert_string_equal(a->error, "");
    assert_string_equal(b->error, "why");
    assert_string_equal(b->id, "x");
    assert_true(b->seconds == 7 && b->spread && b->rank == -1);
    assert_int_equal(b->lanes, 1);
    assert_int_equal(b->lane[0].bytes, 9);
}

static void torn_and_unknown_lines(void **state)
{
    (void)state;
    read_text(
        RUN(1000, 3) "{\"record\":\"weather\"}\n\n"
                     "not JSON\n" IMAGE("a", "done", 1001, 1002) "{\"record\":\"image\",\"ta");
    assert_int_equal(h.unknown, 1);
    assert_int_equal(h.unread, 1);
    assert_true(h.torn);
    assert_int_equal(h.images, 1);
}

/* The next run's first record stands behind half a line of the killed one. */
static void a_run_behind_a_torn_line(void **state)
{
    (void)state;
    read_text(RUN(1000, 3) "{\"record\":\"image\",\"target\":\"{\\\"rec" RUN(2000, 3)
                  IMAGE("a", "done", 2001, 2002));
    assert_int_equal(h.unread, 1);
    assert_int_equal(h.runs, 2);
    assert_true(h.run[1].began == 2000);
    assert_int_equal(find("a", 1)->run, 1);
}

static void no_results(void **state)
{
    (void)state;
    const char *why = "it is not a results file of a fleet";
    refused("", why);
    refused("\n\n", why);
    refused("QFI\xfb", why);
    refused("{\"source\":\"a\",\"target\":\"b\"}\n", why);
    refused("[1]\n", why);
    refused("{\"record\":5}\n", why);
    refused("{\"record\":\"else\"}\n", why);
    refused("{\"record\":\"run\",\"version\":1,\"ti", why);
    refused("{\"record\":\"run\",\"version\":2}\n", "results of version 2; known is 1");
    assert_int_equal(history_read(&h, "/nowhere/x", &err), -1);
    assert_string_equal(err.text, "Could not open '/nowhere/x': No such file or directory");
    assert_int_equal(history_read(&h, "/", &err), -1);
    assert_string_equal(err.text, "Could not read '/': Is a directory");
}

static void the_last_record_counts(void **state)
{
    (void)state;
    read_text(RUN(1000, 4) IMAGE("a", "stopped", 1001, 1002) IMAGE("b", "failed", 1001, 1002)
                  IMAGE("c", "done", 1001, 1002) IMAGE("d", "failed", 1001, 1002)
                      END(1003, "stopped") RUN(2000, 4) IMAGE("a", "done", 2001, 2002)
                          IMAGE("b", "skipped", 0, 0) IMAGE("c", "skipped", 0, 0)
                              IMAGE("d", "failed", 2001, 2002) IMAGE("d", "done", 2003, 2004));
    assert_false(find("a", 0)->last);
    assert_true(find("a", 1)->last);
    assert_true(find("b", 1)->last); /* skipped, but never done */
    assert_true(find("c", 0)->last); /* what was skipped later is as it was done */
    assert_false(find("c", 1)->last);
    size_t last = 0, of_run = 0;
    for (size_t k = 0; k < h.images; k++) {
        last += h.image[k].last;
        of_run += h.image[k].last_of_run;
    }
    assert_int_equal(last, 4);
    assert_int_equal(of_run, 8); /* d has two records in its second run */
    assert_int_equal(h.run[1].first, 4);
    assert_int_equal(h.run[1].images_n, 5);
}

/* Files in any order, one of them twice. */
static void several_files(void **state)
{
    (void)state;
    const char *second = RUN(2000, 2) IMAGE("a", "done", 2001, 2002) END(2003, "complete");
    const char *first = RUN(1000, 2) IMAGE("a", "stopped", 1001, 1002) END(1003, "stopped");
    assert_int_equal(history_read(&h, file("2", second), &err), 0);
    assert_int_equal(history_read(&h, file("1", first), &err), 0);
    assert_int_equal(history_read(&h, file("again", second), &err), 0);
    assert_int_equal(history_settle(&h, &err), 0);
    assert_int_equal(h.runs, 2);
    assert_int_equal(h.images, 2);
    assert_true(h.run[0].began == 1000 && h.run[1].began == 2000);
    assert_string_equal(h.run[1].end.status, "complete");
    assert_true(find("a", 1)->last);
}

/* A file that was cut in two. */
static void a_file_without_its_run(void **state)
{
    (void)state;
    assert_int_equal(history_read(&h, file("1", RUN(1000, 2)), &err), 0);
    assert_int_equal(history_read(&h, file("2", IMAGE("a", "done", 1001, 1002)), &err), 0);
    assert_int_equal(history_settle(&h, &err), 0);
    assert_int_equal(h.runs, 1);
    history_release(&h);
    read_text(IMAGE("a", "done", 1001, 1002));
    assert_int_equal(h.runs, 1);
    assert_false(h.run[0].known);
    assert_true(h.run[0].began == 1001 && h.run[0].ended == 1002);
}

static void values_out_of_range(void **state)
{
    (void)state;
    read_text(
        "{\"record\":\"run\",\"time\":1e300,\"ranks\":99999999,\"threads\":[-1,\"x\",9999999],"
        "\"hosts\":[5,null],\"images\":-3,\"manifest\":[]}\n"
        "{\"record\":\"image\",\"target\":null,\"status\":\"great\",\"start\":-5,\"end\":\"x\","
        "\"bytes\":-1,\"rank\":1e9,\"worker\":70000,\"seconds\":-2,\"lanes\":{\"a\":1}}\n"
        "{\"record\":\"image\",\"target\":\"b\",\"status\":\"done\",\"start\":2000,\"end\":1000,"
        "\"bytes\":1e18,\"lanes\":[3,{\"rank\":0,\"start\":5,\"end\":4}]}\n"
        "{\"record\":\"progress\",\"time\":-1}\n"
        "{\"record\":\"progress\",\"time\":3000,\"busy\":7}\n"
        "{\"record\":\"end\",\"time\":\"soon\",\"busy\":-1,\"status\":7}\n");
    const struct history_run *r = &h.run[0];
    assert_int_equal(r->ranks, HISTORY_RANKS);
    assert_int_equal(r->threads[0] + r->threads[1] + r->threads[2], 0);
    assert_int_equal(r->images, 0);
    assert_int_equal(r->progresses, 1);
    assert_true(r->progress[0].busy == -1 && r->end.busy == -1);
    assert_true(r->began == 2000 && r->ended == 3000);
    const struct history_image *i = find("", 0), *b = find("b", 0);
    assert_int_equal(i->status, HISTORY_FAILED); /* a word that is not known is no success */
    assert_true(i->rank == -1 && i->worker == -1 && i->bytes == 0 && i->seconds == 0);
    assert_true(b->end == 2000 && b->bytes == 1000000000000000000);
    assert_int_equal(b->lanes, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_records),
        TEST(torn_and_unknown_lines),
        TEST(a_run_behind_a_torn_line),
        TEST(no_results),
        TEST(the_last_record_counts),
        TEST(several_files),
        TEST(a_file_without_its_run),
        TEST(values_out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
