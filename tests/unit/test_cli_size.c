/* Sizes: what is said of bad ones, how good ones are shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/num.h"
#include "cli/size.h"

#define MALFORMED                                                                                  \
    "Invalid image size specified. You may use k, M, G, T, P or E suffixes for\n"                  \
    "kilobytes, megabytes, gigabytes, terabytes, petabytes and exabytes."
#define RANGE "Invalid image size specified. Must be between 0 and 9223372036854775807."

static void good_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t size;
    } cases[] = {
        {"0", 0},
        {"1", 1},
        {"1b", 1},
        {"1k", 1024},
        {"1.5k", 1536},
        {"1.1k", 1126},
        {"+1", 1},
        {" 1", 1},
        {"010", 10},
        {"0x400", 1024},
        {"0x400k", MIB},
        {"1.k", 1024},
        {"7E", 7ull << 60},
        {"1t", TIB},
        {"0.5M", MIB / 2},
        {"1P", 1ull << 50},
        {"9223372036854775807", INT64_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        uint64_t size = 42;
        assert_int_equal(size_operand(cases[i].text, "image size", &size, &e), 0);
        assert_int_equal(size, cases[i].size);
    }
}

static void bad_sizes(void **state)
{
    (void)state;
    static const char *const malformed[] = {"",     "x",  "1x",     "1KB", "1.5", "-1",
                                            "1e3k", ".k", "0x1.8k", "k",   "1 k", "1.5b"};
    static const char *const range[] = {"8E", "9E", "20E", "9223372036854775808",
                                        "99999999999999999999999"};
    struct err e = ERR_INIT;
    uint64_t size;
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++) {
        assert_int_equal(size_operand(malformed[i], "image size", &size, &e), -1);
        assert_string_equal(e.text, MALFORMED);
    }
    for (size_t i = 0; i < ARRAY_LEN(range); i++) {
        assert_int_equal(size_operand(range[i], "image size", &size, &e), -1);
        assert_string_equal(e.text, RANGE);
    }
}

static void counts(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "0", "17", "-1", "x", "1k", "1.5", " 3", "+3"};
    struct err e = ERR_INIT;
    uint64_t n;
    assert_int_equal(size_count("16", "count", 1, 16, &n, &e), 0);
    assert_int_equal(n, 16);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_int_equal(size_count(bad[i], "count", 1, 16, &n, &e), -1);
        assert_string_equal(e.text, "Invalid count specified. Must be between 1 and 16.");
    }
}

/* Texts seen on qemu-img. */
static void human_sizes(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *text;
    } cases[] = {
        {0, "0 B"},
        {999, "999 B"},
        {1000, "0.977 KiB"},
        {1024, "1 KiB"},
        {1022976, "999 KiB"},
        {1023488, "1e+03 KiB"},
        {1024000, "0.977 MiB"},
        {1048064, "1 MiB"},
        {1351680, "1.29 MiB"},
        {1048156672, "1e+03 MiB"},
        {8070450532247928832, "7 EiB"},
        {UINT64_MAX, "16 EiB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[SIZE_HUMAN_MAX];
        size_human(cases[i].size, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_sizes),
        cmocka_unit_test(bad_sizes),
        cmocka_unit_test(counts),
        cmocka_unit_test(human_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
