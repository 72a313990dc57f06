/* --safe: which checks an image has to pass, what is told of them, and that the gate is shut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/format.h"
#include "formats/safety.h"
#include "image/gate.h"
#include "image/inspect.h"
#include "io/memory.h"

#define HEAD 4096u

/* The name of the check that a file of these bytes fails as `format`; "" = none. */
static const char *failed_check(const uint8_t *bytes, size_t n, const struct format *format,
                                bool named)
{
    static char name[64];
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(memory_new("m", bytes, n, &f, &e), 0);
    name[0] = '\0';
    if (inspect_file(f, format, named, NULL, &e))
        assert_int_equal(sscanf(e.text, "Safety check '%63[^']' failed: ", name), 1);
    file_cleanup(&f);
    return name;
}

static void qcow2_head(uint8_t *head)
{
    memset(head, 0, HEAD);
    be32_store(head, 0x514649fb);
    be32_store(head + 4, 3);
    be32_store(head + 20, 16);
    be32_store(head + 100, 104);
}

static void qcow2_header_is_looked_at_first(void **state)
{
    (void)state;
    static const struct {
        unsigned at;
        uint8_t value;
        const char *check;
    } rows[] = {
        {15, 1, "qcow2.backing-file"},
        {8, 0x80, "qcow2.backing-file"},
        {79, 4, "qcow2.data-file"},
        {79, 0x20, "qcow2.unknown-features"},
        {72, 0x80, "qcow2.unknown-features"},
        {7, 4, "qcow2.version"},
        {7, 255, "qcow2.version"},
        {79, 3, ""},
        {79, 8, ""},
        {79, 16, ""},
    };
    uint8_t head[HEAD];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        qcow2_head(head);
        head[rows[i].at] = rows[i].value;
        assert_string_equal(failed_check(head, HEAD, &format_qcow2, true), rows[i].check);
    }
    qcow2_head(head);
    head[79] = 16;
    assert_string_equal(failed_check(head, HEAD, &format_qcow2, false), "qcow2.extended-l2");
}

/* A file that ends anywhere is looked at as far as it goes. */
static void short_files_are_no_trouble(void **state)
{
    (void)state;
    uint8_t head[HEAD];
    qcow2_head(head);
    for (size_t n = 0; n <= 600; n++)
        for (const struct format *const *f = format_all; *f; f++)
            failed_check(head, n, *f, n % 2);
    memcpy(head, "KDMV\1\0\0\0", 8);
    memset(head + 8, 0xff, HEAD - 8); /* everything as large as it gets, a footer too */
    for (size_t n = 0; n <= HEAD; n += 7)
        assert_string_not_equal(failed_check(head, n, &format_vmdk, true), "");
}

static void every_signature_is_one_too_many(void **state)
{
    (void)state;
    static const char *const heads[] = {"QFI\xfb", "QED", "KDMV", "COWD", "vhdxfile", "conectix"};
    uint8_t head[HEAD] = {0};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        memset(head, 0, HEAD);
        memcpy(head, heads[i], strlen(heads[i]));
        assert_string_equal(failed_check(head, HEAD, &format_raw, true), "format-single");
        assert_string_equal(failed_check(head, HEAD, &format_raw, false), "format-single");
    }
    memset(head, 0, HEAD);
    assert_string_equal(failed_check(head, HEAD, &format_raw, false), "");
    assert_string_equal(failed_check(head, HEAD, &format_vdi, true), "format-match");
    le32_store(head + 64, 0xbeda107f);
    assert_string_equal(failed_check(head, HEAD, &format_vdi, true), "");
    head[510] = 0x55;
    head[511] = 0xaa;
    assert_string_equal(failed_check(head, HEAD, &format_vdi, true), "format-single");
}

static void rare_formats_are_to_be_named(void **state)
{
    (void)state;
    uint8_t head[HEAD] = "QED";
    assert_string_equal(failed_check(head, HEAD, &format_qed, false), "format-named");
    assert_string_equal(failed_check(head, HEAD, &format_qed, true), "");
}

