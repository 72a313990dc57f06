/* Block tables: what table_map says of random tables is what a plain model says. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/slices.h"
#include "formats/table.h"
#include "io/memory.h"

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

/* ---- the formats ----------------------------------------------------------------------------- */

static const struct table_format like_qcow2 = {
    .entry_size = 8,
    .big_endian = true,
    .place_mask = UINT64_C(0x00fffffffffffe00),
    .place_scale = 1,
    .used = UINT64_C(1) << 63,
    .has_zero = true,
    .zero_is_bit = true,
    .zero = 1,
};
static const struct table_format like_vmdk = {
    .entry_size = 4, .place_mask = UINT32_MAX, .place_scale = 512, .has_zero = true, .zero = 1};
static const struct table_format like_vhd = {.entry_size = 4,
                                             .big_endian = true,
                                             .place_mask = UINT32_MAX,
                                             .place_scale = 512,
                                             .absent = UINT32_MAX};
static const struct table_format like_vdi = {.entry_size = 4,
                                             .place_mask = UINT32_MAX,
                                             .place_scale = 4096,
                                             .absent = UINT32_MAX,
                                             .has_zero = true,
                                             .zero = UINT32_MAX - 1};
static const struct table_format like_vhdx = {
    .entry_size = 8, .place_mask = ~UINT64_C(0xfff), .place_scale = 1, .used = 6};

struct shape {
    const struct table_format *format;
    unsigned levels;
    uint32_t block_size, lead, gap;
    uint64_t table_entries, base;
};
static const struct shape shapes[] = {
    {&like_qcow2, 2, 4096, 0, 0, 512, 0},   {&like_vmdk, 2, 4096, 0, 0, 128, 0},
    {&like_vhd, 1, 8192, 512, 0, 0, 0},     {&like_vdi, 1, 4096, 0, 0, 0, 1 << 20},
    {&like_vhdx, 1, 4096, 0, 100, 0, 0},    {&like_qcow2, 2, 512, 0, 0, 64, 0},
    {&like_vmdk, 2, 31 * 512, 0, 0, 77, 0},
};

/* ---- the model ------------------------------------------------------------------------------- */

#define BLOCKS 3000u

struct block {
    enum extent_kind kind;
    bool has_host;
    uint64_t host;
};

struct model {
    struct shape shape;
    struct block blocks[BLOCKS];
    struct file *file;
    struct table *table;
    uint64_t size;
};

static void put(struct model *m, uint64_t at, uint64_t v)
{
    struct err e = ERR_INIT;
    uint8_t b[8];
    table_store(m->shape.format, b, v);
    assert_int_equal(file_write(m->file, b, m->shape.format->entry_size, at, &e), 0);
}

/* Runs of one kind, contiguous or not. */
static void draw_blocks(struct model *m)
{
    const struct shape *s = &m->shape;
    uint64_t unit = num_max(s->block_size, s->format->place_scale) + s->lead;
    unit = s->block_size % 4096 ? unit : num_up(unit, 4096);
    for (uint64_t i = 0; i < BLOCKS;) {
        uint64_t n = num_min(1 + draw(draw(4) ? 5 : 300), BLOCKS - i), kind = draw(4);
        uint64_t place = (1000 + draw(10000)) * unit;
        for (uint64_t k = 0; k < n; k++, i++) {
            struct block *b = &m->blocks[i];
            *b = (struct block){.kind = EXTENT_HOLE};
            if (kind == 1 && s->format->has_zero)
                *b = (struct block){.kind = EXTENT_ZERO};
            if (kind >= 2)
                *b = (struct block){EXTENT_DATA, true, place + s->base + s->lead};
            if (kind == 2 && s->format->zero_is_bit)
                b->kind = EXTENT_ZERO;
            place += draw(20) ? s->block_size : 3 * unit;
            place = num_div_up(place, s->format->place_scale) * s->format->place_scale;
            if (s->block_size % 4096 == 0)
                place = num_up(place, num_min(s->block_size, 4096));
        }
    }
}

static uint64_t raw_of(const struct shape *s, const struct block *b)
{
    if (b->kind == EXTENT_HOLE)
        return s->format->absent;
    if (!b->has_host)
        return s->format->zero;
    uint64_t raw = table_encode(s->format, b->host - s->lead, s->base);
    return b->kind == EXTENT_ZERO ? raw | s->format->zero : raw;
}

/* Tables at places in no order; those without a block in use stay away. */
static void write_two_levels(struct model *m)
{
    const struct shape *s = &m->shape;
    unsigned size = s->format->entry_size;
    uint64_t tables = num_div_up(BLOCKS, s->table_entries),
             room = num_up(s->table_entries * size, 512);
    for (uint64_t t = 0; t < tables; t++) {
        uint64_t host = (64 + (t * 7 % tables)) * room;
        bool used = false;
        for (uint64_t i = t * s->table_entries; i < (t + 1) * s->table_entries; i++) {
            uint64_t raw = i < BLOCKS ? raw_of(s, &m->blocks[i]) : s->format->absent;
            used |= raw != s->format->absent;
            put(m, host + i % s->table_entries * size, raw);
        }
        put(m, 512 + t * size, used ? table_encode(s->format, host, 0) : 0);
    }
}

