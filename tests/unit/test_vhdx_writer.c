/* vhdx written from random needs and read through the driver: every block where it was placed,
 * zeros where nothing was written, on files and on devices that hold old bytes; and no image before
 * all is there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/vhdx/vhdx.h"
#include "formats/writer.h"
#include "io/fault.h"
#include "io/file_ops.h"
#include "io/memory.h"
#include "io/pages.h"

#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr))                                                                                \
            fail_msg("%s: %s", #expr, e.text);                                                     \
    } while (0)

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct made {
    struct options *options;
    struct file *file; /* borrowed */
    struct writer *w;
    struct pages *pages;
    uint64_t size, units;
    need_t *need; /* a word a unit of the guest */
};

static void made_begin(struct made *m, struct file *f, const char *list, uint64_t size)
{
    static const struct option_def *const tables[] = {vhdx_create_options, NULL};
    struct err e = ERR_INIT;
    *m = (struct made){.file = f, .size = size};
    m->options = options_new(tables, &e);
    OK(options_parse(m->options, list, NULL, &e));
    struct writer_params p = {.options = m->options, .size = size, .file = f, .first = true};
    for (unsigned i = 0; i < sizeof p.random; i++)
        p.random[i] = (uint8_t)draw(256);
    OK(writer_open(&vhdx_writer, &p, &m->w, &e));
    OK(pages_new(f, &m->pages, &e));
    m->units = num_div_up(size, m->w->block_size);
    m->need = calloc(m->units + 1, sizeof *m->need);
}

static void made_end(struct made *m)
{
    vhdx_writer.free(m->w);
    pages_free(m->pages);
    options_free(m->options);
    free(m->need);
}

/* What a unit holds: its own number, all over. */
static void unit_fill(const struct made *m, uint64_t unit, uint8_t *buf)
{
    memset(buf, (int)(1 + unit % 250), m->w->block_size);
}

static int write_chunk(struct made *m, uint64_t chunk, struct cursor *c, struct err *e)
{
    uint64_t per = m->w->chunk_size / m->w->block_size, first = chunk * per;
    size_t n = num_min(per, m->units - first);
    uint64_t *host = calloc(n, sizeof *host);
    uint8_t *buf = malloc(m->w->block_size);
    struct placing placed = {.host = host};
    int r = vhdx_writer.place(m->w, chunk, m->need + first, n, c, &placed, e) ||
            vhdx_writer.publish(m->w, chunk, m->need + first, n, &placed, m->pages, e);
    for (size_t i = 0; i < n && !r; i++) {
        if (m->need[first + i] != NEED_PLAIN)
            continue;
        unit_fill(m, first + i, buf);
        r = file_write(m->file, buf, m->w->block_size, host[i], e);
    }
    placing_release(&placed);
    free(host);
    free(buf);
    return r ? -1 : 0;
}

