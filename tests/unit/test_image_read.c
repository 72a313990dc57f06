/* Mapping through chains and reading, against a model that knows each byte of small images. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <limits.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/format.h"
#include "image/image.h"
#include "io/fault.h"
#include "io/memory.h"

#define SECTOR  512u
#define BLOCK   2048u /* of packed extents */
#define SECTORS 512u  /* of the longest image */

/* ---- a format whose map is a list of sectors ------------------------------------------------- */

struct toy_sector {
    enum extent_kind kind;
    bool has_host;
    uint64_t host; /* PACKED: of the encoded block */
};

struct toy {
    struct toy_sector at[SECTORS];
    unsigned cut; /* answers are at most so many sectors long */
};

/* "Decodes" to the encoded bytes, repeated, each changed by one bit. Damaged if it begins with 0.
 */
static int xor_new(void **state, struct err *e)
{
    *state = mem_new(1, 1, e);
    return *state ? 0 : -1;
}

static int xor_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len,
                      struct err *e)
{
    const uint8_t *from = in;
    uint8_t *to = out;
    (void)state;
    if (!*from)
        return err_set(e, 0, "damaged");
    for (size_t i = 0; i < out_len; i++)
        to[i] = from[i % in_len] ^ 1;
    return 0;
}

static const struct codec xor_codec = {
    .name = "xor", .decoder_new = xor_new, .decoder_free = free, .decode = xor_decode};

static uint32_t packed_len(uint64_t host)
{
    return 100 + host % 800;
}

static bool goes_on(const struct toy *t, uint64_t first, uint64_t i)
{
    const struct toy_sector *a = &t->at[first], *b = &t->at[i];
    if (i - first >= t->cut || a->kind != b->kind || a->has_host != b->has_host)
        return false;
    if (a->kind == EXTENT_PACKED)
        return a->host == b->host && first / (BLOCK / SECTOR) == i / (BLOCK / SECTOR);
    return !a->has_host || a->host + (i - first) * SECTOR == b->host;
}

static int toy_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                   struct err *e)
{
    const struct toy *t = img->state;
    uint64_t first = guest / SECTOR, i = first + 1;
    (void)e;
    while (i * SECTOR < guest + length && goes_on(t, first, i))
        i++;
    *out = (struct extent){.kind = t->at[first].kind,
                           .guest = out->guest,
                           .image = out->image,
                           .length = num_min(i * SECTOR, img->size) - guest,
                           .file = img->file,
                           .has_host = t->at[first].has_host,
                           .host = t->at[first].host + guest % SECTOR};
    if (out->kind == EXTENT_PACKED) {
        out->host = t->at[first].host;
        out->codec = &xor_codec;
        out->packed_len = packed_len(out->host);
        out->block_size = BLOCK;
        out->block_offset = (uint32_t)(guest % BLOCK);
    }
    return 0;
}

static const struct format toy_format = {.name = "toy", .map = toy_map};

/* ---- images ---------------------------------------------------------------------------------- */

static uint8_t file_byte(uint64_t off)
{
    return (uint8_t)(1 + off * 2654435761u % 255);
}

static struct file *new_file(size_t len)
{
    struct err e = ERR_INIT;
    uint8_t *data = malloc(len);
    struct file *f = NULL;
    for (size_t i = 0; i < len; i++)
        data[i] = file_byte(i);
    assert_int_equal(memory_new("toy", data, len, &f, &e), 0);
    free(data);
    return f;
}

static void fill_block(struct toy *t, unsigned first)
{
    enum extent_kind kind = (enum extent_kind)(rand() % 4);
    if (kind == EXTENT_PACKED) {
        uint64_t host = (uint64_t)(rand() % 1000) * 100;
        for (unsigned i = first; i < first + BLOCK / SECTOR; i++)
            t->at[i] = (struct toy_sector){EXTENT_PACKED, false, host};
        return;
    }
    uint64_t host = (uint64_t)(rand() % 100) * SECTOR;
    for (unsigned i = first; i < first + BLOCK / SECTOR; i++) {
        if (rand() % 3 == 0)
            kind = (enum extent_kind)(rand() % 3);
        if (rand() % 4 == 0)
            host = (uint64_t)(rand() % 100) * SECTOR;
        t->at[i] = (struct toy_sector){kind, kind == EXTENT_DATA || rand() % 4 == 0, host};
        host += SECTOR;
    }
}

