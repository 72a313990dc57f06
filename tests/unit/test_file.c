/* What every file promises, on memory, tmpfs and the disk: reading, growing, zeros, spans, space.
 */
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

#include "base/num.h"
#include "base/zero.h"
#include "io/file_ops.h"
#include "io/memory.h"
#include "scratch.h"

/* Where the tests run; NULL: in memory. */
enum { MEMORY, TMPFS, DISK, PLACES };
static const char *places[PLACES] = {[TMPFS] = "/dev/shm"};

struct place {
    struct scratch scratch;
    struct file *file;
    struct err err;
};

static const struct file_options writer = {
    .write = true, .create = FILE_CREATE_NEW, .lock = FILE_LOCK_WRITER};

static int place_setup(void **state)
{
    const char *under = *state;
    struct place *p = calloc(1, sizeof *p);
    if (under) {
        scratch_init(&p->scratch, under);
        assert_int_equal(file_open_path(scratch_name(&p->scratch, "f"), &writer, &p->file, &p->err),
                         0);
    } else {
        assert_int_equal(memory_new("f", NULL, 0, &p->file, &p->err), 0);
    }
    *state = p;
    return 0;
}

static int place_teardown(void **state)
{
    struct place *p = *state;
    assert_int_equal(file_close(p->file, &p->err), 0);
    if (p->scratch.folder[0])
        scratch_release(&p->scratch);
    free(p);
    return 0;
}

