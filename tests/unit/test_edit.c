/* Random writes, zeros and discards in an image that is there, mirrored on plain memory: what is
 * read back is what was written, at once, after a flush and after opening again; the check finds
 * neither leak nor fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/num.h"
#include "flow/create.h"
#include "flow/resize.h"
#include "formats/format.h"
#include "image/edit.h"

#define SIZE  (3 * MIB + 512)
#define STEPS 250

static uint64_t seed;
static char path[64], base_path[64];

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

static void must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

static void create(const char *format, const char *name, const char *text, const char *backing)
{
    struct err e = ERR_INIT;
    const struct format *f = format_find(format);
    const struct option_def *const tables[] = {f->create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    must(!o, &e);
    must(options_parse(o, text, NULL, &e), &e);
    char size[32];
    snprintf(size, sizeof size, "%u", (unsigned)SIZE);
    must(options_set(o, "size", size, &e), &e);
    if (backing) {
        must(options_set(o, "backing_file", backing, &e), &e);
        must(options_set(o, "backing_fmt", "raw", &e), &e);
    }
    const struct create_options run = {.path = name,
                                       .format = f,
                                       .options = o,
                                       .backing_name = backing,
                                       .backing_format = backing ? "raw" : NULL};
    must(create_run(&run, &e), &e);
    options_free(o);
}

static struct image *open_image(const char *format, bool write)
{
    struct err e = ERR_INIT;
    struct image *img;
    const struct image_flags flags = {.write = write, .driver = format, .metadata_budget = 1};
    must(image_open_name(path, &flags, &img, &e), &e);
    return img;
}

static void close_image(struct image *img)
{
    struct err e = ERR_INIT;
    must(image_close(img, &e), &e);
}

static void same(struct image *img, const uint8_t *model)
{
    struct err e = ERR_INIT;
    static uint8_t got[SIZE];
    struct image_reader *r = image_reader_new(&e);
    must(image_read(r, img, 0, SIZE, got, &e), &e);
    image_reader_free(r);
    for (size_t i = 0; i < SIZE; i++)
        if (got[i] != model[i])
            fail_msg("byte %zu is %02x, should be %02x", i, got[i], model[i]);
}

static void tell(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s\n", text);
}

static void no_fault(const char *format)
{
    struct err e = ERR_INIT;
    struct image *img;
    struct check_result result = {0};
    const struct check_sink sink = {.line = tell, .memory = 64 * MIB};
    const struct image_flags flags = {.driver = format, .check = true};
    must(image_open_name(path, &flags, &img, &e), &e);
    if (img->format->check)
        must(img->format->check(img, CHECK_FIX_NONE, &sink, &result, &e), &e);
    assert_int_equal(result.corruptions, 0);
    assert_int_equal(result.check_errors, 0);
    assert_int_equal(result.leaks, 0);
    close_image(img);
}

static void one_step(struct edit *d, uint8_t *model)
{
    static uint8_t buf[SIZE];
    struct err e = ERR_INIT;
    uint64_t at = draw(SIZE), len = 1 + draw(draw(3) ? 5000 : 400000);
    if (draw(2)) {
        at = num_down(at, 65536);
        len = num_up(len, 65536);
    }
    len = num_min(len, SIZE - at);
    switch (draw(6)) {
    case 0:
        must(edit_zero(d, at, len, draw(2) ? EDIT_ZERO_KEEP : EDIT_ZERO_DROP, &e), &e);
        memset(model + at, 0, len);
        break;
    case 1:
        must(edit_flush(d, &e), &e);
        break;
    default:
        for (uint64_t i = 0; i < len; i++)
            model[at + i] = buf[i] = (uint8_t)(1 + draw(255));
        must(edit_write(d, at, buf, len, &e), &e);
    }
}

static void storm(const char *format, const char *options, bool backed)
{
    static uint8_t model[SIZE];
    struct err e = ERR_INIT;
    memset(model, 0, sizeof model);
    if (backed) {
        FILE *f = fopen(base_path, "wb");
        for (size_t i = 0; i < SIZE - 512; i++)
            model[i] = (uint8_t)draw(256);
        assert_int_equal(fwrite(model, 1, SIZE - 512, f), SIZE - 512);
        fclose(f);
    }
    create(format, path, options, backed ? base_path : NULL);
    for (unsigned round = 0; round < 3; round++) {
        struct image *img = open_image(format, true);
        struct edit *d;
        must(edit_begin(img, &d, &e), &e);
        for (unsigned i = 0; i < STEPS / 3; i++) {
            one_step(d, model);
            if (i % 16 == 0)
                same(img, model);
        }
        must(edit_end(d, &e), &e);
        same(img, model);
        close_image(img);
        img = open_image(format, false);
        same(img, model);
        close_image(img);
        no_fault(format);
    }
}

/* ---- snapshots ------------------------------------------------------------------------------- */

