/* --object: which secrets are taken, and what is said of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/num.h"
#include "image/secret.h"

static void taken(const char *text, const char *id, const char *want)
{
    struct err e = ERR_INIT;
    struct secrets *s = secrets_new(&e);
    const uint8_t *data;
    size_t len;
    assert_int_equal(secrets_add(s, text, &e), 0);
    assert_int_equal(secrets_find(s, id, &data, &len, &e), 0);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(data, want, len);
    secrets_free(s);
}

static void secrets_that_are_taken(void **state)
{
    (void)state;
    taken("secret,id=a,data=x", "a", "x");
    taken("secret,id=a,data=", "a", "");
    taken("secret,id=a.b-c_d,data=x=y,,z", "a.b-c_d", "x=y,z");
    taken("secret,id=a,data=x,id=b", "b", "x");
    taken("qom-type=secret,id=a,data=x,format=raw", "a", "x");
    taken("secret,id=a,data=aGVsbG8=,format=base64", "a", "hello");
    taken("secret,id=a,data=aGVs\nbG9v\n,format=base64", "a", "helloo");
    taken("{\"qom-type\":\"secret\",\"id\":\"a\",\"data\":\"x\"}", "a", "x");
}

static void secrets_that_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"secret", "Parameter 'id' is missing"},
        {"secret,data=x", "Parameter 'id' is missing"},
        {"secret,id=a", "Either 'file' or 'data' must be provided"},
        {"secret,id=a,data=x,file=y", "'file' and 'data' are mutually exclusive"},
        {"secret,id=1a,data=x", "Parameter 'id' expects an identifier"},
        {"secret,id=,data=x", "Parameter 'id' expects an identifier"},
        {"secret,id=a,data=x,foo=1", "Parameter 'foo' is unexpected"},
        {"secret,id=a,data=x,format=foo", "Parameter 'format' does not accept value 'foo'"},
        {"secret,id=a,data=!!,format=base64", "Base64 data contains invalid characters"},
        {"secret,id=a,data=YQ=x,format=base64", "Base64 data is not valid"},
        {"secret,id=a,data=x,keyid=b,iv=x", "No secret with id 'b'"},
        {"secret,id=a,data", "Expected '=' after parameter 'data'"},
        {"secret,id=a,file=/nonexistent/f",
         "Unable to read /nonexistent/f: Failed to open file \u201c/nonexistent/f\u201d: No such "
         "file or directory"},
        {"foo,id=a", "Parameter 'qom-type' does not accept value 'foo'"},
        {"id=a", "Parameter 'qom-type' is missing"},
        {"", "Parameter 'qom-type' is missing"},
        {"[]", "Parameter 'qom-type' does not accept value '[]'"},
        {"{", "JSON parse error, premature EOI"},
        {"{\"id\":\"a\"}", "Parameter 'qom-type' is missing"},
        {"{\"qom-type\":\"secret\",\"id\":\"a\",\"data\":5}",
         "Invalid parameter type for 'data', expected: string"},
    };
    struct err e = ERR_INIT;
    struct secrets *s = secrets_new(&e);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(secrets_add(s, cases[i][0], &e), -1);
        assert_string_equal(e.text, cases[i][1]);
    }
    assert_int_equal(secrets_add(s, "secret,id=a,data=x", &e), 0);
    assert_int_equal(secrets_add(s, "secret,id=a,data=y", &e), -1);
    assert_string_equal(e.text,
                        "attempt to add duplicate property 'a' to object (type 'container')");
    secrets_free(s);
}

static void from_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/mpi-img-secret-XXXXXX", text[100];
    int fd = mkstemp(path);
    char *big = malloc(10001);
    memset(big, 'k', 10000);
    big[10000] = '\0';
    assert_int_equal(write(fd, big, 10000), 10000);
    close(fd);
    snprintf(text, sizeof text, "secret,id=f,file=%s", path);
    taken(text, "f", big);
    unlink(path);
    free(big);
}

static void unknown_id(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const uint8_t *data;
    size_t len;
    assert_int_equal(secrets_find(NULL, "a", &data, &len, &e), -1);
    assert_string_equal(e.text, "No secret with id 'a'");
}

static void questions(void **state)
{
    (void)state;
    const char *answer = NULL;
    assert_true(secrets_help("help", &answer));
    assert_non_null(strstr(answer, "  secret\n"));
    assert_true(secrets_help("secret,help", &answer));
    assert_non_null(strstr(answer, "  keyid=<string>\n"));
    assert_false(secrets_help("secret,id=help,data=x", &answer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_that_are_taken),
        cmocka_unit_test(secrets_that_are_refused),
        cmocka_unit_test(from_a_file),
        cmocka_unit_test(unknown_id),
        cmocka_unit_test(questions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
