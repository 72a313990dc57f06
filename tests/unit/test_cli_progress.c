/* The bytes of -p, as callers parse them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/signals.h"
#include "cli/progress.h"

/* What goes to a stream while `f` runs. */
static const char *caught(FILE *stream, void (*f)(struct progress_line *), struct progress_line *p)
{
    static char text[4096];
    int keep = dup(fileno(stream));
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stream);
    dup2(fileno(file), fileno(stream));
    f(p);
    fflush(stream);
    dup2(keep, fileno(stream));
    close(keep);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void conversion(struct progress_line *p)
{
    struct progress watch = progress_line_watch(p);
    progress_line_update(p, 0);
    progress_update(&watch, 0);
    progress_update(&watch, 0.9);
    progress_update(&watch, 12.59);
    progress_update(&watch, 13.59);
    progress_update(&watch, 13.6);
    progress_update(&watch, 100);
    progress_line_update(p, 100);
    progress_line_end(p);
}

static void steps_of_one_percent(void **state)
{
    (void)state;
    struct progress_line p;
    progress_line_init(&p, true, false, 1);
    assert_string_equal(caught(stdout, conversion, &p),
                        "    (0.00/100%)\r    (12.59/100%)\r    (13.60/100%)\r"
                        "    (100.00/100%)\r    (100.00/100%)\r\n");
}

/* ---- lines for programs ---------------------------------------------------------------------- */

static void slow_conversion(struct progress_line *p)
{
    struct progress watch = progress_line_watch(p);
    progress_update(&watch, 0); /* the amount is not known yet */
    for (unsigned i = 0; i <= 1000; i++) {
        progress_bytes(&watch, i * 1000, 1000000);
        usleep(600);
    }
    progress_update(&watch, 100);
    progress_update(&watch, 100);
    progress_line_end(p);
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

/* With an argument as the command line has it, to standard error, which is caught. */
static const char *caught_json(const char *argument, void (*f)(struct progress_line *))
{
    static struct progress_arg arg;
    static struct progress_line p;
    struct err e = ERR_INIT;
    arg = (struct progress_arg){0};
    assert_int_equal(progress_take(&arg, argument, &e), 0);
    progress_line_init(&p, arg.line, false, 1);
    int keep = dup(2), file = fileno(tmpfile());
    static char text[8192];
    dup2(file, arg.fd);
    assert_int_equal(progress_line_json(&p, &arg, "a \"b\"\xff", &e), 0);
    f(&p);
    text[pread(file, text, sizeof text - 1, 0)] = '\0';
    close(keep);
    close(file);
    return text;
}

static void json_a_few_lines_a_second(void **state)
{
    (void)state;
    const char *text = caught_json("json", slow_conversion);
    unsigned n = lines(text);
    assert_in_range(n, 3, 8);
    static const char first[] = "{\"image\":\"a \\\"b\\\"\\uFFFD\",\"bytes\":0,\"total\":1000000,"
                                "\"percent\":0.00,\"rate\":0,\"seconds\":0.0,"
                                "\"seconds-left\":null}\n";
    assert_memory_equal(text, first, strlen(first));
    const char *last = strrchr(text, '{');
    assert_non_null(strstr(last, "\"bytes\":1000000,\"total\":1000000,\"percent\":100.00,"));
    assert_non_null(strstr(last, "\"seconds-left\":0.0}"));
}

static void of_nothing(struct progress_line *p)
{
    struct progress watch = progress_line_watch(p);
    progress_update(&watch, 0);
    progress_update(&watch, 100);
    progress_line_end(p);
}

static void json_of_what_is_not_counted(void **state)
{
    (void)state;
    assert_string_equal(caught_json("json", of_nothing),
                        "{\"image\":\"a \\\"b\\\"\\uFFFD\",\"bytes\":null,\"total\":null,"
                        "\"percent\":100.00,\"rate\":null,\"seconds\":0.0,"
                        "\"seconds-left\":null}\n");
}

static void forms_of_the_argument(void **state)
{
    static const char *const wrong[] = {"",        "jso",   "json:",  "json:x",
                                        "json:1x", "json1", "json:-1"};
    struct progress_arg arg = {0};
    struct progress_line p;
    struct err e = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(progress_take(&arg, wrong[i], &e), -1);
    assert_string_equal(e.text, "Invalid form of progress 'json:-1': it is json or json:FD");
    assert_int_equal(progress_take(&arg, NULL, &e), 0);
    assert_true(arg.line && !arg.json);
    assert_int_equal(progress_take(&arg, "json:987", &e), 0);
    progress_line_init(&p, false, false, 1);
    assert_int_equal(progress_line_json(&p, &arg, "x", &e), -1);
}

static void quiet_beats_progress(void **state)
{
    (void)state;
    struct progress_line p;
    progress_line_init(&p, true, true, 1);
    assert_string_equal(caught(stdout, conversion, &p), "");
}

static void without_p_nothing(void **state)
{
    (void)state;
    struct progress_line p;
    progress_line_init(&p, false, false, 1);
    assert_string_equal(caught(stdout, conversion, &p), "");
}

static void comparison(struct progress_line *p)
{
    progress_line_update(p, 0);
    progress_line_update(p, 50);
    progress_line_update(p, 100);
    printf("Warning\n");
    progress_line_release(p);
    printf("Verdict\n");
    progress_line_end(p);
}

static void the_end_can_be_held_back(void **state)
{
    (void)state;
    struct progress_line p;
    progress_line_init(&p, true, false, 2);
    p.hold_end = true;
    assert_string_equal(caught(stdout, comparison, &p),
                        "    (0.00/100%)\r    (50.00/100%)\rWarning\n    (100.00/100%)\rVerdict\n"
                        "\n");
}

static void asked_by_signal(struct progress_line *p)
{
    progress_line_update(p, 12);
    raise(SIGUSR1);
    progress_line_update(p, 17.333);
    progress_line_update(p, 18);
}

static void sigusr1_shows_progress_on_stderr(void **state)
{
    (void)state;
    struct progress_line p;
    progress_line_init(&p, false, false, 1);
    assert_string_equal(caught(stderr, asked_by_signal, &p), "    (17.33/100%)\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_of_one_percent),
        cmocka_unit_test(json_a_few_lines_a_second),
        cmocka_unit_test(json_of_what_is_not_counted),
        cmocka_unit_test(forms_of_the_argument),
        cmocka_unit_test(quiet_beats_progress),
        cmocka_unit_test(without_p_nothing),
        cmocka_unit_test(the_end_can_be_held_back),
        cmocka_unit_test(sigusr1_shows_progress_on_stderr),
    };
    signals_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