#define SNAPSHOTS 5

static struct {
    char id[16];
    uint8_t model[SIZE];
} saved[SNAPSHOTS];
static unsigned n_saved;

static void snapshot_add(struct image *img, const uint8_t *model)
{
    struct err e = ERR_INIT;
    struct format_info info = {0};
    must(img->format->edit->snapshot_create(img, "a name", 1700000000, 5, &e), &e);
    must(img->format->info(img, &info, &e), &e);
    size_t n = json_array_size(info.snapshots);
    assert_int_equal(n, n_saved + 1);
    const json_t *last = json_array_get(info.snapshots, n - 1);
    snprintf(saved[n_saved].id, 16, "%s", json_string_value(json_object_get(last, "id")));
    memcpy(saved[n_saved++].model, model, SIZE);
    json_decref(info.snapshots);
    json_decref(info.specific);
}

static void snapshot_step(struct image *img, uint8_t *model)
{
    struct err e = ERR_INIT;
    unsigned i = n_saved ? (unsigned)draw(n_saved) : 0;
    if (n_saved < SNAPSHOTS && (!n_saved || draw(2))) {
        snapshot_add(img, model);
    } else if (draw(2)) {
        must(img->format->edit->snapshot_apply(img, saved[i].id, &e), &e);
        memcpy(model, saved[i].model, SIZE);
    } else {
        must(img->format->edit->snapshot_delete(img, saved[i].id, "a name", &e), &e);
        memmove(&saved[i], &saved[i + 1], (--n_saved - i) * sizeof saved[0]);
    }
}

/* The size changes to and fro; what is cut off is gone. */
static void resize_step(struct image *img, uint8_t *model)
{
    struct err e = ERR_INIT;
    uint64_t cut = num_down(draw(SIZE), 512);
    must(resize_image(img, cut, EDIT_PREALLOC_OFF, &e), &e);
    must(resize_image(img, SIZE, draw(2) ? EDIT_PREALLOC_OFF : EDIT_PREALLOC_METADATA, &e), &e);
    memset(model + cut, 0, SIZE - cut);
}

static void snapshots_same(void)
{
    struct err e = ERR_INIT;
    for (unsigned i = 0; i < n_saved; i++) {
        struct image *img = open_image("qcow2", false);
        must(img->format->load_snapshot(img, saved[i].id, NULL, &e), &e);
        same(img, saved[i].model);
        close_image(img);
    }
}

static void snapshots(void **state)
{
    (void)state;
    static const char *const options[] = {"cluster_size=64k", "cluster_size=512", "compat=0.10",
                                          "cluster_size=16k,extended_l2=on",
                                          "cluster_size=1k,refcount_bits=8"};
    static uint8_t model[SIZE];
    struct err e = ERR_INIT;
    for (size_t o = 0; o < ARRAY_LEN(options); o++) {
        memset(model, 0, sizeof model);
        n_saved = 0;
        create("qcow2", path, options[o], NULL);
        for (unsigned round = 0; round < 30; round++) {
            struct image *img = open_image("qcow2", true);
            struct edit *d;
            must(edit_begin(img, &d, &e), &e);
            for (unsigned i = 0; i < 5; i++)
                one_step(d, model);
            must(edit_end(d, &e), &e);
            if (o != 2 && draw(3) == 0) /* version 2 cannot have both */
                resize_step(img, model);
            else
                snapshot_step(img, model);
            same(img, model);
            close_image(img);
            no_fault("qcow2");
            snapshots_same();
        }
    }
}

static void raw(void **state)
{
    (void)state;
    storm("raw", "nocow=off", false);
}

static void qcow2(void **state)
{
    (void)state;
    static const char *const options[] = {"cluster_size=64k",
                                          "cluster_size=512",
                                          "cluster_size=4k,refcount_bits=1",
                                          "compat=0.10",
                                          "cluster_size=2M",
                                          "cluster_size=512,refcount_bits=64",
                                          "extended_l2=on",
                                          "cluster_size=16k,extended_l2=on",
                                          "preallocation=metadata"};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        storm("qcow2", options[i], false);
    for (size_t i = 0; i < ARRAY_LEN(options) - 1; i++)
        storm("qcow2", options[i], true);
}

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.30s/mpi-img-edit-%d", tmp ? tmp : "/tmp", (int)getpid());
    snprintf(base_path, sizeof base_path, "%.58s.base", path);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(base_path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw),
        cmocka_unit_test(qcow2),
        cmocka_unit_test(snapshots),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
