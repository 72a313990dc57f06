/* Codecs: round trips, and the streams that only a tolerant decoder takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/codec/codec.h"

#define BLOCK 65536u

static const char *const names[] = {"deflate", "zlib", "zstd"};
static struct err e;
static uint8_t block[4 * BLOCK], packed[8 * BLOCK], plain[4 * BLOCK];

/* Text-like bytes: words of a small vocabulary. */
static void fill_text(uint8_t *out, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        if (i % 7 == 0)
            seed = seed * 1664525 + 1013904223;
        out[i] = (uint8_t)("etaoin shrdlu cmfwyp"[(seed >> 20) % 20] + (i % 7 == 3));
    }
}

static void fill_noise(uint8_t *out, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525 + 1013904223;
        out[i] = (uint8_t)(seed >> 24);
    }
}

/* As the formats ask: vmdk for zlib streams with the largest window, qcow2 for the smallest. */
static int window_of(const struct codec *c)
{
    return strcmp(c->name, "zlib") == 0 ? 15 : 12;
}

static size_t encode(const struct codec *c, int level, const void *in, size_t n, void *out,
                     size_t cap)
{
    void *state;
    size_t len;
    assert_int_equal(c->encoder_new(level, window_of(c), &state, &e), 0);
    assert_int_equal(c->encode(state, in, n, out, cap, &len, &e), 0);
    c->encoder_free(state);
    return len;
}

static int decode(const struct codec *c, const void *in, size_t n, void *out, size_t out_len)
{
    void *state;
    assert_int_equal(c->decoder_new(&state, &e), 0);
    memset(out, 0xee, out_len);
    int rc = c->decode(state, in, n, out, out_len, &e);
    c->decoder_free(state);
    return rc;
}

static void round_trips_at_all_levels(void **state)
{
    (void)state;
    const size_t sizes[] = {512, 4096, BLOCK, 4 * BLOCK};
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        const struct codec *c = codec_find(names[k]);
        assert_non_null(c);
        for (int level = 0; level <= c->level_max; level++)
            for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
                fill_text(block, sizes[s], (uint32_t)(s + 1));
                size_t len = encode(c, level, block, sizes[s], packed, sizes[s]);
                assert_in_range(len, 1, sizes[s] - 1);
                memset(packed + len, 0xa5, 600); /* trailing junk */
                assert_int_equal(decode(c, packed, len, plain, sizes[s]), 0);
                assert_memory_equal(plain, block, sizes[s]);
                assert_int_equal(decode(c, packed, len + 511, plain, sizes[s]), 0);
                assert_memory_equal(plain, block, sizes[s]);
            }
    }
    assert_null(codec_find("lzo"));
}

static void levels_out_of_range(void **state)
{
    (void)state;
    void *s;
    assert_int_equal(codec_find("deflate")->encoder_new(10, 12, &s, &e), -1);
    assert_int_equal(codec_find("zstd")->encoder_new(20, 12, &s, &e), -1);
    assert_int_equal(codec_find("zstd")->encoder_new(-1, 12, &s, &e), -1);
}

/* One state for many blocks gives each what a fresh state gives it. */
static void encoding_is_pure(void **state)
{
    (void)state;
    static uint8_t other[8 * BLOCK];
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        const struct codec *c = codec_find(names[k]);
        for (int level = 0; level <= 9; level++) {
            void *s;
            assert_int_equal(c->encoder_new(level, window_of(c), &s, &e), 0);
            for (uint32_t i = 0; i < 24; i++) {
                size_t n = i % 3 ? BLOCK : 4096;
                i % 4 == 1 ? fill_noise(block, n, i / 2) : fill_text(block, n, i / 2);
                size_t len, cap = i % 5 == 2 ? n / 8 : n;
                assert_int_equal(c->encode(s, block, n, packed, cap, &len, &e), 0);
                assert_int_equal(encode(c, level, block, n, other, cap), len);
                assert_memory_equal(other, packed, len);
            }
            c->encoder_free(s);
        }
    }
}

