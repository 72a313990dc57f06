/* Locks between descriptors, between processes, and with QEMU's own tools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/num.h"
#include "io/file.h"
#include "scratch.h"

static struct scratch scratch;
static struct err err;

static int setup(void **state)
{
    (void)state;
    scratch_init(&scratch, scratch_disk());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scratch_release(&scratch);
    return 0;
}

static int open_as(const char *path, enum file_lock lock, enum file_create create, struct file **f)
{
    struct file_options o = {.write = lock == FILE_LOCK_WRITER, .create = create, .lock = lock};
    *f = NULL;
    return file_open_path(path, &o, f, &err);
}

static const char *make(const char *name)
{
    const char *path = scratch_name(&scratch, name);
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);
    assert_int_equal(write(fd, "contents", 8), 8);
    close(fd);
    return path;
}

#define WRITE_TEXT  "Failed to get \"write\" lock"
#define SHARED_TEXT "Failed to get shared \"write\" lock"

static const struct {
    enum file_lock held, wanted;
    const char *text; /* NULL: goes well */
} pairs[] = {
    {FILE_LOCK_READER, FILE_LOCK_READER, NULL},
    {FILE_LOCK_READER, FILE_LOCK_SHARED, NULL},
    {FILE_LOCK_READER, FILE_LOCK_WRITER, WRITE_TEXT},
    {FILE_LOCK_SHARED, FILE_LOCK_READER, NULL},
    {FILE_LOCK_SHARED, FILE_LOCK_WRITER, NULL},
    {FILE_LOCK_WRITER, FILE_LOCK_READER, SHARED_TEXT},
    {FILE_LOCK_WRITER, FILE_LOCK_SHARED, NULL},
    {FILE_LOCK_WRITER, FILE_LOCK_WRITER, WRITE_TEXT},
    {FILE_LOCK_WRITER, FILE_LOCK_NONE, NULL},
    {FILE_LOCK_NONE, FILE_LOCK_WRITER, NULL},
};

static void expect_conflict(const char *path, const char *text)
{
    char hint[600];
    snprintf(hint, sizeof hint, "Is another process using the image [%s]?", path);
    assert_string_equal(err.text, text);
    assert_string_equal(err.hint, hint);
}

static void every_pair(void **state)
{
    (void)state;
    const char *path = make("pair");
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct file *a, *b;
        assert_int_equal(open_as(path, pairs[i].held, FILE_EXISTING, &a), 0);
        int r = open_as(path, pairs[i].wanted, FILE_EXISTING, &b);
        assert_int_equal(r, pairs[i].text ? -1 : 0);
        if (r)
            expect_conflict(path, pairs[i].text);
        file_cleanup(&b);
        file_cleanup(&a);
    }
}

static void creating_over_a_locked_file_keeps_it(void **state)
{
    (void)state;
    const char *path = make("keep");
    struct file *a, *b;
    assert_int_equal(open_as(path, FILE_LOCK_READER, FILE_EXISTING, &a), 0);
    assert_int_equal(open_as(path, FILE_LOCK_WRITER, FILE_CREATE_NEW, &b), -1);
    expect_conflict(path, WRITE_TEXT);
    assert_int_equal(file_size(a), 8);
    file_cleanup(&a);
    assert_int_equal(open_as(path, FILE_LOCK_WRITER, FILE_CREATE_NEW, &b), 0);
    assert_int_equal(file_size(b), 0);
    file_cleanup(&b);
}

static void relocks(void **state)
{
    (void)state;
    const char *path = make("relock");
    struct file *a, *b, *c;
    assert_int_equal(open_as(path, FILE_LOCK_READER, FILE_EXISTING, &a), 0);
    assert_int_equal(open_as(path, FILE_LOCK_READER, FILE_EXISTING, &b), 0);
    assert_int_equal(file_relock(a, FILE_LOCK_WRITER, &err), -1);
    expect_conflict(path, WRITE_TEXT);
    /* a still has its reader's lock, and no more */
    assert_int_equal(open_as(path, FILE_LOCK_READER, FILE_EXISTING, &c), 0);
    file_cleanup(&c);
    file_cleanup(&b);
    assert_int_equal(open_as(path, FILE_LOCK_WRITER, FILE_EXISTING, &c), -1);
    assert_int_equal(file_relock(a, FILE_LOCK_WRITER, &err), 0);
    assert_int_equal(open_as(path, FILE_LOCK_READER, FILE_EXISTING, &c), -1);
    assert_int_equal(file_relock(a, FILE_LOCK_READER, &err), 0);
    assert_int_equal(open_as(path, FILE_LOCK_READER, FILE_EXISTING, &c), 0);
    file_cleanup(&c);
    assert_int_equal(file_relock(a, FILE_LOCK_NONE, &err), 0);
    assert_int_equal(open_as(path, FILE_LOCK_WRITER, FILE_EXISTING, &c), 0);
    file_cleanup(&c);
    file_cleanup(&a);
}

