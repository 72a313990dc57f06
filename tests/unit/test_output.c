/* Outputs that appear whole: names, locks, leftovers, links, modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "io/output.h"
#include "scratch.h"

static struct scratch scratch;
static struct err err;

static const struct file_options fresh = {.write = true, .create = FILE_CREATE_NEW};

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

static const char *name(const char *n)
{
    return scratch_name(&scratch, n);
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    fputs(text, f);
    fclose(f);
}

static void expect(const char *path, const char *text)
{
    char buf[100] = "";
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = '\0';
    assert_string_equal(buf, text);
}

static bool exists(const char *path)
{
    struct stat st;
    return !lstat(path, &st);
}

static struct output *begin(const char *path)
{
    struct output *o = NULL;
    if (output_begin(path, &fresh, &o, &err))
        fail_msg("%s", err.text);
    assert_int_equal(file_write(output_file(o), "new", 3, 0, &err), 0);
    return o;
}

static void appears_when_it_is_whole(void **state)
{
    (void)state;
    struct stat st;
    mode_t mask = umask(027);
    struct output *o = begin(name("a"));
    assert_false(output_in_place(o));
    assert_string_equal(output_temp(o), name("a.mpi-img-part"));
    assert_false(exists(name("a")));
    assert_int_equal(output_commit(o, &err), 0);
    umask(mask);
    expect(name("a"), "new");
    assert_false(exists(name("a.mpi-img-part")));
    assert_int_equal(stat(name("a"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
}

static void others_may_open_the_temporary_name(void **state)
{
    (void)state;
    struct output *o = begin(name("ranks"));
    struct file_options rank = {.write = true};
    struct file *f = NULL;
    assert_int_equal(file_open_path(output_temp(o), &rank, &f, &err), 0);
    assert_int_equal(file_write(f, "er", 2, 3, &err), 0);
    assert_int_equal(file_close(f, &err), 0);
    assert_int_equal(output_commit(o, &err), 0);
    expect(name("ranks"), "newer");
}

static void abandoning_keeps_what_was_there(void **state)
{
    (void)state;
    char removed[PATH_MAX] = "";
    put(name("b"), "old");
    struct output *o = begin(name("b"));
    assert_true(output_abandon(o, removed));
    assert_string_equal(removed, name("b.mpi-img-part"));
    assert_false(exists(removed));
    expect(name("b"), "old");
    assert_false(output_abandon(NULL, NULL));
}

static void mode_of_the_replaced_file_stays(void **state)
{
    (void)state;
    struct stat st;
    put(name("c"), "old");
    chmod(name("c"), 0600);
    if (geteuid() == 0)
        assert_int_equal(chown(name("c"), 1234, 4321), 0);
    struct output *o = begin(name("c"));
    assert_int_equal(stat(output_temp(o), &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
    chmod(name("c"), 0640); /* what it was when we began counts */
    assert_int_equal(output_commit(o, &err), 0);
    assert_int_equal(stat(name("c"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    if (geteuid() == 0)
        assert_true(st.st_uid == 1234 && st.st_gid == 4321);
    expect(name("c"), "new");
}

static void old_file_is_locked_meanwhile(void **state)
{
    (void)state;
    struct file_options reader = {.lock = FILE_LOCK_READER};
    struct file *f = NULL;
    struct output *o = NULL;
    put(name("d"), "old");
    assert_int_equal(file_open_path(name("d"), &reader, &f, &err), 0);
    assert_int_equal(output_begin(name("d"), &fresh, &o, &err), -1);
    assert_string_equal(err.text, "Failed to get \"write\" lock");
    assert_non_null(strstr(err.hint, "/d]?"));
    assert_false(exists(name("d.mpi-img-part")));
    file_cleanup(&f);
    o = begin(name("d"));
    assert_int_equal(file_open_path(name("d"), &reader, &f, &err), -1);
    assert_string_equal(err.text, "Failed to get shared \"write\" lock");
    output_abandon(o, NULL);
}

static void leftovers(void **state)
{
    (void)state;
    struct output *o = NULL, *second = NULL;
    put(name("e.mpi-img-part"), "a killed run wrote this much longer text");
    o = begin(name("e"));
    /* held: a second run must keep out */
    assert_int_equal(output_begin(name("e"), &fresh, &second, &err), -1);
    assert_string_equal(err.text, "Failed to get \"write\" lock");
    assert_true(exists(name("e.mpi-img-part")));
    assert_int_equal(output_commit(o, &err), 0);
    expect(name("e"), "new");
}

static void leftover_of_a_killed_process(void **state)
{
    (void)state;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        begin(name("killed"));
        raise(SIGKILL);
    }
    waitpid(pid, &status, 0);
    assert_true(WIFSIGNALED(status));
    assert_true(exists(name("killed.mpi-img-part")));
    assert_int_equal(output_commit(begin(name("killed")), &err), 0);
    expect(name("killed"), "new");
}

static void planted_link_is_not_followed(void **state)
{
    (void)state;
    put(name("victim"), "precious");
    assert_int_equal(symlink(name("victim"), name("f.mpi-img-part")), 0);
    assert_int_equal(output_commit(begin(name("f")), &err), 0);
    expect(name("f"), "new");
    expect(name("victim"), "precious");
}

static void link_is_followed(void **state)
{
    (void)state;
    struct stat st;
    mkdir(name("sub"), 0700);
    put(name("sub/real"), "old");
    assert_int_equal(symlink("sub/real", name("link")), 0);
    struct output *o = begin(name("link"));
    assert_string_equal(output_temp(o), name("sub/real.mpi-img-part"));
    assert_int_equal(output_commit(o, &err), 0);
    expect(name("sub/real"), "new");
    assert_int_equal(lstat(name("link"), &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    /* to nothing yet, through another one */
    assert_int_equal(symlink(name("sub/later"), name("dangling")), 0);
    assert_int_equal(symlink("dangling", name("twice")), 0);
    assert_int_equal(output_commit(begin(name("twice")), &err), 0);
    expect(name("sub/later"), "new");
    assert_int_equal(symlink("loop", name("loop")), 0);
    assert_int_equal(output_begin(name("loop"), &fresh, &o, &err), -1);
    assert_non_null(strstr(err.text, "Too many levels of symbolic links"));
}

static void hard_links_are_written_in_place(void **state)
{
    (void)state;
    put(name("one"), "old and long");
    assert_int_equal(link(name("one"), name("two")), 0);
    struct output *o = begin(name("one"));
    assert_true(output_in_place(o));
    assert_string_equal(output_temp(o), name("one"));
    assert_int_equal(output_commit(o, &err), 0);
    expect(name("two"), "new");
}

static void in_place_when_asked(void **state)
{
    (void)state;
    struct file_options existing = {.write = true, .create = FILE_EXISTING};
    struct output *o = NULL;
    put(name("g"), "old and long");
    assert_int_equal(output_begin(name("g"), &existing, &o, &err), 0);
    assert_true(output_in_place(o));
    assert_int_equal(file_write(output_file(o), "new", 3, 0, &err), 0);
    assert_false(output_abandon(o, NULL));
    expect(name("g"), "new and long");
}

static void devices_are_written_in_place(void **state)
{
    (void)state;
    struct output *o = begin("/dev/null");
    assert_true(output_in_place(o));
    assert_string_equal(output_temp(o), "/dev/null");
    assert_int_equal(output_commit(o, &err), 0);
}

static void names_as_long_as_they_go(void **state)
{
    (void)state;
    char longest[NAME_MAX + 1];
    memset(longest, 'x', NAME_MAX);
    longest[NAME_MAX] = '\0';
    assert_int_equal(output_commit(begin(name(longest)), &err), 0);
    expect(name(longest), "new");
    assert_int_equal(chdir(scratch.folder), 0);
    assert_int_equal(output_commit(begin("plain"), &err), 0);
    expect(name("plain"), "new");
}

static void errors_name_the_final_file(void **state)
{
    (void)state;
    struct output *o = NULL;
    assert_int_equal(output_begin("/nowhere/x", &fresh, &o, &err), -1);
    assert_string_equal(err.text, "Could not create '/nowhere/x': No such file or directory");
    assert_int_equal(output_begin("/tmp", &fresh, &o, &err), -1);
    assert_string_equal(err.text, "Could not create '/tmp': Is a directory");
    assert_null(o);
}

/* As a user who may write the file and not its folder. Exit code 0: all was well. */
static int closed_folder_child(void)
{
    struct output *o = NULL;
    if (setgid(4321) || setuid(1234))
        return 2;
    if (output_begin(name("closed/mine"), &fresh, &o, &err) || !output_in_place(o))
        return 3;
    if (file_write(output_file(o), "new", 3, 0, &err) || output_commit(o, &err))
        return 4;
    o = NULL;
    if (!output_begin(name("closed/other"), &fresh, &o, &err) || !strstr(err.text, "denied"))
        return 5;
    if (!output_begin(name("closed/absent"), &fresh, &o, &err) || !strstr(err.text, "denied"))
        return 6;
    return strstr(err.text, "closed/absent': ") ? 0 : 7;
}

static void folder_that_is_closed_to_us(void **state)
{
    (void)state;
    int status;
    if (geteuid()) {
        print_message("skipped: needs root, to become somebody else\n");
        skip();
    }
    chmod(scratch.folder, 0755);
    mkdir(name("closed"), 0755);
    put(name("closed/mine"), "old");
    put(name("closed/other"), "old");
    assert_int_equal(chown(name("closed/mine"), 1234, 4321), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(closed_folder_child());
    waitpid(pid, &status, 0);
    assert_int_equal(WEXITSTATUS(status), 0);
    expect(name("closed/mine"), "new");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appears_when_it_is_whole),
        cmocka_unit_test(others_may_open_the_temporary_name),
        cmocka_unit_test(abandoning_keeps_what_was_there),
        cmocka_unit_test(mode_of_the_replaced_file_stays),
        cmocka_unit_test(old_file_is_locked_meanwhile),
        cmocka_unit_test(leftovers),
        cmocka_unit_test(leftover_of_a_killed_process),
        cmocka_unit_test(planted_link_is_not_followed),
        cmocka_unit_test(link_is_followed),
        cmocka_unit_test(hard_links_are_written_in_place),
        cmocka_unit_test(in_place_when_asked),
        cmocka_unit_test(devices_are_written_in_place),
        cmocka_unit_test(names_as_long_as_they_go),
        cmocka_unit_test(errors_name_the_final_file),
        cmocka_unit_test(folder_that_is_closed_to_us),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
