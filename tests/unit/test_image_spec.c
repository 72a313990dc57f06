/* What is typed <-> specs: names, option strings, JSON, and back to the name that is shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "image/image.h"
#include "image/json_text.h"
#include "image/uri.h"

static void same_json(json_t *got, const char *want)
{
    assert_non_null(got);
    char *text = json_dumps(got, JSON_SORT_KEYS | JSON_COMPACT | JSON_ENCODE_ANY);
    assert_string_equal(text, want);
    free(text);
    json_decref(got);
}

static void names_to_specs(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"a/b.raw", "{\"file\":{\"driver\":\"file\",\"filename\":\"a/b.raw\"}}"},
        {"./a:b", "{\"file\":{\"driver\":\"file\",\"filename\":\"./a:b\"}}"},
        {"file:x", "{\"file\":{\"driver\":\"file\",\"filename\":\"x\"}}"},
        {"file:a:b", "{\"file\":{\"driver\":\"file\",\"filename\":\"./a:b\"}}"},
        {"file:///x", "{\"file\":{\"driver\":\"file\",\"filename\":\"///x\"}}"},
        {"", "{\"file\":{\"driver\":\"file\",\"filename\":\"\"}}"},
        {"/dev/null", "{\"file\":{\"driver\":\"host_device\",\"filename\":\"/dev/null\"}}"},
        {"host_device:/x", "{\"file\":{\"driver\":\"host_device\",\"filename\":\"/x\"}}"},
        {"null-co://", "{\"file\":{\"driver\":\"null-co\"}}"},
        {"json:{\"driver\":\"raw\",\"file.filename\":\"x\"}",
         "{\"driver\":\"raw\",\"file\":{\"filename\":\"x\"}}"},
        {"json:{\"file.filename\":\"x\",\"file\":{\"filename\":\"y\",\"driver\":\"file\"}}",
         "{\"file\":{\"driver\":\"file\",\"filename\":\"y\"}}"},
        {"json:{'driver':'raw','size':512,'x':[1,true,null]}",
         "{\"driver\":\"raw\",\"size\":512,\"x\":[1,true,null]}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        same_json(image_spec_from_name(cases[i][0], &e), cases[i][1]);
    }
}

static void names_that_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"foo:bar", "Unknown protocol 'foo'"},
        {"qcow2:x", "Unknown protocol 'qcow2'"},
        {"null-co:", "The only allowed filename for this driver is 'null-co://'"},
        {"json:", "Could not parse the JSON options: Expecting a JSON value"},
        {"json:{", "Could not parse the JSON options: JSON parse error, premature EOI"},
        {"json:[]", "Invalid JSON object given"},
        {"json:{\"file\":\"x\",\"file.filename\":\"y\"}",
         "Cannot reference an existing block device with additional options or a new filename"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        char want[512];
        assert_null(image_spec_from_name(cases[i][0], &e));
        snprintf(want, sizeof want, "Could not open '%s': %s", cases[i][0], cases[i][1]);
        assert_string_equal(e.text, want);
    }
}

static void bytes_that_are_no_utf8(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    json_t *spec = image_spec_from_name("a\xff"
                                        "b",
                                        &e);
    assert_non_null(spec);
    char *name = image_spec_name(spec, &e);
    assert_string_equal(name, "a\xff"
                              "b");
    free(name);
    json_decref(spec);
}

static void option_strings(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", "{}"},
        {"x", "{\"file\":\"x\"}"},
        {"x,driver=raw", "{\"driver\":\"raw\",\"file\":\"x\"}"},
        {"driver=raw,file.filename=a,,b", "{\"driver\":\"raw\",\"file\":{\"filename\":\"a,b\"}}"},
        {"driver=raw,file.filename=a=b", "{\"driver\":\"raw\",\"file\":{\"filename\":\"a=b\"}}"},
        {"driver=raw,read-only", "{\"driver\":\"raw\",\"read-only\":\"on\"}"},
        {"driver=raw,noread-only", "{\"driver\":\"raw\",\"read-only\":\"off\"}"},
        {"driver=raw,driver=qcow2", "{\"driver\":\"qcow2\"}"},
        {"a.b.c=1,a.b.d=2", "{\"a\":{\"b\":{\"c\":\"1\",\"d\":\"2\"}}}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        same_json(image_spec_from_opts(cases[i][0], &e), cases[i][1]);
    }
    struct err e = ERR_INIT;
    assert_null(image_spec_from_opts("file.filename=x,file=y", &e));
    assert_null(image_spec_from_opts("file=x,file.filename=y", &e));
    char deep[1000] = "";
    for (int i = 0; i < 100; i++)
        strcat(deep, "a.");
    strcat(deep, "b=1");
    assert_null(image_spec_from_opts(deep, &e));
}

static void json_faults(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"a\"}", "JSON parse error, missing : in object pair"},
        {"{\"a\":}", "JSON parse error, expecting value"},
        {"{\"a\":1,}", "JSON parse error, expecting value"},
        {"[1,]", "JSON parse error, expecting value"},
        {"{\"a\":1} x", "Expecting at most one JSON value"},
        {"{\"a\":1 \"b\":2}", "JSON parse error, expected separator in dict"},
        {"[1 2]", "JSON parse error, expected separator in list"},
        {"{1:2}", "JSON parse error, key is not a string in object"},
        {"{\"a\":1,\"a\":2}", "JSON parse error, duplicate key"},
        {"\"\\q\"", "JSON parse error, invalid escape sequence in string"},
        {"\"\\ud800\"", "JSON parse error, \\ud800 is not a valid Unicode character"},
        {"\"x", "JSON parse error, stray '\"x'"},
        {"01", "JSON parse error, stray '01'"},
        {"{\"a\":-}", "JSON parse error, stray '-}'"},
        {"1.5e}", "JSON parse error, stray '1.5e}'"},
        {"tru", "JSON parse error, invalid keyword 'tru'"},
        {"[true", "JSON parse error, premature EOI"},
        {"*", "JSON parse error, stray '*'"},
        {" ", "Expecting a JSON value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        assert_null(json_text_parse(cases[i][0], &e));
        assert_string_equal(e.text, cases[i][1]);
    }
    struct err e = ERR_INIT;
    char deep[3000];
    memset(deep, '[', sizeof deep);
    deep[sizeof deep - 1] = '\0';
    assert_null(json_text_parse(deep, &e));
    assert_string_equal(e.text, "JSON nesting depth limit exceeded");
}

static void json_values(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    same_json(json_text_parse(" { } ", &e), "{}");
    same_json(json_text_parse("[ ]", &e), "[]");
    same_json(json_text_parse("[-5,0,1.5,true,false,null,'a\"b',\"a'b\"]", &e),
              "[-5,0,1.5,true,false,null,\"a\\\"b\",\"a'b\"]");
    same_json(json_text_parse("\"\\n\\u00e9\\u20ac\\ud83d\\ude00\"", &e),
              "\"\\n\u00e9\u20ac\U0001f600\"");
}

static void shown_names(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"x", "x"},
        {"json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"d/q\"}}", "d/q"},
        {"json:{\"file\":{\"driver\":\"file\",\"filename\":\"q\"},\"cache\":{\"direct\":true}}",
         "q"},
        {"json:{\"driver\":\"file\",\"filename\":\"q\"}", "q"},
        {"json:{\"file\":{\"driver\":\"file\",\"filename\":\"q\"},\"driver\":\"raw\",\"size\":512,"
         "\"offset\":1024,\"read-only\":true}",
         "json:{\"offset\": 1024, \"driver\": \"raw\", \"size\": 512, \"file\": {\"driver\": "
         "\"file\", \"filename\": \"q\"}}"},
        {"json:{\"driver\":\"qcow2\",\"file\":{\"driver\":\"raw\",\"file\":{\"driver\":\"file\","
         "\"filename\":\"q\"}}}",
         "json:{\"driver\": \"qcow2\", \"file\": {\"driver\": \"raw\", \"file\": {\"driver\": "
         "\"file\", \"filename\": \"q\"}}}"},
        {"json:{\"driver\":\"raw\",\"size\":512,\"file\":{\"driver\":\"nbd\",\"export\":\"e\","
         "\"server\":{\"type\":\"inet\",\"host\":\"h\",\"port\":\"1\"}}}",
         "json:{\"driver\": \"raw\", \"size\": 512, \"file\": {\"server.port\": \"1\", "
         "\"server.host\": \"h\", \"driver\": \"nbd\", \"export\": \"e\", \"server.type\": "
         "\"inet\"}}"},
        {"json:{\"driver\":\"null-co\",\"size\":512,\"read-zeroes\":true}",
         "json:{\"read-zeroes\": true, \"driver\": \"null-co\", \"size\": 512}"},
        {"null-co://", "null-co://"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        json_t *spec = image_spec_from_name(cases[i][0], &e);
        char *name = image_spec_name(spec, &e);
        assert_string_equal(name, cases[i][1]);
        free(name);
        json_decref(spec);
    }
}

static void uris(void **state)
{
    (void)state;
    static const char *const good[][3] = {
        {"nbd:localhost:10809",
         "{\"driver\":\"nbd\",\"server\":{\"host\":\"localhost\",\"port\":\"10809\",\"type\":"
         "\"inet\"}}",
         "nbd://localhost:10809"},
        {"nbd:[::1]:5:exportname=e",
         "{\"driver\":\"nbd\",\"export\":\"e\",\"server\":{\"host\":\"::1\",\"port\":\"5\","
         "\"type\":\"inet\"}}",
         "nbd://[::1]:5/e"},
        {"nbd:unix:/s:exportname=e",
         "{\"driver\":\"nbd\",\"export\":\"e\",\"server\":{\"path\":\"/s\",\"type\":\"unix\"}}",
         "nbd+unix:///e?socket=/s"},
        {"nbd+unix:///e?socket=/s",
         "{\"driver\":\"nbd\",\"export\":\"e\",\"server\":{\"path\":\"/s\",\"type\":\"unix\"}}",
         "nbd+unix:///e?socket=/s"},
        {"nbd://h:7/%41b/c",
         "{\"driver\":\"nbd\",\"export\":\"Ab/c\",\"server\":{\"host\":\"h\",\"port\":\"7\","
         "\"type\":\"inet\"}}",
         "nbd://h:7/Ab/c"},
        {"nbd+tcp://u@[::1]/",
         "{\"driver\":\"nbd\",\"server\":{\"host\":\"::1\",\"port\":\"10809\",\"type\":\"inet\"}}",
         "nbd://[::1]:10809"},
        {"https://h/x?y", "{\"driver\":\"https\",\"url\":\"https://h/x?y\"}", "https://h/x?y"},
    };
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct err e = ERR_INIT;
        json_t *node = uri_node(good[i][0], uri_scheme(good[i][0]), &e);
        char *name = uri_name(node);
        assert_string_equal(name, good[i][2]);
        free(name);
        same_json(node, good[i][1]);
    }
    static const char *const bad[][2] = {
        {"nbd:localhost", "error parsing address 'localhost'"},
        {"nbd:localhost:", "error parsing address 'localhost:'"},
        {"nbd:", "NBD server address missing"},
        {"nbd://", "No valid URL specified"},
        {"nbd://h:99999/", "No valid URL specified"},
        {"nbd://h:1x/", "No valid URL specified"},
        {"nbd://[::1", "No valid URL specified"},
        {"nbd://h/%00", "No valid URL specified"},
        {"nbd+unix:///e", "No valid URL specified"},
        {"nbd://h/x?socket=y", "No valid URL specified"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err e = ERR_INIT;
        assert_null(uri_node(bad[i][0], uri_scheme(bad[i][0]), &e));
        assert_string_equal(e.text, bad[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_to_specs),
        cmocka_unit_test(names_that_are_refused),
        cmocka_unit_test(bytes_that_are_no_utf8),
        cmocka_unit_test(option_strings),
        cmocka_unit_test(json_faults),
        cmocka_unit_test(json_values),
        cmocka_unit_test(shown_names),
        cmocka_unit_test(uris),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