static struct image *new_image(unsigned sectors)
{
    struct image *img = calloc(1, sizeof *img);
    struct toy *t = calloc(1, sizeof *t);
    t->cut = 1 + (unsigned)rand() % 20;
    for (unsigned i = 0; i < SECTORS; i += BLOCK / SECTOR)
        fill_block(t, i);
    img->format = &toy_format;
    img->state = t;
    img->size = (uint64_t)sectors * SECTOR;
    img->file = new_file(128 * 1024);
    return img;
}

static void free_chain(struct image *img)
{
    for (struct image *next; img; img = next) {
        next = img->backing;
        file_cleanup(&img->file);
        free(img->state);
        free(img);
    }
}

/* What the model says about one byte. */
struct answer {
    enum extent_kind kind;
    unsigned depth;
    bool past_end;
    uint8_t byte;
};

static struct answer model(const struct image *img, uint64_t g, unsigned stop)
{
    struct answer a = {.kind = EXTENT_HOLE, .depth = 0};
    for (; img && a.depth < stop; img = img->backing, a.depth++) {
        if (g >= img->size)
            return (struct answer){EXTENT_ZERO, a.depth - 1, true, 0};
        const struct toy_sector *s = &((const struct toy *)img->state)->at[g / SECTOR];
        a.kind = s->kind;
        if (s->kind == EXTENT_DATA)
            a.byte = file_byte(s->host + g % SECTOR);
        if (s->kind == EXTENT_PACKED)
            a.byte = file_byte(s->host + g % BLOCK % packed_len(s->host)) ^ 1;
        if (s->kind != EXTENT_HOLE)
            return a;
    }
    return a;
}

static struct image *new_chain(unsigned depth)
{
    struct image *top = NULL;
    while (depth--) {
        struct image *img = new_image(1 + (unsigned)rand() % SECTORS);
        img->backing = top;
        top = img;
    }
    return top;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_map(struct image *img, uint64_t g, uint64_t len, unsigned stop)
{
    struct err e = ERR_INIT;
    struct extent x;
    assert_int_equal(image_map_chain(img, g, len, stop, &x, &e), 0);
    assert_int_equal(x.guest, g);
    assert_true(x.length >= 1 && x.length <= len);
    for (uint64_t i = 0; i < x.length; i++) {
        struct answer a = model(img, g + i, stop);
        assert_int_equal(a.kind, x.kind);
        assert_int_equal(a.depth, x.depth);
        assert_int_equal(a.past_end, x.past_end);
    }
}

static void chains_map_as_the_model(void **state)
{
    (void)state;
    srand(1);
    for (unsigned run = 0; run < 60; run++) {
        struct image *img = new_chain(1 + run % 5);
        for (unsigned i = 0; i < 60; i++) {
            uint64_t g = (uint64_t)rand() % img->size;
            uint64_t len = 1 + (uint64_t)rand() % (img->size - g);
            check_map(img, g, len, rand() % 3 ? UINT_MAX : (unsigned)rand() % 5);
        }
        free_chain(img);
    }
}

static void check_read(struct image_reader *r, struct image *img, uint64_t g, size_t len)
{
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(len);
    memset(buf, 0xee, len);
    assert_int_equal(image_read(r, img, g, len, buf, &e), 0);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(buf[i], model(img, g + i, UINT_MAX).byte);
    free(buf);
}

static void chains_read_as_the_model(void **state)
{
    (void)state;
    srand(2);
    struct err e = ERR_INIT;
    struct image_reader *r = image_reader_new(&e);
    for (unsigned run = 0; run < 40; run++) {
        struct image *img = new_chain(1 + run % 4);
        for (unsigned i = 0; i < 20; i++) {
            uint64_t g = (uint64_t)rand() % img->size;
            check_read(r, img, g, 1 + (size_t)rand() % (img->size - g));
        }
        image_reader_forget(r);
        free_chain(img);
    }
    image_reader_free(r);
}

static void *read_all(void *arg)
{
    struct image *img = arg;
    struct err e = ERR_INIT;
    struct image_reader *r = image_reader_new(&e);
    unsigned seed = (unsigned)(uintptr_t)&e;
    for (unsigned i = 0; i < 50; i++) {
        uint64_t g = (uint64_t)rand_r(&seed) % img->size;
        check_read(r, img, g, 1 + (size_t)rand_r(&seed) % (img->size - g));
    }
    image_reader_free(r);
    return NULL;
}

static void many_threads_read(void **state)
{
    (void)state;
    srand(3);
    pthread_t t[4];
    struct image *img = new_chain(3);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, read_all, img), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    free_chain(img);
}

