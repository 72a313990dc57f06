/* The bytes of -p, as callers parse them. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
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
        cmocka_unit_test(quiet_beats_progress),
        cmocka_unit_test(without_p_nothing),
        cmocka_unit_test(the_end_can_be_held_back),
        cmocka_unit_test(sigusr1_shows_progress_on_stderr),
    };
    signals_install();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
