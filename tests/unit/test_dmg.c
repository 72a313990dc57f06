/* dmg: the list of chunks, tables that come piece by piece, property lists, the map. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "formats/codec/codec.h"
#include "formats/dmg/dmg.h"
#include "memory_image.h"

static struct err e;

/* ---- chunks ---------------------------------------------------------------------------------- */

static void add(struct dmg_chunks *c, uint32_t type, uint64_t sector, uint64_t sectors,
                uint64_t host)
{
    struct dmg_chunk chunk = {.type = type, .sector = sector, .sectors = sectors, .host = host};
    assert_int_equal(dmg_chunks_add(c, &chunk, &e), 0);
}

static void neighbours_become_one(void **state)
{
    (void)state;
    struct dmg_chunks c = {0};
    add(&c, DMG_RAW, 20, 10, 10000);
    add(&c, DMG_RAW, 30, 10, 10000 + 5120);
    add(&c, DMG_RAW, 40, 10, 10000);
    add(&c, DMG_ZERO, 10, 10, 7);
    add(&c, DMG_ZERO, 0, 10, 0);
    add(&c, DMG_ZLIB, 50, 5, 0);
    add(&c, DMG_ZLIB, 55, 5, 5 * 512);
    assert_int_equal(c.n, 6);
    assert_int_equal(dmg_chunks_finish(&c, &e), 0);
    assert_int_equal(c.n, 5);
    assert_int_equal(c.of[0].sectors, 20);
    assert_int_equal(c.of[1].sectors, 20);
    for (uint64_t sector = 0; sector < 60; sector++) {
        const struct dmg_chunk *found = dmg_chunks_find(&c, sector);
        assert_non_null(found);
        assert_true(sector >= found->sector && sector - found->sector < found->sectors);
    }
    assert_null(dmg_chunks_find(&c, 60));
    assert_null(dmg_chunks_find(&c, UINT64_MAX));
    dmg_chunks_release(&c);
}

static void overlaps_are_refused(void **state)
{
    (void)state;
    struct dmg_chunks c = {0};
    add(&c, DMG_ZLIB, 100, 10, 0);
    add(&c, DMG_ZLIB, 91, 10, 0);
    assert_int_equal(dmg_chunks_finish(&c, &e), -1);
    assert_non_null(strstr(e.text, "chunks overlap at sector 100"));
    dmg_chunks_release(&c);
}

/* ---- images ---------------------------------------------------------------------------------- */

#define MAX  8192
#define TERA (UINT64_C(1) << 40)

struct build {
    uint8_t bytes[MAX];
    size_t n;
    uint8_t mish[DMG_MISH_HEADER + 20 * DMG_MISH_ROW];
    size_t n_mish;
};

static void begin(struct build *b, uint64_t first_sector, uint64_t data)
{
    *b = (struct build){.n = 2048, .n_mish = DMG_MISH_HEADER};
    memcpy(b->mish, "mish", 4);
    be64_store(b->mish + 8, first_sector);
    be64_store(b->mish + 24, data);
}

static void row(struct build *b, uint32_t type, uint64_t sector, uint64_t sectors, uint64_t offset,
                uint64_t len)
{
    uint8_t *p = b->mish + b->n_mish;
    be32_store(p, type);
    be64_store(p + 8, sector);
    be64_store(p + 16, sectors);
    be64_store(p + 24, offset);
    be64_store(p + 32, len);
    b->n_mish += DMG_MISH_ROW;
}

static void put_text(struct build *b, const char *text)
{
    size_t n = strlen(text);
    memcpy(b->bytes + b->n, text, n);
    b->n += n;
}

static void put_base64(struct build *b, const uint8_t *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16;
        v |= (i + 1 < n ? (uint32_t)p[i + 1] << 8 : 0) | (i + 2 < n ? p[i + 2] : 0);
        char four[5] = {digits[v >> 18], digits[v >> 12 & 63],
                        i + 1 < n ? digits[v >> 6 & 63] : '=', i + 2 < n ? digits[v & 63] : '='};
        put_text(b, four);
        if (i % 15 == 0)
            put_text(b, "\r\n\t ");
    }
}

static void put_trailer(struct build *b, size_t fork, size_t fork_len, size_t plist,
                        size_t plist_len, uint64_t sectors)
{
    uint8_t *p = b->bytes + b->n;
    memcpy(p, "koly", 4);
    be64_store(p + 0x28, fork);
    be64_store(p + 0x30, fork_len);
    be64_store(p + 0xd8, plist);
    be64_store(p + 0xe0, plist_len);
    be64_store(p + 0x1ec, sectors);
    b->n += 512;
}

static void end_with_plist(struct build *b, uint64_t sectors)
{
    size_t at = b->n;
    put_text(b, "<data><data>AAAA</data> <dat<data");
    put_text(b, "<data>");
    put_base64(b, b->mish, b->n_mish);
    put_text(b, "</data>");
    put_trailer(b, 0, 0, at, b->n - at, sectors);
}

