/*
 * struct crypt over the library. A cipher of the library serves one thread at a time: each call
 * takes one from a pool, which grows to as many as there are calls at once.
 */
#include "formats/crypt/sectors.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/names.h"

#define KEY_MAX 64u

/* What one call works with. */
struct worker {
    struct worker *next; /* in the pool */
    void *cipher;
    void *essiv; /* the cipher of IVs, or NULL */
};

struct sectors {
    struct crypt crypt;
    const struct crypt_library *library;
    struct crypt_spec spec;
    uint8_t key[KEY_MAX], iv_key[CRYPT_DIGEST_MAX];
    size_t key_len, iv_key_len;
    pthread_mutex_t lock;
    struct worker *idle;
};

size_t crypt_hash_size(enum crypt_hash hash)
{
    static const size_t sizes[] = {
        [CRYPT_SHA1] = 20,   [CRYPT_SHA224] = 28,    [CRYPT_SHA256] = 32, [CRYPT_SHA384] = 48,
        [CRYPT_SHA512] = 64, [CRYPT_RIPEMD160] = 20, [CRYPT_MD5] = 16,
    };
    return sizes[hash];
}

/* ---- the pool -------------------------------------------------------------------------------- */

static void worker_free(const struct sectors *s, struct worker *w)
{
    if (w->cipher)
        s->library->cipher_free(w->cipher);
    if (w->essiv)
        s->library->cipher_free(w->essiv);
    free(w);
}

static struct worker *worker_new(const struct sectors *s, struct err *e)
{
    struct worker *w = mem_new(1, sizeof *w, e);
    if (!w)
        return NULL;
    if (!s->library->cipher_new(s->spec.cipher, s->spec.mode, s->key, s->key_len, &w->cipher, e) &&
        (s->spec.ivgen != CRYPT_ESSIV ||
         !s->library->cipher_new(s->spec.cipher, CRYPT_ECB, s->iv_key, s->iv_key_len, &w->essiv,
                                 e)))
        return w;
    worker_free(s, w);
    return NULL;
}

static struct worker *worker_take(struct sectors *s, struct err *e)
{
    pthread_mutex_lock(&s->lock);
    struct worker *w = s->idle;
    if (w)
        s->idle = w->next;
    pthread_mutex_unlock(&s->lock);
    return w ? w : worker_new(s, e);
}

static void worker_put(struct sectors *s, struct worker *w)
{
    pthread_mutex_lock(&s->lock);
    w->next = s->idle;
    s->idle = w;
    pthread_mutex_unlock(&s->lock);
}

/* ---- a run of sectors ------------------------------------------------------------------------ */

static int iv_make(const struct sectors *s, const struct worker *w, uint64_t sector, uint8_t *iv,
                   struct err *e)
{
    memset(iv, 0, CRYPT_IV_MAX);
    if (s->spec.ivgen == CRYPT_PLAIN)
        le32_store(iv, (uint32_t)sector);
    else
        le64_store(iv, sector);
    if (!w->essiv)
        return 0;
    size_t block = s->spec.cipher == CRYPT_CAST5 ? 8 : 16;
    return s->library->encrypt(w->essiv, NULL, iv, block, e);
}

static int run(const struct crypt *c, void *buf, size_t len, uint64_t at, bool decrypt,
               struct err *e)
{
    struct sectors *s = (struct sectors *)c; /* crypt is its first member; the pool may change */
    uint8_t iv[CRYPT_IV_MAX];
    if (len % CRYPT_SECTOR || at % CRYPT_SECTOR)
        return err_set(e, EINVAL, "Encrypted data is read and written in whole sectors");
    struct worker *w = worker_take(s, e);
    int rc = w ? 0 : -1;
    for (size_t i = 0; i < len && !rc; i += CRYPT_SECTOR) {
        uint8_t *sector = (uint8_t *)buf + i;
        rc = iv_make(s, w, (at + i) / CRYPT_SECTOR, iv, e);
        if (!rc)
            rc = decrypt ? s->library->decrypt(w->cipher, iv, sector, CRYPT_SECTOR, e)
                         : s->library->encrypt(w->cipher, iv, sector, CRYPT_SECTOR, e);
    }
    if (w)
        worker_put(s, w);
    return rc;
}

