/* O_DIRECT against a model: every misalignment of offset, length and memory; ends of files. */
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

#include "base/mem.h"
#include "base/num.h"
#include "io/file_ops.h"
#include "io/posix.h"
#include "scratch.h"

#define SIZE (8 * MIB)

static struct scratch scratch;
static struct err err;

static const struct file_options direct = {
    .write = true, .create = FILE_CREATE_NEW, .lock = FILE_LOCK_WRITER, .cache.direct = true};

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

/* Skips the test where there is no O_DIRECT. */
static struct file *open_direct(const char *name, struct file_options o)
{
    struct file *f = NULL;
    assert_int_equal(file_open_path(scratch_name(&scratch, name), &o, &f, &err), 0);
    if (file_alignment(f) == 1) {
        print_message("skipped: no O_DIRECT in %s\n", scratch.folder);
        file_cleanup(&f);
        skip();
    }
    return f;
}

struct model {
    struct file *file;
    uint8_t *bytes; /* SIZE */
    uint64_t end;
    uint8_t *buf; /* aligned, SIZE + 4096 */
    uint64_t seed;
};

static void model_init(struct model *m, const char *name)
{
    *m = (struct model){.file = open_direct(name, direct), .seed = 42};
    m->bytes = calloc(1, SIZE);
    m->buf = mem_io(SIZE + 4096, &err);
}

static void model_release(struct model *m)
{
    assert_int_equal(file_close(m->file, &err), 0);
    free(m->bytes);
    free(m->buf);
}

static void model_write(struct model *m, uint64_t off, size_t len, size_t shift)
{
    scratch_fill(&m->seed, m->buf + shift, len);
    memcpy(m->bytes + off, m->buf + shift, len);
    m->end = num_max(m->end, off + len);
    assert_int_equal(file_write(m->file, m->buf + shift, len, off, &err), 0);
    assert_int_equal(file_size(m->file), m->end);
}

static void model_read(struct model *m, uint64_t off, size_t len, size_t shift)
{
    size_t got;
    assert_int_equal(file_read_padded(m->file, m->buf + shift, len, off, &got, &err), 0);
    assert_int_equal(got, off < m->end ? num_min(len, m->end - off) : 0);
    assert_memory_equal(m->buf + shift, m->bytes + off, len);
}

static const uint64_t offsets[] = {0, 1, 511, 512, 513, 4095, 4096, 4097, 5000, 65536, 65537};
static const size_t lengths[] = {1, 511, 512, 513, 4095, 4096, 4097, 8192, 12288, 70000, 300000};
static const size_t shifts[] = {0, 1, 512, 2048, 4095};

static void any_misalignment_growing(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, "growing");
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
            size_t shift = shifts[(i + k) % ARRAY_LEN(shifts)];
            assert_int_equal(file_truncate(m.file, 0, &err), 0);
            memset(m.bytes, 0, SIZE);
            m.end = 0;
            model_write(&m, offsets[i], lengths[k], shift);
            model_read(&m, 0, offsets[i] + lengths[k] + 5000, 0);
            model_read(&m, offsets[i], lengths[k], shift);
        }
    }
    model_release(&m);
}

static void any_misalignment_inside(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, "inside");
    model_write(&m, 0, MIB + 777, 0);
    for (size_t i = 0; i < ARRAY_LEN(offsets); i++) {
        for (size_t k = 0; k < ARRAY_LEN(lengths); k++) {
            for (size_t s = 0; s < ARRAY_LEN(shifts); s++) {
                model_write(&m, offsets[i], lengths[k], shifts[s]);
                model_read(&m, offsets[i] / 2, lengths[k] + 999, shifts[s]);
            }
        }
    }
    model_read(&m, 0, 2 * MIB, 0);
    model_release(&m);
}

