/* Sectors under a key: published vectors and those of another library; many threads; parts of
 * sectors through the reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/crypt/sectors.h"
#include "image/image.h"
#include "io/memory.h"
#include "scratch.h"

static const struct crypt_library *library;

static int find_library(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    library = crypt_library_get(&e);
    if (!library)
        printf("SKIP: %s\n", e.text);
    return 0;
}

static void hex(const char *text, uint8_t *out)
{
    for (; *text; text += 2)
        assert_int_equal(sscanf(text, "%2hhx", out++), 1);
}

static struct crypt *open_crypt(const struct crypt_spec *spec, const uint8_t *key, size_t len)
{
    struct err e = ERR_INIT;
    struct crypt *c = NULL;
    if (crypt_sectors_new(spec, key, len, &c, &e))
        fail_msg("%s", e.text);
    return c;
}

static void count(uint8_t *buf, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf[i] = (uint8_t)i;
}

/* ---- vectors --------------------------------------------------------------------------------- */

#define IEEE_128_1 "27182818284590452353602874713526"
#define IEEE_128_2 "31415926535897932384626433832795"
#define IEEE_256_1 IEEE_128_1 "62497757247093699959574966967627"
#define IEEE_256_2 IEEE_128_2 "02884197169399375105820974944592"
#define COUNT_16   "000102030405060708090a0b0c0d0e0f"
#define COUNT_32   COUNT_16 "101112131415161718191a1b1c1d1e1f"

/* A sector of bytes 0, 1, 2 ...: how its encryption begins and ends. The xts ones are vectors 4 and
 * 10 of IEEE 1619, the others are OpenSSL's. */
static const struct vector {
    struct crypt_spec spec;
    const char *key;
    uint64_t sector;
    const char *head, *tail;
} vectors[] = {
    {{CRYPT_AES, CRYPT_XTS, CRYPT_PLAIN64, 0},
     IEEE_128_1 IEEE_128_2,
     0,
     "27a7479befa1d476489f308cd4cfa6e2",
     "0a282df920147beabe421ee5319d0568"},
    {{CRYPT_AES, CRYPT_XTS, CRYPT_PLAIN, 0},
     IEEE_256_1 IEEE_256_2,
     0xff,
     "1c3b3a102f770386e4836c99e370cf9b",
     "c4f36ffda9fcea70b9c6e693e148c151"},
    {{CRYPT_AES, CRYPT_CBC, CRYPT_PLAIN64, 0},
     COUNT_16,
     0x1234,
     "5935b749e3ed2afeefe4499c1612ee69",
     "12b221c2636141f03f1258c92c0f1bd6"},
    {{CRYPT_AES, CRYPT_CBC, CRYPT_PLAIN64, 0},
     COUNT_32,
     0x1234,
     "9d40e4c8fa8afd6277e0e531c9942041",
     "93dc641e623763e21694475e991dfe9e"},
    {{CRYPT_AES, CRYPT_CBC, CRYPT_ESSIV, CRYPT_SHA256},
     COUNT_32,
     0x1234,
     "c9786b2aca6e79645eaa0899e9c4e52d",
     "76b9f913603d84d1d92da5f413534379"},
    {{CRYPT_AES, CRYPT_CTR, CRYPT_PLAIN64, 0},
     COUNT_32,
     0x1234,
     "78a848d0a811b7a389a192c295184aff",
     "6be5b6cf74095593ae93dfefe73535fd"},
    {{CRYPT_AES, CRYPT_ECB, CRYPT_PLAIN64, 0},
     COUNT_32,
     0x1234,
     "5a6e045708fb7196f02e553d02c3a692",
     "9200cd8d239680cb5a69e65440326314"},
    {{CRYPT_CAST5, CRYPT_CBC, CRYPT_PLAIN64, 0},
     COUNT_16,
     0x1234,
     "deca91b4c1452e741c81a2fa11ce6185",
     "46d8a9d87d76cafcdfad66bd7b0f3ea8"},
};

