/* A file on a server, used by many threads at once. Needs nbdkit; without it nothing is tried. */
#include <pthread.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/file.h"

#define THREADS 12u
#define PART    (2 * MIB)
#define SIZE    (THREADS * PART)

struct server {
    char folder[64], socket[96], pidfile[96];
};

static bool start(struct server *s, const char *args)
{
    char command[600];
    snprintf(s->folder, sizeof s->folder, "/tmp/test_nbd.XXXXXX");
    if (!mkdtemp(s->folder))
        return false;
    snprintf(s->socket, sizeof s->socket, "%s/s", s->folder);
    snprintf(s->pidfile, sizeof s->pidfile, "%s/pid", s->folder);
    snprintf(command, sizeof command, "nbdkit -U %s -P %s %s 2>/dev/null", s->socket, s->pidfile,
             args);
    return system(command) == 0;
}

static void stop(struct server *s)
{
    FILE *f = fopen(s->pidfile, "r");
    int pid = 0;
    if (f && fscanf(f, "%d", &pid) == 1 && pid > 1)
        kill(pid, SIGTERM);
    if (f)
        fclose(f);
    unlink(s->pidfile);
    unlink(s->socket);
    rmdir(s->folder);
}

static struct file *open_server(const struct server *s, bool write)
{
    struct err e = ERR_INIT;
    struct file *f = NULL;
    const struct file_options o = {.write = write};
    json_t *node = json_pack("{s:s, s:s}", "driver", "nbd", "path", s->socket);
    if (file_open(node, &o, &f, &e))
        fail_msg("%s", e.text);
    json_decref(node);
    return f;
}

/* Not what another offset has. */
static void pattern(uint8_t *buf, size_t n, uint64_t off)
{
    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)((off + i) * 2654435761u >> 13);
}

struct thread {
    pthread_t id;
    struct file *f;
    unsigned number;
    bool good;
    struct err e;
};

static bool check(struct thread *t, uint8_t *buf, uint8_t *want, uint64_t off, size_t n)
{
    memset(buf, 0xee, n);
    pattern(want, n, off);
    return !file_read(t->f, buf, n, off, &t->e) && !memcmp(buf, want, n);
}

/* Writes its part in odd pieces, zeros some of it, and reads it back in others. */
static bool work(struct thread *t, uint8_t *buf, uint8_t *want)
{
    uint64_t from = t->number * PART, size = PART;
    bool is_hole;
    uint64_t length;
    for (uint64_t done = 0, n; done < size; done += n) {
        n = num_min(size - done, 1000 + 7919 * (done % 31));
        pattern(buf, n, from + done);
        if (file_write(t->f, buf, n, from + done, &t->e))
            return false;
    }
    for (uint64_t done = 0, n; done < size; done += n) {
        n = num_min(size - done, 300000);
        if (!check(t, buf, want, from + done, n) ||
            file_span(t->f, from + done, n, &is_hole, &length, &t->e) || is_hole)
            return false;
    }
    if (file_zero(t->f, from + 5000, 100000, FILE_ZERO_UNMAP, &t->e) ||
        file_read(t->f, buf, 100000, from + 5000, &t->e))
        return false;
    for (size_t i = 0; i < 100000; i++)
        if (buf[i])
            return false;
    return check(t, buf, want, from, 5000) && check(t, buf, want, from + 105000, 5000) &&
           !file_sync(t->f, &t->e);
}

static void *run(void *arg)
{
    struct thread *t = arg;
    uint8_t *buf = malloc(PART), *want = malloc(PART);
    t->good = buf && want && work(t, buf, want);
    free(buf);
    free(want);
    return NULL;
}

static void share(const char *args)
{
    struct server s;
    struct err e = ERR_INIT;
    static struct thread threads[THREADS];
    if (!start(&s, args)) {
        rmdir(s.folder);
        skip();
    }
    struct file *f = open_server(&s, true);
    assert_int_equal(file_size(f), SIZE);
    for (unsigned i = 0; i < THREADS; i++) {
        threads[i] = (struct thread){.f = f, .number = i};
        assert_int_equal(pthread_create(&threads[i].id, NULL, run, &threads[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i].id, NULL);
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(threads[i].good);
    assert_int_equal(file_close(f, &e), 0);
    stop(&s);
}

static void test_many_connections(void **state)
{
    (void)state;
    share("memory 24M");
}

static void test_one_connection(void **state)
{
    (void)state;
    share("--filter=multi-conn memory 24M multi-conn-mode=disable");
}

static void test_large_blocks(void **state)
{
    (void)state;
    share("--filter=blocksize-policy memory 24M blocksize-minimum=4096 blocksize-preferred=64K "
          "blocksize-maximum=128K blocksize-error-policy=error");
}

static void test_simple_server(void **state)
{
    (void)state;
    share("--no-sr --filter=nozero --filter=noextents memory 24M");
}

/* A batch fails with the error of its first request that failed, whatever else is in flight. */
static void test_batch_order(void **state)
{
    (void)state;
    struct server s;
    struct err e = ERR_INIT;
    static uint8_t buf[8][4096];
    struct file_io io[8];
    size_t failed = 99;
    if (!start(&s, "eval get_size='echo 65536' pread='if [ $4 -ge 12288 ]; then echo EPERM no >&2; "
                   "exit 1; fi; dd if=/dev/zero bs=$3 count=1 status=none'")) {
        rmdir(s.folder);
        skip();
    }
    struct file *f = open_server(&s, false);
    for (unsigned i = 0; i < 8; i++)
        io[i] = (struct file_io){buf[i], sizeof buf[i], i * sizeof buf[i]};
    assert_int_equal(file_read_batch(f, io, 8, &failed, &e), -1);
    assert_int_equal(failed, 3);
    assert_int_equal(e.no, EPERM);
    io[5].off = 65536;
    assert_int_equal(file_read_batch(f, io + 5, 1, &failed, &e), -1);
    assert_int_equal(e.no, EIO);
    file_cleanup(&f);
    stop(&s);
}

#ifdef HAVE_NBD
#define TRY(tests) cmocka_run_group_tests(tests, NULL, NULL)
#else
#define TRY(tests) ((void)(tests), 0)
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_connections), cmocka_unit_test(test_one_connection),
        cmocka_unit_test(test_large_blocks),     cmocka_unit_test(test_simple_server),
        cmocka_unit_test(test_batch_order),
    };
    return TRY(tests);
}
