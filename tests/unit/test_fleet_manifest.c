/* Manifests: what is read, what is refused and in which words; garbage does no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "fleet/lines.h"
#include "fleet/manifest.h"
#include "fleet/order.h"
#include "fleet/request.h"
#include "scratch.h"

static struct scratch scratch;
static struct manifest_wrong wrong;
static struct err err;
static char expected[2000];

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch, "/tmp");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    manifest_wrong_release(&wrong);
    scratch_release(&scratch);
    return 0;
}

static const char *write_file(const char *name, const char *text, size_t n)
{
    const char *path = scratch_name(&scratch, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, n, f), n);
    fclose(f);
    return path;
}

static struct manifest *open_text(const char *name, const char *text, size_t n,
                                  const json_t *defaults)
{
    struct manifest *m = NULL;
    const struct manifest_source from = {.path = write_file(name, text, n), .defaults = defaults};
    manifest_wrong_release(&wrong);
    err_clear(&err);
    if (manifest_open(&from, &m, &wrong, &err))
        fail_msg("%s", err.text);
    return m;
}

static struct manifest *open_good(const char *name, const char *text, const json_t *defaults)
{
    struct manifest *m = open_text(name, text, strlen(text), defaults);
    if (wrong.n)
        fail_msg("%s", wrong.text[0]);
    return m;
}

/* The manifest has this one error, in line `line`; %s of the words is the folder. */
static void expect_wrong(const char *text, unsigned line, const char *words)
{
    char all[1000];
    struct manifest *m = open_text("m.jsonl", text, strlen(text), NULL);
    snprintf(all, sizeof all, words, scratch.folder, scratch.folder);
    snprintf(expected, sizeof expected, "%s/m.jsonl:%u: %s", scratch.folder, line, all);
    if (wrong.n)
        assert_string_equal(wrong.text[0], expected);
    if (wrong.n > 1)
        fail_msg("%s", wrong.text[1]);
    assert_int_equal(wrong.n, 1);
    manifest_free(m);
}

static const char *text_in(const struct manifest *m, size_t i, const char *field)
{
    static char text[1000];
    json_t *record = manifest_record(m, i, &err);
    assert_non_null(record);
    const char *value = json_string_value(json_object_get(record, field));
    snprintf(text, sizeof text, "%s", value ? value : "(none)");
    json_decref(record);
    return text;
}

/* ---- what is read ---------------------------------------------------------------------------- */

static void test_records(void **state)
{
    (void)state;
    write_file("a", "1234", 4);
    struct manifest *m = open_good("m.jsonl",
                                   "\xef\xbb\xbf\n"
                                   "{\"source\":\"a\",\"target\":\"b\",\"id\":\"one\"}\r\n"
                                   "\n  \t\n"
                                   "  {\"source\": \"file:a\", \"target\": \"c\", \"hash\": true}",
                                   NULL);
    assert_int_equal(manifest_count(m), 2);
    assert_int_equal(manifest_item(m, 0)->line, 2);
    assert_int_equal(manifest_item(m, 1)->line, 5);
    assert_int_equal(manifest_item(m, 0)->size, 4);
    assert_true(manifest_item(m, 0)->after == ORDER_NONE);
    assert_string_equal(text_in(m, 0, "id"), "one");
    assert_string_equal(text_in(m, 1, "source"), scratch_name(&scratch, "a"));
    assert_string_equal(text_in(m, 1, "target"), scratch_name(&scratch, "c"));
    manifest_free(m);
}

static void test_empty(void **state)
{
    (void)state;
    struct manifest *m = open_good("m.jsonl", "", NULL);
    assert_int_equal(manifest_count(m), 0);
    manifest_free(m);
    m = open_good("m.jsonl", "\n\n \n", NULL);
    assert_int_equal(manifest_count(m), 0);
    manifest_free(m);
    m = open_good("m.csv", "source,target\n", NULL);
    assert_int_equal(manifest_count(m), 0);
    manifest_free(m);
}

