/* Ciphers, hashes and key derivation by libgcrypt. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <gcrypt.h>

#include "base/mem.h"
#include "formats/crypt/library.h"
#include "formats/crypt/names.h"

/* ---- the library as a whole ------------------------------------------------------------------ */

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* No secure memory: its pool is small and its lock would be shared by all threads. Keys are wiped
 * by those who hold them. */
static void start(void)
{
    if (gcry_control(GCRYCTL_INITIALIZATION_FINISHED_P))
        return;
    gcry_check_version(NULL);
    gcry_control(GCRYCTL_DISABLE_SECMEM, 0);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
}

static int failed(const char *what, gcry_error_t code, struct err *e)
{
    return gcry_err_code(code) == GPG_ERR_ENOMEM
               ? err_nomem(e)
               : err_set(e, EIO, "%s: %s", what, gcry_strerror(code));
}

/* ---- ciphers --------------------------------------------------------------------------------- */

struct state {
    gcry_cipher_hd_t handle;
    enum crypt_mode mode;
    size_t iv_len;
};

/* `len` without the second key of xts; 0: no such cipher */
static int algorithm(enum crypt_cipher cipher, size_t len)
{
    static const int by_size[][3] = {
        [CRYPT_AES] = {GCRY_CIPHER_AES128, GCRY_CIPHER_AES192, GCRY_CIPHER_AES256},
        [CRYPT_SERPENT] = {GCRY_CIPHER_SERPENT128, GCRY_CIPHER_SERPENT192, GCRY_CIPHER_SERPENT256},
        [CRYPT_TWOFISH] = {GCRY_CIPHER_TWOFISH128, 0, GCRY_CIPHER_TWOFISH},
        [CRYPT_CAST5] = {GCRY_CIPHER_CAST5, 0, 0},
    };
    return len % 8 || len < 16 || len > 32 ? 0 : by_size[cipher][len / 8 - 2];
}

/* twofish-192 has a name and no library */
static int no_algorithm(enum crypt_cipher cipher, size_t len, struct err *e)
{
    const struct crypt_cipher_name *name = crypt_cipher_by_key(cipher, len);
    return name ? err_set(e, ENOTSUP, "Algorithm '%s' not supported", name->option)
                : err_set(e, EINVAL, "No %s cipher with key size %zu available",
                          crypt_cipher_title(cipher), len);
}

static void gcrypt_cipher_free(void *p)
{
    struct state *s = p;
    if (s)
        gcry_cipher_close(s->handle);
    free(s);
}

static void state_cleanup(struct state **s)
{
    gcrypt_cipher_free(*s);
}

static int gcrypt_cipher_new(enum crypt_cipher cipher, enum crypt_mode mode, const uint8_t *key,
                             size_t key_len, void **state, struct err *e)
{
    static const int modes[] = {
        [CRYPT_ECB] = GCRY_CIPHER_MODE_ECB,
        [CRYPT_CBC] = GCRY_CIPHER_MODE_CBC,
        [CRYPT_XTS] = GCRY_CIPHER_MODE_XTS,
        [CRYPT_CTR] = GCRY_CIPHER_MODE_CTR,
    };
    pthread_once(&once, start);
    size_t one = mode == CRYPT_XTS ? key_len / 2 : key_len;
    int algo = algorithm(cipher, one);
    if (!algo)
        return no_algorithm(cipher, one, e);
    AUTO(state_cleanup) struct state *s = mem_new(1, sizeof *s, e);
    if (!s)
        return -1;
    gcry_error_t code = gcry_cipher_open(&s->handle, algo, modes[mode], 0);
    if (!code)
        code = gcry_cipher_setkey(s->handle, key, key_len);
    if (code)
        return failed("Cipher", code, e);
    s->mode = mode;
    s->iv_len = mode == CRYPT_ECB ? 0 : gcry_cipher_get_algo_blklen(algo);
    *state = MEM_TAKE(s);
    return 0;
}

static gcry_error_t set_iv(const struct state *s, const uint8_t *iv)
{
    if (s->mode == CRYPT_ECB)
        return 0;
    return s->mode == CRYPT_CTR ? gcry_cipher_setctr(s->handle, iv, s->iv_len)
                                : gcry_cipher_setiv(s->handle, iv, s->iv_len);
}