static void incompressible_does_not_fit(void **state)
{
    (void)state;
    fill_noise(block, BLOCK, 5);
    for (size_t k = 0; k < ARRAY_LEN(names); k++)
        for (int level = 0; level <= 9; level++)
            assert_int_equal(encode(codec_find(names[k]), level, block, BLOCK, packed, BLOCK), 0);
}

static void missing_end_and_surplus(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        const struct codec *c = codec_find(names[k]);
        fill_text(block, 2 * BLOCK, 9);
        size_t len = encode(c, 0, block, 2 * BLOCK, packed, sizeof packed);
        /* the stream goes on behind the block, and is cut off somewhere there */
        assert_int_equal(decode(c, packed, len, plain, BLOCK), 0);
        assert_memory_equal(plain, block, BLOCK);
        if (strcmp(names[k], "zstd") != 0) {
            assert_int_equal(decode(c, packed, len * 3 / 4, plain, BLOCK), 0);
            assert_memory_equal(plain, block, BLOCK);
        }
        /* gives less */
        assert_int_equal(decode(c, packed, len / 3, plain, 2 * BLOCK), -1);
        assert_int_equal(decode(c, packed, len, plain, 2 * BLOCK + 512), -1);
        assert_int_equal(decode(c, packed, 0, plain, BLOCK), -1);
    }
}

static void damage_is_seen(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(names); k++) {
        memset(packed, 0xff, BLOCK);
        assert_int_equal(decode(codec_find(names[k]), packed, BLOCK, plain, BLOCK), -1);
        assert_string_equal(e.text, "Compressed data is damaged");
    }
}

static void zstd_frames_in_a_row(void **state)
{
    (void)state;
    const struct codec *c = codec_find("zstd");
    fill_text(block, BLOCK, 11);
    size_t len = 0;
    const size_t cuts[] = {0, 100, 30000, 30001, BLOCK};
    for (size_t i = 0; i + 1 < ARRAY_LEN(cuts); i++)
        len += encode(c, 3, block + cuts[i], cuts[i + 1] - cuts[i], packed + len, BLOCK);
    memset(packed + len, 0x77, 512);
    assert_int_equal(decode(c, packed, len + 300, plain, BLOCK), 0);
    assert_memory_equal(plain, block, BLOCK);
    assert_int_equal(decode(c, packed, len - 10, plain, BLOCK), -1);
}

/* Apple Data Compression: each form of code, and what must not be followed. */
static void adc_codes(void **state)
{
    (void)state;
    static const uint8_t good[] = {0x82, 'a',  'b',  'c', /* plain */
                                   0x00, 0x02,            /* 3 from 3 back */
                                   0x41, 0x00, 0x00,      /* 5 times the last one */
                                   0x0c, 0x0a};           /* 6 from 11 back */
    const struct codec *c = codec_find("adc");
    assert_int_equal(decode(c, good, sizeof good, plain, 17), 0);
    assert_memory_equal(plain, "abcabccccccabcabc", 17);
    assert_int_equal(decode(c, good, sizeof good, plain, 10), 0); /* more than the block */
    assert_int_equal(decode(c, good, sizeof good, plain, 18), -1);
    for (size_t n = 0; n < sizeof good; n++)
        assert_int_equal(decode(c, good, n, plain, 17), -1);
    static const uint8_t bad[][4] = {{0x81, 'a'},
                                     {0x80, 'a', 0x00, 0x01},
                                     {0x00, 0x00},
                                     {0x7f, 0x00, 0x00},
                                     {0x80, 'a', 0x40, 1}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(decode(c, bad[i], i ? 4 : 2, plain, 5), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trips_at_all_levels), cmocka_unit_test(levels_out_of_range),
        cmocka_unit_test(encoding_is_pure),          cmocka_unit_test(incompressible_does_not_fit),
        cmocka_unit_test(missing_end_and_surplus),   cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(zstd_frames_in_a_row),      cmocka_unit_test(adc_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