/* The same images as JSON and as CSV are the same requests. */
static void test_csv(void **state)
{
    (void)state;
    write_file("a", "1234", 4);
    write_file("b\"", "1234", 4);
    struct manifest *json = open_good(
        "m.jsonl",
        "{\"source\":\"a\",\"target\":\"x,1\",\"target_format\":\"qcow2\",\"compress\":true,"
        "\"compression_level\":3,\"options\":\"cluster_size=128k,lazy_refcounts=on\"}\n"
        "{\"source\":\"b\\\"\",\"target\":\"y\\nz\",\"hash\":true,\"compress\":false}\n"
        "{\"source\":\"a\",\"target\":\"w\",\"hash\":\"sha1/4k\",\"sparse_size\":\"8k\"}\n",
        NULL);
    struct manifest *csv = open_good(
        "m.csv",
        "source,target,target_format,compress,compression_level,options,hash,sparse_size\r\n"
        "a,\"x,1\",qcow2,yes,3,\"cluster_size=128k,lazy_refcounts=on\",,\r\n"
        "\"b\"\"\",\"y\nz\",,off,,,1,\r\n"
        "a,w,,,,,sha1/4k,8k",
        NULL);
    assert_int_equal(manifest_count(json), 3);
    assert_int_equal(manifest_count(csv), 3);
    assert_int_equal(manifest_item(csv, 2)->line, 5);
    for (size_t i = 0; i < 3; i++) {
        json_t *a = manifest_record(json, i, &err), *b = manifest_record(csv, i, &err);
        assert_true(json_equal(a, b));
        assert_true(manifest_item(json, i)->request == manifest_item(csv, i)->request);
        json_decref(a);
        json_decref(b);
    }
    manifest_free(json);
    manifest_free(csv);
}

static void test_defaults(void **state)
{
    (void)state;
    write_file("a", "1234", 4);
    json_t *defaults = json_pack("{s:s, s:b, s:s}", "target_format", "qcow2", "compress", 1,
                                 "options", "cluster_size=1M");
    struct manifest *m = open_good("m.jsonl",
                                   "{\"source\":\"a\",\"target\":\"b\"}\n"
                                   "{\"source\":\"a\",\"target\":\"c\",\"options\":null}\n"
                                   "{\"source\":\"a\",\"target\":\"d\",\"target_format\":\"raw\","
                                   "\"options\":\"\",\"compress\":false}\n",
                                   defaults);
    assert_string_equal(text_in(m, 0, "options"), "cluster_size=1M");
    assert_true(manifest_item(m, 0)->compress);
    assert_string_equal(text_in(m, 1, "options"), "(none)");
    assert_string_equal(text_in(m, 2, "target_format"), "raw");
    assert_false(manifest_item(m, 2)->compress);
    manifest_free(m);
    json_decref(defaults);
}

static void test_chain(void **state)
{
    (void)state;
    write_file("a", "1234", 4);
    write_file("old", "1234", 4);
    struct manifest *m =
        open_good("m.jsonl",
                  "{\"source\":\"a\",\"target\":\"top\",\"target_format\":\"qcow2\","
                  "\"options\":{\"backing_file\":\"./base\",\"backing_fmt\":\"qcow2\"}}\n"
                  "{\"source\":\"a\",\"target\":\"base\",\"target_format\":\"qcow2\","
                  "\"backing_file\":\"old\",\"backing_format\":\"raw\"}\n",
                  NULL);
    assert_int_equal(manifest_item(m, 0)->after, 1);
    assert_true(manifest_item(m, 1)->after == ORDER_NONE);
    manifest_free(m);
}

/* Of a record that was read only its place is kept. */
static void test_changed(void **state)
{
    (void)state;
    write_file("a", "1234", 4);
    struct manifest *m = open_good("m.jsonl", "{\"source\":\"a\",\"target\":\"b\"}\n", NULL);
    write_file("m.jsonl", "{\"source\":\"a\",\"target\":\"c\"}\n", 28);
    assert_null(manifest_record(m, 0, &err));
    assert_non_null(strstr(err.text, "has changed meanwhile"));
    manifest_free(m);
}

/* ---- what is refused ------------------------------------------------------------------------- */

#define AB "\"source\":\"a\",\"target\":\"b\""

