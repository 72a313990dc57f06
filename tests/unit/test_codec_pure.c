/*
 * Encoding is a pure function of the input and the level: many threads, each with an encoder of
 * its own that has seen other blocks, give what a fresh encoder gives.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/codec/codec.h"

#define THREADS 8
#define BLOCK   65536u

struct set {
    const struct codec *c;
    int level;
    size_t size, count;
    uint8_t *in, *out; /* blocks; what a fresh encoder gives for each */
    size_t *len;
};

struct worker {
    struct set *s;
    size_t seed, wrong;
    bool failed;
};

static uint32_t next(uint32_t *seed)
{
    return (*seed = *seed * 1664525 + 1013904223) >> 16;
}

/*
 * Words of four random bytes out of a vocabulary of the block's own, some at odd places, and the
 * start of the block once more: a match with it shows the first entries of a hash table.
 */
static void fill(uint8_t *out, size_t n, uint32_t seed)
{
    uint8_t words[64 * 4];
    for (size_t i = 0; i < sizeof words; i++)
        words[i] = (uint8_t)next(&seed);
    for (size_t i = 0; i < n;) {
        size_t k = 1 + next(&seed) % 4;
        memcpy(out + i, words + next(&seed) % 64 * 4, k < n - i ? k : n - i);
        i += k;
    }
    size_t again = 24 + next(&seed) % (n < 4000 ? n - 48 : 4000);
    memcpy(out + again, out + next(&seed) % 3, 16);
}

/* As the formats ask: vmdk for zlib streams with the largest window, qcow2 for the smallest. */
static int window_of(const struct codec *c)
{
    return strcmp(c->name, "zlib") == 0 ? 15 : 12;
}

static size_t encode(const struct set *s, void *state, size_t i, void *out)
{
    struct err e;
    size_t len;
    if (s->c->encode(state, s->in + i * s->size, s->size, out, s->size, &len, &e) != 0)
        return SIZE_MAX;
    return len;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    const struct set *s = w->s;
    struct err e;
    uint8_t *out = malloc(s->size);
    void *state;
    if (!out || s->c->encoder_new(s->level, window_of(s->c), &state, &e) != 0) {
        w->failed = true;
        free(out);
        return NULL;
    }
    for (size_t k = 0; k < s->count; k++) {
        size_t i = (k * 37 + w->seed * 101) % s->count;
        size_t len = encode(s, state, i, out);
        w->wrong += len != s->len[i] || memcmp(out, s->out + i * s->size, len) != 0;
    }
    s->c->encoder_free(state);
    free(out);
    return NULL;
}

static void encode_fresh(struct set *s)
{
    for (size_t i = 0; i < s->count; i++) {
        struct err e;
        void *state;
        fill(s->in + i * s->size, s->size, (uint32_t)i + 1);
        assert_int_equal(s->c->encoder_new(s->level, window_of(s->c), &state, &e), 0);
        s->len[i] = encode(s, state, i, s->out + i * s->size);
        s->c->encoder_free(state);
        assert_in_range(s->len[i], 0, s->size);
    }
}

static void check(const char *name, int level, size_t size, size_t count)
{
    struct set s = {.c = codec_find(name), .level = level, .size = size, .count = count};
    s.in = malloc(count * size);
    s.out = malloc(count * size);
    s.len = calloc(count, sizeof *s.len);
    assert_true(s.in && s.out && s.len);
    encode_fresh(&s);

    pthread_t thread[THREADS];
    struct worker w[THREADS];
    for (size_t i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.s = &s, .seed = i};
        assert_int_equal(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    size_t wrong = 0;
    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_false(w[i].failed);
        wrong += w[i].wrong;
    }
    if (wrong)
        print_error("%s level %d, blocks of %zu: %zu of %zu differ\n", name, level, size, wrong,
                    THREADS * count);
    assert_int_equal(wrong, 0);
    free(s.in);
    free(s.out);
    free(s.len);
}

static void fast_levels_on_small_blocks(void **state)
{
    (void)state;
    for (int level = 0; level <= 2; level++) {
        check("deflate", level, 512, 3000);
        check("deflate", level, 200, 1000);
        check("deflate", level, 289, 1000);
        check("deflate", level, 4096, 1000);
        check("zlib", level, 512, 3000);
    }
}

static void all_on_small_blocks(void **state)
{
    (void)state;
    for (int level = 3; level <= 9; level++) {
        check("deflate", level, 512, 300);
        check("zlib", level, 512, 300);
    }
    for (int level = 0; level <= 9; level++)
        check("zstd", level, 512, 300);
}

static void all_on_large_blocks(void **state)
{
    (void)state;
    for (int level = 0; level <= 9; level += level < 3 ? 1 : 3) {
        check("deflate", level, BLOCK, 16);
        check("zlib", level, BLOCK, 16);
        check("zstd", level, BLOCK, 16);
    }
    check("deflate", 0, 2 * BLOCK + 512, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_levels_on_small_blocks),
        cmocka_unit_test(all_on_small_blocks),
        cmocka_unit_test(all_on_large_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
