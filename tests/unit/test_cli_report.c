/* Reports: one tree, printed as JSON and for people. Texts as qemu-img prints them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cli/report.h"
#include "cmd/info_text.h"

static char *printed(void (*print)(FILE *out, const json_t *v), const json_t *v)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    assert_non_null(out);
    print(out, v);
    fclose(out);
    return text;
}

static void human_from_1(FILE *out, const json_t *v)
{
    report_human(out, v, 1);
}

static void assert_printed(void (*print)(FILE *out, const json_t *v), json_t *v, const char *want)
{
    char *text = printed(print, v);
    assert_string_equal(text, want);
    free(text);
    json_decref(v);
}

static void json_layout(void **state)
{
    (void)state;
    assert_printed(report_json,
                   json_pack("{s:i, s:b, s:[], s:{}, s:[s, {s:s}]}", "n", 1, "yes", 1, "none",
                             "empty", "list", "a", "k", "v"),
                   "{\n"
                   "    \"n\": 1,\n"
                   "    \"yes\": true,\n"
                   "    \"none\": [\n"
                   "    ],\n"
                   "    \"empty\": {\n"
                   "    },\n"
                   "    \"list\": [\n"
                   "        \"a\",\n"
                   "        {\n"
                   "            \"k\": \"v\"\n"
                   "        }\n"
                   "    ]\n"
                   "}\n");
}

static void json_texts(void **state)
{
    (void)state;
    json_t *v = json_object();
    assert_true(report_text(v, "a", "\xc3\xa9\"\\\xc3\xbc\xf0\x9f\x98\x80"));
    assert_true(report_text(v, "b", "a\tb\x7f\x01\xff\"q\n/"));
    assert_true(report_text(v, "c", "\xed\xa0\x80|\xc0\x80|\xe2\x82"));
    assert_printed(report_json, v,
                   "{\n"
                   "    \"a\": \"\\u00E9\\\"\\\\\\u00FC\\uD83D\\uDE00\",\n"
                   "    \"b\": \"a\\tb\\u007F\\u0001\\uFFFD\\\"q\\n/\",\n"
                   "    \"c\": \"\\uFFFD|\\uFFFD\\uFFFD|\\uFFFD\"\n"
                   "}\n");
}

static void human_layout(void **state)
{
    (void)state;
    assert_printed(human_from_1,
                   json_pack("{s:s, s:b, s:[{s:[s], s:s}, {s:[], s:i}]}", "lazy-refcounts", "x y",
                             "on", 0, "bitmaps", "flags", "auto", "name", "b\xc3\xa9", "flags",
                             "granularity", 65536),
                   "    lazy refcounts: x y\n"
                   "    on: false\n"
                   "    bitmaps:\n"
                   "        [0]:\n"
                   "            flags:\n"
                   "                [0]: auto\n"
                   "            name: b\xc3\xa9\n"
                   "        [1]:\n"
                   "            flags:\n"
                   "            granularity: 65536\n");
}

static void info_for_people(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    assert_printed(info_text,
                   json_pack("{s:[{s:i, s:i, s:s, s:i, s:i, s:i, s:s, s:i}], s:I, s:s, s:i, s:s, "
                             "s:i, s:b, s:s, s:s, s:b}",
                             "snapshots", "icount", 0, "vm-clock-nsec", 123456789, "name", "second",
                             "date-sec", 1795224044, "date-nsec", 0, "vm-clock-sec", 3723, "id",
                             "2", "vm-state-size", 2048, "virtual-size", (json_int_t)10485760,
                             "filename", "d/x", "cluster-size", 65536, "format", "qcow2",
                             "actual-size", 1351680, "encrypted", 1, "full-backing-filename", "d/b",
                             "backing-filename", "b", "dirty-flag", 1),
                   "image: d/x\n"
                   "file format: qcow2\n"
                   "virtual size: 10 MiB (10485760 bytes)\n"
                   "disk size: 1.29 MiB\n"
                   "encrypted: yes\n"
                   "cluster_size: 65536\n"
                   "cleanly shut down: no\n"
                   "backing file: b (actual path: d/b)\n"
                   "Snapshot list:\n"
                   "ID        TAG               VM SIZE                DATE     VM CLOCK     ICOUNT"
                   "\n"
                   "2         second              2 KiB 2026-11-21 01:20:44 01:02:03.123          0"
                   "\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_layout),
        cmocka_unit_test(json_texts),
        cmocka_unit_test(human_layout),
        cmocka_unit_test(info_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
