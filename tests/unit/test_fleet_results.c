/* The results file: what is done need not be done again; torn ends and other hands do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "fleet/manifest.h"
#include "fleet/results.h"
#include "fleet/state.h"
#include "scratch.h"

#define IMAGES 4

static struct scratch scratch;
static struct err err;
static struct manifest *manifest;
static const char *path;
static bool skip[IMAGES];
static struct results_count count;

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(scratch_name(&scratch, name), "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void open_manifest(const char *more)
{
    struct manifest_wrong wrong = {.n = 0};
    FILE *f = fopen(scratch_name(&scratch, "m.jsonl"), "w");
    for (unsigned i = 0; i < IMAGES; i++)
        fprintf(f, "{\"source\":\"s%u\",\"target\":\"t%u\"%s}\n", i, i, more);
    fclose(f);
    manifest_free(manifest);
    const struct manifest_source from = {.path = scratch_name(&scratch, "m.jsonl")};
    assert_int_equal(manifest_open(&from, &manifest, &wrong, &err), 0);
    assert_int_equal(wrong.n, 0);
}

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch, "/tmp");
    for (unsigned i = 0; i < IMAGES; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%u", i);
        write_file(name, "source");
        name[0] = 't';
        write_file(name, "target");
    }
    open_manifest("");
    path = strdup(scratch_name(&scratch, "results"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    manifest_free(manifest);
    manifest = NULL;
    free((char *)path);
    scratch_release(&scratch);
    return 0;
}

static void add_run(struct results *r)
{
    json_t *run = json_pack("{s:s, s:i}", "record", "run", "version", 1);
    assert_int_equal(results_add(r, run, &err), 0);
    json_decref(run);
}

static void add(struct results *r, size_t i, const char *status)
{
    json_t *m = manifest_record(manifest, i, &err);
    const char *source = json_string_value(json_object_get(m, "source"));
    const char *target = json_string_value(json_object_get(m, "target"));
    json_t *image = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "record", "image", "source", source,
                              "target", target, "status", status, "source_state",
                              fleet_state(source), "target_state", fleet_state(target));
    assert_int_equal(results_add_image(r, manifest_item(manifest, i), image, &err), 0);
    json_decref(image);
    json_decref(m);
}

static struct results *open_results(void)
{
    struct results *r;
    if (results_open(path, &r, &err))
        fail_msg("%s", err.text);
    return r;
}

/* 0 and 1 are done, 2 has failed, of 3 there is nothing. */
static void write_some(void)
{
    struct results *r = open_results();
    add_run(r);
    add(r, 0, "failed");
    add(r, 0, "done");
    add(r, 1, "done");
    add(r, 2, "done");
    add(r, 2, "failed");
    assert_int_equal(results_close(r, &err), 0);
}

static void expect_done(const char *which, size_t done)
{
    if (results_done(path, manifest, skip, &count, &err))
        fail_msg("%s", err.text);
    for (unsigned i = 0; i < IMAGES; i++)
        assert_int_equal(skip[i], which[i] == 'd');
    assert_int_equal(count.done, done);
}

static void append(const char *text)
{
    FILE *f = fopen(path, "a");
    fputs(text, f);
    fclose(f);
}

static char *content(void)
{
    static char text[65536];
    FILE *f = fopen(path, "r");
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* ---- reading --------------------------------------------------------------------------------- */

static void test_done(void **state)
{
    (void)state;
    expect_done("....", 0);
    write_some();
    expect_done("dd..", 2);
    assert_int_equal(count.failed, 1);
    assert_int_equal(count.changed, 0);
}

static void test_changed(void **state)
{
    (void)state;
    write_some();
    write_file("s0", "another source");
    remove(scratch_name(&scratch, "t1"));
    expect_done("....", 0);
    assert_int_equal(count.changed, 2);
}

static void test_other_request(void **state)
{
    (void)state;
    write_some();
    open_manifest(",\"target_format\":\"qcow2\"");
    expect_done("....", 0);
    assert_int_equal(count.changed, 2);
    open_manifest(",\"target_format\":null");
    expect_done("dd..", 2);
}

/* ---- torn, damaged, of others ---------------------------------------------------------------- */

/* Cut at any byte: what is whole before it counts, and the next fleet writes on a line of its own.
 */
static void test_torn(void **state)
{
    (void)state;
    write_some();
    size_t whole = strlen(content());
    for (size_t n = whole; n-- > 0;) {
        assert_int_equal(truncate(path, (off_t)n), 0);
        if (results_done(path, manifest, skip, &count, &err))
            fail_msg("%zu: %s", n, err.text);
        assert_false(skip[3]);
        if (n % 7)
            continue;
        struct results *r = open_results();
        add(r, 3, "done");
        assert_int_equal(results_close(r, &err), 0);
        assert_int_equal(results_done(path, manifest, skip, &count, &err), 0);
        assert_true(skip[3]);
        const char *last = content();
        size_t end = strlen(last);
        assert_int_equal(last[end - 1], '\n');
        /* as it was */
        remove(path);
        write_some();
    }
}

static void test_damaged(void **state)
{
    (void)state;
    write_some();
    append("{\"record\":\"image\",\"target\":7,\"status\":[]}\nnonsense \xff\n{}\n[]\n7\n"
           "{\"record\":\"image\",\"target\":\"nbd://x\",\"status\":\"done\"}\n"
           "{\"record\":\"image\",\"target\":\"\",\"status\":\"done\"}\n");
    expect_done("dd..", 2);
}

static void test_no_results(void **state)
{
    (void)state;
    struct results *r;
    append("{\"source\":\"a\",\"target\":\"b\"}\n");
    assert_int_equal(results_open(path, &r, &err), -1);
    assert_non_null(strstr(err.text, "is no results file of a fleet"));
    assert_string_equal(content(), "{\"source\":\"a\",\"target\":\"b\"}\n");
}

static void test_locked(void **state)
{
    (void)state;
    struct results *first = open_results(), *second;
    add_run(first);
    assert_int_equal(results_open(path, &second, &err), -1);
    assert_non_null(strstr(err.text, "Another fleet is writing the results '"));
    assert_int_equal(results_close(first, &err), 0);
    assert_int_equal(results_close(open_results(), &err), 0);
}

/* Nothing was written: nothing stays. */
static void test_nothing_left(void **state)
{
    (void)state;
    assert_int_equal(results_close(open_results(), &err), 0);
    assert_int_not_equal(access(path, F_OK), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_done),   TEST(test_changed),      TEST(test_other_request),
        TEST(test_torn),   TEST(test_damaged),      TEST(test_no_results),
        TEST(test_locked), TEST(test_nothing_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
