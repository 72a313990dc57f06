/* vhdx changed in place: storms against a model, and a stop at each write of them. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "edit_crash.h"
#include "edit_storm.h"
#include "formats/vhdx/vhdx.h"
#include "scratch.h"

static const char *const kinds[] = {
    "block_size=1M",
    "block_size=8M",
    "block_size=1M,block_state_zero=off",
    "subformat=fixed,block_size=1M",
};

static void storms(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct storm s = {.driver = "vhdx",
                          .path = scratch_name(*state, "storm.vhdx"),
                          .options = kinds[i],
                          .size = 19 * MIB + 512,
                          .seed = i,
                          .rounds = 3,
                          .steps = 60,
                          .at_most = 3000000};
        storm_run(&s);
    }
}

static void stops(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (i == 1)
            continue; /* nothing that the others do not show, and large */
        for (unsigned seed = 0; seed < 8; seed++) {
            const char *path = scratch_name(*state, "crash.vhdx");
            struct crash c = {.driver = "vhdx", .seed = seed};
            storm_create("vhdx", path, kinds[i], 6 * MIB + 512, NULL, NULL);
            crash_run(&c, path, 4 + 2 * seed);
        }
    }
}

/* Both headers, the one that counts and the GUIDs in it. */
static struct vhdx_header header_of(const char *path)
{
    struct err e = ERR_INIT;
    struct file *f;
    struct vhdx_header h;
    unsigned copy;
    const struct file_options o = {0};
    storm_must(file_open_path(path, &o, &f, &e), &e);
    storm_must(vhdx_header_read(f, &h, &copy, &e), &e);
    storm_must(file_close(f, &e), &e);
    return h;
}

static void guids_change_with_the_first_write(void **state)
{
    struct err e = ERR_INIT;
    struct storm s = {.driver = "vhdx", .path = scratch_name(*state, "guid.vhdx")};
    storm_create("vhdx", s.path, "block_size=1M", 4 * MIB, NULL, NULL);
    struct vhdx_header fresh = header_of(s.path), after;
    for (int write = 0; write < 2; write++) {
        struct edit *d;
        struct image *img = storm_open(&s, true, false);
        storm_must(edit_begin(img, &d, &e), &e);
        storm_must(edit_zero(d, 0, MIB, EDIT_ZERO_DROP, &e), &e);
        if (write)
            storm_must(edit_write(d, 7, "x", 1, &e), &e);
        storm_must(edit_end(d, &e), &e);
        storm_close(img);
        after = header_of(s.path);
        assert_true(vhdx_guid_equal(&after.log, &vhdx_guid_none));
        assert_int_equal(vhdx_guid_equal(&fresh.data_write, &after.data_write), !write);
        assert_int_equal(vhdx_guid_equal(&fresh.file_write, &after.file_write), !write);
        assert_int_equal(fresh.sequence == after.sequence, !write);
    }
}

/* The log goes round: more entries than it has room for, some of many sectors. */
static void log_goes_round(void **state)
{
    struct err e = ERR_INIT;
    struct storm s = {.driver = "vhdx", .path = scratch_name(*state, "round.vhdx")};
    storm_create("vhdx", s.path, "block_size=1M", 600 * GIB, NULL, NULL);
    struct edit *d;
    struct image *img = storm_open(&s, true, false);
    storm_must(edit_begin(img, &d, &e), &e);
    for (unsigned i = 0; i < 30; i++) {
        for (unsigned k = 0; k < (i % 4 ? 1 + i : 300); k++) {
            uint64_t at = (i * 20 + k * 520) * MIB;
            storm_must(edit_write(d, at, &at, sizeof at, &e), &e);
        }
        storm_must(edit_flush(d, &e), &e);
    }
    storm_must(edit_end(d, &e), &e);
    storm_close(img);
    img = storm_open(&s, false, false);
    struct image_reader *r = image_reader_new(&e);
    for (unsigned i = 0; i < 30; i++) {
        for (unsigned k = 0; k < (i % 4 ? 1 + i : 300); k++) {
            uint64_t at = (i * 20 + k * 520) * MIB, got;
            storm_must(image_read(r, img, at, sizeof got, &got, &e), &e);
            assert_int_equal(got, at);
        }
    }
    image_reader_free(r);
    storm_close(img);
    storm_sound(&s);
}

static int set_up(void **state)
{
    static struct scratch s;
    scratch_init(&s, "/dev/shm");
    *state = &s;
    return 0;
}

static int tear_down(void **state)
{
    scratch_release(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storms),
        cmocka_unit_test(guids_change_with_the_first_write),
        cmocka_unit_test(log_goes_round),
        cmocka_unit_test(stops),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
