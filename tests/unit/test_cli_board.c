/* The board: lines of jobs that fit the window, redrawn in place; one line at a time in a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/board.h"

static struct err err;

static void test_total(void **state)
{
    (void)state;
    char text[BOARD_TOTAL_MAX];
    struct board_total t = {.jobs = 2000, .done = 12, .running = 4, .percent = 35, .left = -1};
    board_total_text(&t, text);
    assert_string_equal(text, "12/2000 done, 4 running, 35.0%, 0 B/s");
    t.failed = 1;
    t.rate = 1288490188.8;
    t.left = 3753;
    board_total_text(&t, text);
    assert_string_equal(text, "12/2000 done, 1 failed, 4 running, 35.0%, 1.2 GiB/s, 1:02:33 left");
}

static void test_log(void **state)
{
    (void)state;
    struct board *b;
    char text[200] = "";
    FILE *out = tmpfile();
    const struct board_total t = {.jobs = 2, .left = -1};
    assert_non_null(out);
    assert_int_equal(board_new(out, 0.05, &b, &err), 0);
    assert_int_equal(board_begin(b, 1, "a", &err), 0);
    board_draw(b, &t); /* too early */
    usleep(60000);
    board_draw(b, &t);
    board_draw(b, &t);
    board_end(b, 1);
    board_clear(b);
    board_finish(b, &t);
    board_free(b);
    rewind(out);
    assert_true(fread(text, 1, sizeof text - 1, out) > 0);
    assert_string_equal(text,
                        "0/2 done, 0 running, 0.0%, 0 B/s\n0/2 done, 0 running, 0.0%, 0 B/s\n");
    fclose(out);
}

/* A terminal of so many lines, its other end in *other; NULL where there are none. */
static FILE *terminal(unsigned lines, unsigned columns, int *other)
{
    const struct winsize size = {.ws_row = (unsigned short)lines,
                                 .ws_col = (unsigned short)columns};
    *other = posix_openpt(O_RDWR | O_NOCTTY);
    if (*other < 0 || grantpt(*other) || unlockpt(*other))
        return NULL;
    FILE *out = fopen(ptsname(*other), "w");
    if (out)
        ioctl(fileno(out), TIOCSWINSZ, &size);
    return out;
}

/* What has come out of it by now. */
static char *drawn(int other)
{
    static char text[16384];
    size_t n = 0;
    struct pollfd p = {.fd = other, .events = POLLIN};
    while (n < sizeof text - 1 && poll(&p, 1, 20) > 0) {
        ssize_t got = read(other, text + n, sizeof text - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    text[n] = '\0';
    return text;
}

static unsigned count(const char *text, char c)
{
    unsigned n = 0;
    for (; *text; text++)
        n += *text == c;
    return n;
}

static void draw_now(struct board *b, const struct board_total *t)
{
    usleep(220000);
    board_draw(b, t);
}

static void test_terminal(void **state)
{
    (void)state;
    int other;
    struct board *b;
    FILE *out = terminal(8, 40, &other);
    const struct board_total t = {.jobs = 90, .running = 20, .left = -1};
    char name[80];
    if (!out)
        skip();
    setenv("TERM", "xterm", 1);
    assert_int_equal(board_new(out, 10, &b, &err), 0);
    for (size_t i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "folder/with/a/long/name/image-%zu\x1b[2J.qcow2", i);
        assert_int_equal(board_begin(b, i, name, &err), 0);
    }
    board_move(b, 0, 12.5);
    draw_now(b, &t);
    const char *text = drawn(other);
    /* five of twenty, a line for the others, the total, and the line of the cursor: eight */
    assert_int_equal(count(text, '\n'), 7);
    assert_non_null(strstr(text, "and 15 more"));
    assert_non_null(strstr(text, " 12.5%"));
    assert_null(strchr(text, '\x1b')); /* a name does nothing to the terminal */
    for (const char *at = text, *end; (end = strchr(at, '\n')); at = end + 1)
        assert_true(end - at <= 40);
    /* drawn again over what stood there, with fewer lines */
    for (size_t i = 0; i < 18; i++)
        board_end(b, i);
    draw_now(b, &t);
    text = drawn(other);
    assert_memory_equal(text, "\x1b[7A\x1b[J", 7);
    assert_int_equal(count(text, '\n'), 3);
    board_finish(b, &t);
    text = drawn(other);
    assert_memory_equal(text, "\x1b[3A\x1b[J", 7);
    assert_int_equal(count(text, '\n'), 1);
    board_free(b);
    fclose(out);
    close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_total),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
