/* Front tables: what comes to the file is what was set, whatever the windows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/front_table.h"
#include "io/memory.h"
#include "io/pages.h"

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

static const struct table_format formats[] = {
    {.entry_size = 4, .place_scale = 1},
    {.entry_size = 4, .big_endian = true, .place_scale = 1},
    {.entry_size = 8, .place_scale = 1},
    {.entry_size = 8, .big_endian = true, .place_scale = 1},
};

struct bench {
    struct file *file;
    struct pages *pages;
    struct front_table *table;
    struct front_table_params p;
};

static void bench_init(struct bench *b, const struct front_table_params *p)
{
    struct err e = ERR_INIT;
    b->p = *p;
    assert_int_equal(memory_new("m", "", 0, &b->file, &e), 0);
    assert_int_equal(pages_new(b->file, &b->pages, &e), 0);
    b->p.file = b->file;
    assert_int_equal(front_table_new(&b->p, &b->table, &e), 0);
}

static void bench_release(struct bench *b)
{
    front_table_free(b->table);
    pages_free(b->pages);
    file_cleanup(&b->file);
}

/* Everything in the file, and entry `i` of copy `copy` of it. */
static uint64_t entry_of(const struct bench *b, unsigned copy, uint64_t i)
{
    struct err e = ERR_INIT;
    uint8_t buf[8];
    uint64_t size = b->p.format->entry_size;
    assert_int_equal(file_read_padded(b->file, buf, size, b->p.offset[copy] + i * size, NULL, &e),
                     0);
    return table_load(b->p.format, buf);
}

static void finish(struct bench *b)
{
    struct err e = ERR_INIT;
    assert_int_equal(front_table_finish(b->table, b->pages, &e), 0);
    assert_int_equal(pages_flush(b->pages, &e), 0);
}

/* ---- a model --------------------------------------------------------------------------------- */

/* The entries as they should be on disk. */
static uint64_t *model_new(const struct front_table_params *p)
{
    uint64_t *m = calloc(p->entries ? p->entries : 1, sizeof *m);
    assert_non_null(m);
    for (uint64_t i = 0; i < p->entries; i++)
        m[i] = p->gap_every && i % (p->gap_every + 1) == p->gap_every ? 0 : p->fill;
    return m;
}

static uint64_t on_disk(const struct front_table_params *p, uint64_t index)
{
    return index + (p->gap_every ? index / p->gap_every : 0);
}

static void trial(uint64_t entries, uint64_t gap, unsigned copies, uint64_t least_step,
                  uint64_t most_step)
{
    struct err e = ERR_INIT;
    const struct table_format *f = &formats[draw(ARRAY_LEN(formats))];
    uint64_t ones = f->entry_size == 4 ? UINT32_MAX : UINT64_MAX;
    uint64_t at = f->entry_size * draw(3000), room = num_up((entries + 1) * 8, 8);
    struct bench b;
    bench_init(&b, &(struct front_table_params){.format = f,
                                                .offset = {at, at + room},
                                                .copies = copies,
                                                .entries = entries,
                                                .fill = draw(2) ? ones : 0,
                                                .gap_every = gap});
    uint64_t *model = model_new(&b.p);
    for (uint64_t i = draw(most_step); on_disk(&b.p, i) < entries;
         i += least_step + draw(most_step - least_step + 1)) {
        uint64_t raw = draw(ones) + 1;
        model[on_disk(&b.p, i)] = raw;
        assert_int_equal(front_table_set(b.table, i, raw, b.pages, &e), 0);
    }
    finish(&b);
    for (unsigned c = 0; c < copies; c++)
        for (uint64_t i = 0; i < entries; i++)
            assert_int_equal(entry_of(&b, c, i), model[i]);
    free(model);
    bench_release(&b);
}

static void like_a_model(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        trial(draw(60000), draw(2) ? 1 + draw(200) : 0, 1 + (unsigned)draw(2), 1, 1 + draw(30000));
        trial(draw(3000), draw(2) ? 1 + draw(9) : 0, 2, 1, 1);
    }
}

/* ---- single cases ---------------------------------------------------------------------------- */

static void nothing_set(void **state)
{
    (void)state;
    struct bench b;
    bench_init(&b, &(struct front_table_params){.format = &formats[1],
                                                .offset = {1536},
                                                .copies = 1,
                                                .entries = 40000,
                                                .fill = UINT32_MAX});
    finish(&b);
    assert_int_equal(file_size(b.file), 1536 + 40000 * 4);
    assert_int_equal(entry_of(&b, 0, 0), UINT32_MAX);
    assert_int_equal(entry_of(&b, 0, 39999), UINT32_MAX);
    bench_release(&b);
    bench_init(&b, &(struct front_table_params){.format = &formats[0], .copies = 1, .entries = 0});
    finish(&b);
    assert_int_equal(file_size(b.file), 0);
    bench_release(&b);
}

/* A large table of zeros takes no space; a large one of anything takes no memory. */
static void far_apart(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct bench b;
    bench_init(&b, &(struct front_table_params){.format = &formats[2],
                                                .offset = {MIB},
                                                .copies = 1,
                                                .entries = UINT64_C(10) << 20});
    assert_int_equal(front_table_set(b.table, 5, 77, b.pages, &e), 0);
    assert_int_equal(front_table_set(b.table, UINT64_C(9) << 20, 88, b.pages, &e), 0);
    finish(&b);
    assert_int_equal(entry_of(&b, 0, 5), 77);
    assert_int_equal(entry_of(&b, 0, UINT64_C(9) << 20), 88);
    assert_int_equal(entry_of(&b, 0, (UINT64_C(10) << 20) - 1), 0);
    assert_true(file_allocated(b.file) < (int64_t)MIB);
    bench_release(&b);
}

static void only_forwards(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct bench b;
    bench_init(&b, &(struct front_table_params){
                       .format = &formats[2], .copies = 1, .entries = 20000, .gap_every = 4});
    assert_int_equal(front_table_set(b.table, 15999, 1, b.pages, &e), 0);
    assert_int_equal(front_table_set(b.table, 0, 1, b.pages, &e), -1);
    assert_string_equal(e.text, "Block 0 has no open table");
    assert_int_equal(front_table_set(b.table, 16000, 1, b.pages, &e), -1);
    finish(&b);
    assert_int_equal(entry_of(&b, 0, 15999 + 3999), 1);
    bench_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_a_model),
        cmocka_unit_test(nothing_set),
        cmocka_unit_test(far_apart),
        cmocka_unit_test(only_forwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
