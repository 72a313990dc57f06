/* A guest hash put together of chunks of any size, against the construction written down plainly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "flow/blkhash.h"

#define GUEST (300u << 10)

static struct err err;
static unsigned char guest[GUEST];

static unsigned roll(unsigned n)
{
    return (unsigned)random() % n;
}

static struct blkhash_params params_of(const char *algorithm, uint32_t block_size)
{
    const struct digest_kind *k = digest_find(algorithm, strlen(algorithm), &err);
    assert_non_null(k);
    return (struct blkhash_params){k, block_size};
}

/* H( H(block)... length ) of guest[0, size) */
static void plain_hash(const struct blkhash_params *p, uint64_t size, uint8_t *out)
{
    size_t n = num_div_up(size, p->block_size) * p->kind->length;
    uint8_t *all = malloc(n + 8), *to = all;
    for (uint64_t at = 0; at < size; at += p->block_size, to += p->kind->length)
        assert_int_equal(
            digest_of(p->kind, guest + at, num_min(p->block_size, size - at), to, &err), 0);
    le64_store(all + n, size);
    assert_int_equal(digest_of(p->kind, all, n + 8, out, &err), 0);
    free(all);
}

/* Sectors of data and of zeros, in runs. */
static void random_guest(void)
{
    memset(guest, 0, sizeof guest);
    for (uint32_t at = 0; at < GUEST;) {
        uint32_t n = (uint32_t)num_min(512 * (1 + roll(roll(2) ? 8 : 200)), GUEST - at);
        if (roll(2))
            memset(guest + at, 1 + (int)roll(255), n);
        at += n;
    }
}

/* As read_chunk leaves it: what a ZERO piece covers holds anything. */
static void fill_chunk(struct chunk *c, uint64_t at, uint32_t length)
{
    c->guest = at;
    c->length = length;
    c->n_pieces = c->n_message = 0;
    memset(c->buf, 0xee, length);
    for (uint32_t from = 0; from < length;) {
        struct piece p = {PIECE_DATA, from, 512 * (1 + roll(30)), NULL, 0};
        p.length = (uint32_t)num_min(p.length, length - from);
        bool zero = true;
        for (uint32_t i = 0; i < p.length; i++)
            zero &= !guest[at + from + i];
        if (zero && roll(4))
            p.kind = PIECE_ZERO;
        else
            memcpy(c->buf + from, guest + at + from, p.length);
        assert_int_equal(chunk_piece_add(c, &p, &err), 0);
        from += p.length;
    }
}

static bool is_zero(uint64_t at, uint64_t n)
{
    while (n && !guest[at])
        at++, n--;
    return !n;
}

static void chunked_hash(const struct blkhash_params *p, uint64_t size, uint32_t chunk_size,
                         uint8_t *out)
{
    struct blkhash h;
    struct blkhash_order *order;
    struct chunk c;
    assert_int_equal(blkhash_init(&h, p, size, &err), 0);
    assert_int_equal(blkhash_order_new(&h, &order, &err), 0);
    assert_int_equal(chunk_init(&c, chunk_size, 0, 0, &err), 0);
    for (uint64_t at = 0; at < size; at += chunk_size) {
        uint32_t n = (uint32_t)num_min(chunk_size, size - at);
        if (is_zero(at, n) && roll(4)) /* never handed out */
            continue;
        fill_chunk(&c, at, n);
        assert_int_equal(blkhash_chunk(&h, &c, &err), 0);
        assert_int_equal(blkhash_order_chunk(order, at, c.message, c.n_message, &err), 0);
    }
    assert_int_equal(blkhash_order_end(order, out, &err), 0);
    blkhash_order_free(order);
    chunk_release(&c);
}

