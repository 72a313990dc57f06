/* Files that fail on demand, and what the layer makes of real failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/num.h"
#include "io/fault.h"
#include "io/memory.h"

static struct err err;

static struct file *failing(const struct fault *faults, size_t n)
{
    struct file *below = NULL, *f = NULL;
    assert_int_equal(memory_new("below", "0123456789", 10, &below, &err), 0);
    assert_int_equal(fault_new(below, faults, n, &f, &err), 0);
    assert_string_equal(file_name(f), "below");
    return f;
}

static void nth_write_fails_in_part(void **state)
{
    (void)state;
    const struct fault t = {.op = FAULT_WRITE, .nth = 2, .no = ENOSPC, .partial = 2};
    struct file *f = failing(&t, 1);
    char buf[10];
    assert_int_equal(file_write(f, "abc", 3, 0, &err), 0);
    assert_int_equal(file_write(f, "def", 3, 3, &err), -1);
    assert_string_equal(err.text, "No space left on device");
    assert_int_equal(file_write(f, "ghi", 3, 6, &err), 0);
    assert_int_equal(file_read(f, buf, 10, 0, &err), 0);
    assert_memory_equal(buf, "abcde5ghi9", 10);
    assert_int_equal(fault_count(f, FAULT_WRITE), 3);
    assert_int_equal(file_close(f, &err), 0);
}

static void gone_for_good(void **state)
{
    (void)state;
    const struct fault t = {.op = FAULT_READ, .nth = 2, .and_after = true, .no = EIO};
    struct file *f = failing(&t, 1);
    char buf[10];
    size_t failed;
    const struct file_io io[] = {{buf, 1, 0}, {buf, 1, 1}, {buf, 1, 2}};
    assert_int_equal(file_read_batch(f, io, 3, &failed, &err), -1);
    assert_int_equal(failed, 1);
    assert_int_equal(file_read(f, buf, 1, 0, &err), -1);
    assert_int_equal(file_close(f, &err), 0);
}

static void every_kind_of_operation(void **state)
{
    (void)state;
    struct fault t[FAULT_OPS];
    for (int i = 0; i < FAULT_OPS; i++)
        t[i] = (struct fault){.op = i, .nth = 1, .no = EIO};
    struct file *f = failing(t, FAULT_OPS), *src = failing(NULL, 0);
    bool hole;
    uint64_t n;
    char c;
    assert_int_equal(file_read(f, &c, 1, 0, &err), -1);
    assert_int_equal(file_write(f, &c, 1, 0, &err), -1);
    assert_int_equal(file_span(f, 0, 1, &hole, &n, &err), -1);
    assert_int_equal(file_zero(f, 0, 1, FILE_ZERO_UNMAP, &err), -1);
    assert_int_equal(file_truncate(f, 1, &err), -1);
    assert_int_equal(file_preallocate(f, 0, 1, FILE_PREALLOC_FALLOC, &err), -1);
    assert_int_equal(file_copy(src, 0, f, 0, 1, &n, &err), -1);
    assert_int_equal(file_sync(f, &err), -1);
    assert_int_equal(file_relock(f, FILE_LOCK_NONE, &err), -1);
    /* and each works the second time */
    assert_int_equal(file_read(f, &c, 1, 0, &err), 0);
    assert_int_equal(file_write(f, &c, 1, 0, &err), 0);
    assert_int_equal(file_span(f, 0, 1, &hole, &n, &err), 0);
    assert_int_equal(file_zero(f, 0, 1, FILE_ZERO_UNMAP, &err), 0);
    assert_int_equal(file_preallocate(f, 0, 1, FILE_PREALLOC_FALLOC, &err), 0);
    assert_int_equal(file_copy(src, 0, f, 0, 1, &n, &err), 0);
    assert_int_equal(file_sync(f, &err), 0);
    assert_int_equal(file_relock(f, FILE_LOCK_NONE, &err), 0);
    assert_int_equal(file_truncate(f, 1, &err), 0);
    assert_int_equal(file_size(f), 1);
    assert_int_equal(file_close(f, &err), -1);
    assert_string_equal(err.text, "Input/output error");
    assert_int_equal(file_close(src, &err), 0);
}

static void a_full_device_says_so(void **state)
{
    (void)state;
    struct file *f = NULL;
    const struct file_options o = {.write = true};
    if (access("/dev/full", W_OK)) {
        print_message("skipped: no /dev/full\n");
        skip();
    }
    assert_int_equal(file_open_path("/dev/full", &o, &f, &err), 0);
    assert_int_equal(file_write(f, "x", 1, 0, &err), -1);
    assert_int_equal(err.no, ENOSPC);
    assert_int_equal(file_zero(f, 0, 100, FILE_ZERO_KEEP, &err), -1);
    assert_string_equal(err.text, "No space left on device");
    assert_int_equal(file_close(f, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nth_write_fails_in_part),
        cmocka_unit_test(gone_for_good),
        cmocka_unit_test(every_kind_of_operation),
        cmocka_unit_test(a_full_device_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
