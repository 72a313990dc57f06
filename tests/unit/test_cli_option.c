/* Parsing of a command line by a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "cli/message.h"
#include "cli/option.h"

struct sample {
    const char *format;
    bool force, chain;
    struct text_list objects;
    uint64_t even;
    const char *maybe;
};

static int take_maybe(void *field, const char *value, struct err *e)
{
    (void)e;
    *(const char **)field = value ? value : "(none)";
    return 0;
}

static int take_even(void *field, const char *value, struct err *e)
{
    *(uint64_t *)field = strtoull(value, NULL, 10);
    return *(uint64_t *)field % 2 ? err_set(e, 0, "%s is odd", value) : 0;
}

static const struct option_row rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct sample, objects),
    ROW_TEXT('f', "format", "fmt", struct sample, format, "Format"),
    ROW_FLAG('U', "force-share", struct sample, force, "Share"),
    ROW_FLAG(0, "backing-chain", struct sample, chain, "Chain"),
    {.letter = 'e',
     .name = "even",
     .metavar = "n",
     .take = TAKE_VALUE,
     .call = take_even,
     .offset = offsetof(struct sample, even)},
    {.letter = 'm',
     .name = "maybe",
     .metavar = "word",
     .may_lack = true,
     .take = TAKE_VALUE,
     .call = take_maybe,
     .offset = offsetof(struct sample, maybe)},
    {0},
};

#define ARGS_MAX 16

struct parsed {
    enum option_outcome outcome;
    struct sample s;
    struct operands rest;
    char *argv[ARGS_MAX];
    struct err e;
};

static struct parsed *parse_words(struct parsed *p, bool first_only, const char *const *words)
{
    int argc = 0;
    *p = (struct parsed){0};
    p->argv[argc++] = (char *)"sub";
    while (*words)
        p->argv[argc++] = (char *)*words++;
    p->outcome = option_parse(rows, first_only, argc, p->argv, &p->s, &p->rest, &p->e);
    return p;
}

#define PARSE(p, ...)      parse_words(p, false, (const char *const[]){__VA_ARGS__, NULL})
#define PARSE_HEAD(p, ...) parse_words(p, true, (const char *const[]){__VA_ARGS__, NULL})

static void assert_wrong(struct parsed *p, const char *text)
{
    assert_int_equal(p->outcome, OPTION_BAD);
    assert_string_equal(p->e.text, text);
    option_release(rows, &p->s);
}

static void options_follow_operands(void **state)
{
    (void)state;
    static struct parsed p;
    PARSE(&p, "a", "-f", "raw", "b", "-U", "--backing-chain");
    assert_int_equal(p.outcome, OPTION_OK);
    assert_string_equal(p.s.format, "raw");
    assert_true(p.s.force && p.s.chain);
    assert_int_equal(p.rest.n, 2);
    assert_string_equal(p.rest.text[0], "a");
    assert_string_equal(p.rest.text[1], "b");
}

static void two_dashes_end_options(void **state)
{
    (void)state;
    static struct parsed p;
    PARSE(&p, "-U", "--", "-f", "-1");
    assert_int_equal(p.outcome, OPTION_OK);
    assert_int_equal(p.rest.n, 2);
    assert_string_equal(p.rest.text[1], "-1");
}

static void the_first_word_ends_global_options(void **state)
{
    (void)state;
    static struct parsed p;
    PARSE_HEAD(&p, "-U", "info", "-f");
    assert_int_equal(p.outcome, OPTION_OK);
    assert_int_equal(p.rest.n, 2);
}

static void long_names_may_be_cut_and_take_equals(void **state)
{
    (void)state;
    static struct parsed p;
    PARSE(&p, "--back", "--form=qcow2", "-fraw", "--format", "vdi");
    assert_int_equal(p.outcome, OPTION_OK);
    assert_true(p.s.chain);
    assert_string_equal(p.s.format, "vdi");
    assert_wrong(PARSE(&p, "--fo"), "unrecognized option '--fo'");
}

static void lists_keep_all_in_order(void **state)
{
    (void)state;
    static struct parsed p;
    struct err e = ERR_INIT;
    PARSE(&p, "--object", "a", "--object=b,c");
    assert_int_equal(p.s.objects.n, 2);
    char *joined = text_list_join(&p.s.objects, &e);
    assert_string_equal(joined, "a,b,c");
    free(joined);
    option_release(rows, &p.s);
    assert_int_equal(p.s.objects.n, 0);
}

static void unknown_options_are_named(void **state)
{
    (void)state;
    static struct parsed p;
    assert_wrong(PARSE(&p, "-z", "x"), "unrecognized option '-z'");
    assert_wrong(PARSE(&p, "-Uz"), "unrecognized option '-Uz'");
    assert_wrong(PARSE(&p, "x", "-zU", "y"), "unrecognized option '-zU'");
    assert_wrong(PARSE(&p, "--backing-chain", "-zU"), "unrecognized option '-zU'");
    assert_wrong(PARSE(&p, "--nope=1"), "unrecognized option '--nope=1'");
    assert_wrong(PARSE(&p, "--backing-chain=3"), "unrecognized option '--backing-chain=3'");
    assert_wrong(PARSE(&p, "-1"), "unrecognized option '-1'");
    assert_string_equal(p.e.hint, "Try 'tool --help' for more information");
}

static void missing_values_are_named(void **state)
{
    (void)state;
    static struct parsed p;
    assert_wrong(PARSE(&p, "-f"), "missing argument for option '-f'");
    assert_wrong(PARSE(&p, "-Uf"), "missing argument for option '-Uf'");
    assert_wrong(PARSE(&p, "--format"), "missing argument for option '--format'");
}

static void values_that_may_lack(void **state)
{
    (void)state;
    static struct parsed p;
    PARSE(&p, "--maybe", "yes");
    assert_string_equal(p.s.maybe, "(none)");
    assert_int_equal(p.rest.n, 1);
    PARSE(&p, "--maybe=yes");
    assert_string_equal(p.s.maybe, "yes");
    PARSE(&p, "-mU");
    assert_string_equal(p.s.maybe, "(none)");
    assert_true(p.s.force);
}

static void the_first_error_counts(void **state)
{
    (void)state;
    static struct parsed p;
    assert_wrong(PARSE(&p, "-e", "3", "-z"), "3 is odd");
    assert_wrong(PARSE(&p, "-z", "-e", "3"), "unrecognized option '-z'");
    PARSE(&p, "-e", "4", "-h", "-z");
    assert_int_equal(p.outcome, OPTION_WANT_HELP);
    assert_int_equal(p.s.even, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_follow_operands),
        cmocka_unit_test(two_dashes_end_options),
        cmocka_unit_test(the_first_word_ends_global_options),
        cmocka_unit_test(long_names_may_be_cut_and_take_equals),
        cmocka_unit_test(lists_keep_all_in_order),
        cmocka_unit_test(unknown_options_are_named),
        cmocka_unit_test(missing_values_are_named),
        cmocka_unit_test(values_that_may_lack),
        cmocka_unit_test(the_first_error_counts),
    };
    message_init("/usr/bin/tool");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