static void reads_what_was_written(void **state)
{
    struct place *p = *state;
    char buf[16];
    size_t got;
    assert_int_equal(file_size(p->file), 0);
    assert_int_equal(file_write(p->file, "hello", 5, 3, &p->err), 0);
    assert_int_equal(file_size(p->file), 8);
    assert_int_equal(file_read(p->file, buf, 8, 0, &p->err), 0);
    assert_memory_equal(buf, "\0\0\0hello", 8);
    assert_int_equal(file_read_padded(p->file, buf, 16, 4, &got, &p->err), 0);
    assert_int_equal(got, 4);
    assert_memory_equal(buf, "ello\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(file_read_padded(p->file, buf, 16, 1000, &got, &p->err), 0);
    assert_int_equal(got, 0);
    assert_true(zero_is(buf, 16));
}

static void reading_past_the_end_fails(void **state)
{
    struct place *p = *state;
    char buf[16];
    size_t failed = 9;
    assert_int_equal(file_write(p->file, "hello", 5, 0, &p->err), 0);
    assert_int_equal(file_read(p->file, buf, 6, 0, &p->err), -1);
    assert_int_equal(p->err.no, EIO);
    assert_string_equal(p->err.text, "Input/output error");
    struct file_io io[] = {{buf, 5, 0}, {buf + 8, 3, 3}, {buf, 1, 100}};
    assert_int_equal(file_read_batch(p->file, io, 3, &failed, &p->err), -1);
    assert_int_equal(failed, 1);
    assert_int_equal(file_read_batch(p->file, io, 1, &failed, &p->err), 0);
}

static void bad_ranges_are_refused(void **state)
{
    struct place *p = *state;
    char c = 1;
    uint64_t length;
    bool hole;
    assert_int_equal(file_write(p->file, &c, 1, INT64_MAX, &p->err), -1);
    assert_int_equal(p->err.no, EFBIG);
    assert_int_equal(file_read(p->file, &c, 1, UINT64_MAX, &p->err), -1);
    assert_int_equal(file_zero(p->file, UINT64_MAX - 5, 10, FILE_ZERO_UNMAP, &p->err), -1);
    assert_int_equal(file_span(p->file, 0, 0, &hole, &length, &p->err), -1);
}

static void truncates_and_grows_with_zeros(void **state)
{
    struct place *p = *state;
    char buf[100];
    memset(buf, 7, sizeof buf);
    assert_int_equal(file_write(p->file, buf, 100, 0, &p->err), 0);
    assert_int_equal(file_truncate(p->file, 50, &p->err), 0);
    assert_int_equal(file_truncate(p->file, 8 * TIB, &p->err), 0);
    assert_int_equal(file_size(p->file), 8 * TIB);
    assert_int_equal(file_read(p->file, buf, 100, 0, &p->err), 0);
    assert_int_equal(buf[49], 7);
    assert_true(zero_is(buf + 50, 50));
    assert_true(file_grows_zero(p->file));
}

static void zeroes(void **state, enum file_zero how)
{
    struct place *p = *state;
    size_t n = 200000;
    uint8_t *buf = malloc(n);
    memset(buf, 7, n);
    assert_int_equal(file_write(p->file, buf, n, 0, &p->err), 0);
    assert_int_equal(file_zero(p->file, 1000, 150000, how, &p->err), 0);
    assert_int_equal(file_read(p->file, buf, n, 0, &p->err), 0);
    assert_int_equal(buf[999], 7);
    assert_true(zero_is(buf + 1000, 150000));
    assert_int_equal(buf[151000], 7);
    assert_int_equal(file_size(p->file), n);
    /* also behind the end, as if zeros were written */
    assert_int_equal(file_zero(p->file, 150000, 250001, how, &p->err), 0);
    assert_int_equal(file_size(p->file), 400001);
    assert_int_equal(file_read(p->file, buf, n, 150000, &p->err), 0);
    assert_true(zero_is(buf, n));
    free(buf);
}

static void zeroes_by_holes(void **state)
{
    zeroes(state, FILE_ZERO_UNMAP);
}

static void zeroes_and_keeps_space(void **state)
{
    zeroes(state, FILE_ZERO_KEEP);
    struct place *p = *state;
    if (p->scratch.folder[0])
        assert_true(file_allocated(p->file) >= 400000);
}

/* Walk the whole file, all runs joined. */
static void expect_spans(struct place *p, uint64_t step, const uint64_t *ends, const bool *holes,
                         size_t n)
{
    uint64_t off = 0, length;
    size_t i = 0;
    bool hole;
    while (off < ends[n - 1]) {
        assert_int_equal(
            file_span(p->file, off, num_min(step, ends[n - 1] - off), &hole, &length, &p->err), 0);
        assert_in_range(length, 1, num_min(step, ends[n - 1] - off));
        assert_int_equal(hole, holes[i]);
        off += length;
        assert_true(off <= ends[i]);
        i += off == ends[i];
    }
    assert_int_equal(i, n);
}

static void tells_holes_from_data(void **state)
{
    struct place *p = *state;
    uint8_t *data = malloc(65536);
    memset(data, 1, 65536);
    assert_int_equal(file_truncate(p->file, 10 << 16, &p->err), 0);
    assert_int_equal(file_write(p->file, data, 65536, 2 << 16, &p->err), 0);
    assert_int_equal(file_write(p->file, data, 65536, 3 << 16, &p->err), 0);
    assert_int_equal(file_write(p->file, data, 65536, 8 << 16, &p->err), 0);
    free(data);
    /* the last run reaches behind the end of the file: all hole */
    const uint64_t ends[] = {2 << 16, 4 << 16, 8 << 16, 9 << 16, 20 << 16};
    const bool holes[] = {true, false, true, false, true};
    expect_spans(p, UINT64_MAX / 2, ends, holes, 5);
    expect_spans(p, 4096, ends, holes, 5);
    if (p->scratch.folder[0]) {
        /* the same file read-only, where answers are kept */
        struct file_options reader = {.lock = FILE_LOCK_READER};
        struct file *f = p->file;
        assert_int_equal(file_relock(f, FILE_LOCK_NONE, &p->err), 0);
        assert_int_equal(file_open_path(file_name(f), &reader, &p->file, &p->err), 0);
        expect_spans(p, UINT64_MAX / 2, ends, holes, 5);
        expect_spans(p, 4096, ends, holes, 5);
        file_cleanup(&p->file);
        p->file = f;
    }
}

static void preallocates(void **state)
{
    struct place *p = *state;
    assert_int_equal(file_preallocate(p->file, 0, 100, FILE_PREALLOC_OFF, &p->err), 0);
    assert_int_equal(file_size(p->file), 100);
    assert_int_equal(file_preallocate(p->file, 50, MIB, FILE_PREALLOC_FALLOC, &p->err), 0);
    assert_int_equal(file_size(p->file), MIB + 50);
    assert_int_equal(file_preallocate(p->file, MIB, 2 * MIB, FILE_PREALLOC_FULL, &p->err), 0);
    assert_int_equal(file_size(p->file), 3 * MIB);
    assert_true(file_allocated(p->file) >= (int64_t)(2 * MIB));
}

static void copies_inside_the_storage(void **state)
{
    struct place *p = *state;
    if (!p->scratch.folder[0])
        skip();
    uint8_t a[5000], b[5000];
    uint64_t copied = 99, seed = 1;
    struct file *to = NULL;
    scratch_fill(&seed, a, sizeof a);
    assert_int_equal(file_write(p->file, a, sizeof a, 10, &p->err), 0);
    assert_int_equal(file_open_path(scratch_name(&p->scratch, "to"), &writer, &to, &p->err), 0);
    assert_int_equal(file_copy(p->file, 10, to, 20, sizeof a, &copied, &p->err), 0);
    if (copied == sizeof a) {
        assert_int_equal(file_read(to, b, sizeof b, 20, &p->err), 0);
        assert_memory_equal(a, b, sizeof a);
    }
    /* beyond the end there is nothing to copy, and that is no error */
    assert_int_equal(file_copy(p->file, 100000, to, 0, 10, &copied, &p->err), 0);
    assert_int_equal(copied, 0);
    file_cleanup(&to);
}

#define THREADS 8
#define ROUNDS  200

struct slice {
    struct file *file;
    unsigned number;
    bool ok;
};

/* Each thread writes and reads its own stripes, which share pages with those of the others. */
static void *stripes(void *arg)
{
    struct slice *s = arg;
    struct err *e = calloc(1, sizeof *e);
    uint8_t in[700], out[700];
    s->ok = true;
    memset(in, (int)s->number + 1, sizeof in);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t off = (uint64_t)(i * THREADS + s->number) * sizeof in;
        s->ok &= !file_write(s->file, in, sizeof in, off, e);
        s->ok &= !file_read(s->file, out, sizeof out, off, e) && !memcmp(in, out, sizeof in);
        file_forget(s->file, off, sizeof in);
        s->ok &= !(i % 50) ? !file_sync(s->file, e) : true;
        s->ok &= file_size(s->file) >= off + sizeof in;
    }
    free(e);
    return NULL;
}