static int gcrypt_encrypt(void *state, const uint8_t *iv, void *buf, size_t len, struct err *e)
{
    const struct state *s = state;
    gcry_error_t code = set_iv(s, iv);
    if (!code)
        code = gcry_cipher_encrypt(s->handle, buf, len, NULL, 0);
    return code ? failed("Encryption", code, e) : 0;
}

static int gcrypt_decrypt(void *state, const uint8_t *iv, void *buf, size_t len, struct err *e)
{
    const struct state *s = state;
    gcry_error_t code = set_iv(s, iv);
    if (!code)
        code = gcry_cipher_decrypt(s->handle, buf, len, NULL, 0);
    return code ? failed("Decryption", code, e) : 0;
}

/* ---- hashes ---------------------------------------------------------------------------------- */

static const int digests[] = {
    [CRYPT_SHA1] = GCRY_MD_SHA1,     [CRYPT_SHA224] = GCRY_MD_SHA224,
    [CRYPT_SHA256] = GCRY_MD_SHA256, [CRYPT_SHA384] = GCRY_MD_SHA384,
    [CRYPT_SHA512] = GCRY_MD_SHA512, [CRYPT_RIPEMD160] = GCRY_MD_RMD160,
    [CRYPT_MD5] = GCRY_MD_MD5,
};

static int gcrypt_hash(enum crypt_hash hash, const void *data, size_t len, uint8_t *digest,
                       struct err *e)
{
    pthread_once(&once, start);
    if (gcry_md_test_algo(digests[hash]))
        return err_set(e, ENOTSUP, "The library lacks the hash '%s'",
                       gcry_md_algo_name(digests[hash]));
    gcry_md_hash_buffer(digests[hash], digest, data, len);
    return 0;
}

struct hash_state {
    gcry_md_hd_t handle;
    size_t length;
};

static void gcrypt_hash_free(void *p)
{
    struct hash_state *s = p;
    if (s)
        gcry_md_close(s->handle);
    free(s);
}

static int gcrypt_hash_new(enum crypt_hash hash, void **state, struct err *e)
{
    pthread_once(&once, start);
    struct hash_state *s = mem_new(1, sizeof *s, e);
    if (!s)
        return -1;
    gcry_error_t code = gcry_md_open(&s->handle, digests[hash], 0);
    if (code) {
        free(s);
        return failed("Hash", code, e);
    }
    s->length = gcry_md_get_algo_dlen(digests[hash]);
    *state = s;
    return 0;
}

static void gcrypt_hash_add(void *state, const void *data, size_t len)
{
    const struct hash_state *s = state;
    gcry_md_write(s->handle, data, len);
}

static void gcrypt_hash_end(void *state, uint8_t *digest)
{
    const struct hash_state *s = state;
    memcpy(digest, gcry_md_read(s->handle, 0), s->length);
    gcry_md_reset(s->handle);
}

static int gcrypt_hmac(enum crypt_hash hash, const uint8_t *key, size_t key_len, const void *data,
                       size_t len, uint8_t *digest, struct err *e)
{
    pthread_once(&once, start);
    gcry_buffer_t parts[] = {
        {.data = (void *)key, .len = key_len},
        {.data = (void *)data, .len = len},
    };
    gcry_error_t code = gcry_md_hash_buffers(digests[hash], GCRY_MD_FLAG_HMAC, digest, parts, 2);
    return code ? failed("HMAC", code, e) : 0;
}

static int gcrypt_pbkdf2(enum crypt_hash hash, const uint8_t *pass, size_t pass_len,
                         const uint8_t *salt, size_t salt_len, uint32_t iterations, uint8_t *out,
                         size_t out_len, struct err *e)
{
    pthread_once(&once, start);
    gcry_error_t code =
        gcry_kdf_derive(pass ? pass : (const uint8_t *)"", pass_len, GCRY_KDF_PBKDF2, digests[hash],
                        salt, salt_len, iterations, out_len, out);
    return code ? failed("Key derivation", code, e) : 0;
}

const struct crypt_library crypt_gcrypt = {
    .cipher_new = gcrypt_cipher_new,
    .cipher_free = gcrypt_cipher_free,
    .encrypt = gcrypt_encrypt,
    .decrypt = gcrypt_decrypt,
    .hash = gcrypt_hash,
    .hash_new = gcrypt_hash_new,
    .hash_add = gcrypt_hash_add,
    .hash_end = gcrypt_hash_end,
    .hash_free = gcrypt_hash_free,
    .hmac = gcrypt_hmac,
    .pbkdf2 = gcrypt_pbkdf2,
};
