/* compare_run and map_run on raw files, on one worker and on several: always the same. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/num.h"
#include "flow/compare.h"
#include "flow/map.h"

static char folder[64];

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mpi-img-walks-XXXXXX");
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    unlink("a");
    unlink("b");
    return chdir("/") == 0 ? rmdir(folder) : -1;
}

static void make(const char *name, uint64_t size)
{
    int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

static void put(const char *name, uint64_t off, char byte)
{
    int fd = open(name, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)off), 1);
    close(fd);
}

static struct engine *engine_of(unsigned threads)
{
    const struct engine_options o = {.kind = threads ? ENGINE_THREADS : ENGINE_SERIAL,
                                     .threads = threads};
    struct engine *g = NULL;
    struct err e = ERR_INIT;
    assert_int_equal(engine_start(&o, &g, &e), 0);
    return g;
}

/* ---- compare --------------------------------------------------------------------------------- */

static double last_percent;

static void see_percent(void *ctx, double percent)
{
    (void)ctx;
    assert_true(percent >= last_percent && percent <= 100);
    last_percent = percent;
}

static int run_compare(unsigned threads, bool strict, struct compare_result *r)
{
    static const struct progress progress = {.update = see_percent};
    struct err e = ERR_INIT;
    struct engine *g = engine_of(threads);
    struct compare_options o = {
        .name = {"a", "b"}, .driver = {"raw", "raw"}, .strict = strict, .memory = 4 * MIB};
    for (unsigned i = 0; i < 2; i++)
        assert_non_null(o.spec[i] = image_spec_from_name(o.name[i], &e));
    last_percent = 0;
    int status = compare_run(g, &o, &progress, r, &e);
    json_decref(o.spec[0]);
    json_decref(o.spec[1]);
    engine_end(g, 0);
    return status;
}

static void assert_verdict(bool strict, enum compare_verdict verdict, uint64_t offset,
                           bool size_differs)
{
    for (unsigned threads = 0; threads < 5; threads += 2) {
        struct compare_result r;
        assert_int_equal(run_compare(threads, strict, &r), 0);
        assert_int_equal(r.verdict, verdict);
        assert_int_equal(r.size_differs, size_differs);
        if (verdict == COMPARE_CONTENT || verdict == COMPARE_STRICT_STATUS)
            assert_int_equal(r.offset, offset);
        if (verdict == COMPARE_IDENTICAL)
            assert_true(last_percent == 100);
    }
}

static void verdicts(void **state)
{
    (void)state;
    make("a", 8 * GIB);
    make("b", 8 * GIB);
    assert_verdict(false, COMPARE_IDENTICAL, 0, false);
    assert_verdict(true, COMPARE_IDENTICAL, 0, false);
    for (unsigned i = 0; i < 64; i++) {
        put("a", i * 100 * MIB + i, 'x');
        put("b", i * 100 * MIB + i, 'x');
    }
    assert_verdict(false, COMPARE_IDENTICAL, 0, false);
    put("a", 6 * GIB + 1234567, 'y');
    assert_verdict(false, COMPARE_CONTENT, num_down(6 * GIB + 1234567, 512), false);
    put("b", 5 * GIB + 700, 'y');
    assert_verdict(false, COMPARE_CONTENT, 5 * GIB + 512, false);
}

static void sizes(void **state)
{
    (void)state;
    make("a", MIB);
    make("b", 3 * GIB);
    assert_verdict(false, COMPARE_IDENTICAL, 0, true);
    assert_verdict(true, COMPARE_STRICT_SIZE, 0, false);
    put("b", 2 * GIB, 'x');
    assert_verdict(false, COMPARE_CONTENT, 2 * GIB, true);
    put("b", 100, 'x');
    assert_verdict(false, COMPARE_CONTENT, 0, false);
    make("a", 0);
    make("b", 0);
    struct compare_result r;
    assert_int_equal(run_compare(2, false, &r), 0);
    assert_int_equal(r.verdict, COMPARE_IDENTICAL);
}

static void missing_image(void **state)
{
    struct compare_result r;
    (void)state;
    make("a", MIB);
    unlink("b");
    assert_int_equal(run_compare(2, false, &r), -1);
    assert_int_equal(r.failure, COMPARE_OPEN);
}

/* ---- map ------------------------------------------------------------------------------------- */

static char *run_map(unsigned threads, bool json, uint64_t start, uint64_t length)
{
    struct err e = ERR_INIT;
    struct engine *g = engine_of(threads);
    struct map_options o = {
        .name = "a", .driver = "raw", .json = json, .start = start, .length = length};
    char *text = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(o.spec = image_spec_from_name("a", &e));
    assert_int_equal(map_run(g, &o, out, &e), 0);
    fclose(out);
    json_decref(o.spec);
    engine_end(g, 0);
    return text;
}

