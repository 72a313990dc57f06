/*
 * Encrypted data: a cipher in a mode over sectors of 512 bytes, with an initialisation vector (IV)
 * made from the sector's number. What a driver puts into an extent, and a writer into itself; the
 * core calls it where the bytes are moved, in the workers.
 */
#ifndef FORMATS_CRYPT_H
#define FORMATS_CRYPT_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define CRYPT_SECTOR 512u

struct crypt {
    /* In place, whole sectors; `at` is the byte offset that the first sector's IV counts from
     * (sector number = at / 512). By many threads at once. */
    int (*decrypt)(const struct crypt *c, void *buf, size_t len, uint64_t at, struct err *e);
    int (*encrypt)(const struct crypt *c, void *buf, size_t len, uint64_t at, struct err *e);
    void (*free)(struct crypt *c); /* wipes its keys; NULL where there is nothing to free */
};

/* NULL is fine. */
void crypt_free(struct crypt *c);
void crypt_cleanup(struct crypt **c);

/* What qcow and qcow2 did before LUKS: AES-128-CBC, the passphrase's first 16 bytes as the key, the
 * guest's sector number as the IV: `at` is the guest offset. */
int crypt_aes_legacy_new(const uint8_t *passphrase, size_t len, struct crypt **out, struct err *e);

/* AES-256-CBC over one piece of whole blocks of 16 bytes, in place: how secrets are wrapped. */
int crypt_aes_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16], void *data, size_t len,
                          struct err *e);

#endif
