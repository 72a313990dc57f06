#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "fake_image.h"
#include "flow/compare_chunk.h"
#include "io/memory.h"

#define CHUNK (256 * KIB)

/* Two images, each its bytes in a file of its own. */
struct pair {
    struct fake f[2];
    struct file *file[2];
    struct image *image[2];
};

static void pair_init(struct pair *p, uint64_t size)
{
    struct err e = ERR_INIT;
    for (unsigned i = 0; i < 2; i++) {
        fake_init(&p->f[i], "raw", size, 0);
        assert_int_equal(memory_new(i ? "two" : "one", NULL, 0, &p->file[i], &e), 0);
        assert_int_equal(file_truncate(p->file[i], 4 * MIB, &e), 0);
        p->f[i].image.file = p->file[i];
        p->image[i] = &p->f[i].image;
    }
}

static void pair_release(struct pair *p)
{
    file_cleanup(&p->file[0]);
    file_cleanup(&p->file[1]);
}

static void put(struct pair *p, unsigned i, uint64_t off, const char *byte)
{
    struct err e = ERR_INIT;
    assert_int_equal(file_write(p->file[i], byte, 1, off, &e), 0);
}

static struct compared compared_of(struct pair *p, bool strict)
{
    struct err e = ERR_INIT;
    struct compared of = {.image = {p->image[0], p->image[1]}};
    for (unsigned i = 0; i < 2 && strict; i++)
        assert_int_equal(status_rules_new(p->image[i], &of.rules[i], &e), 0);
    return of;
}

static void compared_release(struct compared *of)
{
    status_rules_free(of->rules[0]);
    status_rules_free(of->rules[1]);
}

static struct found compare(struct pair *p, uint64_t guest, uint64_t length, bool strict)
{
    struct comparer *c;
    struct found found;
    struct err e = ERR_INIT;
    struct compared of = compared_of(p, strict);
    assert_int_equal(comparer_new(&of, CHUNK, &c, &e), 0);
    assert_int_equal(comparer_run(c, guest, length, &found, &e), 0);
    comparer_free(c);
    compared_release(&of);
    return found;
}

/* A single byte that differs is found, wherever it is, and its sector named. */
static void any_byte_is_found(void **state)
{
    static const uint64_t at[] = {0, 1, 511, 512, 513, 4095, 4096, 65535, 65536, CHUNK - 1};
    (void)state;
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++)
        for (unsigned side = 0; side < 2; side++) {
            struct pair p;
            pair_init(&p, CHUNK);
            for (unsigned s = 0; s < 2; s++) {
                fake_add_data(&p.f[s], 0, CHUNK, p.file[s], 0);
                put(&p, s, 1000, "s");
            }
            assert_int_equal(compare(&p, 0, CHUNK, false).what, FOUND_NOTHING);
            put(&p, side, at[i], "x");
            put(&p, side, CHUNK - 1, "y"); /* a later one does not count */
            struct found found = compare(&p, 0, CHUNK, false);
            assert_int_equal(found.what, FOUND_CONTENT);
            assert_int_equal(found.offset, at[i] / 512 * 512);
            pair_release(&p);
        }
}

static void zeros_equal_holes(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, CHUNK);
    fake_add_data(&p.f[0], 0, 100 * KIB, p.file[0], 0);
    fake_add(&p.f[1], EXTENT_ZERO, 50 * KIB, 100 * KIB);
    assert_int_equal(compare(&p, 0, CHUNK, false).what, FOUND_NOTHING);
    put(&p, 0, 99 * KIB, "x");
    assert_int_equal(compare(&p, 0, CHUNK, false).offset, 99 * KIB);
    assert_int_equal(compare(&p, 64 * KIB, 35 * KIB, false).what, FOUND_NOTHING);
    assert_int_equal(compare(&p, 99 * KIB, 512, false).what, FOUND_CONTENT);
    pair_release(&p);
}

/* Extents of both sides that never agree in their borders. */
static void scattered_data_meets(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, CHUNK);
    for (unsigned i = 0; i < 8; i++)
        fake_add_data(&p.f[0], i * 32 * KIB, 32 * KIB, p.file[0], (7 - i) * 32 * KIB);
    for (unsigned i = 0; i < 4; i++)
        fake_add_data(&p.f[1], i * 64 * KIB, 48 * KIB, p.file[1], i * 64 * KIB);
    put(&p, 0, (7 - 5) * 32 * KIB + 3, "q"); /* guest 160 KiB + 3 */
    put(&p, 1, 160 * KIB + 3, "q");
    assert_int_equal(compare(&p, 0, CHUNK, false).what, FOUND_NOTHING);
    put(&p, 0, (7 - 1) * 32 * KIB + 20 * KIB, "x"); /* over the other's hole: guest 52 KiB */
    assert_int_equal(compare(&p, 0, CHUNK, false).offset, 52 * KIB);
    pair_release(&p);
}

static void shorter_image_goes_on_as_zeros(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, CHUNK);
    p.f[0].image.size = 10240;
    fake_add_data(&p.f[0], 0, 10240, p.file[0], 0);
    fake_add_data(&p.f[1], 0, CHUNK, p.file[1], 0);
    assert_int_equal(compare(&p, 0, CHUNK, false).what, FOUND_NOTHING);
    put(&p, 1, 20000, "x");
    assert_int_equal(compare(&p, 0, CHUNK, false).offset, 19968);
    pair_release(&p);
}

/* Where a raw file ends inside a sector the sector begins behind its end. */
static void sector_does_not_begin_before_its_piece(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, 10240);
    fake_add_data(&p.f[0], 0, 10001, p.file[0], 0);
    fake_add(&p.f[0], EXTENT_ZERO, 10001, 239);
    fake_add_data(&p.f[1], 0, 10240, p.file[1], 0);
    put(&p, 1, 10100, "x");
    assert_int_equal(compare(&p, 0, 10240, false).offset, 10001);
    pair_release(&p);
}

