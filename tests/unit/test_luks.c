/* LUKS headers: load and store, what is refused, keys there and back; the format's driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/luks.h"
#include "formats/crypt/passphrase.h"
#include "formats/format.h"
#include "image/secret.h"
#include "io/memory.h"

static const uint8_t random_bytes[64] = {1, 2, 3};
static const uint8_t pass[] = {'a', 'b', 'c'};

static int set_up(void **state)
{
    (void)state;
    setenv("MPI_IMG_SEED", "1", 1);
    return 0;
}

static struct options *options_of(const char *text)
{
    struct err e = ERR_INIT;
    const struct option_def *tables[] = {format_luks.create_options, NULL};
    struct options *o = options_new(tables, &e);
    assert_non_null(o);
    if (*text && options_parse(o, text, NULL, &e))
        fail_msg("%s", e.text);
    return o;
}

static struct luks_params params_of(const char *text)
{
    struct err e = ERR_INIT;
    struct luks_params p;
    struct options *o = options_of(text);
    if (luks_params_parse(o, "", &p, &e) || luks_params_check(&p, &e))
        fail_msg("%s: %s", text, e.text);
    options_free(o);
    return p;
}

/* A header with its slots; free() it. */
static uint8_t *make(const struct luks_params *p)
{
    struct err e = ERR_INIT;
    uint8_t *buf = NULL;
    if (luks_create(p, random_bytes, pass, sizeof pass, &buf, &e))
        fail_msg("%s", e.text);
    return buf;
}

static struct file *file_of(const uint8_t *buf, size_t len)
{
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(memory_new("m", buf, len, &f, &e), 0);
    f->opt.write = true;
    return f;
}

/* ---- the header ------------------------------------------------------------------------------ */

static void header_comes_back(void **state)
{
    (void)state;
    static const char *const all[] = {
        "", "cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=md5,hash-alg=sha1",
        "cipher-alg=cast5-128,cipher-mode=ecb,ivgen-alg=plain", "cipher-alg=twofish-256",
        "cipher-alg=serpent-192,cipher-mode=ctr,hash-alg=ripemd160"};
    struct err e = ERR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct luks_params p = params_of(all[i]);
        AUTO_FREE uint8_t *buf = make(&p);
        struct luks_header h;
        uint8_t again[LUKS_HEADER];
        assert_true(luks_probe(buf, LUKS_HEADER));
        if (luks_header_load(buf, &h, &e))
            fail_msg("%s: %s", all[i], e.text);
        assert_int_equal(h.payload, luks_payload(&p));
        assert_int_equal(h.key_len, p.key_len);
        assert_int_equal(h.iterations, LUKS_ITERATIONS);
        assert_int_equal(strlen(h.uuid), LUKS_UUID);
        luks_header_store(&h, again);
        assert_memory_equal(again, buf, LUKS_HEADER);
    }
}

static void payload_is_where_it_should_be(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        uint64_t payload;
    } all[] = {{"", 2068480},
               {"cipher-mode=cbc", 1052672},
               {"cipher-alg=aes-192", 1544192},
               {"cipher-alg=cast5-128,cipher-mode=cbc", 528384}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct luks_params p = params_of(all[i].options);
        assert_int_equal(luks_payload(&p), all[i].payload);
    }
}