static void test_wrong_records(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words;
    } cases[] = {
        {"{" AB ",\"compresss\":true}", "Unknown field 'compresss'"},
        {"{" AB ",\"compress\":\"yes\"}", "compress: It must be true or false"},
        {"{" AB ",\"options\":[]}", "options: It must be a text 'a=b,c=d', or an object"},
        {"{" AB ",\"options\":{\"a\":[]}}",
         "options: Option 'a' must be a text, a whole number, true or false"},
        {"{" AB ",\"options\":{\"a,b\":1}}", "options: Invalid name of an option: 'a,b'"},
        {"{" AB ",\"options\":{\"size\":-1}}", "Parameter 'size' expects a non-negative number "
                                               "below 2^64"},
        {"{" AB ",\"options\":\"help\"}", "options: There is no help here"},
        {"{" AB ",\"options\":\"nope=1\"}", "Invalid parameter 'nope'"},
        {"{" AB ",\"id\":7}", "id: It must be a text"},
        {"{" AB ",\"rate_limit\":-7}",
         "rate_limit: It must be a whole number, or a size as a text"},
        {"{" AB ",\"rate_limit\":1.5}",
         "rate_limit: It must be a whole number, or a size as a text"},
        {"{" AB ",\"compression_level\":20}",
         "compression_level: Invalid compression level specified. Must be between 1 and 19."},
        {"{" AB ",\"compression_level\":\"3\"}", "compression_level: It must be a whole number"},
        {"{" AB ",\"max_size\":0}", "max_size: The largest size cannot be 0"},
        {"{" AB ",\"source_format\":\"vmdq\"}", "source_format: Unknown driver 'vmdq'"},
        {"{" AB ",\"target_format\":\"vmdq\"}", "target_format: Unknown file format 'vmdq'"},
        {"{" AB ",\"target_format\":\"dmg\"}",
         "target_format: Format driver 'dmg' does not support image creation"},
        {"{" AB ",\"compress\":true}", "Compression not supported for this file format"},
        {"{" AB ",\"backing_file\":\"a\"}", "Backing file not supported for file format 'raw'"},
        {"{" AB ",\"target_format\":\"qcow2\",\"backing_file\":\"a\"}",
         "Use of backing file requires explicit backing format"},
        {"{\"source\":\"a\"}", "The field 'target' is missing"},
        {"{\"source\":null,\"target\":\"b\"}", "The field 'source' is missing"},
        {"{\"source\":\"\",\"target\":\"b\"}", "source: The name is empty"},
        {"{\"source\":\"a\",\"target\":\"json:{}\"}", "Unknown protocol 'json'"},
        {"{\"source\":\"missing\",\"target\":\"b\"}", "The source '%s/missing' is not there"},
        {"{\"source\":\"sub\",\"target\":\"b\"}", "The source '%s/sub' is a folder"},
        {"{\"source\":\"a\",\"target\":\"sub\"}", "The target '%s/sub' is a folder"},
        {"{\"source\":\"a\",\"target\":\"no/b\"}", "The target's folder '%s/no' is not there"},
        {"{\"source\":\"a\",\"target\":\"a\"}", "The source '%s/a' is the target of line 1"},
        {"{\"source\":\"a\",\"target\":\"sub/../a\"}", "The source '%s/a' is the target of line 1"},
        {"[1]", "It is no JSON object, but a list"},
    };
    write_file("a", "1234", 4);
    assert_int_equal(mkdir(scratch_name(&scratch, "sub"), 0777), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_wrong(cases[i].line, 1, cases[i].words);
}

/* Where the words after that are the JSON library's. */
static void test_no_json(void **state)
{
    (void)state;
    static const char *const lines[] = {"{\"source\":", "{\"source\":\"a\",\"source\":\"b\"}",
                                        "{} {}", "{\"source\":\"\\u0000\"}", "{\"a\":\"\xff\"}"};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct manifest *m = open_text("m.jsonl", lines[i], strlen(lines[i]), NULL);
        assert_int_equal(wrong.n, 1);
        assert_non_null(strstr(wrong.text[0], "m.jsonl:1: It is no JSON object: "));
        manifest_free(m);
    }
}

