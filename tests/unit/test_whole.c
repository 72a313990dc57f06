/* Storage that fails in the middle of a snapshot's making, applying, deleting, or of another size:
 * whatever fails, the image opens, has no fault but leaks, and reads as before or as after. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/create.h"
#include "flow/resize.h"
#include "flow/snapshot.h"
#include "formats/format.h"
#include "image/edit.h"
#include "io/fault.h"
#include "scratch.h"

#define SIZE  (MIB + 512)
#define SMALL (300 * KIB + 1024)
#define LARGE (3 * MIB)

static struct scratch scratch;
static char *path;

static void must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

/* ---- images ---------------------------------------------------------------------------------- */

struct bytes {
    uint8_t *data;
    size_t n;
};

static struct bytes load(const char *name)
{
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    struct bytes b = {.n = (size_t)ftell(f)};
    rewind(f);
    b.data = malloc(b.n + 1);
    assert_non_null(b.data);
    assert_int_equal(fread(b.data, 1, b.n, f), b.n);
    fclose(f);
    return b;
}

static void store(const char *name, const struct bytes *b)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b->data, 1, b->n, f), b->n);
    fclose(f);
}

static void create(const char *text)
{
    struct err e = ERR_INIT;
    const struct format *f = format_find("qcow2");
    const struct option_def *const tables[] = {f->create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    char size[32];
    snprintf(size, sizeof size, "%u", (unsigned)SIZE);
    must(!o || options_parse(o, text, NULL, &e) || options_set(o, "size", size, &e), &e);
    const struct create_options run = {.path = path, .format = f, .options = o};
    must(create_run(&run, &e), &e);
    options_free(o);
}

static struct image *open_plain(bool write)
{
    struct err e = ERR_INIT;
    struct image *img;
    const struct image_flags flags = {.write = write, .driver = "qcow2", .metadata_budget = 1};
    must(image_open_name(path, &flags, &img, &e), &e);
    return img;
}

static void close_image(struct image *img)
{
    struct err ignored = ERR_INIT;
    image_close(img, &ignored);
}

/* The same with storage that fails. NULL: it failed there. */
static struct image *open_failing(const struct fault *fault, struct file **storage)
{
    struct err e = ERR_INIT;
    struct file *below;
    struct image *img = NULL;
    const struct file_options fo = {.write = true, .lock = FILE_LOCK_WRITER};
    const struct image_flags flags = {.write = true, .driver = "qcow2", .metadata_budget = 1};
    must(file_open_path(path, &fo, &below, &e), &e);
    must(fault_new(below, fault, fault ? 1 : 0, storage, &e), &e);
    if (image_open_take_file(*storage, NULL, &flags, &img, &e))
        return NULL;
    return img;
}

/* What the guest reads. */
static struct bytes contents(void)
{
    struct err e = ERR_INIT;
    struct image *img = open_plain(false);
    struct image_reader *r = image_reader_new(&e);
    struct bytes b = {.data = malloc(img->size), .n = img->size};
    must(image_read(r, img, 0, b.n, b.data, &e), &e);
    image_reader_free(r);
    close_image(img);
    return b;
}

static void ignore(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static void no_fault_but_leaks(const char *when)
{
    struct err e = ERR_INIT;
    struct image *img;
    struct check_result result = {0};
    const struct check_sink sink = {.line = ignore, .memory = 64 * MIB};
    const struct image_flags flags = {.driver = "qcow2", .check = true};
    must(image_open_name(path, &flags, &img, &e), &e);
    must(img->format->check(img, CHECK_FIX_NONE, &sink, &result, &e), &e);
    if (result.corruptions || result.check_errors)
        fail_msg("%s: %u corruptions", when, (unsigned)result.corruptions);
    close_image(img);
}

static bool is_same(const struct bytes *a, const struct bytes *b)
{
    return a->n == b->n && !memcmp(a->data, b->data, a->n);
}

/* ---- what is tried --------------------------------------------------------------------------- */

static int do_create(struct image *img, struct err *e)
{
    return snapshot_create(img, "new", e);
}

static int do_apply(struct image *img, struct err *e)
{
    return snapshot_apply(img, "old", e);
}

static int do_delete(struct image *img, struct err *e)
{
    return snapshot_delete(img, "old", e);
}

static int do_shrink(struct image *img, struct err *e)
{
    return resize_image(img, SMALL, EDIT_PREALLOC_OFF, e);
}

static int do_grow(struct image *img, struct err *e)
{
    return resize_image(img, LARGE, EDIT_PREALLOC_OFF, e);
}

static int do_reserve(struct image *img, struct err *e)
{
    return resize_image(img, LARGE, EDIT_PREALLOC_FULL, e);
}

static const struct change {
    const char *name;
    int (*run)(struct image *img, struct err *e);
} changes[] = {{"create", do_create}, {"apply", do_apply}, {"delete", do_delete},
               {"shrink", do_shrink}, {"grow", do_grow},   {"reserve", do_reserve}};

/* ---- the trials ------------------------------------------------------------------------------ */

static void write_noise(struct image *img, uint64_t seed)
{
    static uint8_t buf[90000];
    struct err e = ERR_INIT;
    struct edit *d;
    must(edit_begin(img, &d, &e), &e);
    for (unsigned i = 0; i < 6; i++) {
        scratch_fill(&seed, buf, sizeof buf);
        uint64_t at = scratch_random(&seed) % (SIZE - sizeof buf);
        must(edit_write(d, at, buf, sizeof buf, &e), &e);
    }
    must(edit_write(d, SIZE - 700, buf, 700, &e), &e);
    must(edit_end(d, &e), &e);
}

static struct bytes prepare(const char *options)
{
    struct err e = ERR_INIT;
    create(options);
    struct image *img = open_plain(true);
    write_noise(img, 1);
    must(snapshot_create(img, "old", &e), &e);
    write_noise(img, 2);
    close_image(img);
    return load(path);
}

/* One failure; true if it came about. */
static bool try_one(const struct change *c, const struct fault *fault, const struct bytes *start,
                    const struct bytes *before, const struct bytes *after)
{
    char when[80];
    struct err e = ERR_INIT;
    struct file *storage;
    store(path, start);
    struct image *img = open_failing(fault, &storage);
    if (!img)
        return true;
    int r = c->run(img, &e);
    bool came = fault_count(storage, fault->op) >= fault->nth;
    close_image(img);
    snprintf(when, sizeof when, "%s, operation %d number %u%s", c->name, (int)fault->op,
             (unsigned)fault->nth, fault->and_after ? " and after" : "");
    no_fault_but_leaks(when);
    struct bytes now = contents();
    if (!is_same(&now, before) && !is_same(&now, after))
        fail_msg("%s: reads otherwise", when);
    if (!r && !is_same(&now, after))
        fail_msg("%s: says it is done", when);
    free(now.data);
    return came;
}

static void try_change(const struct change *c, const struct bytes *start)
{
    static const enum fault_op ops[] = {FAULT_WRITE, FAULT_SYNC,     FAULT_READ,
                                        FAULT_ZERO,  FAULT_TRUNCATE, FAULT_PREALLOCATE};
    struct err e = ERR_INIT;
    struct file *storage;
    store(path, start);
    struct bytes before = contents();
    struct image *img = open_failing(NULL, &storage);
    assert_non_null(img);
    must(c->run(img, &e), &e);
    close_image(img);
    no_fault_but_leaks(c->name);
    struct bytes after = contents();
    for (size_t i = 0; i < ARRAY_LEN(ops); i++)
        for (int both = 0; both < 2; both++) {
            struct fault fault = {.op = ops[i], .nth = 1, .and_after = both, .no = EIO};
            while (try_one(c, &fault, start, &before, &after))
                fault.nth++;
        }
    free(before.data);
    free(after.data);
}

static void every_failure(const char *options)
{
    struct bytes start = prepare(options);
    for (size_t i = 0; i < ARRAY_LEN(changes); i++)
        if (!strstr(options, "0.10") || i < 3) /* version 2 has either snapshots or other sizes */
            try_change(&changes[i], &start);
    free(start.data);
}

static void plain(void **state)
{
    (void)state;
    every_failure("cluster_size=4k");
}

static void narrow(void **state)
{
    (void)state;
    every_failure("cluster_size=16k,refcount_bits=64,extended_l2=on");
}

static void version_2(void **state)
{
    (void)state;
    every_failure("compat=0.10,cluster_size=4k");
}

static int set_up(void **state)
{
    (void)state;
    scratch_init(&scratch, getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    path = strdup(scratch_name(&scratch, "image"));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_release(&scratch);
    free(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(narrow),
        cmocka_unit_test(version_2),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
