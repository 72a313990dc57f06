/* The names that options, headers and info have for ciphers, modes, IV generators and hashes. */
#ifndef FORMATS_CRYPT_NAMES_H
#define FORMATS_CRYPT_NAMES_H

#include "formats/crypt/sectors.h"

/* A cipher with one length of key: "aes-256" is "aes" with 32 bytes. */
struct crypt_cipher_name {
    const char *option, *header;
    size_t key_len;
    enum crypt_cipher cipher;
};

/* NULL: none. `len` is that of one key (xts has two of them). */
const struct crypt_cipher_name *crypt_cipher_by_option(const char *option);
const struct crypt_cipher_name *crypt_cipher_by_header(const char *header, size_t len);
const struct crypt_cipher_name *crypt_cipher_by_key(enum crypt_cipher cipher, size_t len);
/* How messages call it: "AES". */
const char *crypt_cipher_title(enum crypt_cipher cipher);

/* 0, or -1 for a name that is none. */
int crypt_mode_find(const char *name, enum crypt_mode *out);
int crypt_ivgen_find(const char *name, enum crypt_ivgen *out);
int crypt_hash_find(const char *name, enum crypt_hash *out);

const char *crypt_mode_name(enum crypt_mode mode);
const char *crypt_ivgen_name(enum crypt_ivgen ivgen);
const char *crypt_hash_name(enum crypt_hash hash);

#endif
