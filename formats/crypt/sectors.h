/* Sectors under one key: what a struct crypt is made of. */
#ifndef FORMATS_CRYPT_SECTORS_H
#define FORMATS_CRYPT_SECTORS_H

#include "formats/crypt/crypt.h"
#include "formats/crypt/library.h"

/* How the IV comes from the sector's number: its low 32 bits, all of it, or that encrypted with a
 * hash of the key. */
enum crypt_ivgen { CRYPT_PLAIN, CRYPT_PLAIN64, CRYPT_ESSIV };

struct crypt_spec {
    enum crypt_cipher cipher;
    enum crypt_mode mode;
    enum crypt_ivgen ivgen;
    enum crypt_hash ivhash; /* of essiv */
};

/* The key is copied. */
int crypt_sectors_new(const struct crypt_spec *spec, const uint8_t *key, size_t key_len,
                      struct crypt **out, struct err *e);

/* Do cipher, mode and IV generator go together? */
int crypt_spec_check(const struct crypt_spec *spec, struct err *e);

/* Bytes of a digest. */
size_t crypt_hash_size(enum crypt_hash hash);

#endif