/* What the map of "a" must be, from the positions of its data blocks (4 KiB each, ascending). */
static char *expect_map(const uint64_t *data, size_t n, bool json, uint64_t start, uint64_t end)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    uint64_t at = start;
    fputs(json ? "[" : "Offset          Length          Mapped to       File\n", out);
    for (size_t i = 0; at < end; i++) {
        uint64_t from = i < n ? data[i] : UINT64_MAX, to = i < n ? from + 4096 : UINT64_MAX;
        while (i + 1 < n && data[i + 1] == to) /* blocks that touch are one line */
            to = data[++i] + 4096;
        from = num_min(num_max(from, at), end);
        if (at < from && json)
            fprintf(out,
                    "{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
                    ", \"depth\": 0, \"present\": true, \"zero\": true, \"data\": false, "
                    "\"offset\": %" PRIu64 "}%s",
                    at, from - at, at, from == end ? "]\n" : ",\n");
        to = num_min(num_max(to, from), end);
        if (from < to && json)
            fprintf(out,
                    "{ \"start\": %" PRIu64 ", \"length\": %" PRIu64
                    ", \"depth\": 0, \"present\": true, \"zero\": false, \"data\": true, "
                    "\"offset\": %" PRIu64 "}%s",
                    from, to - from, from, to == end ? "]\n" : ",\n");
        if (from < to && !json)
            fprintf(out, "%#-16" PRIx64 "%#-16" PRIx64 "%#-16" PRIx64 "a\n", from, to - from, from);
        at = num_max(at, to);
    }
    fclose(out);
    return text;
}

static void assert_map(const uint64_t *data, size_t n, uint64_t start, uint64_t length,
                       uint64_t size)
{
    uint64_t end = length > size - start ? size : start + length;
    for (unsigned json = 0; json < 2; json++) {
        char *want = expect_map(data, n, json, start, end);
        for (unsigned threads = 0; threads < 5; threads += 2) {
            char *text = run_map(threads, json, start, length);
            assert_string_equal(text, want);
            free(text);
        }
        free(want);
    }
}

/* Does this file system keep holes of 4 KiB? */
static bool keeps_holes(void)
{
    make("a", GIB);
    put("a", 512 * MIB, 'x');
    int fd = open("a", O_RDONLY);
    bool keeps = lseek(fd, 0, SEEK_DATA) == (off_t)(512 * MIB) &&
                 lseek(fd, 512 * MIB, SEEK_HOLE) == (off_t)(512 * MIB + 4096);
    close(fd);
    return keeps;
}

/* Units of a raw file are 64 MiB: lines that end at, before and behind their borders. */
static void lines_join_across_units(void **state)
{
    static const uint64_t data[] = {
        0,         64 * MIB - 4096, 64 * MIB,         128 * MIB, 192 * MIB - 4096, 640 * MIB + 8192,
        700 * MIB, 900 * MIB,       900 * MIB + 4096, GIB - 4096};
    const size_t n = sizeof data / sizeof data[0];
    (void)state;
    if (!keeps_holes())
        skip();
    make("a", GIB);
    assert_map(data, 0, 0, UINT64_MAX, GIB);
    for (size_t i = 0; i < n; i++)
        put("a", data[i] + 1, 'x');
    assert_map(data, n, 0, UINT64_MAX, GIB);
    assert_map(data, n, 64 * MIB, 64 * MIB, GIB);
    assert_map(data, n, 64 * MIB - 1, 3, GIB);
    assert_map(data, n, 5, 641 * MIB, GIB);
    assert_map(data, n, 639 * MIB, UINT64_MAX, GIB);
}

static void empty_ranges(void **state)
{
    (void)state;
    make("a", MIB);
    char *text = run_map(2, true, 3 * MIB, UINT64_MAX);
    assert_string_equal(text, "[{ \"start\": 3145728, \"length\": 0, \"depth\": 0, \"present\": "
                              "false, \"zero\": false, \"data\": false}]\n");
    free(text);
    text = run_map(2, true, 0, 0);
    assert_string_equal(text, "[{ \"start\": 0, \"length\": 0, \"depth\": 0, \"present\": false, "
                              "\"zero\": false, \"data\": false}]\n");
    free(text);
    text = run_map(2, false, 3 * MIB, UINT64_MAX);
    assert_string_equal(text, "Offset          Length          Mapped to       File\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verdicts),      cmocka_unit_test(sizes),
        cmocka_unit_test(missing_image), cmocka_unit_test(lines_join_across_units),
        cmocka_unit_test(empty_ranges),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