/* Bytes of a good header that are changed, and what is said then. */
static const struct damage {
    size_t at;
    const char *bytes;
    size_t n;
    const char *text;
} damages[] = {
    {0, "X", 1, "Volume is not in LUKS format"},
    {6, "\0\2", 2, "LUKS version 2 is not supported"},
    {8, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32, "LUKS header cipher name is not NUL terminated"},
    {40, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32, "LUKS header cipher mode is not NUL terminated"},
    {72, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 32, "LUKS header hash spec is not NUL terminated"},
    {8, "fes", 4, "Algorithm 'fes' with key size 32 bytes not supported"},
    {8, "cast5", 6, "Algorithm 'cast5' with key size 32 bytes not supported"},
    {40, "xts", 4, "Unexpected cipher mode string format 'xts'"},
    {40, "foo-plain", 10, "Cipher mode 'foo' not supported"},
    {40, "cbc-plain", 10, "Algorithm 'aes' with key size 64 bytes not supported"},
    {40, "xts-foo", 8, "IV generator 'foo' not supported"},
    {40, "xts-", 5, "IV generator '' not supported"},
    {40, "xts-essiv", 10, "Missing IV generator hash specification"},
    {40, "xts-essiv:", 11, "Hash algorithm '' not supported"},
    {40, "xts-essiv:foo", 14, "Hash algorithm 'foo' not supported"},
    {40, "xts-essiv:sha1", 15, "No AES cipher with key size 20 available"},
    {72, "foo", 4, "Hash algorithm 'foo' not supported"},
    {104, "\0\0\0\0", 4, "LUKS payload is overlapping with the header"},
    {104, "\0\0\x0f\xc0", 4, "Keyslot 7 is overlapping with the encrypted payload"},
    {108, "\0\0\0\0", 4, "Algorithm 'aes' with key size 0 bytes not supported"},
    {108, "\0\0\0\x11", 4, "Algorithm 'aes' with key size 8 bytes not supported"},
    {108, "\0\0\0\x21", 4, "Algorithm 'aes' with key size 16 bytes not supported"},
    {108, "\0\0\0\x80", 4, "Keyslots 0 and 1 are overlapping in the header"},
    {108, "\xff\xff\xff\xff", 4, "Keyslot 0 is overlapping with the encrypted payload"},
    {164, "\0\0\0\0", 4, "LUKS key iteration count is zero"},
    {208, "\0\0\0\0", 4, "Keyslot 0 state (active/disable) is corrupted"},
    {212, "\0\0\0\0", 4, "Keyslot 0 iteration count is zero"},
    {248, "\0\0\0\0", 4, "Keyslot 0 is overlapping with the LUKS header"},
    {248, "\0\0\x0f\xc8", 4, "Keyslot 0 is overlapping with the encrypted payload"},
    {248, "\xff\xff\xff\xff", 4, "Keyslot 0 is overlapping with the encrypted payload"},
    {252, "\0\0\0\0", 4, "Keyslot 0 is corrupted (stripes 0 != 4000)"},
    {252, "\xff\xff\xff\xff", 4, "Keyslot 0 is corrupted (stripes -1 != 4000)"},
    {296, "\0\0\0\x10", 4, "Keyslots 0 and 1 are overlapping in the header"},
    {256, "abcd", 4, "Keyslot 1 state (active/disable) is corrupted"},
};

static void damage_has_one_name(void **state)
{
    (void)state;
    struct luks_params p = params_of("");
    AUTO_FREE uint8_t *good = make(&p);
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        const struct damage *d = &damages[i];
        uint8_t buf[LUKS_HEADER];
        struct luks_header h;
        struct err e = ERR_INIT;
        memcpy(buf, good, sizeof buf);
        memcpy(buf + d->at, d->bytes, d->n);
        assert_int_equal(luks_header_load(buf, &h, &e), -1);
        assert_string_equal(e.text, d->text);
    }
}

