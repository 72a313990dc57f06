/*
 * What an encoder writes depends on its input and level alone: not on which encoder of how many it
 * is, where its state lies in memory, or what it encoded before. Images are the same bytes on any
 * number of threads only if this holds.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "formats/codec/codec.h"

#define ENCODERS 24
#define BLOCKS   400
#define BLOCK    4096u

static const struct codec *codec;
static void *encoder[ENCODERS];
static uint8_t text[BLOCKS * BLOCK], first[2 * BLOCK], other[2 * BLOCK];

/* Lines with numbers, as logs and tables have: many short matches. */
static void fill(void)
{
    uint32_t seed = 1;
    size_t at = 0;
    while (at < sizeof text - 64) {
        seed = seed * 1664525 + 1013904223;
        at += (size_t)snprintf((char *)text + at, 64, "line %u of %u\n", (unsigned)at % 977,
                               seed >> 22);
    }
}

/* Encoders far from each other: what lies between differs in size. */
static void make_encoders(int level, void *gap[])
{
    struct err e;
    for (int i = 0; i < ENCODERS; i++) {
        gap[i] = malloc(((size_t)i * 7919 + 13) * 1024);
        assert_non_null(gap[i]);
        assert_int_equal(codec->encoder_new(level, 12, &encoder[i], &e), 0);
    }
}

static unsigned differing(size_t size)
{
    struct err e;
    unsigned n = 0;
    for (size_t at = 0; at + size <= sizeof text; at += size) {
        size_t len, again;
        assert_int_equal(codec->encode(encoder[0], text + at, size, first, sizeof first, &len, &e),
                         0);
        void *one = encoder[1 + at / size % (ENCODERS - 1)];
        assert_int_equal(codec->encode(one, text + at, size, other, sizeof other, &again, &e), 0);
        n += len != again || memcmp(first, other, len) != 0;
    }
    return n;
}

static void check_level(const char *name, int level)
{
    void *gap[ENCODERS];
    codec = codec_find(name);
    make_encoders(level, gap);
    for (size_t size = 512; size <= BLOCK; size *= 2) {
        unsigned n = differing(size);
        if (n)
            print_error("%s level %d, blocks of %zu: %u differ\n", name, level, size, n);
        assert_int_equal(n, 0);
    }
    for (int i = 0; i < ENCODERS; i++) {
        codec->encoder_free(encoder[i]);
        free(gap[i]);
    }
}

static void deflate_is_stable(void **state)
{
    (void)state;
    for (int level = 0; level <= 9; level++)
        check_level("deflate", level);
}

static void zstd_is_stable(void **state)
{
    (void)state;
    for (int level = 0; level <= 9; level += 3)
        check_level("zstd", level);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deflate_is_stable),
        cmocka_unit_test(zstd_is_stable),
    };
    fill();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
