/* What rank 0 read and found while it opened, for the others; files that are found late, or are
 * others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "io/join.h"
#include "io/opening.h"
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

static uint64_t inode_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static struct file *open_with(struct opening *o, const char *path)
{
    struct file *f = NULL;
    const struct file_options fo = {.opening = o};
    json_t *node = json_pack("{s:s,s:s}", "driver", "file", "filename", path);
    assert_int_equal(opening_file(o, node, &fo, &f, &err), 0);
    json_decref(node);
    return f;
}

static void expect_read(struct file *f, const char *text, uint64_t off)
{
    char buf[100] = "";
    assert_int_equal(file_read(f, buf, strlen(text), off, &err), 0);
    assert_string_equal(buf, text);
}

/* What rank 0 sends when it has read these of `path`. */
static struct opening *recorded(const char *path)
{
    struct opening *o;
    assert_int_equal(opening_new(&o, &err), 0);
    assert_false(opening_is_replayed(o));
    struct file *f = open_with(o, path);
    expect_read(f, "head", 0);
    expect_read(f, "tables", 5);
    size_t got;
    char buf[100];
    assert_int_equal(file_read_padded(f, buf, 100, 8, &got, &err), 0);
    assert_int_equal(got, 8);
    opening_end(o);
    expect_read(f, "data", 12); /* by a worker: not recorded */
    file_cleanup(&f);
    return o;
}

static struct opening *replayed(const struct opening *of)
{
    size_t n;
    const void *bytes = opening_bytes(of, &n);
    struct opening *o;
    assert_int_equal(opening_load(bytes, n, &o, &err), 0);
    assert_true(opening_is_replayed(o));
    return o;
}

static void reads_are_answered(void **state)
{
    (void)state;
    const char *path = name("x");
    put(path, "head tables data");
    struct opening *first = recorded(path), *o = replayed(first);
    /* the same inode and length, other bytes: it shows who answers */
    put(path, "HEAD TABLES DATA");
    struct file *f = open_with(o, path);
    expect_read(f, "tables", 5); /* in another order */
    expect_read(f, "head", 0);
    expect_read(f, "head", 0);
    size_t got;
    char buf[100];
    assert_int_equal(file_read_padded(f, buf, 100, 8, &got, &err), 0);
    assert_int_equal(got, 8);
    assert_memory_equal(buf, "les data\0\0", 10);
    expect_read(f, "DATA", 12); /* was not recorded */
    opening_end(o);
    expect_read(f, "HEAD", 0);
    file_cleanup(&f);
    opening_free(o);
    opening_free(first);
}

static void too_much_is_left_out(void **state)
{
    (void)state;
    const char *path = name("large");
    size_t size = 3 << 20, n;
    char *buf = malloc(size);
    struct opening *o;
    put(path, "");
    assert_int_equal(truncate(path, (off_t)size), 0);
    assert_int_equal(opening_new(&o, &err), 0);
    struct file *f = open_with(o, path);
    assert_int_equal(file_read(f, buf, size, 0, &err), 0);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(file_read(f, buf, 65536, i * 100, &err), 0);
    opening_bytes(o, &n);
    assert_in_range(n, 65536, 1 << 20);
    file_cleanup(&f);
    opening_free(o);
    free(buf);
}

/* Whatever comes: no read beyond it. */
static void torn_records_answer_nothing(void **state)
{
    (void)state;
    const char *path = name("torn");
    put(path, "head tables data");
    struct opening *first = recorded(path);
    size_t n;
    const uint8_t *bytes = opening_bytes(first, &n);
    for (size_t cut = 0; cut < n; cut++) {
        struct opening *o;
        assert_int_equal(opening_load(bytes, cut, &o, &err), 0);
        struct file *f = open_with(o, path);
        expect_read(f, "tables", 5);
        file_cleanup(&f);
        opening_free(o);
    }
    uint8_t *bad = malloc(n);
    for (size_t i = 0; i < n; i++) {
        struct opening *o;
        memcpy(bad, bytes, n);
        bad[i] = 0xff;
        assert_int_equal(opening_load(bad, n, &o, &err), 0);
        char buf[100];
        size_t got;
        struct file *f = NULL;
        const struct file_options fo = {.opening = o};
        assert_int_equal(file_open_path(path, &fo, &f, &err), 0);
        assert_int_equal(file_read_padded(f, buf, 100, 8, &got, &err), 0);
        file_cleanup(&f);
        opening_free(o);
    }
    free(bad);
    opening_free(first);
}

/* ---- joining --------------------------------------------------------------------------------- */

static void the_same_file_is_opened(void **state)
{
    (void)state;
    struct file *f = NULL;
    const struct file_options fo = {.write = true};
    put(name("part"), "x");
    assert_int_equal(join_open(name("part"), inode_of(name("part")), &fo, &f, &err), 0);
    file_cleanup(&f);
    assert_int_equal(join_open(name("part"), 0, &fo, &f, &err), 0); /* nobody knows */
    file_cleanup(&f);
}

static void another_file_is_refused(void **state)
{
    (void)state;
    struct file *f = NULL;
    const struct file_options fo = {.write = true};
    put(name("other"), "x");
    assert_int_equal(join_open(name("other"), inode_of(name("other")) + 1, &fo, &f, &err), -1);
    assert_null(f);
    assert_non_null(strstr(err.text, "is another file on this host"));
    err_clear(&err);
}

static void *appear(void *path)
{
    usleep(300000);
    put(path, "x");
    return NULL;
}

static void a_file_that_comes_late_is_found(void **state)
{
    (void)state;
    struct file *f = NULL;
    const struct file_options fo = {.write = true};
    pthread_t t;
    char *path = strdup(name("late"));
    pthread_create(&t, NULL, appear, path);
    assert_int_equal(join_open(path, 0, &fo, &f, &err), 0);
    assert_non_null(f);
    pthread_join(t, NULL);
    file_cleanup(&f);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_are_answered),
        cmocka_unit_test(too_much_is_left_out),
        cmocka_unit_test(torn_records_answer_nothing),
        cmocka_unit_test(the_same_file_is_opened),
        cmocka_unit_test(another_file_is_refused),
        cmocka_unit_test(a_file_that_comes_late_is_found),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
