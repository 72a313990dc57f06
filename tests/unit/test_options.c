/* Option lists and sizes: what is taken, and the words of every refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/options.h"

static const struct option_def format_table[] = {
    {"encryption", OPTION_BOOL, "help", NULL},
    {"cluster_size", OPTION_SIZE, "help", "65536"},
    {"size", OPTION_SIZE, "help", NULL},
    {"compat", OPTION_STR, "help", NULL},
    {"lazy_refcounts", OPTION_BOOL, "help", "off"},
    {"refcount_bits", OPTION_NUM, "help", "16"},
    {NULL, OPTION_STR, NULL, NULL},
};
static const struct option_def protocol_table[] = {
    {"size", OPTION_SIZE, "shadowed", "7"},
    {"nocow", OPTION_BOOL, "help", NULL},
    {NULL, OPTION_STR, NULL, NULL},
};
static const struct option_def *const tables[] = {format_table, protocol_table, NULL};

static char warned[200];
static void note_warning(const char *text)
{
    strcpy(warned, text);
}

/* What the Formatting line would show, or the error (and "|hint"). */
static const char *outcome(const char *list)
{
    static char out[ERR_TEXT_MAX + ERR_HINT_MAX];
    static struct err e;
    err_clear(&e);
    warned[0] = '\0';
    struct options *o = options_new(tables, &e);
    assert_non_null(o);
    out[0] = '\0';
    if (options_parse(o, list, note_warning, &e)) {
        strcpy(out, e.text);
        if (e.hint[0])
            strcat(strcat(out, "|"), e.hint);
    } else {
        size_t at = 0;
        const char *name, *value;
        while (options_next(o, &at, &name, &value))
            strcat(strcat(strcat(strcat(out, name), "="), value), " ");
    }
    options_free(o);
    return out;
}