static void sectors_are_as_published(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    for (size_t i = 0; library && i < ARRAY_LEN(vectors); i++) {
        const struct vector *v = &vectors[i];
        uint8_t key[64], plain[512], buf[512], want[16];
        hex(v->key, key);
        struct crypt *c = open_crypt(&v->spec, key, strlen(v->key) / 2);
        count(plain, sizeof plain);
        memcpy(buf, plain, sizeof buf);
        assert_int_equal(c->encrypt(c, buf, sizeof buf, v->sector * 512, &e), 0);
        hex(v->head, want);
        assert_memory_equal(buf, want, 16);
        hex(v->tail, want);
        assert_memory_equal(buf + 496, want, 16);
        assert_int_equal(c->decrypt(c, buf, sizeof buf, v->sector * 512, &e), 0);
        assert_memory_equal(buf, plain, sizeof buf);
        crypt_free(c);
    }
}

static void hashes_are_as_published(void **state)
{
    (void)state;
    static const struct {
        enum crypt_hash hash;
        const char *abc;
    } all[] = {
        {CRYPT_MD5, "900150983cd24fb0d6963f7d28e17f72"},
        {CRYPT_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {CRYPT_RIPEMD160, "8eb208f7e05d987a9b044a8e98c6b087f15a0bfc"},
        {CRYPT_SHA224, "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"},
        {CRYPT_SHA256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    };
    struct err e = ERR_INIT;
    uint8_t digest[CRYPT_DIGEST_MAX], want[CRYPT_DIGEST_MAX];
    for (size_t i = 0; library && i < ARRAY_LEN(all); i++) {
        hex(all[i].abc, want);
        assert_int_equal(crypt_hash_size(all[i].hash), strlen(all[i].abc) / 2);
        assert_int_equal(library->hash(all[i].hash, "abc", 3, digest, &e), 0);
        assert_memory_equal(digest, want, crypt_hash_size(all[i].hash));
    }
}

/* RFC 6070, RFC 4231 */
static void keys_are_derived_as_published(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint8_t out[64], want[64];
    if (!library)
        return;
    assert_int_equal(library->pbkdf2(CRYPT_SHA1, (const uint8_t *)"password", 8,
                                     (const uint8_t *)"salt", 4, 4096, out, 20, &e),
                     0);
    hex("4b007901b765489abead49d926f721d065a429c1", want);
    assert_memory_equal(out, want, 20);
    assert_int_equal(library->hmac(CRYPT_SHA512, (const uint8_t *)"Jefe", 4,
                                   "what do ya want for nothing?", 28, out, &e),
                     0);
    hex("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        want);
    assert_memory_equal(out, want, 64);
}

/* ---- sectors --------------------------------------------------------------------------------- */

static void old_aes_takes_sixteen_bytes(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct crypt *a = NULL, *b = NULL;
    uint8_t buf[512], want[16];
    if (!library)
        return;
    assert_int_equal(crypt_aes_legacy_new((const uint8_t *)"pass", 4, &a, &e), 0);
    count(buf, sizeof buf);
    assert_int_equal(a->encrypt(a, buf, sizeof buf, 4096, &e), 0);
    hex("79e129d9714df55a66752e82291473ec", want);
    assert_memory_equal(buf, want, 16);
    crypt_free(a);
    assert_int_equal(crypt_aes_legacy_new((const uint8_t *)"0123456789abcdefXXX", 19, &a, &e), 0);
    assert_int_equal(crypt_aes_legacy_new((const uint8_t *)"0123456789abcdef", 16, &b, &e), 0);
    assert_int_equal(a->encrypt(a, buf, sizeof buf, 512, &e), 0);
    assert_int_equal(b->decrypt(b, buf, sizeof buf, 512, &e), 0);
    assert_memory_equal(buf, want, 16);
    crypt_free(a);
    crypt_free(b);
}

static void a_run_is_its_sectors(void **state)
{
    (void)state;
    static const struct crypt_spec spec = {CRYPT_SERPENT, CRYPT_XTS, CRYPT_PLAIN64, 0};
    struct err e = ERR_INIT;
    uint8_t key[64], run[8 * 512], each[8 * 512];
    if (!library)
        return;
    count(key, sizeof key);
    struct crypt *c = open_crypt(&spec, key, sizeof key);
    memset(run, 7, sizeof run);
    memset(each, 7, sizeof each);
    uint64_t at = (UINT64_C(1) << 41) - 1024; /* sector numbers pass 32 bits */
    assert_int_equal(c->encrypt(c, run, sizeof run, at, &e), 0);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(c->encrypt(c, each + i * 512, 512, at + i * 512, &e), 0);
    assert_memory_equal(run, each, sizeof run);
    assert_memory_not_equal(run, run + 512, 512);
    crypt_free(c);
}

static void plain_has_32_bits(void **state)
{
    (void)state;
    static const struct crypt_spec plain = {CRYPT_AES, CRYPT_CBC, CRYPT_PLAIN, 0};
    static const struct crypt_spec plain64 = {CRYPT_AES, CRYPT_CBC, CRYPT_PLAIN64, 0};
    struct err e = ERR_INIT;
    uint8_t key[16] = {1}, low[512] = {0}, high[512] = {0}, high64[512] = {0};
    if (!library)
        return;
    struct crypt *a = open_crypt(&plain, key, 16), *b = open_crypt(&plain64, key, 16);
    assert_int_equal(a->encrypt(a, low, 512, 512, &e), 0);
    assert_int_equal(a->encrypt(a, high, 512, 512 + (UINT64_C(512) << 32), &e), 0);
    assert_int_equal(b->encrypt(b, high64, 512, 512 + (UINT64_C(512) << 32), &e), 0);
    assert_memory_equal(low, high, 512);
    assert_memory_not_equal(low, high64, 512);
    crypt_free(a);
    crypt_free(b);
}

static void parts_and_bad_keys_are_refused(void **state)
{
    (void)state;
    static const struct crypt_spec aes = {CRYPT_AES, CRYPT_CBC, CRYPT_PLAIN64, 0};
    struct err e = ERR_INIT;
    uint8_t key[65] = {0}, buf[1024] = {0};
    if (!library)
        return;
    struct crypt *c = open_crypt(&aes, key, 16), *none = NULL;
    assert_int_equal(c->encrypt(c, buf, 511, 0, &e), -1);
    assert_int_equal(c->decrypt(c, buf, 512, 1, &e), -1);
    assert_int_equal(c->decrypt(c, buf, 0, 0, &e), 0);
    static const size_t bad[] = {0, 1, 15, 17, 40, 64, 65};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(crypt_sectors_new(&aes, key, bad[i], &none, &e), -1);
    assert_null(none);
    crypt_free(c);
    crypt_free(NULL);
}

static void what_goes_together(void **state)
{
    (void)state;
    static const struct {
        struct crypt_spec spec;
        const char *text;
    } all[] = {
        {{CRYPT_CAST5, CRYPT_XTS, CRYPT_PLAIN64, 0}, "Unsupported cipher mode xts"},
        {{CRYPT_AES, CRYPT_CBC, CRYPT_ESSIV, CRYPT_SHA1},
         "No AES cipher with key size 20 available"},
        {{CRYPT_SERPENT, CRYPT_CBC, CRYPT_ESSIV, CRYPT_SHA384},
         "No Serpent cipher with key size 48 available"},
        {{CRYPT_CAST5, CRYPT_CBC, CRYPT_ESSIV, CRYPT_SHA256},
         "Cipher cast5-128 not supported with essiv"},
        {{CRYPT_CAST5, CRYPT_CBC, CRYPT_ESSIV, CRYPT_MD5}, NULL},
        {{CRYPT_AES, CRYPT_XTS, CRYPT_PLAIN, CRYPT_SHA1}, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct err e = ERR_INIT;
        assert_int_equal(crypt_spec_check(&all[i].spec, &e), all[i].text ? -1 : 0);
        assert_string_equal(e.text, all[i].text ? all[i].text : "");
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

struct worker {
    pthread_t thread;
    const struct crypt *crypt;
    uint64_t seed;
    bool good;
};

static void *there_and_back(void *p)
{
    struct worker *w = p;
    struct err *e = calloc(1, sizeof *e);
    uint8_t plain[4096], buf[4096];
    w->good = e != NULL;
    for (unsigned i = 0; i < 50 && w->good; i++) {
        uint64_t at = (uint64_t)scratch_random(&w->seed) * 512;
        scratch_fill(&w->seed, plain, sizeof plain);
        memcpy(buf, plain, sizeof buf);
        w->good = !w->crypt->encrypt(w->crypt, buf, sizeof buf, at, e) &&
                  memcmp(buf, plain, sizeof buf) != 0 &&
                  !w->crypt->decrypt(w->crypt, buf, sizeof buf, at, e) &&
                  memcmp(buf, plain, sizeof buf) == 0;
    }
    free(e);
    return NULL;
}

static void many_threads_share_one(void **state)
{
    (void)state;
    static const struct crypt_spec spec = {CRYPT_AES, CRYPT_CBC, CRYPT_ESSIV, CRYPT_SHA256};
    uint8_t key[32] = {9};
    struct worker w[8];
    if (!library)
        return;
    struct crypt *c = open_crypt(&spec, key, sizeof key);
    for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
        w[i] = (struct worker){.crypt = c, .seed = i + 1};
        assert_int_equal(pthread_create(&w[i].thread, NULL, there_and_back, &w[i]), 0);
    }
    for (unsigned i = 0; i < ARRAY_LEN(w); i++) {
        pthread_join(w[i].thread, NULL);
        assert_true(w[i].good);
    }
    crypt_free(c);
}

/* ---- through the reader ---------------------------------------------------------------------- */

static void any_part_of_a_sector_can_be_read(void **state)
{
    (void)state;
    static const struct crypt_spec spec = {CRYPT_AES, CRYPT_XTS, CRYPT_PLAIN64, 0};
    enum { AT = 4096, LEN = 8 * 512 };
    struct err e = ERR_INIT;
    struct file *f = NULL;
    uint8_t key[64], plain[LEN], disk[AT + LEN] = {0}, buf[LEN];
    uint64_t seed = 1;
    if (!library)
        return;
    count(key, sizeof key);
    struct crypt *c = open_crypt(&spec, key, sizeof key);
    scratch_fill(&seed, plain, LEN);
    memcpy(disk + AT, plain, LEN);
    assert_int_equal(c->encrypt(c, disk + AT, LEN, 1024, &e), 0);
    assert_int_equal(memory_new("m", disk, sizeof disk - 100, &f, &e), 0);
    struct image_reader *r = image_reader_new(&e);
    for (unsigned i = 0; i < 300; i++) {
        size_t from = scratch_random(&seed) % (LEN - 512);
        size_t len = 1 + scratch_random(&seed) % (LEN - 512 - from);
        struct extent x = {.kind = EXTENT_DATA,
                           .guest = from,
                           .length = len,
                           .file = f,
                           .host = AT + from,
                           .has_host = true,
                           .crypt = c,
                           .crypt_at = 1024 + from};
        assert_int_equal(image_read_extents(r, &x, 1, buf, NULL, &e), 0);
        assert_memory_equal(buf, plain + from, len);
    }
    /* the last sector is cut: an error, but where the format says that zeros follow */
    uint64_t bad = 0;
    struct extent x = {.kind = EXTENT_DATA,
                       .guest = LEN - 300,
                       .length = 300,
                       .file = f,
                       .host = AT + LEN - 300,
                       .has_host = true,
                       .crypt = c,
                       .crypt_at = 1024 + LEN - 300};
    assert_int_equal(image_read_extents(r, &x, 1, buf, &bad, &e), -1);
    assert_int_equal(bad, LEN - 300);
    x.tail = 512;
    assert_int_equal(image_read_extents(r, &x, 1, buf, NULL, &e), 0);
    image_reader_free(r);
    file_cleanup(&f);
    crypt_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sectors_are_as_published),
        cmocka_unit_test(hashes_are_as_published),
        cmocka_unit_test(keys_are_derived_as_published),
        cmocka_unit_test(old_aes_takes_sixteen_bytes),
        cmocka_unit_test(a_run_is_its_sectors),
        cmocka_unit_test(plain_has_32_bits),
        cmocka_unit_test(parts_and_bad_keys_are_refused),
        cmocka_unit_test(what_goes_together),
        cmocka_unit_test(many_threads_share_one),
        cmocka_unit_test(any_part_of_a_sector_can_be_read),
    };
    return cmocka_run_group_tests(tests, find_library, NULL);
}
