/* Random parts of data, zeros and what is left, written into images that hold something already, by
 * several threads: what is read back, at once and after opening again, is what a plain copy in
 * memory says; the check finds neither leak nor fault. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/create.h"
#include "flow/inplace.h"
#include "formats/format.h"

#define SIZE    (12 * MIB + 4096) /* no whole chunk at the end */
#define SECTORS (SIZE / 512)

static uint64_t seed = 1;
static char path[64], base_path[80];
static struct engine *engine;
static bool compress;
static uint8_t model[SIZE], source[SIZE], sector_kind[SECTORS];

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

/* ---- images ---------------------------------------------------------------------------------- */

static void create(const char *format, const char *text, bool backed)
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
    if (backed) {
        must(options_set(o, "backing_file", base_path, &e), &e);
        must(options_set(o, "backing_fmt", "raw", &e), &e);
    }
    const struct create_options run = {.path = path,
                                       .format = f,
                                       .options = o,
                                       .backing_name = backed ? base_path : NULL,
                                       .backing_format = backed ? "raw" : NULL};
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

static void same(struct image *img)
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

/* ---- what is brought in ---------------------------------------------------------------------- */

/* Stretches of one kind, short and long ones. */
static void draw_source(void)
{
    for (size_t i = 0; i < SECTORS;) {
        size_t n = 1 + draw(draw(3) ? 40 : 3000);
        uint8_t kind = (uint8_t)draw(3), byte = draw(4) ? (uint8_t)(1 + draw(255)) : 0;
        if (draw(2))
            n = num_up(i + n, 128) - i;
        for (; n && i < SECTORS; n--, i++) {
            sector_kind[i] = kind;
            memset(source + i * 512, byte, 512);
        }
    }
}

static void model_follow(uint64_t size)
{
    for (size_t i = 0; i < size / 512; i++) {
        if (sector_kind[i] == PIECE_DATA)
            memcpy(model + i * 512, source + i * 512, 512);
        if (sector_kind[i] == PIECE_ZERO)
            memset(model + i * 512, 0, 512);
    }
}

struct feed {
    uint64_t at, chunk, size;
    uint64_t seen; /* by passed */
};

static enum unit_next next(void *ctx, uint64_t *chunk, struct err *e)
{
    struct feed *f = ctx;
    (void)e;
    if (f->at >= f->size)
        return UNIT_NONE;
    *chunk = f->at / f->chunk;
    f->at += f->chunk;
    return UNIT_THERE;
}

static int read_source(void *ctx, struct image_reader *r, struct chunk *c, uint64_t guest,
                       uint32_t length, struct err *e)
{
    size_t first = guest / 512, n = length / 512;
    (void)ctx;
    (void)r;
    if (c->cap_pieces < n) {
        struct piece *grown = mem_grow(c->pieces, n, sizeof *grown, e);
        if (!grown)
            return -1;
        c->pieces = grown;
        c->cap_pieces = n;
    }
    for (size_t i = 0; i < n; i++) {
        c->pieces[i] = (struct piece){sector_kind[first + i], (uint32_t)(i * 512), 512, NULL, 0};
        memset(c->buf + i * 512, 0xee, 512); /* of no interest, but for data */
        if (sector_kind[first + i] == PIECE_DATA)
            memcpy(c->buf + i * 512, source + guest + i * 512, 512);
    }
    c->n_pieces = n;
    return 0;
}

static void passed(void *ctx, uint64_t chunk, uint64_t data)
{
    struct feed *f = ctx;
    (void)data;
    assert_true(chunk * f->chunk >= f->seen);
    f->seen = chunk * f->chunk;
}