static void lists_as_shown(void **state)
{
    (void)state;
    const char *const cases[][2] = {
        {"size=1.5M", "cluster_size=65536 size=1572864 lazy_refcounts=off refcount_bits=16 "},
        {"lazy_refcounts", "cluster_size=65536 lazy_refcounts=on refcount_bits=16 "},
        {"nolazy_refcounts", "cluster_size=65536 lazy_refcounts=off refcount_bits=16 "},
        {"lazy_refcounts=y", "cluster_size=65536 lazy_refcounts=y refcount_bits=16 "},
        {"nonocow", "cluster_size=65536 lazy_refcounts=off refcount_bits=16 nocow=off "},
        {"compat=1,,1", "cluster_size=65536 compat=1,,1 lazy_refcounts=off refcount_bits=16 "},
        {"compat", "cluster_size=65536 compat=on lazy_refcounts=off refcount_bits=16 "},
        {"compat=a,compat=b", "cluster_size=65536 compat=b lazy_refcounts=off refcount_bits=16 "},
        {"compat=v3,,,lazy_refcounts=on",
         "cluster_size=65536 compat=v3,, lazy_refcounts=on refcount_bits=16 "},
        {"refcount_bits=010", "cluster_size=65536 lazy_refcounts=off refcount_bits=8 "},
        {"refcount_bits=-1", "cluster_size=65536 lazy_refcounts=off refcount_bits=-1 "},
        {"cluster_size=0x40k", "cluster_size=65536 lazy_refcounts=off refcount_bits=16 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(outcome(cases[i][0]), cases[i][1]);
    assert_string_equal(warned, "Using a multiplier suffix on hex numbers is deprecated: 0x40k");
}

static void refusals(void **state)
{
    (void)state;
    const char *const cases[][2] = {
        {"foo=1", "Invalid parameter 'foo'"},
        {"nofoo", "Invalid parameter 'foo'"},
        {"nocow", "Invalid parameter 'cow'"},
        {"=1", "Invalid parameter ''"},
        {"com,,pat=v3", "Invalid parameter 'com'"},
        {"compat=v3, size=1", "Invalid parameter ' size'"},
        {"lazy_refcounts=ON", "Parameter 'lazy_refcounts' expects 'on' or 'off'"},
        {"refcount_bits=16k", "Parameter 'refcount_bits' expects a number"},
        {"refcount_bits=", "Parameter 'refcount_bits' expects a number"},
        {"refcount_bits=99999999999999999999",
         "Value '99999999999999999999' is too large for parameter 'refcount_bits'"},
        {"size=20E", "Value '20E' is out of range for parameter 'size'"},
        {"cluster_size", "Parameter 'cluster_size' expects a non-negative number below 2^64"
                         "|Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, "
                         "peta-\nand exabytes, respectively."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(outcome(cases[i][0]), cases[i][1]);
}

static void help_and_legal_lists(void **state)
{
    (void)state;
    const char *const help[] = {"help", "?", "a=1,help", "foo=1,help", "help,,", "a,?"};
    const char *const no_help[] = {"help=1", "a=1,,help", "helpx", "?=1", "a=help"};
    for (size_t i = 0; i < ARRAY_LEN(help); i++)
        assert_true(options_want_help(help[i]));
    for (size_t i = 0; i < ARRAY_LEN(no_help); i++)
        assert_false(options_want_help(no_help[i]));
    const char *const bad[] = {"", ",a=b", "a=b,", "a=b,,,", ",,", ","};
    const char *const good[] = {"a", "a=b,,", "a,b", "=", "a=b,,,,"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(options_list_ok(bad[i]));
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(options_list_ok(good[i]));
}

static void values_and_defaults(void **state)
{
    (void)state;
    static struct err e;
    struct options *o = options_new(tables, &e);
    assert_int_equal(options_size(o, "cluster_size", 1), 65536);
    assert_int_equal(options_size(o, "refcount_bits", 1), 16);
    assert_int_equal(options_size(o, "size", 5), 5);
    assert_null(options_str(o, "compat", NULL));
    assert_false(options_bool(o, "lazy_refcounts", true));
    assert_true(options_bool(o, "encryption", true));
    assert_false(options_given(o, "cluster_size"));
    assert_int_equal(options_set(o, "cluster_size", "4k", &e), 0);
    assert_true(options_given(o, "cluster_size"));
    assert_int_equal(options_size(o, "cluster_size", 1), 4096);
    assert_int_equal(options_size(NULL, "cluster_size", 3), 3);
    options_free(o);
    options_free(NULL);
}

static void sizes(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int rc;
        uint64_t value;
    } cases[] = {
        {"0", 0, 0},
        {"1.", 0, 1},
        {"1.k", 0, 1024},
        {"1.5k", 0, 1536},
        {"1.1k", 0, 1126},
        {"1.0", 0, 1},
        {"0.0004k", 0, 0},
        {"0.0005k", 0, 1},
        {"1.00048828125k", 0, 1025},
        {"123.456789G", 0, 132560717806},
        {"1.5E", 0, UINT64_C(1729382256910270464)},
        {"1.5P", 0, UINT64_C(1688849860263936)},
        {" 5k", 0, 5120},
        {"+5k", 0, 5120},
        {"0xfb", 0, 251},
        {"0X10", 0, 16},
        {"0x400k", 0, 1048576},
        {"010", 0, 10},
        {"18446744073709551615", 0, UINT64_MAX},
        {"18446744073709551616", -ERANGE, 0},
        {"18014398509481984k", -ERANGE, 0},
        {"16E", -ERANGE, 0},
        {"20E", -ERANGE, 0},
        {"9999999999999999999999", -ERANGE, 0},
        {"9999999999999999999999x", -EINVAL, 0},
        {"", -EINVAL, 0},
        {"k", -EINVAL, 0},
        {".5k", -EINVAL, 0},
        {"1.5", -EINVAL, 0},
        {"1.5b", -EINVAL, 0},
        {"1e3k", -EINVAL, 0},
        {"1KB", -EINVAL, 0},
        {"0x", -EINVAL, 0},
        {"0x1.8k", -EINVAL, 0},
        {"+ 5k", -EINVAL, 0},
        {"5k ", -EINVAL, 0},
        {"-0", -EINVAL, 0},
        {"- 1", -EINVAL, 0},
        {"+-1", -EINVAL, 0},
        {"0x-1", -EINVAL, 0},
        {"1..5k", -EINVAL, 0},
        {"1.-5k", -EINVAL, 0},
        {"nan", -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t v = 0;
        int rc = size_parse(cases[i].text, &v);
        if (rc != cases[i].rc || (!rc && v != cases[i].value))
            fail_msg("size_parse(\"%s\") = %d, %llu", cases[i].text, rc, (unsigned long long)v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_as_shown),
        cmocka_unit_test(refusals),
        cmocka_unit_test(help_and_legal_lists),
        cmocka_unit_test(values_and_defaults),
        cmocka_unit_test(sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
