/* Which server and export a node means, and what is said of one that means none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "io/file_ops.h"
#include "io/keys.h"
#include "io/nbd_spec.h"

static json_t *node_of(const char *text)
{
    json_t *node = json_loads(text, 0, NULL);
    assert_non_null(node);
    return node;
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *node, *address, *name, *export;
    } cases[] = {
        {"{\"path\":\"/s\"}", "/s", "nbd+unix://?socket=/s", ""},
        {"{\"host\":\"h\"}", "h:10809", "nbd://h:10809", ""},
        {"{\"host\":\"h\",\"port\":7,\"export\":\"e\"}", "h:7", "nbd://h:7/e", "e"},
        {"{\"server\":{\"type\":\"unix\",\"path\":\"/s\"},\"export\":5}", "/s",
         "nbd+unix:///5?socket=/s", "5"},
        {"{\"server\":{\"type\":\"inet\",\"host\":\"::1\",\"port\":\"9\"}}", "::1:9",
         "nbd://[::1]:9", ""},
        {"{\"server\":{\"type\":\"vsock\",\"cid\":\"2\",\"port\":\"9\"}}", "2:9", "nbd://2:9", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct nbd_spec s;
        struct err e = ERR_INIT;
        json_t *node = node_of(cases[i].node);
        assert_int_equal(nbd_spec_parse(node, &s, &e), 0);
        assert_string_equal(s.address, cases[i].address);
        assert_string_equal(s.name, cases[i].name);
        assert_string_equal(s.export, cases[i].export);
        nbd_spec_release(&s);
        json_decref(node);
    }
}

static void test_families(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        bool ipv4, ipv6;
    } cases[] = {
        {"", true, true},
        {",\"ipv4\":true", true, false},
        {",\"ipv4\":false", false, true},
        {",\"ipv6\":true", false, true},
        {",\"ipv6\":\"off\"", true, false},
        {",\"ipv4\":true,\"ipv6\":true", true, true},
        {",\"ipv4\":false,\"ipv6\":true", false, true},
        {",\"ipv4\":false,\"ipv6\":false", false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct nbd_spec s;
        struct err e = ERR_INIT;
        char text[200];
        snprintf(text, sizeof text,
                 "{\"server\":{\"type\":\"inet\",\"host\":\"h\",\"port\":\"1\"%s}}",
                 cases[i].options);
        json_t *node = node_of(text);
        assert_int_equal(nbd_spec_parse(node, &s, &e), 0);
        assert_int_equal(s.ipv4, cases[i].ipv4);
        assert_int_equal(s.ipv6, cases[i].ipv6);
        nbd_spec_release(&s);
        json_decref(node);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *node, *text;
    } cases[] = {
        {"{}", "NBD server address missing"},
        {"{\"port\":\"1\"}", "NBD server address missing"},
        {"{\"server\":\"x\"}", "NBD server address missing"},
        {"{\"path\":\"x\",\"host\":\"y\"}", "path and host may not be used at the same time"},
        {"{\"path\":\"x\",\"port\":\"y\"}", "port may not be used without host"},
        {"{\"path\":\"x\",\"server\":{\"type\":\"unix\",\"path\":\"y\"}}",
         "Cannot use 'server' and path/host/port at the same time"},
        {"{\"server\":{\"path\":\"y\"}}", "Parameter 'type' is missing"},
        {"{\"server\":{\"type\":\"x\"}}", "Parameter 'type' does not accept value 'x'"},
        {"{\"server\":{\"type\":\"unix\"}}", "Parameter 'path' is missing"},
        {"{\"server\":{\"type\":\"unix\",\"path\":\"y\",\"z\":1}}", "Parameter 'z' is unexpected"},
        {"{\"server\":{\"type\":\"inet\",\"host\":\"h\"}}", "Parameter 'port' is missing"},
        {"{\"server\":{\"type\":\"unix\",\"path\":[]}}",
         "Invalid parameter type for 'path', expected: string"},
        {"{\"path\":\"x\",\"tls-creds\":\"t\"}", "NBD over TLS (tls-creds) is not supported"},
        {"{\"path\":\"x\",\"bogus\":1}", "Block protocol 'nbd' doesn't support the option 'bogus'"},
        {"{\"path\":\"x\",\"open-timeout\":\"1x\"}", "Parameter 'open-timeout' expects a number"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct nbd_spec s;
        struct err e = ERR_INIT;
        json_t *node = node_of(cases[i].node);
        assert_int_equal(nbd_spec_parse(node, &s, &e), -1);
        assert_string_equal(e.text, cases[i].text);
        json_decref(node);
    }
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        uint64_t size;
        bool good;
    } cases[] = {
        {"512", 512, true},
        {"\"64k\"", 65536, true},
        {"\"64K\"", 65536, true},
        {"\"16E\"", 0, false},
        {"\"15E\"", (uint64_t)15 << 60, true},
        {"\"18446744073709551616\"", 0, false},
        {"\"1kk\"", 0, false},
        {"\"\"", 0, false},
        {"\"-1\"", 0, false},
        {"-1", 0, false},
        {"null", 7, true},
        {"[]", 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        char text[64];
        uint64_t size = 7;
        snprintf(text, sizeof text, "{\"s\":%s}", cases[i].value);
        json_t *node = node_of(text);
        assert_int_equal(keys_size(node, "s", &size, &e), cases[i].good ? 0 : -1);
        if (cases[i].good)
            assert_int_equal(size, cases[i].size);
        json_decref(node);
    }
}

/* A build without the library knows the protocol all the same, and says what it is without. */
static void test_known(void **state)
{
    (void)state;
    static const char *const names[] = {"file",  "host_device", "nbd", "http",
                                        "https", "ftp",         "ftps"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_non_null(file_protocol_find(names[i]));
    assert_null(file_protocol_find("nbds"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),   cmocka_unit_test(test_families),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