static void another_process(void **state)
{
    (void)state;
    const char *path = make("process");
    struct file *a, *b;
    assert_int_equal(open_as(path, FILE_LOCK_WRITER, FILE_EXISTING, &a), 0);
    pid_t child = fork();
    if (child == 0) {
        /* what was inherited is the same open file: its locks stay the parent's */
        int r = open_as(path, FILE_LOCK_READER, FILE_EXISTING, &b);
        _exit(r == -1 && !strcmp(err.text, SHARED_TEXT) ? 7 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 7);
    file_cleanup(&a);
}

static void locking_can_be_off(void **state)
{
    (void)state;
    const char *path = make("off");
    struct file *a, *b = NULL;
    struct file_options o = {.write = true, .lock = FILE_LOCK_WRITER};
    json_t *spec = json_pack("{s:s,s:s,s:s}", "driver", "file", "filename", path, "locking", "off");
    assert_int_equal(open_as(path, FILE_LOCK_WRITER, FILE_EXISTING, &a), 0);
    assert_int_equal(file_open(spec, &o, &b, &err), 0);
    json_decref(spec);
    file_cleanup(&a);
    file_cleanup(&b);
}

/* ---- QEMU ------------------------------------------------------------------------------------ */

/* Run a shell command; its output, at most one buffer of it. Returns the exit code. */
static int shell(char *text, size_t size, const char *fmt, ...)
{
    char command[2000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(command, sizeof command, fmt, ap);
    va_end(ap);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    size_t n = fread(text, 1, size - 1, p);
    text[n] = '\0';
    return WEXITSTATUS(pclose(p));
}

static const char *qemu_image(const char *name)
{
    char text[1000];
    if (shell(text, sizeof text, "command -v qemu-io") || shell(text, sizeof text,
                                                                "command -v "
                                                                "qemu-img")) {
        print_message("skipped: no qemu-io and qemu-img\n");
        skip();
    }
    const char *path = scratch_name(&scratch, name);
    assert_int_equal(shell(text, sizeof text, "qemu-img create -q -f qcow2 %s 1M 2>&1", path), 0);
    return path;
}

static void qemu_meets_our_locks(void **state)
{
    (void)state;
    static const struct {
        enum file_lock held;
        const char *command, *text; /* NULL: goes well */
    } cases[] = {
        {FILE_LOCK_WRITER, "qemu-img info %s 2>&1", SHARED_TEXT},
        {FILE_LOCK_WRITER, "qemu-img info -U %s 2>&1", NULL},
        {FILE_LOCK_WRITER, "qemu-img create -f raw %s 1M 2>&1", WRITE_TEXT},
        {FILE_LOCK_WRITER, "qemu-img resize %s 2M 2>&1", WRITE_TEXT},
        {FILE_LOCK_READER, "qemu-img info %s 2>&1", NULL},
        {FILE_LOCK_READER, "qemu-img resize %s 2M 2>&1", WRITE_TEXT},
        {FILE_LOCK_READER, "qemu-img create -f raw %s 1M 2>&1", WRITE_TEXT},
        {FILE_LOCK_SHARED, "qemu-img resize %s 2M 2>&1", NULL},
    };
    const char *path = qemu_image("ours.qcow2");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct file *f;
        char text[4000];
        assert_int_equal(open_as(path, cases[i].held, FILE_EXISTING, &f), 0);
        int code = shell(text, sizeof text, cases[i].command, path);
        assert_int_equal(code, cases[i].text ? 1 : 0);
        if (cases[i].text)
            assert_non_null(strstr(text, cases[i].text));
        file_cleanup(&f);
    }
}

struct holder {
    pid_t pid;
    int to;
};

/* qemu-io with the image open until holder_end. */
static struct holder holder_begin(const char *path, const char *how)
{
    int in[2], out[2];
    char line[64];
    assert_int_equal(pipe(in) | pipe(out), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        close(in[1]);
        execlp("qemu-io", "qemu-io", how, "-f", "qcow2", path, (char *)NULL);
        _exit(127);
    }
    close(in[0]);
    close(out[1]);
    /* the prompt says that it is open */
    assert_true(read(out[0], line, sizeof line) > 0);
    close(out[0]);
    return (struct holder){pid, in[1]};
}

static void holder_end(struct holder h)
{
    close(h.to);
    waitpid(h.pid, NULL, 0);
}

static void we_meet_the_locks_of_qemu(void **state)
{
    (void)state;
    static const struct {
        const char *how;
        enum file_lock wanted;
        const char *text;
    } cases[] = {
        {"-m", FILE_LOCK_READER, SHARED_TEXT}, {"-m", FILE_LOCK_WRITER, WRITE_TEXT},
        {"-m", FILE_LOCK_SHARED, NULL},        {"-r", FILE_LOCK_READER, NULL},
        {"-r", FILE_LOCK_WRITER, WRITE_TEXT},  {"-rU", FILE_LOCK_WRITER, NULL},
    };
    const char *path = qemu_image("theirs.qcow2");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct file *f;
        struct holder h = holder_begin(path, cases[i].how);
        int r = open_as(path, cases[i].wanted, FILE_EXISTING, &f);
        assert_int_equal(r, cases[i].text ? -1 : 0);
        if (r)
            expect_conflict(path, cases[i].text);
        file_cleanup(&f);
        holder_end(h);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(creating_over_a_locked_file_keeps_it),
        cmocka_unit_test(relocks),
        cmocka_unit_test(another_process),
        cmocka_unit_test(locking_can_be_off),
        cmocka_unit_test(qemu_meets_our_locks),
        cmocka_unit_test(we_meet_the_locks_of_qemu),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