static void end_with_fork(struct build *b, uint64_t sectors)
{
    size_t at = b->n;
    uint8_t *p = b->bytes + at;
    be32_store(p, 16);                                        /* data */
    be32_store(p + 8, (uint32_t)(4 + 1 + 4 + 4 + b->n_mish)); /* its length */
    be32_store(p + 16, 1);
    be32_store(p + 21, 0);
    be32_store(p + 25, (uint32_t)b->n_mish);
    memcpy(p + 29, b->mish, b->n_mish);
    b->n += 29 + b->n_mish;
    put_trailer(b, at, b->n - at, 0, 0, sectors);
}

static void disk(struct build *b)
{
    begin(b, 8, 512);
    row(b, DMG_RAW, 0, 1, 0, 512);
    row(b, DMG_COMMENT, 1, 0, 0, 0);
    row(b, DMG_RAW, 1, 1, 512, 512);
    row(b, DMG_ADC, 2, 4, 77, 100);
    row(b, DMG_ZERO, 6, TERA, 0, 0);
    row(b, DMG_IGNORE, 6 + TERA, 10, 99, 99);
    row(b, DMG_END, 0, 0, 0, 0);
    row(b, DMG_ZLIB, 0, 5, 0, 0); /* not looked at */
}

static void expect_disk(struct image *img)
{
    struct extent x = memory_image_map(img, 8 * 512 + 100);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.host, 612);
    assert_int_equal(x.length, 924);
    x = memory_image_map(img, 11 * 512);
    assert_int_equal(x.kind, EXTENT_PACKED);
    assert_string_equal(x.codec->name, "adc");
    assert_int_equal(x.host, 512 + 77);
    assert_int_equal(x.packed_len, 100);
    assert_int_equal(x.block_size, 4 * 512);
    assert_int_equal(x.block_offset, 512);
    assert_int_equal(x.length, 3 * 512);
    assert_int_equal(img->largest_block, 4 * 512);
    x = memory_image_map(img, 14 * 512);
    assert_int_equal(x.kind, EXTENT_ZERO);
    assert_int_equal(x.length, TERA * 512);
    assert_int_equal(image_map(img, 0, 512, &x, &e), -1);
    assert_non_null(strstr(e.text, "No chunk of the dmg file holds sector 0"));
}

static void both_places_give_the_same_map(void **state)
{
    (void)state;
    static struct build b;
    for (int fork = 0; fork < 2; fork++) {
        disk(&b);
        fork ? end_with_fork(&b, 14 + TERA) : end_with_plist(&b, 14 + TERA);
        struct image *img = memory_image_good("dmg", b.bytes, b.n);
        expect_disk(img);
        memory_image_close(img);
    }
}

static void one_row(uint32_t type, uint64_t sectors, uint64_t offset, uint64_t len,
                    const char *words)
{
    static struct build b;
    begin(&b, 0, 0);
    row(&b, type, 0, sectors, offset, len);
    end_with_plist(&b, 8);
    memory_image_refused("dmg", b.bytes, b.n, words);
}

static void rows_out_of_limits(void **state)
{
    (void)state;
    one_row(DMG_ZLIB, 131073, 0, 10, "sector count 131073 for chunk 0 is larger than max (131072)");
    one_row(DMG_ADC, 8, 0, 67108865, "length 67108865 for chunk 0 is larger than max (67108864)");
    one_row(DMG_RAW, 8, 0, 4095, "length 4095 for raw chunk 0 is too short");
    one_row(DMG_RAW, 8, INT64_MAX, 4096, "chunk 0 is outside of any file");
    one_row(DMG_RAW, UINT64_MAX, 0, UINT64_MAX, "chunk 0 is outside of any disk");
    one_row(DMG_ZERO, UINT64_C(1) << 55, 0, 0, "chunk 0 is outside of any disk");
    one_row(DMG_END, 8, 0, 0, "no table of chunks");
}

/* However the bytes of a table are cut. */
static void tables_come_in_pieces(void **state)
{
    (void)state;
    static struct build b;
    begin(&b, 0, 0);
    for (unsigned i = 0; i < 20; i++)
        row(&b, DMG_ZLIB, i * 8, 8, i * 100, 100);
    for (size_t piece = 1; piece < b.n_mish; piece += 13) {
        struct dmg_chunks c = {0};
        struct dmg_mish m = {.chunks = &c};
        dmg_mish_begin(&m);
        for (size_t at = 0; at < b.n_mish; at += piece)
            assert_int_equal(dmg_mish_feed(&m, b.mish + at, num_min(piece, b.n_mish - at), &e), 0);
        assert_int_equal(c.n, 20);
        assert_int_equal(c.of[19].host, 1900);
        dmg_chunks_release(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbours_become_one),         cmocka_unit_test(overlaps_are_refused),
        cmocka_unit_test(both_places_give_the_same_map), cmocka_unit_test(rows_out_of_limits),
        cmocka_unit_test(tables_come_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