static void write_one_level(struct model *m)
{
    const struct shape *s = &m->shape;
    for (uint64_t i = 0; i < BLOCKS; i++) {
        uint64_t at = i + (s->gap ? i / s->gap : 0);
        put(m, 512 + at * s->format->entry_size, raw_of(s, &m->blocks[i]));
    }
}

static void model_make(struct model *m, const struct shape *s)
{
    struct err e = ERR_INIT;
    m->shape = *s;
    m->size = (uint64_t)BLOCKS * s->block_size - 512;
    assert_int_equal(memory_new("tables", "", 0, &m->file, &e), 0);
    m->file->opt.write = true;
    draw_blocks(m);
    if (s->levels == 2)
        write_two_levels(m);
    else
        write_one_level(m);
    struct table_params p = {
        .format = s->format,
        .file = m->file,
        .data_file = m->file,
        .size = m->size,
        .block_size = s->block_size,
        .levels = s->levels,
        .table_entries = s->table_entries,
        .first_offset = 512,
        .first_entries = s->levels == 2 ? num_div_up(BLOCKS, s->table_entries) : BLOCKS,
        .table_mask = s->format->place_mask,
        .table_scale = s->format->place_scale,
        .base = s->base,
        .lead = s->lead,
        .gap_every = s->gap,
        .budget = 1, /* the least: slices come and go */
    };
    assert_int_equal(table_open(&p, &m->table, &e), 0);
}

static void model_free(struct model *m)
{
    table_free(m->table);
    file_cleanup(&m->file);
}

/* Is x what the model says of each byte range of a block in it? */
static void compare(const struct model *m, uint64_t guest, const struct extent *x)
{
    uint32_t bs = m->shape.block_size;
    for (uint64_t at = guest, next; at < guest + x->length; at = next) {
        const struct block *b = &m->blocks[at / bs];
        next = (at / bs + 1) * bs;
        assert_int_equal(x->kind, b->kind);
        assert_int_equal(x->has_host, b->has_host);
        if (b->has_host) {
            assert_int_equal(x->host + (at - guest), b->host + at % bs);
            assert_ptr_equal(x->file, m->file);
        }
    }
}

static void map_at(struct model *m, uint64_t guest, uint64_t length, struct extent *x)
{
    struct err e = ERR_INIT;
    *x = (struct extent){0};
    assert_int_equal(table_map(m->table, guest, length, x, &e), 0);
    assert_true(x->length > 0 && x->length <= length);
    compare(m, guest, x);
}

/* Neighbours that could be one extent must be one. */
static bool mergeable(const struct extent *a, const struct extent *b)
{
    return a->kind == b->kind && a->has_host == b->has_host &&
           (!a->has_host || b->host == a->host + a->length);
}

static void random_tables_map_as_the_model(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
        struct model m;
        struct extent x, last = {.kind = EXTENT_PACKED};
        model_make(&m, &shapes[s]);
        for (uint64_t at = 0; at < m.size; at += x.length) {
            map_at(&m, at, m.size - at, &x);
            assert_false(mergeable(&last, &x));
            last = x;
        }
        for (unsigned i = 0; i < 2000; i++) {
            uint64_t at = draw(m.size);
            map_at(&m, at, 1 + draw(num_min(m.size - at, 1 << 20)), &x);
        }
        for (unsigned i = 0; i < 200; i++) {
            struct err e = ERR_INIT;
            uint64_t raw, k = draw(BLOCKS);
            assert_int_equal(table_raw(m.table, k, &raw, &e), 0);
            assert_int_equal(raw, raw_of(&m.shape, &m.blocks[k]));
        }
        model_free(&m);
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *map_much(void *arg)
{
    struct model *m = arg;
    struct err *e = calloc(1, sizeof *e);
    uint64_t own = (uintptr_t)&e;
    intptr_t bad = 0;
    for (unsigned i = 0; i < 3000; i++) {
        own = own * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t at = (own >> 20) % m->size;
        struct extent x = {0};
        bad += table_map(m->table, at, num_min(m->size - at, 1 << 20), &x, e);
        bad += x.kind != m->blocks[at / m->shape.block_size].kind;
    }
    free(e);
    return (void *)bad;
}

static void many_threads_map_at_once(void **state)
{
    (void)state;
    struct model m;
    pthread_t threads[6];
    model_make(&m, &shapes[5]);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, map_much, &m), 0);
    for (unsigned i = 0; i < ARRAY_LEN(threads); i++) {
        void *bad;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    model_free(&m);
}

/* ---- the slices' own ------------------------------------------------------------------------- */

