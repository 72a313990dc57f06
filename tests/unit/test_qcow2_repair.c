/* Repairs of qcow2 images, seen from inside: an image that was not closed is repaired when it is
 * opened for writing; what is no L2 table is not written to as one; a window that is smaller than
 * the file leads to the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "flow/create.h"
#include "formats/format.h"
#include "formats/qcow2/qcow2.h"
#include "image/edit.h"

#define SIZE (4 * MIB)

static char path[64];
static char told[65536];

static void must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

static void tell(void *ctx, const char *text)
{
    (void)ctx;
    strncat(told, text, sizeof told - strlen(told) - 2);
    strcat(told, "\n");
}

static const struct check_sink sink = {.line = tell, .memory = 64 * MIB};

static struct image *open_image(bool write, bool check)
{
    struct err e = ERR_INIT;
    struct image *img;
    const struct image_flags flags = {
        .write = write, .check = check, .driver = "qcow2", .repairs = &sink};
    must(image_open_name(path, &flags, &img, &e), &e);
    return img;
}

static void close_image(struct image *img)
{
    struct err e = ERR_INIT;
    must(image_close(img, &e), &e);
}

static void fill(uint64_t guest, size_t len, uint8_t value)
{
    struct err e = ERR_INIT;
    struct image *img = open_image(true, false);
    struct edit *d;
    uint8_t *buf = malloc(len);
    memset(buf, value, len);
    must(edit_begin(img, &d, &e), &e);
    must(edit_write(d, guest, buf, len, &e), &e);
    must(edit_end(d, &e), &e);
    free(buf);
    close_image(img);
}

/* An image with some data, clusters of 4 KiB; refcounts in its second cluster but one. */
static void make(const char *text)
{
    struct err e = ERR_INIT;
    const struct option_def *const tables[] = {qcow2_create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    must(options_parse(o, text, NULL, &e), &e);
    must(options_set(o, "size", "4194304", &e), &e);
    const struct create_options run = {.path = path, .format = &format_qcow2, .options = o};
    must(create_run(&run, &e), &e);
    options_free(o);
    fill(0, 300000, 1);
    fill(2 * MIB, 300000, 2);
}

static void patch(uint64_t at, const void *bytes, size_t n)
{
    FILE *f = fopen(path, "r+");
    fseek(f, (long)at, SEEK_SET);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    fclose(f);
}

static void patch_word(uint64_t at, uint64_t word)
{
    uint8_t b[8];
    be64_store(b, word);
    patch(at, b, 8);
}

static uint64_t word(uint64_t at)
{
    uint8_t b[8] = {0};
    FILE *f = fopen(path, "r");
    fseek(f, (long)at, SEEK_SET);
    assert_int_equal(fread(b, 1, 8, f), 8);
    fclose(f);
    return be64_load(b);
}

static struct check_result check(enum check_fix fix, uint64_t memory)
{
    struct err e = ERR_INIT;
    struct check_result r = {0};
    const struct check_sink s = {.line = tell, .memory = memory};
    struct image *img = open_image(fix, true);
    must(img->format->check(img, fix, &s, &r, &e), &e);
    close_image(img);
    return r;
}

static void clean(void)
{
    struct check_result r = check(CHECK_FIX_NONE, 64 * MIB);
    assert_int_equal(r.corruptions, 0);
    assert_int_equal(r.leaks, 0);
    assert_int_equal(r.check_errors, 0);
}

static uint8_t guest_byte(uint64_t guest)
{
    struct err e = ERR_INIT;
    struct image *img = open_image(false, false);
    struct image_reader *r = image_reader_new(&e);
    uint8_t byte;
    must(image_read(r, img, guest, 1, &byte, &e), &e);
    image_reader_free(r);
    close_image(img);
    return byte;
}

/* ---- not closed ------------------------------------------------------------------------------ */

static void dirty_is_repaired(void **state)
{
    static const uint8_t zeros[40];
    (void)state;
    make("cluster_size=4k,lazy_refcounts=on");
    uint64_t block = word(word(48));
    patch(block + 20, zeros, sizeof zeros); /* counts that never came to storage */
    patch_word(72, QCOW2_INCOMPAT_DIRTY);
    told[0] = 0;
    close_image(open_image(false, false));
    assert_string_equal(told, "");
    assert_int_equal(word(72), QCOW2_INCOMPAT_DIRTY);

    fill(3 * MIB, 100000, 3);
    assert_non_null(strstr(told, "Rebuilding refcount structure\n"));
    assert_int_equal(word(72), 0);
    clean();
    assert_int_equal(guest_byte(299999), 1);
    assert_int_equal(guest_byte(2 * MIB), 2);
    assert_int_equal(guest_byte(3 * MIB), 3);
}

static void clean_is_left_alone(void **state)
{
    (void)state;
    make("cluster_size=4k,lazy_refcounts=on");
    patch_word(72, QCOW2_INCOMPAT_DIRTY);
    told[0] = 0;
    close_image(open_image(true, false));
    assert_string_equal(told, "");
    assert_int_equal(word(72), 0);
    clean();
}

static void corrupt_is_refused(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct image *img;
    const struct image_flags flags = {.write = true, .driver = "qcow2"};
    make("cluster_size=4k");
    patch_word(72, QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT);
    assert_int_equal(image_open_name(path, &flags, &img, &e), -1);
    assert_int_equal(word(72), QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT);
}

/* ---- what is no table ------------------------------------------------------------------------ */

/* The second L1 entry leads to something that is no L2 table: no flag is set or cleared there. */
static void no_table(uint64_t host)
{
    uint8_t before[4096], after[4096];
    make("cluster_size=4k");
    FILE *f = fopen(path, "r");
    fseek(f, (long)host, SEEK_SET);
    memset(before, 0, sizeof before);
    assert_true(fread(before, 1, sizeof before, f) > 0);
    fclose(f);
    patch_word(word(40) + 8, host | QCOW2_COPIED);
    check(CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, 64 * MIB);
    f = fopen(path, "r");
    fseek(f, (long)host, SEEK_SET);
    memset(after, 0, sizeof after);
    assert_true(fread(after, 1, sizeof after, f) > 0);
    fclose(f);
    for (size_t i = 0; i < sizeof after; i += 8) /* counts and table entries may change as such */
        if (host == 0 && i >= 104)
            assert_memory_equal(after + i, before + i, 8);
        else if (host)
            assert_int_equal(be64_load(after + i) >> 63, be64_load(before + i) >> 63);
    assert_int_equal(guest_byte(0), 1);
}

static void only_tables_are_written(void **state)
{
    (void)state;
    make("cluster_size=4k");
    uint64_t block = word(word(48));
    no_table(0);
    no_table(block);
}

/* ---- windows --------------------------------------------------------------------------------- */

static char *content(size_t *n)
{
    FILE *f = fopen(path, "r");
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *b = malloc(*n);
    assert_int_equal(fread(b, 1, *n, f), *n);
    fclose(f);
    return b;
}

/* More clusters than the least window has. */
static void windows_are_as_one(void **state)
{
    (void)state;
    size_t n[2];
    char *b[2];
    struct check_result r[2];
    for (int i = 0; i < 2; i++) {
        make("cluster_size=512,refcount_bits=64");
        fill(MIB, 1500000, 4);
        fill(3 * MIB, 1000000, 5);
        uint64_t reftable = word(48);
        patch_word(reftable + 8 * 3, 0);
        patch_word(word(reftable + 8 * 100) + 24, 7);
        r[i] = check(CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, i ? 1 : 64 * MIB);
        clean();
        b[i] = content(&n[i]);
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(b[0], b[1], n[0]);
    assert_memory_equal(&r[0], &r[1], sizeof r[0]);
    assert_true(r[0].corruptions_fixed > 60);
    free(b[0]);
    free(b[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dirty_is_repaired),  cmocka_unit_test(clean_is_left_alone),
        cmocka_unit_test(corrupt_is_refused), cmocka_unit_test(only_tables_are_written),
        cmocka_unit_test(windows_are_as_one),
    };
    snprintf(path, sizeof path, "/tmp/mpi-img-repair.%d", (int)getpid());
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return rc;
}