static void first_thing_wins(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, CHUNK);
    for (unsigned s = 0; s < 2; s++)
        fake_add_data(&p.f[s], 0, CHUNK, p.file[s], 0);
    p.f[1].fails_at = 96 * KIB;
    struct found found = compare(&p, 0, CHUNK, false);
    assert_int_equal(found.what, FOUND_NO_MAP);
    assert_int_equal(found.side, 1);
    assert_int_equal(found.offset, 96 * KIB);
    assert_int_equal(found.error, EIO);
    put(&p, 0, 100 * KIB, "x");
    assert_int_equal(compare(&p, 0, CHUNK, false).what, FOUND_NO_MAP);
    put(&p, 0, 95 * KIB, "x");
    assert_int_equal(compare(&p, 0, CHUNK, false).what, FOUND_CONTENT);
    pair_release(&p);
}

/* What lies before an unreadable byte still counts; what lies behind does not. */
static void unreadable_counts_in_its_order(void **state)
{
    struct pair p;
    struct err e = ERR_INIT;
    (void)state;
    pair_init(&p, CHUNK);
    assert_int_equal(file_truncate(p.file[0], 64 * KIB, &e), 0);
    fake_add_data(&p.f[0], 0, 32 * KIB, p.file[0], 0);
    fake_add_data(&p.f[0], 40 * KIB, 64 * KIB, p.file[0], 128 * KIB); /* behind the file's end */
    fake_add_data(&p.f[1], 0, CHUNK, p.file[1], 0);
    put(&p, 0, 0, "s");
    put(&p, 1, 0, "s");
    put(&p, 1, 200 * KIB, "x");
    struct found found = compare(&p, 0, CHUNK, false);
    if (found.what == FOUND_NO_READ) {
        assert_int_equal(found.side, 0);
        assert_int_equal(found.offset, 40 * KIB);
    } else { /* an image may take what its file does not hold for zeros */
        assert_int_equal(found.offset, 200 * KIB);
    }
    put(&p, 1, 36 * KIB, "x");
    assert_int_equal(compare(&p, 0, CHUNK, false).offset, 36 * KIB);
    pair_release(&p);
}

static void strict_compares_status(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, CHUNK);
    for (unsigned s = 0; s < 2; s++) {
        p.f[s].format.name = "parallels";
        p.f[s].image.cluster_size = 64 * KIB;
    }
    assert_int_equal(compare(&p, 0, CHUNK, true).what, FOUND_NOTHING);
    fake_add(&p.f[0], EXTENT_ZERO, 0, 64 * KIB);
    fake_add(&p.f[1], EXTENT_ZERO, 0, 64 * KIB);
    assert_int_equal(compare(&p, 0, CHUNK, true).what, FOUND_NOTHING);
    fake_add(&p.f[1], EXTENT_ZERO, 128 * KIB, 64 * KIB);
    struct found found = compare(&p, 0, CHUNK, true);
    assert_int_equal(found.what, FOUND_STATUS);
    assert_int_equal(found.offset, 64 * KIB); /* there one reaches the end, the other does not */
    assert_int_equal(compare(&p, 128 * KIB, 64 * KIB, true).offset, 128 * KIB);
    assert_int_equal(compare(&p, 0, CHUNK, false).what, FOUND_NOTHING);
    pair_release(&p);
}

static uint64_t next_of(struct pair *p, uint64_t guest, bool strict)
{
    struct err e = ERR_INIT;
    struct compared of = compared_of(p, strict);
    struct skipper s = skipper_of(&of);
    uint64_t at = skipper_next(&s, guest, p->f[1].image.size, &e);
    compared_release(&of);
    return at;
}

static void huge_holes_cost_nothing(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, 64 * TIB);
    assert_int_equal(next_of(&p, 0, false), 64 * TIB);
    fake_add(&p.f[0], EXTENT_ZERO, TIB, TIB);
    fake_add_data(&p.f[1], 63 * TIB, 4 * KIB, p.file[1], 0);
    put(&p, 1, 0, "x");
    assert_int_equal(next_of(&p, 0, false), 63 * TIB);
    assert_int_equal(next_of(&p, 63 * TIB + 4 * KIB, false), 64 * TIB);
    assert_true(p.f[0].asked + p.f[1].asked < 100);
    assert_int_equal(next_of(&p, 0, true), TIB);
    p.f[0].fails_at = 3 * TIB;
    assert_int_equal(next_of(&p, 0, false), 3 * TIB);
    p.f[0].image.size = 2 * TIB; /* behind the end of the smaller */
    assert_int_equal(next_of(&p, 0, false), 63 * TIB);
    pair_release(&p);
}

static void unequal_empty_halves_end_to_end(void **state)
{
    struct pair p;
    (void)state;
    pair_init(&p, 8 * TIB);
    p.f[0].image.size = TIB;
    assert_int_equal(next_of(&p, 0, false), 8 * TIB);
    pair_release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_byte_is_found),
        cmocka_unit_test(zeros_equal_holes),
        cmocka_unit_test(scattered_data_meets),
        cmocka_unit_test(shorter_image_goes_on_as_zeros),
        cmocka_unit_test(sector_does_not_begin_before_its_piece),
        cmocka_unit_test(first_thing_wins),
        cmocka_unit_test(unreadable_counts_in_its_order),
        cmocka_unit_test(strict_compares_status),
        cmocka_unit_test(huge_holes_cost_nothing),
        cmocka_unit_test(unequal_empty_halves_end_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