static void random_requests(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, "random");
    for (int i = 0; i < 300; i++) {
        size_t len = scratch_random(&m.seed) % (1u << (4 + scratch_random(&m.seed) % 18)) + 1;
        uint64_t off = scratch_random(&m.seed) % (SIZE - len + 1);
        size_t shift = scratch_random(&m.seed) % 3 ? 0 : scratch_random(&m.seed) % 4096;
        if (scratch_random(&m.seed) % 2)
            off = num_down(off, 512);
        switch (scratch_random(&m.seed) % 4) {
        case 0:
        case 1:
            model_write(&m, off, len, shift);
            break;
        case 2:
            model_read(&m, off, len, shift);
            break;
        case 3:
            assert_int_equal(
                file_zero(m.file, off, len,
                          scratch_random(&m.seed) % 2 ? FILE_ZERO_UNMAP : FILE_ZERO_KEEP, &err),
                0);
            memset(m.bytes + off, 0, len);
            m.end = num_max(m.end, off + len);
        }
    }
    model_read(&m, 0, SIZE, 0);
    /* and as others see it */
    struct file_options reader = {.lock = FILE_LOCK_SHARED};
    struct file *buffered = NULL;
    assert_int_equal(file_sync(m.file, &err), 0);
    assert_int_equal(file_open_path(file_name(m.file), &reader, &buffered, &err), 0);
    assert_int_equal(file_alignment(buffered), 1);
    assert_int_equal(file_read(buffered, m.buf, m.end, 0, &err), 0);
    assert_memory_equal(m.buf, m.bytes, m.end);
    file_cleanup(&buffered);
    model_release(&m);
}

static void batches_of_many(void **state)
{
    (void)state;
    enum { N = 100 };
    struct model m;
    struct file_io io[N];
    size_t failed = 1000, at = 0;
    model_init(&m, "batch");
    for (size_t i = 0; i < N; i++) {
        size_t len = i % 7 == 3 ? 0 : 1 + scratch_random(&m.seed) % 100000;
        if (i % 2)
            len = num_up(len, 4096);
        if (at + len > SIZE)
            len = 0;
        io[i] = (struct file_io){.buf = m.buf + at, .len = len, .off = at};
        at += len;
    }
    scratch_fill(&m.seed, m.buf, at);
    memcpy(m.bytes, m.buf, at);
    assert_int_equal(file_write_batch(m.file, io, N, &failed, &err), 0);
    assert_int_equal(file_size(m.file), at);
    memset(m.buf, 0, at);
    assert_int_equal(file_read_batch(m.file, io, N, &failed, &err), 0);
    assert_memory_equal(m.buf, m.bytes, at);
    /* the first that reaches over the end is the one that is named */
    assert_int_equal(file_truncate(m.file, io[50].off + 1, &err), 0);
    assert_int_equal(file_read_batch(m.file, io, N, &failed, &err), -1);
    assert_int_equal(err.no, EIO);
    assert_int_equal(failed, io[50].len > 1 ? 50 : 51);
    model_release(&m);
}

static void writethrough_too(void **state)
{
    (void)state;
    struct file_options o = direct;
    o.cache.writethrough = true;
    struct file *f = open_direct("through", o);
    char buf[10000] = "x";
    assert_int_equal(file_write(f, buf, sizeof buf, 3, &err), 0);
    assert_int_equal(file_size(f), sizeof buf + 3);
    assert_int_equal(file_close(f, &err), 0);
}

static void refusal_falls_back(void **state)
{
    (void)state;
    struct model m;
    model_init(&m, "refusing");
    /* a descriptor for which every aligned request is wrong: half a sector */
    struct posix *p = posix_of(m.file);
    model_write(&m, 0, 100000, 0);
    p->file.alignment = 64;
    model_read(&m, 64, 64, 64);
    if (!p->direct_off)
        print_message("this file system takes O_DIRECT at any alignment\n");
    model_write(&m, 5000, 200000, 1);
    model_read(&m, 100, 300000, 0);
    struct file_io io[] = {{m.buf, 10, 5}, {m.buf + 4096, 8192, 4096}};
    assert_int_equal(file_read_batch(m.file, io, 2, NULL, &err), 0);
    assert_memory_equal(m.buf + 4096, m.bytes + 4096, 8192);
    model_release(&m);
}

#define THREADS 4
#define STRIPE  (600 * KIB + 1000) /* shares pages with its neighbours */

struct part {
    struct file *file;
    unsigned number;
    bool ok;
};

static void *write_part(void *arg)
{
    struct part *s = arg;
    struct err *e = calloc(1, sizeof *e);
    uint8_t *buf = mem_io(2 * STRIPE, e);
    uint8_t *back = buf + STRIPE;
    s->ok = true;
    for (unsigned i = 0; i < 6; i++) {
        uint64_t off = (uint64_t)(i * THREADS + s->number) * STRIPE;
        memset(buf, (int)(i * THREADS + s->number + 1), STRIPE);
        s->ok &= !file_write(s->file, buf, STRIPE, off, e);
        s->ok &= !file_read(s->file, back, STRIPE, off, e) && !memcmp(buf, back, STRIPE);
    }
    free(buf);
    free(e);
    return NULL;
}