/* Extents of `file` in a row: `hosts` of PACKED blocks, or plain ones where UINT64_MAX follows. */
static struct extent packed_at(struct file *f, uint64_t guest, uint64_t host)
{
    return (struct extent){.kind = EXTENT_PACKED,
                           .guest = guest,
                           .length = BLOCK,
                           .file = f,
                           .host = host,
                           .codec = &xor_codec,
                           .packed_len = 200,
                           .block_size = BLOCK};
}

static struct extent plain_at(struct file *f, uint64_t guest, uint64_t host, uint32_t tail)
{
    return (struct extent){.kind = EXTENT_DATA,
                           .guest = guest,
                           .length = BLOCK,
                           .file = f,
                           .host = host,
                           .tail = tail};
}

static void near_blocks_are_read_together(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(fault_new(new_file(300000), NULL, 0, &f, &e), 0);
    const struct extent x[] = {packed_at(f, 0, 1000), packed_at(f, BLOCK, 1150),
                               packed_at(f, 2 * BLOCK, 60000), packed_at(f, 3 * BLOCK, 200000)};
    uint8_t buf[4 * BLOCK];
    struct image_reader *r = image_reader_new(&e);
    assert_int_equal(image_read_extents(r, x, 4, buf, NULL, &e), 0);
    assert_int_equal(fault_count(f, FAULT_READ), 2);
    for (size_t i = 0; i < sizeof buf; i++)
        assert_int_equal(buf[i], file_byte(x[i / BLOCK].host + i % BLOCK % 200) ^ 1);
    image_reader_free(r);
    file_cleanup(&f);
}

static void part_of_a_block_again_is_not_read_again(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(fault_new(new_file(10000), NULL, 0, &f, &e), 0);
    struct image_reader *r = image_reader_new(&e);
    for (unsigned i = 0; i < BLOCK; i += 64) {
        struct extent x = packed_at(f, 100, 500);
        uint8_t buf[64];
        x.block_offset = i;
        x.length = sizeof buf;
        assert_int_equal(image_read_extents(r, &x, 1, buf, NULL, &e), 0);
        for (unsigned k = 0; k < 64; k++)
            assert_int_equal(buf[k], file_byte(500 + (i + k) % 200) ^ 1);
    }
    assert_int_equal(fault_count(f, FAULT_READ), 1);
    image_reader_free(r);
    file_cleanup(&f);
}

/* A block's length is kept in sectors, the last one's may reach behind the file. */
static void last_packed_block_may_end_early(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = new_file(10100);
    struct extent x = packed_at(f, 0, 10000);
    uint8_t buf[BLOCK];
    struct image_reader *r = image_reader_new(&e);
    assert_int_equal(image_read_extents(r, &x, 1, buf, NULL, &e), 0);
    assert_int_equal(buf[99], file_byte(10099) ^ 1);
    assert_int_equal(buf[100], 1);
    image_reader_free(r);
    file_cleanup(&f);
}

static void file_may_end_in_the_last_cluster(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = new_file(3 * BLOCK + 10);
    uint8_t buf[3 * BLOCK];
    uint64_t bad = 0;
    struct image_reader *r = image_reader_new(&e);
    const struct extent x[] = {plain_at(f, 0, 2 * BLOCK, BLOCK),
                               plain_at(f, BLOCK, 3 * BLOCK, BLOCK),
                               plain_at(f, 2 * BLOCK, 4 * BLOCK, BLOCK)};
    assert_int_equal(image_read_extents(r, x, 2, buf, NULL, &e), 0);
    for (unsigned i = 0; i < 2 * BLOCK; i++)
        assert_int_equal(buf[i], i < BLOCK + 10 ? file_byte(2 * BLOCK + i) : 0);
    /* the next cluster is not there at all, and without leave none may be cut */
    assert_int_equal(image_read_extents(r, x, 3, buf, &bad, &e), -1);
    assert_int_equal(bad, 2 * BLOCK);
    assert_string_equal(e.text, "Input/output error");
    const struct extent strict = plain_at(f, 0, 3 * BLOCK, 0);
    assert_int_equal(image_read_extents(r, &strict, 1, buf, &bad, &e), -1);
    image_reader_free(r);
    file_cleanup(&f);
}