static int sectors_decrypt(const struct crypt *c, void *buf, size_t len, uint64_t at, struct err *e)
{
    return run(c, buf, len, at, true, e);
}

static int sectors_encrypt(const struct crypt *c, void *buf, size_t len, uint64_t at, struct err *e)
{
    return run(c, buf, len, at, false, e);
}

/* ---- what goes together ---------------------------------------------------------------------- */

int crypt_spec_check(const struct crypt_spec *spec, struct err *e)
{
    size_t digest = crypt_hash_size(spec->ivhash);
    if (spec->mode == CRYPT_XTS && spec->cipher == CRYPT_CAST5)
        return err_set(e, ENOTSUP, "Unsupported cipher mode xts");
    if (spec->ivgen != CRYPT_ESSIV || crypt_cipher_by_key(spec->cipher, digest))
        return 0;
    if (spec->cipher == CRYPT_CAST5)
        return err_set(e, ENOTSUP, "Cipher cast5-128 not supported with essiv");
    return err_set(e, ENOTSUP, "No %s cipher with key size %zu available",
                   crypt_cipher_title(spec->cipher), digest);
}

/* ---- making one ------------------------------------------------------------------------------ */

static void sectors_free(struct sectors *s)
{
    for (struct worker *w = s->idle, *next; w; w = next) {
        next = w->next;
        worker_free(s, w);
    }
    pthread_mutex_destroy(&s->lock);
    explicit_bzero(s->key, sizeof s->key);
    explicit_bzero(s->iv_key, sizeof s->iv_key);
    free(s);
}

static void sectors_free_crypt(struct crypt *c)
{
    sectors_free((struct sectors *)c); /* crypt is its first member */
}

void crypt_free(struct crypt *c)
{
    if (c && c->free)
        c->free(c);
}

void crypt_cleanup(struct crypt **c)
{
    crypt_free(*c);
    *c = NULL;
}

/* Whatever is wrong with the key shows here, not in a worker. */
static int first_worker(struct sectors *s, struct err *e)
{
    struct worker *w = worker_take(s, e);
    if (!w)
        return -1;
    worker_put(s, w);
    return 0;
}

int crypt_sectors_new(const struct crypt_spec *spec, const uint8_t *key, size_t key_len,
                      struct crypt **out, struct err *e)
{
    const struct crypt_library *library = crypt_library_get(e);
    if (!library)
        return -1;
    if (key_len > KEY_MAX)
        return err_set(e, EINVAL, "A key of %zu bytes is too long", key_len);
    struct sectors *s = mem_new(1, sizeof *s, e);
    if (!s)
        return -1;
    s->crypt = (struct crypt){sectors_decrypt, sectors_encrypt, sectors_free_crypt};
    s->library = library;
    s->spec = *spec;
    s->key_len = key_len;
    s->iv_key_len = crypt_hash_size(spec->ivhash);
    memcpy(s->key, key, key_len);
    pthread_mutex_init(&s->lock, NULL);
    if ((spec->ivgen == CRYPT_ESSIV && library->hash(spec->ivhash, key, key_len, s->iv_key, e)) ||
        first_worker(s, e)) {
        sectors_free(s);
        return -1;
    }
    *out = &s->crypt;
    return 0;
}

int crypt_aes_legacy_new(const uint8_t *passphrase, size_t len, struct crypt **out, struct err *e)
{
    static const struct crypt_spec spec = {CRYPT_AES, CRYPT_CBC, CRYPT_PLAIN64, 0};
    uint8_t key[16] = {0};
    memcpy(key, passphrase, num_min(len, sizeof key));
    int rc = crypt_sectors_new(&spec, key, sizeof key, out, e);
    explicit_bzero(key, sizeof key);
    return rc;
}