static void test_wrong_together(void **state)
{
    (void)state;
    write_file("a", "1234", 4);
    assert_int_equal(mkdir(scratch_name(&scratch, "sub"), 0777), 0);
    assert_int_equal(symlink("sub", scratch_name(&scratch, "link")), 0);
    expect_wrong("{\"source\":\"a\",\"target\":\"sub/x\"}\n\n"
                 "{\"source\":\"a\",\"target\":\"link/x\"}\n",
                 3, "The target '%s/link/x' is also that of line 1");
#define Q ",\"target_format\":\"qcow2\",\"backing_format\":\"qcow2\",\"backing_file\":"
    expect_wrong("{\"source\":\"a\",\"target\":\"x\"" Q "\"sub/../y\"}\n"
                 "{\"source\":\"a\",\"target\":\"y\"" Q "\"x\"}\n",
                 1, "The target '%s/x' is backed by itself, in a circle");
    expect_wrong("{\"source\":\"a\",\"target\":\"sub/x\"" Q "\"a\"}\n", 1,
                 "The backing file 'a' is not there, and no record makes it (names are relative to "
                 "the target's folder)");
}

static void test_wrong_csv(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *words;
    } cases[] = {
        {"source,target,nope\na,b,c\n", 1, "Unknown field 'nope'"},
        {"source,target,source\na,b,c\n", 1, "The field 'source' is there twice"},
        {"source,target\na,b,c\n", 2, "It has 3 cells, the first line has 2"},
        {"source,target\na,b\na,\"b", 3, "A quote is not closed"},
        {"source,target\na,\"c\"d\n", 2, "A comma is missing behind a quoted cell"},
        {"source,target\na,c\"d\"\n", 2,
         "A quote stands inside a cell that does not begin with one"},
        {"source,target\na,\xff\n", 2, "It is not UTF-8"},
        {"source,target,compress\na,c,maybe\n", 2, "compress: It must be true or false"},
    };
    write_file("a", "1234", 4);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_wrong(cases[i].text, cases[i].line, cases[i].words);
}

/* Twenty are told, all are counted. */
static void test_many_wrong(void **state)
{
    (void)state;
    char *text = NULL;
    size_t n;
    FILE *f = open_memstream(&text, &n);
    for (unsigned i = 0; i < 500; i++)
        fprintf(f, "{\"source\":\"nope\",\"target\":\"t%u\"}\n", i);
    fclose(f);
    struct manifest *m = open_text("m.jsonl", text, n, NULL);
    assert_int_equal(wrong.n, 500);
    for (size_t i = 0; i < MANIFEST_WRONG_MAX; i++)
        assert_non_null(wrong.text[i]);
    manifest_free(m);
    free(text);
}

static void test_long_line(void **state)
{
    (void)state;
    size_t n = LINES_MAX + 100;
    char *text = malloc(n);
    memset(text, 'x', n);
    memcpy(text, "{\"source\":\"", 11);
    struct manifest *m = open_text("m.jsonl", text, n, NULL);
    assert_int_equal(wrong.n, 1);
    assert_non_null(strstr(wrong.text[0], "m.jsonl:1: It is longer than 1048576 bytes"));
    manifest_free(m);
    free(text);
}

/* ---- folders --------------------------------------------------------------------------------- */

