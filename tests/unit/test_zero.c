/* Zero detection: lengths around the block size, one bad byte anywhere, runs by grain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/zero.h"

static void any_length_any_byte(void **state)
{
    (void)state;
    unsigned char b[100] = {0};
    for (size_t n = 0; n <= sizeof b; n++) {
        assert_true(zero_is(b, n));
        for (size_t i = 0; i < sizeof b; i++) {
            b[i] = 1;
            assert_int_equal(zero_is(b, n), i >= n);
            b[i] = 0;
        }
    }
}

static void runs_by_grain(void **state)
{
    (void)state;
    unsigned char b[1000] = {0};
    b[600] = 1;
    bool zero;
    assert_int_equal(zero_run(b, sizeof b, 512, &zero), 512);
    assert_true(zero);
    assert_int_equal(zero_run(b + 512, sizeof b - 512, 512, &zero), sizeof b - 512);
    assert_false(zero);
    assert_int_equal(zero_run(b, 100, 512, &zero), 100);
    assert_true(zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_length_any_byte),
        cmocka_unit_test(runs_by_grain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