static int write_all(struct made *m, struct err *e)
{
    struct cursor c;
    vhdx_writer.begin(m->w, &c);
    uint64_t per = m->w->chunk_size / m->w->block_size;
    for (uint64_t chunk = 0; chunk * per < m->units; chunk++) {
        bool any = m->w->reserve;
        for (uint64_t i = chunk * per; i < num_min(m->units, (chunk + 1) * per); i++)
            any |= m->need[i] != NEED_HOLE;
        if (any && write_chunk(m, chunk, &c, e))
            return -1;
    }
    return vhdx_writer.finish(m->w, &c, m->pages, e);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void image_begin(struct image *img, struct file *f)
{
    struct err e = ERR_INIT;
    *img = (struct image){.format = &format_vhdx, .name = (char *)"image", .file = f};
    OK(format_vhdx.open(img, &e));
}

/* Blocks whose place is not in the file's own bytes are zeros: so is what a placed block was not
 * given. */
static void verify(const struct made *m)
{
    struct err e = ERR_INIT;
    struct image img;
    uint64_t unit = m->w->block_size;
    uint8_t *got = malloc(unit), *want = malloc(unit);
    image_begin(&img, m->file);
    assert_int_equal(img.size, num_up(m->size, 512));
    for (uint64_t i = 0; i < m->units; i++) {
        struct extent x = {0};
        uint64_t length = num_min(unit, img.size - i * unit);
        OK(format_vhdx.map(&img, i * unit, length, &x, &e));
        assert_int_equal(x.length, length);
        memset(got, 0, unit);
        if (x.kind == EXTENT_DATA)
            OK(file_read(x.file, got, length, x.host, &e));
        memset(want, 0, unit);
        if (m->need[i] == NEED_PLAIN)
            unit_fill(m, i, want);
        assert_memory_equal(got, want, length);
        assert_true(x.kind == EXTENT_DATA || m->need[i] == NEED_HOLE);
    }
    format_vhdx.close(&img);
    free(got);
    free(want);
}

static void line(void *ctx, const char *text)
{
    (void)ctx;
    fail_msg("check: %s", text);
}

static void verify_check(const struct made *m)
{
    struct err e = ERR_INIT;
    const struct check_sink sink = {.line = line, .error = line, .memory = MIB};
    struct check_result result = {0};
    struct image img;
    image_begin(&img, m->file);
    OK(format_vhdx.check(&img, CHECK_FIX_NONE, &sink, &result, &e));
    assert_int_equal(result.corruptions, 0);
    format_vhdx.close(&img);
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* A file that reads as zeros where it grows, or one of a fixed length full of old bytes. */
static struct file *target_new(bool device, uint64_t length)
{
    struct err e = ERR_INIT;
    uint8_t *old = malloc(length);
    struct file *f;
    memset(old, 0xee, length);
    OK(memory_new("target", old, device ? length : 0, &f, &e));
    f->grows_zero = f->regular = !device;
    free(old);
    return f;
}

static void draw_needs(struct made *m)
{
    for (uint64_t i = 0; i < m->units;) {
        bool plain = draw(3) == 0;
        for (uint64_t n = 1 + draw(40); n && i < m->units; n--, i++)
            m->need[i] = plain ? NEED_PLAIN : m->w->reserve ? NEED_RESERVED : NEED_HOLE;
    }
}

static void random_images(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "block_size=1M",
        "block_size=2M,block_state_zero=off",
        "block_size=8M,log_size=2M",
        "block_size=1M,subformat=fixed",
        "block_size=4M,subformat=fixed,block_state_zero=off",
    };
    for (unsigned i = 0; i < 40; i++) {
        struct err e = ERR_INIT;
        bool device = i % 4 == 3;
        struct file *f = target_new(device, 60 * MIB);
        struct made m;
        made_begin(&m, f, lists[i % ARRAY_LEN(lists)], 1 + draw(24 * MIB));
        draw_needs(&m);
        OK(write_all(&m, &e));
        verify(&m);
        verify_check(&m);
        made_end(&m);
        file_cleanup(&f);
    }
}

/* Blocks on both sides of a sector bitmap's entry: their numbers count on, their entries do not. */
static void around_the_gap(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = target_new(false, 0);
    struct made m;
    made_begin(&m, f, "block_size=1M", 8 * GIB + MIB);
    uint64_t per = MIB / m.w->block_size;
    static const uint64_t blocks[] = {0, 4095, 4096, 4097, 8191, 8192};
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        m.need[blocks[i] * per + 3] = NEED_PLAIN;
    OK(write_all(&m, &e));
    struct image img;
    image_begin(&img, f);
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++) {
        struct extent x = {0};
        uint8_t got;
        uint64_t unit = blocks[i] * per + 3;
        OK(format_vhdx.map(&img, unit * m.w->block_size, m.w->block_size, &x, &e));
        assert_int_equal(x.kind, EXTENT_DATA);
        OK(file_read(x.file, &got, 1, x.host, &e));
        assert_int_equal(got, 1 + unit % 250);
    }
    /* a hole from one to the next is one answer */
    struct extent x = {0};
    OK(format_vhdx.map(&img, MIB, 4094 * MIB, &x, &e));
    assert_int_equal(x.length, 4094 * MIB);
    format_vhdx.close(&img);
    made_end(&m);
    file_cleanup(&f);
}

/* Stopped at any write, the file is not taken for an image. */
static void no_image_before_all_is_there(void **state)
{
    (void)state;
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        struct err e = ERR_INIT;
        struct file *f = target_new(false, 0);
        const struct fault faults[] = {
            {.op = FAULT_WRITE, .nth = nth, .and_after = true, .no = 5},
            {.op = FAULT_SYNC, .nth = nth, .and_after = true, .no = 5},
        };
        OK(fault_new(f, faults, 1 + (nth == 1), &f, &e));
        struct made m;
        uint8_t head[8] = {0};
        seed = 99;
        made_begin(&m, f, "block_size=1M", 5 * MIB);
        draw_needs(&m);
        done = write_all(&m, &e) == 0;
        e = ERR_INIT;
        OK(file_read_padded(f, head, sizeof head, 0, NULL, &e));
        assert_int_equal(format_vhdx.probe(head, sizeof head, NULL), done ? 100 : 0);
        made_end(&m);
        file_cleanup(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_images),
        cmocka_unit_test(around_the_gap),
        cmocka_unit_test(no_image_before_all_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