/* Whatever the order of work, the lowest guest offset is told, and all before it has been read. */
static void first_bad_offset_is_told(void **state)
{
    (void)state;
    srand(4);
    struct err e = ERR_INIT;
    struct image_reader *r = image_reader_new(&e);
    for (unsigned run = 0; run < 500; run++) {
        struct file *f[2] = {new_file(64 * 1024), new_file(64 * 1024)};
        struct extent x[24];
        uint8_t buf[24 * BLOCK];
        uint64_t first = UINT64_MAX, bad = 0;
        for (unsigned i = 0; i < 24; i++) {
            struct file *file = f[rand() % 2];
            bool fails = rand() % 12 == 0, packed = rand() % 2;
            uint64_t host = (uint64_t)(rand() % 15) * 4000;
            x[i] = packed ? packed_at(file, 4096 + i * BLOCK, fails ? 70000 : host)
                          : plain_at(file, 4096 + i * BLOCK, fails ? 70000 : host, 0);
            if (fails && first == UINT64_MAX)
                first = i;
        }
        err_clear(&e);
        int rc = image_read_extents(r, x, 24, buf, &bad, &e);
        assert_int_equal(rc, first == UINT64_MAX ? 0 : -1);
        assert_int_equal(e.set, rc != 0);
        for (unsigned i = 0; i < 24 && i < first; i++)
            assert_int_equal(buf[i * BLOCK + 7],
                             file_byte(x[i].host + 7) ^ (x[i].kind == EXTENT_PACKED));
        if (rc)
            assert_int_equal(bad, x[first].guest);
        image_reader_forget(r);
        file_cleanup(&f[0]);
        file_cleanup(&f[1]);
    }
    image_reader_free(r);
}

/* One read that fails in a group does not take its neighbours along. */
static void bad_read_in_a_group(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct image_reader *r = image_reader_new(&e);
    for (unsigned last = 1; last <= 5; last++) {
        const struct fault faults[] = {{.op = FAULT_READ, .nth = 1, .no = EIO},
                                       {.op = FAULT_READ, .nth = last, .no = EIO}};
        struct file *f = NULL;
        uint8_t buf[3 * BLOCK];
        uint64_t bad = 0;
        assert_int_equal(fault_new(new_file(10000), faults, 2, &f, &e), 0);
        const struct extent x[] = {packed_at(f, 0, 0), packed_at(f, BLOCK, 300),
                                   packed_at(f, 2 * BLOCK, 600)};
        int rc = image_read_extents(r, x, 3, buf, &bad, &e);
        bool fails = last > 1 && last <= 4;
        assert_int_equal(rc, fails ? -1 : 0);
        assert_int_equal(e.set, fails);
        if (fails)
            assert_int_equal(bad, (last - 2) * BLOCK);
        err_clear(&e);
        image_reader_forget(r);
        file_cleanup(&f);
    }
    image_reader_free(r);
}

static void holes_of_the_file_are_found(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(memory_new("m", NULL, 0, &f, &e), 0);
    f->opt.write = true;
    assert_int_equal(file_truncate(f, 8 * MIB, &e), 0);
    assert_int_equal(file_write(f, "x", 1, 4 * MIB, &e), 0);
    struct extent x = {.kind = EXTENT_DATA, .length = 8 * MIB, .file = f};
    assert_int_equal(image_refine(&x, &e), 0);
    assert_true(x.file_hole);
    assert_true(x.length <= 4 * MIB && x.length > 3 * MIB);
    x = (struct extent){.kind = EXTENT_DATA, .length = MIB, .file = f, .host = 4 * MIB};
    assert_int_equal(image_refine(&x, &e), 0);
    assert_false(x.file_hole);
    x = (struct extent){.kind = EXTENT_ZERO, .length = MIB};
    assert_int_equal(image_refine(&x, &e), 0);
    assert_int_equal(x.length, MIB);
    file_cleanup(&f);
}

static void outside_of_the_image(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct image *img = new_chain(1);
    struct extent x;
    assert_int_equal(image_map(img, img->size, 1, &x, &e), -1);
    assert_int_equal(image_map(img, 0, 0, &x, &e), -1);
    assert_int_equal(image_map(img, UINT64_MAX, 2, &x, &e), -1);
    assert_int_equal(image_map(img, 0, img->size + 1, &x, &e), -1);
    free_chain(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_map_as_the_model),
        cmocka_unit_test(chains_read_as_the_model),
        cmocka_unit_test(many_threads_read),
        cmocka_unit_test(near_blocks_are_read_together),
        cmocka_unit_test(part_of_a_block_again_is_not_read_again),
        cmocka_unit_test(last_packed_block_may_end_early),
        cmocka_unit_test(file_may_end_in_the_last_cluster),
        cmocka_unit_test(first_bad_offset_is_told),
        cmocka_unit_test(bad_read_in_a_group),
        cmocka_unit_test(holes_of_the_file_are_found),
        cmocka_unit_test(outside_of_the_image),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
