/* Measuring qcow2 targets: the numbers of qemu-img measure, for many geometries and sources. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/qcow2/qcow2.h"

static struct err e;
static char folder[64];
static const struct option_def *const tables[] = {qcow2_create_options, NULL};

static void run(const char *command)
{
    if (system(command))
        fail_msg("%s", command);
}

/* "327680 67436544 0" or the error. */
static void by_qemu(const char *what, const char *list, char *out, size_t cap)
{
    char command[400];
    snprintf(command, sizeof command,
             "cd %s; qemu-img measure -O qcow2 -o %s %s 2>&1 | head -3 | sed 's/.*: //' | "
             "tr '\n' ' '",
             folder, list, what);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    out[fread(out, 1, cap - 1, f)] = '\0';
    pclose(f);
}

static void by_us(const char *list, uint64_t size, struct image *src, char *out, size_t cap)
{
    struct options *o = options_new(tables, &e);
    struct measure_result r;
    assert_int_equal(options_parse(o, list, NULL, &e), 0);
    if (qcow2_measure(o, num_up(src ? src->size : size, 512), src, &r, &e))
        snprintf(out, cap, "%.150s ", e.text);
    else if (r.has_bitmaps)
        snprintf(out, cap, "%" PRIu64 " %" PRIu64 " %" PRIu64 " ", r.required, r.fully_allocated,
                 r.bitmaps);
    else
        snprintf(out, cap, "%" PRIu64 " %" PRIu64 " ", r.required, r.fully_allocated);
    options_free(o);
}

static const char *const lists[] = {
    "cluster_size=65536",
    "cluster_size=512",
    "cluster_size=4k,refcount_bits=1",
    "cluster_size=2M,refcount_bits=64",
    "cluster_size=16k,extended_l2=on",
    "compat=0.10",
    "preallocation=metadata",
    "preallocation=falloc",
    "preallocation=full,cluster_size=1k,refcount_bits=64",
    "backing_file=x,backing_fmt=raw",
};

static void needs_qemu(void)
{
    if (system("qemu-img --version >/dev/null 2>&1")) {
        print_message("qemu-img is not installed\n");
        skip();
    }
}

static void sizes(void **state)
{
    (void)state;
    needs_qemu();
    const char *const texts[] = {"0", "512", "1000", "1M", "33M", "1G", "100G", "1T", "100T", "7E"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
            char what[40], qemu[200], us[200];
            uint64_t size;
            assert_int_equal(size_parse(texts[i], &size), 0);
            snprintf(what, sizeof what, "--size %s", texts[i]);
            by_qemu(what, lists[k], qemu, sizeof qemu);
            by_us(lists[k], size, NULL, us, sizeof us);
            if (strcmp(qemu, us) != 0)
                fail_msg("%s -o %s: %s, qemu-img: %s", texts[i], lists[k], us, qemu);
        }
}

static void sources(void **state)
{
    (void)state;
    needs_qemu();
    if (!format_find("qcow2")) {
        print_message("qcow2 is not registered\n");
        skip();
    }
    const char *const makes[][2] = {
        {"empty.qcow2", "qemu-img create -q -f qcow2 empty.qcow2 3M"},
        {"data.qcow2", "qemu-img create -q -f qcow2 -o cluster_size=4k data.qcow2 9M; "
                       "qemu-io -c 'write 0 1' -c 'write 60k 12k' -c 'write 1M 300k' "
                       "-c 'write 9200k 7k' data.qcow2 >/dev/null"},
        {"packed.qcow2", "qemu-img convert -c -O qcow2 data.qcow2 packed.qcow2"},
        {"over.qcow2", "qemu-img create -q -f qcow2 -b packed.qcow2 -F qcow2 over.qcow2 20M; "
                       "qemu-io -c 'write 512k 8k' -c 'write -z 0 64k' -c 'write 15M 1k' "
                       "over.qcow2 >/dev/null"},
        {"reserved.qcow2", "qemu-img create -q -f qcow2 -o preallocation=metadata reserved.qcow2 "
                           "4M; qemu-io -c 'write 1M 1M' reserved.qcow2 >/dev/null"},
        {"full.qcow2", "qemu-img create -q -f qcow2 -o preallocation=full full.qcow2 4M"},
        {"old.qcow2", "qemu-img create -q -f qcow2 -o compat=0.10 old.qcow2 4M"},
        {"marked.qcow2", "qemu-img create -q -f qcow2 marked.qcow2 40G; "
                         "qemu-img bitmap --add marked.qcow2 one; "
                         "qemu-img bitmap --add -g 512 marked.qcow2 another.one"},
    };
    for (size_t i = 0; i < ARRAY_LEN(makes); i++) {
        char command[600], path[200];
        snprintf(command, sizeof command, "cd %s; %s", folder, makes[i][1]);
        run(command);
        snprintf(path, sizeof path, "%s/%s", folder, makes[i][0]);
        const struct image_flags flags = {.driver = "qcow2"};
        struct image *img = NULL;
        if (image_open_name(path, &flags, &img, &e))
            fail_msg("%s", e.text);
        for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
            char qemu[200], us[200];
            by_qemu(makes[i][0], lists[k], qemu, sizeof qemu);
            by_us(lists[k], 0, img, us, sizeof us);
            if (strcmp(qemu, us) != 0)
                fail_msg("%s -o %s: %s, qemu-img: %s", makes[i][0], lists[k], us, qemu);
        }
        image_close(img, &e);
    }
}

static void refusals(void **state)
{
    (void)state;
    const char *const cases[][2] = {
        {"compat=9", "Invalid compatibility level: '9' "},
        {"preallocation=foo", "invalid parameter value: foo "},
        {"cluster_size=3", "Cluster size must be a power of two between 512 and 2048k "},
        {"refcount_bits=3", "Refcount width must be a power of two and may not exceed 64 bits "},
        {"encrypt.format=luks", "Parameter 'encrypt.key-secret' is required for cipher "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char us[300];
        by_us(cases[i][0], GIB, NULL, us, sizeof us);
        assert_string_equal(us, cases[i][1]);
    }
}

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/test_qcow2_measure_XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(sources),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