/* A UUID without its end, names full of their room: taken, and nothing is read behind them. */
static void fields_may_be_full(void **state)
{
    (void)state;
    struct luks_params p = params_of("");
    AUTO_FREE uint8_t *buf = make(&p);
    struct luks_header h;
    struct err e = ERR_INIT;
    memset(buf + 168, 'u', 40);
    assert_int_equal(luks_header_load(buf, &h, &e), 0);
    assert_int_equal(strlen(h.uuid), 40);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void unlocked(const char *options, const uint8_t *with, size_t len, bool works)
{
    struct err e = ERR_INIT;
    struct luks_params p = params_of(options);
    AUTO_FREE uint8_t *buf = make(&p);
    struct file *f = file_of(buf, luks_payload(&p));
    struct luks_area area = {f, 0, luks_payload(&p)};
    struct luks_header h;
    struct crypt *a = NULL, *b = NULL;
    assert_int_equal(luks_header_read(&area, &h, &e), 0);
    assert_int_equal(luks_unlock(&area, &h, with, len, &a, &e), works ? 0 : -1);
    if (!works) {
        assert_string_equal(e.text, "Invalid password, cannot unlock any keyslot");
    } else {
        uint8_t there[1024] = {0};
        assert_int_equal(luks_crypt_new(&p, random_bytes, &b, &e), 0);
        assert_int_equal(b->encrypt(b, there, sizeof there, 5120, &e), 0);
        assert_int_equal(a->decrypt(a, there, sizeof there, 5120, &e), 0);
        for (size_t i = 0; i < sizeof there; i++)
            assert_int_equal(there[i], 0);
    }
    crypt_free(a);
    crypt_free(b);
    file_cleanup(&f);
}

static void passphrase_opens(void **state)
{
    (void)state;
    unlocked("", pass, 3, true);
    unlocked("", pass, 2, false);
    unlocked("", NULL, 0, false);
    unlocked("cipher-alg=aes-192,cipher-mode=cbc", pass, 3, true); /* not whole sectors a slot */
    unlocked("cipher-alg=cast5-128,cipher-mode=cbc,ivgen-alg=essiv,ivgen-hash-alg=md5", pass, 3,
             true);
    unlocked("hash-alg=sha512", pass, 3, true);
}

static void second_slot_opens(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct luks_params p = params_of("");
    AUTO_FREE uint8_t *buf = make(&p);
    struct luks_header h;
    struct crypt *c = NULL;
    uint8_t *slot0 = buf + 4096, *slot1;
    assert_int_equal(luks_header_load(buf, &h, &e), 0);
    h.slots[1] = (struct luks_slot){
        .active = true, .iterations = h.slots[0].iterations, .offset = h.slots[1].offset};
    memcpy(h.slots[1].salt, h.slots[0].salt, LUKS_SALT);
    slot1 = buf + h.slots[1].offset;
    memcpy(slot1, slot0, luks_material(h.key_len));
    memset(slot0, 0, luks_material(h.key_len));
    luks_header_store(&h, buf);
    struct file *f = file_of(buf, luks_payload(&p));
    struct luks_area area = {f, 0, luks_payload(&p)};
    assert_int_equal(luks_unlock(&area, &h, pass, 3, &c, &e), 0);
    crypt_free(c);
    c = NULL;
    area.length = h.slots[1].offset; /* cut off before it */
    assert_int_equal(luks_unlock(&area, &h, pass, 3, &c, &e), -1);
    file_cleanup(&f);
}

static void ranks_make_one_key(void **state)
{
    (void)state;
    struct luks_params p = params_of("");
    AUTO_FREE uint8_t *a = make(&p), *b = make(&p);
    assert_memory_equal(a, b, luks_payload(&p));
}

/* ---- passphrases ----------------------------------------------------------------------------- */

static void passphrase_is_text(void **state)
{
    (void)state;
    static const struct {
        const char *base64;
        bool good;
    } all[] = {
        {"", true},          {"YWJj", true},  {"Y2Fmw6k=", true}, /* café */
        {"8J+YgA==", true},  {"AA==", false}, {"/w==", false},    /* an emoji; NUL; 0xff */
        {"wA==", false},     {"wIA=", false}, {"7aCA", false},    /* cut; overlong; surrogate */
        {"9JCAgA==", false},                                      /* beyond Unicode */
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct err e = ERR_INIT;
        struct secrets *s = secrets_new(&e);
        const uint8_t *data;
        size_t len;
        char text[100];
        snprintf(text, sizeof text, "secret,id=s,format=base64,data=%s", all[i].base64);
        assert_int_equal(secrets_add(s, text, &e), 0);
        assert_int_equal(crypt_passphrase(s, "s", "key-secret", &data, &len, &e),
                         all[i].good ? 0 : -1);
        if (!all[i].good)
            assert_string_equal(e.text, "Data from secret s is not valid UTF-8");
        assert_int_equal(crypt_passphrase(s, "t", "key-secret", &data, &len, &e), -1);
        assert_string_equal(e.text, "No secret with id 't'");
        assert_int_equal(crypt_passphrase(s, NULL, "encrypt.key-secret", &data, &len, &e), -1);
        assert_string_equal(e.text, "Parameter 'encrypt.key-secret' is required for cipher");
        secrets_free(s);
    }
}

/* ---- options --------------------------------------------------------------------------------- */

static void options_that_are_refused(void **state)
{
    (void)state;
    static const char *const all[][2] = {
        {"cipher-alg=foo", "Parameter 'cipher-alg' does not accept value 'foo'"},
        {"cipher-mode=foo", "Parameter 'cipher-mode' does not accept value 'foo'"},
        {"ivgen-alg=foo", "Parameter 'ivgen-alg' does not accept value 'foo'"},
        {"ivgen-hash-alg=foo", "Parameter 'ivgen-hash-alg' does not accept value 'foo'"},
        {"hash-alg=foo", "Parameter 'hash-alg' does not accept value 'foo'"},
        {"cipher-alg=3des", "Algorithm '3des' not supported"},
        {"cipher-alg=cast5-128", "Unsupported cipher mode xts"},
        {"ivgen-alg=essiv,ivgen-hash-alg=sha1", "No AES cipher with key size 20 available"},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct err e = ERR_INIT;
        struct luks_params p;
        struct options *o = options_of(all[i][0]);
        assert_int_equal(luks_params_parse(o, "", &p, &e) || luks_params_check(&p, &e), 1);
        assert_string_equal(e.text, all[i][1]);
        options_free(o);
    }
}

/* ---- the driver ------------------------------------------------------------------------------ */

static void driver_opens(const uint8_t *buf, size_t len, bool no_io, uint64_t size,
                         const char *text)
{
    struct err e = ERR_INIT;
    struct secrets *s = secrets_new(&e);
    assert_int_equal(secrets_add(s, "secret,id=s,data=abc", &e), 0);
    struct image img = {.format = &format_luks, .file = file_of(buf, len)};
    img.flags.no_io = no_io;
    img.flags.secrets = s;
    img.spec = json_pack("{s:s}", "key-secret", "s");
    assert_int_equal(format_luks.open(&img, &e), text ? -1 : 0);
    assert_string_equal(e.text, text ? text : "");
    assert_int_equal(img.size, size);
    if (!text) {
        struct extent x;
        assert_int_equal(image_map(&img, 0, 512, &x, &e), no_io ? -1 : 0);
        format_luks.close(&img);
    }
    json_decref(img.spec);
    file_cleanup(&img.file);
    secrets_free(s);
}

static void driver_sizes(void **state)
{
    (void)state;
    struct luks_params p = params_of("cipher-alg=cast5-128,cipher-mode=cbc");
    size_t payload = luks_payload(&p), most = payload + 4096;
    AUTO_FREE uint8_t *head = make(&p), *buf = calloc(1, most);
    memcpy(buf, head, payload);
    driver_opens(buf, most, false, 4096, NULL);
    driver_opens(buf, most - 100, false, 4096, NULL);
    driver_opens(buf, payload + 1, false, 512, NULL);
    driver_opens(buf, payload, true, 0, NULL);
    driver_opens(buf, payload - 1, true, 0,
                 "Could not refresh total sector count: Input/output error");
    driver_opens(buf, 500, true, 0, "Keyslot 6 is corrupted (stripes 0 != 4000)");
    driver_opens(buf, 3, true, 0, "Volume is not in LUKS format");
    driver_opens(buf, 0, true, 0, "Volume is not in LUKS format");
}

int main(void)
{
    struct err e = ERR_INIT;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_comes_back),        cmocka_unit_test(payload_is_where_it_should_be),
        cmocka_unit_test(damage_has_one_name),      cmocka_unit_test(fields_may_be_full),
        cmocka_unit_test(passphrase_opens),         cmocka_unit_test(second_slot_opens),
        cmocka_unit_test(ranks_make_one_key),       cmocka_unit_test(passphrase_is_text),
        cmocka_unit_test(options_that_are_refused), cmocka_unit_test(driver_sizes),
    };
    if (!crypt_library_get(&e)) {
        printf("SKIP: %s\n", e.text);
        return 0;
    }
    return cmocka_run_group_tests(tests, set_up, NULL);
}