static void bring_in(struct image *img, uint64_t size)
{
    struct err e = ERR_INIT;
    struct edit *d;
    must(edit_begin(img, &d, &e), &e);
    struct feed feed = {.chunk = inplace_chunk(d), .size = size};
    const struct inplace_job job = {
        .edit = d,
        .image = img,
        .size = size,
        .sparse_size = draw(2) ? 4096 : 0,
        .zero = draw(2) ? EDIT_ZERO_KEEP : EDIT_ZERO_DROP,
        .compress = compress,
        .memory = 64 * MIB,
        .ctx = &feed,
        .next = next,
        .read = read_source,
        .passed = passed,
    };
    draw_source();
    must(inplace_run(engine, &job, &e), &e);
    model_follow(size);
    same(img);
    must(edit_end(d, &e), &e);
    same(img);
}

static void rounds(const char *format, const char *options, bool backed)
{
    memset(model, 0, sizeof model);
    if (backed) {
        FILE *f = fopen(base_path, "wb");
        for (size_t i = 0; i < SIZE - 9 * 512; i++)
            model[i] = (uint8_t)draw(256);
        assert_int_equal(fwrite(model, 1, SIZE - 9 * 512, f), SIZE - 9 * 512);
        fclose(f);
    }
    create(format, options, backed);
    for (unsigned round = 0; round < 4; round++) {
        struct image *img = open_image(format, true);
        struct err e = ERR_INIT;
        bring_in(img, round % 2 ? SIZE : num_down(1 + draw(SIZE - 1), 512));
        bool narrow = strstr(options, "refcount_bits"); /* counts have no room for another state */
        if (round == 1 && !narrow && img->format->edit->snapshot_create)
            must(img->format->edit->snapshot_create(img, "s", 1, 1, &e), &e);
        close_image(img);
        img = open_image(format, false);
        same(img);
        close_image(img);
        no_fault(format);
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void raw(void **state)
{
    (void)state;
    rounds("raw", "nocow=off", false);
}

static void qcow2(void **state)
{
    (void)state;
    static const char *const options[] = {"cluster_size=64k",      "cluster_size=512",
                                          "compat=0.10",           "cluster_size=2M",
                                          "extended_l2=on",        "cluster_size=2M,extended_l2=on",
                                          "preallocation=metadata"};
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        rounds("qcow2", options[i], false);
    for (size_t i = 0; i < ARRAY_LEN(options) - 1; i++)
        rounds("qcow2", options[i], true);
}

static bool can_name_backing(const struct format *f)
{
    for (const struct option_def *o = f->create_options; o && o->name; o++)
        if (!strcmp(o->name, "backing_fmt"))
            return true;
    return false;
}

static void qcow2_packed(void **state)
{
    (void)state;
    static const char *const options[] = {"cluster_size=64k", "cluster_size=512,refcount_bits=1",
                                          "compat=0.10",      "cluster_size=4k,refcount_bits=2",
                                          "extended_l2=on",   "compression_type=zstd"};
    compress = true;
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        rounds("qcow2", options[i], false);
        rounds("qcow2", options[i], true);
    }
    compress = false;
}

/* Whatever else can be written in place. */
static void others(void **state)
{
    (void)state;
    static const char *const names[] = {"vdi", "vpc", "vhdx", "vmdk", "qed", "qcow", "parallels"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct format *f = format_find(names[i]);
        if (!f || !f->edit || !f->edit->place)
            continue;
        rounds(names[i], strcmp(names[i], "vpc") ? "nocow=off" : "force_size=on", false);
        bool own_kind = !strcmp(names[i], "vmdk"); /* backed by images of its own kind only */
        if (f->supports_backing && can_name_backing(f) && !own_kind)
            rounds(names[i], "nocow=off", true);
    }
}

static int set_up(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.30s/mpi-img-inplace-%d", tmp ? tmp : "/tmp", (int)getpid());
    snprintf(base_path, sizeof base_path, "%.58s.base", path);
    const struct engine_options o = {.kind = ENGINE_THREADS, .threads = 4};
    return engine_start(&o, &engine, &e);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(base_path);
    return engine_end(engine, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raw),
        cmocka_unit_test(qcow2),
        cmocka_unit_test(qcow2_packed),
        cmocka_unit_test(others),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
