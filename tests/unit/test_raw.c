/* raw: what it maps, how large it is, how it is made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/format.h"
#include "formats/writer.h"
#include "io/memory.h"

static struct file *new_file(const void *data, size_t len)
{
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(memory_new("m", data, len, &f, &e), 0);
    f->opt.write = true;
    return f;
}

/* Opened by the driver alone, on `f`, with the options of `spec`. */
static int open_raw(struct image *img, struct file *f, const char *spec, struct err *e)
{
    *img = (struct image){.format = &format_raw, .file = f};
    img->spec = json_loads(spec, 0, NULL);
    return format_raw.open(img, e);
}

static void close_raw(struct image *img)
{
    if (img->state)
        format_raw.close(img);
    json_decref(img->spec);
}

static void size_is_in_sectors(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct image img;
    for (size_t len = 0; len < 1100; len += 100) {
        struct file *f = new_file("", 0);
        assert_int_equal(file_truncate(f, len, &e), 0);
        assert_int_equal(open_raw(&img, f, "{}", &e), 0);
        assert_int_equal(img.size, num_up(len, 512));
        close_raw(&img);
        file_cleanup(&f);
    }
}

static void tail_and_holes_are_zeros_with_a_place(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct extent x;
    struct image img;
    struct file *f = new_file("abc", 3);
    assert_int_equal(file_truncate(f, MIB + 100, &e), 0);
    assert_int_equal(file_write(f, "x", 1, MIB, &e), 0);
    assert_int_equal(open_raw(&img, f, "{}", &e), 0);
    assert_int_equal(image_map(&img, 0, img.size, &x, &e), 0);
    assert_int_equal(x.kind, EXTENT_DATA);
    uint64_t at = x.length;
    assert_int_equal(image_map(&img, at, img.size - at, &x, &e), 0);
    assert_int_equal(x.kind, EXTENT_ZERO);
    assert_true(x.has_host);
    assert_int_equal(x.host, at);
    assert_int_equal(x.guest + x.length, MIB);
    assert_int_equal(image_map(&img, MIB, img.size - MIB, &x, &e), 0);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.length, 100);
    assert_int_equal(image_map(&img, MIB + 100, 412, &x, &e), 0);
    assert_int_equal(x.kind, EXTENT_ZERO);
    assert_int_equal(x.length, 412);
    close_raw(&img);
    file_cleanup(&f);
}

static void windows(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct image img;
    struct extent x;
    struct file *f = new_file("", 0);
    assert_int_equal(file_truncate(f, 10240, &e), 0);
    assert_int_equal(open_raw(&img, f, "{\"offset\":\"1k\",\"size\":2048}", &e), 0);
    assert_int_equal(img.size, 2048);
    assert_int_equal(image_map(&img, 512, 1024, &x, &e), 0);
    assert_int_equal(x.host, 1536);
    close_raw(&img);
    assert_int_equal(open_raw(&img, f, "{\"offset\":1}", &e), 0);
    assert_int_equal(img.size, 10240);
    close_raw(&img);
    static const char *const bad[][2] = {
        {"{\"size\":1}", "Specified size is not multiple of 512"},
        {"{\"offset\":20480}",
         "Offset (20480) cannot be greater than size of the containing file (10240)"},
        {"{\"offset\":512,\"size\":10240}",
         "The sum of offset (512) and size (10240) has to be smaller or equal to the  actual size "
         "of the containing file (10240)"},
        {"{\"offset\":512,\"size\":\"18446744073709551104\"}",
         "The sum of offset (512) and size (18446744073709551104) has to be smaller or equal to "
         "the  actual size of the containing file (10240)"},
        {"{\"size\":\"x\"}", "Parameter 'size' expects a non-negative number below 2^64"},
        {"{\"size\":-1}", "Parameter 'size' expects a non-negative number below 2^64"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(open_raw(&img, f, bad[i][0], &e), -1);
        assert_string_equal(e.text, bad[i][1]);
        close_raw(&img);
    }
    file_cleanup(&f);
}

/* ---- making ---------------------------------------------------------------------------------- */

static const struct option_def *tables[3];

static struct options *new_options(const char *text)
{
    struct err e = ERR_INIT;
    tables[0] = format_raw.create_options;
    tables[1] = file_create_options;
    struct options *o = options_new(tables, &e);
    assert_non_null(o);
    assert_int_equal(options_parse(o, text, NULL, &e), 0);
    return o;
}

static int make(const char *text, uint64_t size, struct file *f, struct err *e)
{
    struct options *o = new_options(text);
    const struct writer_params p = {.options = o, .size = size, .file = f, .first = true};
    struct writer *w = NULL;
    struct cursor c;
    int rc = format_raw.writer->open(&p, &w, e);
    if (!rc) {
        assert_true(w->in_place && w->data_file == f && w->chunk_size);
        format_raw.writer->begin(w, &c);
        rc = format_raw.writer->finish(w, &c, NULL, e);
        format_raw.writer->free(w);
    }
    options_free(o);
    return rc;
}

static void made_as_asked(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = new_file("", 0);
    assert_int_equal(make("size=1000", 1024, f, &e), 0);
    assert_int_equal(file_size(f), 1024);
    assert_int_equal(make("size=4096", 4096, f, &e), 0);
    assert_int_equal(file_size(f), 4096);
    assert_int_equal(make("", 8192, f, &e), 0);
    assert_int_equal(file_size(f), 8192);
    assert_int_equal(make("size=1000,preallocation=full", 1024, f, &e), 0);
    assert_int_equal(file_size(f), 1024);
    file_cleanup(&f);
    f = new_file("", 0);
    assert_int_equal(make("size=1M,preallocation=full", MIB, f, &e), 0);
    assert_int_equal(file_size(f), MIB);
    assert_true(file_allocated(f) >= (int64_t)MIB);
    assert_int_equal(make("preallocation=metadata", 512, f, &e), -1);
    assert_string_equal(e.text, "Unsupported preallocation mode: metadata");
    assert_int_equal(make("preallocation=foo", 512, f, &e), -1);
    assert_string_equal(e.text, "invalid parameter value: foo");
    file_cleanup(&f);
}

static void measured(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct measure_result m = {0};
    struct options *o = new_options("");
    assert_int_equal(format_raw.measure(o, 1000, NULL, &m, &e), 0);
    assert_int_equal(m.required, 1024);
    assert_int_equal(m.fully_allocated, 1024);
    const struct image src = {.size = 8192};
    assert_int_equal(format_raw.measure(o, 0, (struct image *)&src, &m, &e), 0);
    assert_int_equal(m.required, 8192);
    options_free(o);
}

static void raw_is_the_last_resort(void **state)
{
    (void)state;
    const uint8_t zeros[512] = {0};
    assert_ptr_equal(format_probe(zeros, sizeof zeros, "x"), &format_raw);
    assert_ptr_equal(format_probe(zeros, 0, "x"), &format_raw);
    assert_ptr_equal(format_find("raw"), &format_raw);
    assert_null(format_find("foo"));
    for (size_t i = 1; format_all[i]; i++)
        assert_true(strcmp(format_all[i - 1]->name, format_all[i]->name) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_is_in_sectors),
        cmocka_unit_test(tail_and_holes_are_zeros_with_a_place),
        cmocka_unit_test(windows),
        cmocka_unit_test(made_as_asked),
        cmocka_unit_test(measured),
        cmocka_unit_test(raw_is_the_last_resort),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
