/* vmdk changed in place: storms against a model on each kind of extents, with and without a parent,
 * and a stop at each write of them. */
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
#include "scratch.h"

#define SIZE (3 * MIB + 512)

static const char *const kinds[] = {
    "subformat=monolithicSparse",     "subformat=monolithicSparse,zeroed_grain=on",
    "subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentSparse,zeroed_grain=on",
    "subformat=monolithicFlat",       "subformat=twoGbMaxExtentFlat",
};

static void storms(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct storm s = {.driver = "vmdk",
                          .path = scratch_name(*state, "storm.vmdk"),
                          .options = kinds[i],
                          .size = SIZE,
                          .seed = i,
                          .rounds = 3,
                          .steps = 80};
        storm_run(&s);
    }
}

/* A parent full of noise, a child over it: what the child does not write shows the parent. */
static void storms_over_a_parent(void **state)
{
    for (size_t i = 0; i < 4; i++) {
        struct storm s = {.driver = "vmdk",
                          .path = scratch_name(*state, "parent.vmdk"),
                          .options = kinds[i % 2 * 4],
                          .size = SIZE,
                          .seed = i,
                          .rounds = 1,
                          .steps = 60,
                          .model = calloc(1, SIZE)};
        storm_run(&s);
        s.path = scratch_name(*state, "child.vmdk");
        s.base = "parent.vmdk";
        s.options = kinds[i];
        s.rounds = 3;
        storm_run(&s);
        free(s.model);
    }
}

/* ---- several extents ------------------------------------------------------------------------- */

static void extents_make(const char *folder, const uint64_t *sizes, size_t n, const char *name)
{
    FILE *f = fopen(name, "w");
    fprintf(f, "# Disk DescriptorFile\nversion=1\nCID=00c0ffee\nparentCID=ffffffff\n"
               "createType=\"twoGbMaxExtentSparse\"\n\n# Extent description\n");
    for (size_t i = 0; i < n; i++) {
        char path[300];
        bool flat = i % 3 == 2;
        snprintf(path, sizeof path, "%s/part%zu.vmdk", folder, i);
        if (flat)
            storm_create("raw", path, "nocow=off", sizes[i], NULL, NULL);
        else
            storm_create("vmdk", path, i % 2 ? kinds[0] : kinds[1], sizes[i], NULL, NULL);
        fprintf(f, "RW %" PRIu64 " %s \"part%zu.vmdk\"%s\n", sizes[i] / 512,
                flat ? "FLAT" : "SPARSE", i, flat ? " 0" : "");
    }
    fclose(f);
}

/* More than are held at a time, sparse and flat ones. */
static void many_extents(void **state)
{
    const struct scratch *dir = *state;
    uint64_t sizes[90];
    struct storm s = {.driver = "vmdk",
                      .path = scratch_name(*state, "many.vmdk"),
                      .seed = 5,
                      .rounds = 2,
                      .steps = 300};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        sizes[i] = 65536 * (1 + storm_draw(&s, 2)) + (i + 1 == ARRAY_LEN(sizes) ? 1536 : 0);
        s.size += sizes[i];
    }
    extents_make(dir->folder, sizes, ARRAY_LEN(sizes), s.path);
    storm_run(&s);
}

static void begin_refuses(const struct storm *s, const char *words)
{
    struct err e = ERR_INIT;
    struct edit *d;
    struct image *img = storm_open(s, true, false);
    assert_int_equal(edit_begin(img, &d, &e), -1);
    assert_non_null(strstr(e.text, words));
    storm_close(img);
}

static void grains_across_extents_are_refused(void **state)
{
    const struct scratch *dir = *state;
    static const uint64_t sizes[] = {65536 + 512, 65536};
    struct storm s = {.driver = "vmdk", .path = scratch_name(*state, "odd.vmdk")};
    extents_make(dir->folder, sizes, ARRAY_LEN(sizes), s.path);
    begin_refuses(&s, "do not begin with a grain");
}

/* ---- both copies of the tables --------------------------------------------------------------- */

/* Without its grain directory: the redundant one alone is left. */
static void copies_are_in_step(void **state)
{
    struct err e = ERR_INIT;
    struct storm s = {.driver = "vmdk",
                      .path = scratch_name(*state, "copies.vmdk"),
                      .options = kinds[1],
                      .size = SIZE,
                      .seed = 9,
                      .rounds = 2,
                      .steps = 60,
                      .model = calloc(1, SIZE)};
    storm_run(&s);
    struct file *f;
    const struct file_options o = {.write = true};
    uint8_t at[8];
    storm_must(file_open_path(s.path, &o, &f, &e), &e);
    storm_must(file_read(f, at, sizeof at, 48, &e), &e);
    storm_must(file_write(f, at, sizeof at, 56, &e), &e);
    storm_must(file_close(f, &e), &e);
    struct image *img = storm_open(&s, false, false);
    storm_same(&s, img);
    storm_close(img);
    free(s.model);
}

/* ---- the content identifier ------------------------------------------------------------------ */

static unsigned cid_of(const struct storm *s)
{
    struct err e = ERR_INIT;
    struct format_info info = {0};
    struct image *img = storm_open(s, false, false);
    storm_must(img->format->info(img, &info, &e), &e);
    unsigned cid = (unsigned)json_integer_value(json_object_get(info.specific, "cid"));
    json_decref(info.specific);
    storm_close(img);
    return cid;
}

static void cid_changes_with_the_first_write(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct err e = ERR_INIT;
        struct storm s = {.driver = "vmdk", .path = scratch_name(*state, "cid.vmdk")};
        storm_create("vmdk", s.path, kinds[i], SIZE, NULL, NULL);
        unsigned fresh = cid_of(&s);
        for (int write = 0; write < 2; write++) {
            struct edit *d;
            struct image *img = storm_open(&s, true, false);
            storm_must(edit_begin(img, &d, &e), &e);
            if (write)
                storm_must(edit_write(d, 7, "x", 1, &e), &e);
            storm_must(edit_end(d, &e), &e);
            storm_close(img);
            assert_int_equal(cid_of(&s) == fresh, !write);
        }
    }
}

static void stops(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        for (unsigned seed = 0; seed < 8; seed++) {
            const char *path = scratch_name(*state, "crash.vmdk");
            struct crash c = {.driver = "vmdk", .seed = seed};
            storm_create("vmdk", path, kinds[i], SIZE, NULL, NULL);
            crash_run(&c, path, 4 + 4 * seed);
        }
    }
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
        cmocka_unit_test(storms_over_a_parent),
        cmocka_unit_test(many_extents),
        cmocka_unit_test(grains_across_extents_are_refused),
        cmocka_unit_test(copies_are_in_step),
        cmocka_unit_test(cid_changes_with_the_first_write),
        cmocka_unit_test(stops),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