static void neighbours_do_not_hurt_each_other(void **state)
{
    (void)state;
    struct file *f = open_direct("threads", direct);
    pthread_t thread[THREADS];
    struct part part[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        part[i] = (struct part){.file = f, .number = i};
        assert_int_equal(pthread_create(&thread[i], NULL, write_part, &part[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
        assert_true(part[i].ok);
    }
    assert_int_equal(file_sync(f, &err), 0);
    uint8_t *buf = malloc(STRIPE);
    for (unsigned i = 0; i < 6 * THREADS; i++) {
        assert_int_equal(file_read(f, buf, STRIPE, (uint64_t)i * STRIPE, &err), 0);
        for (size_t k = 0; k < STRIPE; k++)
            assert_int_equal(buf[k], i + 1);
    }
    free(buf);
    assert_int_equal(file_close(f, &err), 0);
}

static void tmpfs_stays_buffered(void **state)
{
    (void)state;
    struct scratch s;
    struct file *f = NULL;
    scratch_init(&s, "/dev/shm");
    assert_int_equal(file_open_path(scratch_name(&s, "f"), &direct, &f, &err), 0);
    assert_int_equal(file_alignment(f), 1);
    assert_int_equal(file_write(f, "abc", 3, 1, &err), 0);
    assert_int_equal(file_close(f, &err), 0);
    scratch_release(&s);
}

/* Its contents are lost. */
static void try_device(const char *path, bool past_cache)
{
    struct model m = {.seed = 7};
    struct file_options o = direct;
    o.cache.direct = past_cache;
    assert_int_equal(file_open_path(path, &o, &m.file, &err), 0);
    assert_string_equal(file_protocol(m.file), "host_device");
    assert_false(file_is_regular(m.file));
    assert_true(file_size(m.file) >= SIZE);
    assert_int_equal(file_alignment(m.file) > 1, past_cache);
    m.bytes = calloc(1, SIZE);
    m.buf = mem_io(SIZE + 4096, &err);
    uint64_t size = m.end = file_size(m.file), length;
    bool hole;
    assert_int_equal(file_zero(m.file, 0, SIZE, FILE_ZERO_UNMAP, &err), 0);
    for (int i = 0; i < 100; i++) {
        size_t len = scratch_random(&m.seed) % 300000 + 1;
        uint64_t off = scratch_random(&m.seed) % (SIZE - len);
        if (i % 3 == 0)
            len = num_up(len, 4096), off = num_down(off, 4096);
        if (i % 5) {
            model_write(&m, off, len, i % 2);
        } else {
            enum file_zero how = i % 2 ? FILE_ZERO_UNMAP : FILE_ZERO_KEEP;
            assert_int_equal(file_zero(m.file, off, len, how, &err), 0);
            memset(m.bytes + off, 0, len);
        }
        model_read(&m, off, len, 0);
    }
    model_read(&m, 0, SIZE, 0);
    assert_int_equal(file_span(m.file, 0, UINT64_MAX, &hole, &length, &err), 0);
    assert_true(!hole && length == size);
    assert_int_equal(file_write(m.file, m.buf, 4096, size - 1, &err), -1);
    assert_string_equal(err.text, "No space left on device");
    assert_int_equal(file_truncate(m.file, size - 1, &err), 0);
    assert_int_equal(file_truncate(m.file, size + 1, &err), -1);
    assert_int_equal(file_sync(m.file, &err), 0);
    model_release(&m);
}

static void block_device(void **state)
{
    (void)state;
    const char *path = getenv("MPI_IMG_TEST_DEVICE");
    if (!path) {
        print_message("skipped: MPI_IMG_TEST_DEVICE names no block device to overwrite\n");
        skip();
    }
    try_device(path, false);
    try_device(path, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_misalignment_growing),
        cmocka_unit_test(any_misalignment_inside),
        cmocka_unit_test(random_requests),
        cmocka_unit_test(batches_of_many),
        cmocka_unit_test(writethrough_too),
        cmocka_unit_test(refusal_falls_back),
        cmocka_unit_test(neighbours_do_not_hurt_each_other),
        cmocka_unit_test(tmpfs_stays_buffered),
        cmocka_unit_test(block_device),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