static void chunks_of_any_size_give_one_hash(void **state)
{
    static const char *const algorithms[] = {"md5", "sha1", "sha256", "sha512"};
    static const uint32_t blocks[] = {512, 4096, 65536, 262144, 1 << 20};
    static const uint32_t chunks[] = {512, 1536, 4096, 65536, 98304, 131072, 196608, 1 << 20};
    (void)state;
    for (unsigned round = 0; round < 400; round++) {
        uint8_t plain[DIGEST_MAX], chunked[DIGEST_MAX];
        struct blkhash_params p =
            params_of(algorithms[roll(ARRAY_LEN(algorithms))], blocks[roll(ARRAY_LEN(blocks))]);
        uint64_t size = roll(8) ? roll(GUEST + 1) : roll(4) * 65536;
        random_guest();
        plain_hash(&p, size, plain);
        chunked_hash(&p, size, chunks[roll(ARRAY_LEN(chunks))], chunked);
        assert_memory_equal(plain, chunked, p.kind->length);
    }
}

static void expect_text(const char *algorithm, uint32_t block_size, uint64_t size, const char *text)
{
    uint8_t hash[DIGEST_MAX];
    char got[DIGEST_TEXT];
    struct blkhash_params p = params_of(algorithm, block_size);
    chunked_hash(&p, size, 65536, hash);
    digest_text(p.kind, hash, got);
    assert_string_equal(got, text);
}

/* What nbdcopy 1.24.4 --blkhash printed. */
static void as_nbdcopy_has_it(void **state)
{
    (void)state;
    memset(guest, 0, sizeof guest);
    expect_text("sha256", 65536, 0,
                "af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc");
    expect_text("sha256", 65536, 300000,
                "8c3eb362136b8fb9cd7c951970383fbfa9427dbf67388a48e5a2d294b49267ab");
    expect_text("md5", 4096, 4096, "9059be689fa39bf827d18df848139793");
    guest[0] = 'x';
    expect_text("sha1", 512, 1, "953935f6650c87b4570436c04bccc32f71caffcc");
}

/* 64 TiB without data: as fast as the digests of its blocks can be taken. */
static void holes_need_no_data(void **state)
{
    struct blkhash_params p = params_of("md5", BLKHASH_BLOCK_MAX);
    struct blkhash h;
    struct blkhash_order *order;
    uint8_t hash[DIGEST_MAX];
    (void)state;
    assert_int_equal(blkhash_init(&h, &p, 64 * TIB, &err), 0);
    assert_int_equal(blkhash_order_new(&h, &order, &err), 0);
    assert_int_equal(blkhash_order_end(order, hash, &err), 0);
    blkhash_order_free(order);
}

static void messages_that_are_no_digests(void **state)
{
    struct blkhash_params p = params_of("sha256", 4096);
    struct blkhash h;
    struct blkhash_order *order;
    struct chunk c;
    (void)state;
    assert_int_equal(blkhash_init(&h, &p, 65536, &err), 0);
    assert_int_equal(blkhash_order_new(&h, &order, &err), 0);
    assert_int_equal(chunk_init(&c, 65536, 0, 0, &err), 0);
    fill_chunk(&c, 0, 65536);
    assert_int_equal(blkhash_chunk(&h, &c, &err), 0);
    for (size_t n = 0; n < c.n_message; n++)
        assert_int_equal(blkhash_order_chunk(order, 0, c.message, n, &err), -1);
    assert_int_equal(blkhash_order_chunk(order, 65537, c.message, c.n_message, &err), -1);
    assert_int_equal(blkhash_order_chunk(order, 0, c.message, c.n_message, &err), 0);
    assert_int_equal(blkhash_order_chunk(order, 0, c.message, c.n_message, &err), -1);
    blkhash_order_free(order);
    chunk_release(&c);
}

static void names_of_algorithms(void **state)
{
    (void)state;
    assert_non_null(digest_find("SHA256", 6, &err));
    assert_null(digest_find("sha256", 5, &err));
    assert_null(digest_find("sha384", 6, &err));
    assert_string_equal(err.text,
                        "Unknown hash algorithm 'sha384': it is one of md5, sha1, sha256, sha512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_any_size_give_one_hash),
        cmocka_unit_test(as_nbdcopy_has_it),
        cmocka_unit_test(holes_need_no_data),
        cmocka_unit_test(messages_that_are_no_digests),
        cmocka_unit_test(names_of_algorithms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