/* More slices held at once than the cache has room for. */
static void held_slices_stay(void **state)
{
    (void)state;
    enum { N = 40 };
    struct err e = ERR_INIT;
    struct file *f;
    struct slices *s;
    struct slice held[N];
    uint8_t *data = malloc(N * (size_t)SLICES_SIZE);
    for (size_t i = 0; i < N; i++)
        memset(data + i * SLICES_SIZE, (int)i, SLICES_SIZE);
    assert_int_equal(memory_new("m", data, N * (size_t)SLICES_SIZE, &f, &e), 0);
    assert_int_equal(slices_new(f, 1, 1, &s, &e), 0);
    for (unsigned i = 0; i < N; i++)
        assert_int_equal(slices_get(s, (uint64_t)i * SLICES_SIZE + i, &held[i], &e), 0);
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(held[i].data[0], i);
        assert_int_equal(held[i].data[SLICES_SIZE - 1], i);
    }
    for (unsigned i = 0; i < N; i++)
        slices_put(s, &held[i]);
    slices_free(s);
    file_cleanup(&f);
    free(data);
}

static size_t valid_at(struct slices *s, uint64_t offset)
{
    struct err e = ERR_INIT;
    struct slice p;
    assert_int_equal(slices_get(s, offset, &p, &e), 0);
    size_t valid = p.valid;
    slices_put(s, &p);
    return valid;
}

static void a_file_may_end_inside_its_tail(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        uint32_t tail;
        uint64_t at;
        size_t valid;
    } cases[] = {
        {1000, 0, 0, 1000},
        {1000, 4096, 0, 4096},
        {SLICES_SIZE + 1, 512, SLICES_SIZE, 512},
        {SLICES_SIZE, 4096, SLICES_SIZE, 0},
        {SLICES_SIZE + 1, 4 * SLICES_SIZE, 3 * SLICES_SIZE, SLICES_SIZE},
        {SLICES_SIZE + 1, 4 * SLICES_SIZE, 4 * SLICES_SIZE, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct file *f;
        struct slices *s;
        assert_int_equal(memory_new("m", "", 0, &f, &e), 0);
        f->opt.write = true;
        assert_int_equal(file_truncate(f, cases[i].size, &e), 0);
        assert_int_equal(slices_new(f, 0, cases[i].tail, &s, &e), 0);
        assert_int_equal(valid_at(s, cases[i].at), cases[i].valid);
        slices_free(s);
        file_cleanup(&f);
    }
}

/* ---- huge and damaged ------------------------------------------------------------------------ */

static void an_empty_image_is_one_answer(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f;
    struct table *t;
    struct extent x = {0};
    uint64_t size = 64 * TIB;
    assert_int_equal(memory_new("m", "", 0, &f, &e), 0);
    f->opt.write = true;
    assert_int_equal(file_truncate(f, 2 * MIB, &e), 0);
    struct table_params p = {.format = &like_qcow2,
                             .file = f,
                             .data_file = f,
                             .size = size,
                             .block_size = 65536,
                             .levels = 2,
                             .table_entries = 8192,
                             .first_offset = 0,
                             .first_entries = size / 65536 / 8192,
                             .table_mask = like_qcow2.place_mask,
                             .table_scale = 1};
    assert_int_equal(table_open(&p, &t, &e), 0);
    assert_int_equal(table_map(t, 12345, size - 12345, &x, &e), 0);
    assert_int_equal(x.kind, EXTENT_HOLE);
    assert_int_equal(x.length, size - 12345);
    table_free(t);
    file_cleanup(&f);
}

static void tables_beyond_the_end_are_errors(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f;
    struct table *t;
    struct extent x = {0};
    uint8_t first[16];
    be64_store(first, 1 << 20);
    be64_store(first + 8, 0);
    assert_int_equal(memory_new("m", first, sizeof first, &f, &e), 0);
    struct table_params p = {.format = &like_qcow2,
                             .file = f,
                             .data_file = f,
                             .size = 8 * MIB,
                             .block_size = 4096,
                             .levels = 2,
                             .table_entries = 512,
                             .first_offset = 0,
                             .first_entries = 4,
                             .table_mask = like_qcow2.place_mask,
                             .table_scale = 1};
    assert_int_equal(table_open(&p, &t, &e), -1); /* the first level itself */
    p.tail = 4096;
    assert_int_equal(table_open(&p, &t, &e), 0);
    assert_int_equal(table_map(t, 0, 4096, &x, &e), -1);
    assert_non_null(strstr(e.text, "beyond the end of the file"));
    assert_int_equal(table_map(t, 2 * MIB, 6 * MIB, &x, &e), 0);
    assert_int_equal(x.length, 6 * MIB);
    table_free(t);
    file_cleanup(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_tables_map_as_the_model),
        cmocka_unit_test(many_threads_map_at_once),
        cmocka_unit_test(held_slices_stay),
        cmocka_unit_test(a_file_may_end_inside_its_tail),
        cmocka_unit_test(an_empty_image_is_one_answer),
        cmocka_unit_test(tables_beyond_the_end_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