static void test_listing(void **state)
{
    (void)state;
    static const char *const files[] = {"in/b.vmdk",       "in/a.vmdk",
                                        "in/.hidden",      "in/x.vmdk.mpi-img-part",
                                        "in/sub/c.d.vmdk", "in/sub/none"};
    struct manifest *m = NULL;
    json_t *defaults = json_pack("{s:s}", "target_format", "vpc");
    assert_int_equal(mkdir(scratch_name(&scratch, "in"), 0777), 0);
    assert_int_equal(mkdir(scratch_name(&scratch, "in/sub"), 0777), 0);
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        write_file(files[i], "1234", 4);
    struct manifest_source from = {.from = scratch_name(&scratch, "in"),
                                   .to = scratch_name(&scratch, "out"),
                                   .glob = "*.vmdk",
                                   .defaults = defaults};
    assert_int_equal(manifest_open(&from, &m, &wrong, &err), 0);
    assert_int_equal(wrong.n, 0);
    assert_int_equal(manifest_count(m), 3);
    assert_string_equal(text_in(m, 0, "target"), scratch_name(&scratch, "out/a.vhd"));
    assert_string_equal(text_in(m, 1, "target"), scratch_name(&scratch, "out/b.vhd"));
    assert_string_equal(text_in(m, 2, "target"), scratch_name(&scratch, "out/sub/c.d.vhd"));
    assert_int_equal(manifest_make_folders(m, &err), 0);
    assert_int_equal(access(scratch_name(&scratch, "out/sub"), W_OK), 0);
    manifest_free(m);
    m = NULL;
    from.glob = "sub/*";
    assert_int_equal(manifest_open(&from, &m, &wrong, &err), 0);
    assert_int_equal(manifest_count(m), 2);
    manifest_free(m);
    m = NULL;
    from.glob = NULL;
    assert_int_equal(manifest_open(&from, &m, &wrong, &err), 0);
    assert_int_equal(manifest_count(m), 4);
    manifest_free(m);
    /* two sources, one target */
    write_file("in/a.vdi", "1234", 4);
    m = NULL;
    from.glob = "a.*";
    assert_int_equal(manifest_open(&from, &m, &wrong, &err), 0);
    assert_int_equal(wrong.n, 1);
    assert_non_null(strstr(wrong.text[0], "out/a.vhd' is also that of '"));
    manifest_free(m);
    m = NULL;
    from.glob = "*.nope";
    assert_int_equal(manifest_open(&from, &m, &wrong, &err), -1);
    assert_non_null(strstr(err.text, "matches '*.nope'"));
    json_decref(defaults);
}

/* ---- garbage --------------------------------------------------------------------------------- */

static void change(uint64_t *state, char *text, size_t n)
{
    static const char some[] = "{}[]\",:\\\n\r\t 0123aeu\xff\xef\xc3";
    for (unsigned i = 1 + scratch_random(state) % 6; i; i--)
        text[scratch_random(state) % n] = some[scratch_random(state) % sizeof some];
}

/* Whatever the bytes: an answer, and each record that is taken can be read again. */
static void test_garbage(void **state)
{
    (void)state;
    static const char json[] =
        "{\"source\":\"a\",\"target\":\"b\",\"options\":{\"cluster_size\":65536},\"hash\":true}\n"
        "{\"source\":\"a\",\"target\":\"c\",\"target_format\":\"qcow2\",\"compress\":true,"
        "\"backing_file\":\"b\",\"backing_format\":\"raw\",\"sparse_size\":\"64k\"}\n";
    static const char csv[] = "source,target,target_format,compress,options\r\n"
                              "a,b,qcow2,true,\"cluster_size=64k,compat=1.1\"\r\n"
                              "a,\"c\"\"d\",,,\r\n";
    uint64_t seed = 7;
    write_file("a", "1234", 4);
    for (unsigned i = 0; i < 4000; i++) {
        char text[512];
        size_t n = i % 2 ? sizeof json - 1 : sizeof csv - 1;
        memcpy(text, i % 2 ? json : csv, n);
        change(&seed, text, n);
        struct manifest *m = open_text("m", text, n - scratch_random(&seed) % 40, NULL);
        for (size_t k = 0; !wrong.n && k < manifest_count(m); k++)
            json_decref(manifest_record(m, k, &err));
        assert_false(!wrong.n && err.set);
        manifest_free(m);
    }
}

/* Bytes without any form. */
static void test_noise(void **state)
{
    (void)state;
    uint64_t seed = 3;
    for (unsigned i = 0; i < 500; i++) {
        char text[300];
        scratch_fill(&seed, text, sizeof text);
        if (i % 2)
            text[0] = '{';
        manifest_free(open_text("m", text, scratch_random(&seed) % sizeof text, NULL));
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_records),       TEST(test_empty),      TEST(test_csv),
        TEST(test_defaults),      TEST(test_chain),      TEST(test_changed),
        TEST(test_wrong_records), TEST(test_no_json),    TEST(test_wrong_together),
        TEST(test_wrong_csv),     TEST(test_many_wrong), TEST(test_long_line),
        TEST(test_listing),       TEST(test_garbage),    TEST(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