static struct image *opened(const struct image_flags *flags, size_t n, struct err *e)
{
    static const uint8_t zeros[HEAD];
    struct file *f = NULL;
    struct image *img = NULL;
    err_clear(e);
    assert_int_equal(memory_new("m", zeros, n, &f, e), 0);
    image_open_take_file(f, NULL, flags, &img, e);
    return img;
}

static void size_counts_with_and_without(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    for (int on = 0; on < 2; on++) {
        struct image_flags flags = {.driver = "raw", .safety = {.on = on, .max_size = 2048}};
        struct image *img = opened(&flags, 2048, &e);
        assert_non_null(img);
        image_cleanup(&img);
        assert_null(opened(&flags, 2049, &e));
        assert_non_null(strstr(e.text, "Safety check 'virtual-size' failed: "));
    }
    const struct safety_rules none = {.on = true}, some = {.max_size = 10};
    assert_int_equal(inspect_size(&none, UINT64_MAX, &e), 0);
    assert_int_equal(inspect_size(&some, 10, &e), 0);
    assert_int_equal(inspect_size(&some, 11, &e), -1);
}

/* Each check once, in order, those after one that failed too. */
static void all_checks_are_told(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    json_t *told = json_array();
    struct image_flags flags = {.driver = "raw", .safety = {.on = true, .told = told}};
    struct image *img = opened(&flags, 2048, &e);
    assert_non_null(img);
    image_cleanup(&img);
    assert_int_equal(json_array_size(told), 6);
    flags.safety.max_size = 1;
    assert_null(opened(&flags, 2048, &e));
    assert_int_equal(json_array_size(told), 12);
    json_t *last = json_array_get(told, 11);
    assert_string_equal(json_string_value(json_object_get(last, "check")), "virtual-size");
    assert_true(json_is_false(json_object_get(last, "passed")));
    assert_non_null(json_string_value(json_object_get(last, "reason")));
    json_decref(told);
}

static void gate_is_shut(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct image img = {.name = "img", .flags.safety.on = true};
    setenv("MPI_IMG_TRUST_NAMES", "1", 1);
    assert_int_equal(gate_backing(&img, "plain", &e), -1);
    assert_non_null(strstr(e.text, "Safety check 'second-file' failed: 'img'"));
    err_clear(&e);
    assert_int_equal(gate_member(&img, "plain", &e), -1);
    assert_non_null(strstr(e.text, "'second-file'"));
    err_clear(&e);
    img.flags.safety.on = false;
    assert_int_equal(gate_backing(&img, "plain", &e), 0);
    assert_int_equal(gate_member(&img, "plain", &e), 0);
    unsetenv("MPI_IMG_TRUST_NAMES");
}

/* Programs go by the names: no two are the same, and each says what it is about. */
static void names_are_unique(void **state)
{
    (void)state;
    const char *seen[64];
    size_t n = 0;
    const struct safety_check *lists[32] = {safety_common};
    size_t n_lists = 1;
    for (const struct format *const *f = format_all; *f; f++)
        if ((*f)->safety)
            lists[n_lists++] = (*f)->safety;
    for (size_t l = 0; l < n_lists; l++)
        for (const struct safety_check *c = lists[l]; c->name; c++) {
            for (size_t i = 0; i < n; i++)
                assert_string_not_equal(seen[i], c->name);
            assert_true(c->help && *c->help);
            assert_true(n < ARRAY_LEN(seen));
            seen[n++] = c->name;
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qcow2_header_is_looked_at_first),
        cmocka_unit_test(short_files_are_no_trouble),
        cmocka_unit_test(every_signature_is_one_too_many),
        cmocka_unit_test(rare_formats_are_to_be_named),
        cmocka_unit_test(size_counts_with_and_without),
        cmocka_unit_test(all_checks_are_told),
        cmocka_unit_test(gate_is_shut),
        cmocka_unit_test(names_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