static void many_threads_share_it(void **state)
{
    struct place *p = *state;
    pthread_t thread[THREADS];
    struct slice slice[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        slice[i] = (struct slice){.file = p->file, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, stripes, &slice[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    uint8_t byte;
    for (unsigned i = 0; i < THREADS * ROUNDS; i++) {
        assert_int_equal(file_read(p->file, &byte, 1, i * 700 + 699, &p->err), 0);
        assert_int_equal(byte, i % THREADS + 1);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(slice[i].ok);
}

/* ---- beyond what the places share ------------------------------------------------------------ */

static int open_spec(const char *json, struct file_options o, struct file **f, struct err *e)
{
    json_t *spec = json_loads(json, 0, NULL);
    assert_non_null(spec);
    int r = file_open(spec, &o, f, e);
    json_decref(spec);
    return r;
}

static void errors_of_opening(void **state)
{
    (void)state;
    static const struct {
        const char *spec, *text;
    } cases[] = {
        {"{\"driver\":\"file\",\"filename\":\"/nowhere\"}",
         "Could not open '/nowhere': No such file or directory"},
        {"{\"driver\":\"file\",\"filename\":\"/tmp\"}",
         "'file' driver requires '/tmp' to be a regular file"},
        {"{\"driver\":\"host_device\",\"filename\":\"/etc/passwd\"}",
         "'host_device' driver requires '/etc/passwd' to be either a character or block device"},
        {"{\"driver\":\"file\"}", "The 'file' block driver requires a file name"},
        {"{\"driver\":\"foo\"}", "Unknown driver 'foo'"},
        {"{\"driver\":\"file\",\"filename\":\"/etc/passwd\",\"aio\":\"native\"}",
         "aio=native was specified, but it requires cache.direct=on, which was not specified."},
        {"{\"driver\":\"file\",\"filename\":\"/etc/passwd\",\"locking\":\"foo\"}",
         "invalid parameter value: foo"},
        {"{\"driver\":\"file\",\"filename\":\"/etc/passwd\",\"blub\":\"foo\"}",
         "Block protocol 'file' doesn't support the option 'blub'"},
    };
    struct err e = ERR_INIT;
    struct file *f = NULL;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(open_spec(cases[i].spec, (struct file_options){0}, &f, &e), -1);
        assert_string_equal(e.text, cases[i].text);
        assert_null(f);
    }
    assert_int_equal(file_open_path("/nowhere/x", &writer, &f, &e), -1);
    assert_string_equal(e.text, "Could not create '/nowhere/x': No such file or directory");
    assert_int_equal(file_open_path("/tmp", &writer, &f, &e), -1);
    assert_string_equal(e.text, "Could not create '/tmp': Is a directory");
}

static void fifo_is_refused_without_waiting(void **state)
{
    (void)state;
    struct scratch s;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    struct file_options reader = {.lock = FILE_LOCK_READER};
    scratch_init(&s, "/tmp");
    assert_int_equal(mkfifo(scratch_name(&s, "fifo"), 0600), 0);
    assert_int_equal(file_open_path(scratch_name(&s, "fifo"), &reader, &f, &e), -1);
    assert_non_null(strstr(e.text, "to be a regular file"));
    scratch_release(&s);
}

static void permission_denied(void **state)
{
    (void)state;
    if (geteuid() == 0) {
        print_message("skipped: root may read everything\n");
        skip();
    }
    struct scratch s;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    struct file_options reader = {.lock = FILE_LOCK_READER};
    scratch_init(&s, "/tmp");
    close(open(scratch_name(&s, "f"), O_CREAT | O_WRONLY, 0));
    assert_int_equal(file_open_path(scratch_name(&s, "f"), &reader, &f, &e), -1);
    assert_non_null(strstr(e.text, "': Permission denied"));
    scratch_release(&s);
}

static void dev_null_takes_and_gives_nothing(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    char buf[10];
    size_t got;
    assert_int_equal(file_open_path("/dev/null", &writer, &f, &e), 0);
    assert_string_equal(file_protocol(f), "host_device");
    assert_false(file_is_regular(f));
    assert_int_equal(file_size(f), 0);
    assert_int_equal(file_write(f, "x", 1, 1000, &e), 0);
    assert_int_equal(file_zero(f, 0, 100000, FILE_ZERO_UNMAP, &e), 0);
    assert_int_equal(file_read_padded(f, buf, 10, 0, &got, &e), 0);
    assert_int_equal(got, 0);
    assert_int_equal(file_truncate(f, 0, &e), 0);
    assert_int_equal(file_truncate(f, 1, &e), -1);
    assert_string_equal(e.text, "Cannot grow device files");
    assert_int_equal(file_sync(f, &e), 0);
    assert_int_equal(file_close(f, &e), 0);
}

static void null_is_as_long_as_it_is_told(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    struct file_options o = {.write = true};
    uint64_t length;
    bool hole;
    char buf[600];
    assert_int_equal(open_spec("{\"driver\":\"null-co\",\"size\":\"1M\"}", o, &f, &e), 0);
    assert_int_equal(file_size(f), MIB);
    assert_int_equal(file_span(f, 0, 2 * MIB, &hole, &length, &e), 0);
    assert_false(hole);
    assert_int_equal(length, MIB);
    assert_int_equal(file_write(f, buf, 600, MIB, &e), 0);
    assert_int_equal(file_size(f), MIB + 600);
    assert_int_equal(file_read(f, buf, 600, MIB, &e), 0);
    assert_true(zero_is(buf, 600));
    assert_int_equal(file_close(f, &e), 0);
    assert_int_equal(open_spec("{\"driver\":\"null-co\",\"size\":\"1x\"}", o, &f, &e), -1);
    assert_int_equal(
        open_spec("{\"driver\":\"null-co\",\"size\":9,\"read-zeroes\":true}", o, &f, &e), 0);
    assert_int_equal(file_span(f, 0, 5, &hole, &length, &e), 0);
    assert_true(hole);
    assert_int_equal(file_close(f, &e), 0);
}

static void cache_modes_have_names(void **state)
{
    (void)state;
    struct file_cache c;
    assert_int_equal(file_cache_parse("none", &c), 0);
    assert_true(c.direct && !c.writethrough && !c.no_flush);
    assert_int_equal(file_cache_parse("directsync", &c), 0);
    assert_true(c.direct && c.writethrough && !c.no_flush);
    assert_int_equal(file_cache_parse("unsafe", &c), 0);
    assert_true(!c.direct && !c.writethrough && c.no_flush);
    assert_int_equal(file_cache_parse("writeback", &c), 0);
    assert_true(!c.direct && !c.writethrough && !c.no_flush);
    assert_int_equal(file_cache_parse("foo", &c), -1);
}

static void read_only_files_are_not_written(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    struct file_options reader = {.lock = FILE_LOCK_READER};
    assert_int_equal(file_open_path("/etc/passwd", &reader, &f, &e), 0);
    assert_int_equal(file_write(f, "x", 1, 0, &e), -1);
    assert_int_equal(file_truncate(f, 0, &e), -1);
    assert_int_equal(file_zero(f, 0, 1, FILE_ZERO_KEEP, &e), -1);
    assert_int_equal(file_close(f, &e), 0);
    assert_int_equal(file_close(NULL, &e), 0);
}

#define PLACED(test)                                                                               \
    {                                                                                              \
#test, test, place_setup, place_teardown, NULL                                             \
    }

int main(void)
{
    struct CMUnitTest placed[] = {
        PLACED(reads_what_was_written),    PLACED(reading_past_the_end_fails),
        PLACED(bad_ranges_are_refused),    PLACED(truncates_and_grows_with_zeros),
        PLACED(zeroes_by_holes),           PLACED(zeroes_and_keeps_space),
        PLACED(tells_holes_from_data),     PLACED(preallocates),
        PLACED(copies_inside_the_storage), PLACED(many_threads_share_it),
    };
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(errors_of_opening),
        cmocka_unit_test(fifo_is_refused_without_waiting),
        cmocka_unit_test(permission_denied),
        cmocka_unit_test(dev_null_takes_and_gives_nothing),
        cmocka_unit_test(null_is_as_long_as_it_is_told),
        cmocka_unit_test(cache_modes_have_names),
        cmocka_unit_test(read_only_files_are_not_written),
    };
    int failed = 0;
    places[DISK] = scratch_disk();
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        for (size_t k = 0; k < ARRAY_LEN(placed); k++)
            placed[k].initial_state = (void *)(uintptr_t)places[i];
        failed += _cmocka_run_group_tests(places[i] ? places[i] : "memory", placed,
                                          ARRAY_LEN(placed), NULL, NULL);
    }
    return failed + cmocka_run_group_tests(alone, NULL, NULL);
}
