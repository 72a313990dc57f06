/* Passphrase -> slot -> master key, and back: "Anti-forensic information splitting", "PBKDF2". */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/luks.h"

/* ---- anti-forensic split --------------------------------------------------------------------- */

/* Each digest-long part of the key becomes a hash of its number and itself. */
static int diffuse(const struct crypt_library *library, enum crypt_hash hash, uint8_t *key,
                   size_t len, struct err *e)
{
    size_t size = crypt_hash_size(hash);
    uint8_t in[4 + CRYPT_DIGEST_MAX], out[CRYPT_DIGEST_MAX];
    int rc = 0;
    for (size_t at = 0; at < len && !rc; at += size) {
        size_t n = num_min(size, len - at);
        be32_store(in, (uint32_t)(at / size));
        memcpy(in + 4, key + at, n);
        rc = library->hash(hash, in, 4 + n, out, e);
        memcpy(key + at, out, n);
    }
    explicit_bzero(in, sizeof in);
    explicit_bzero(out, sizeof out);
    return rc;
}

static void mix(uint8_t *key, const uint8_t *stripe, size_t len)
{
    for (size_t i = 0; i < len; i++)
        key[i] ^= stripe[i];
}

/* All stripes but the last, into *key: the key is that and the last stripe. */
static int fold(const struct luks_header *h, const uint8_t *stripes, uint8_t *key, struct err *e)
{
    const struct crypt_library *library = crypt_library_get(e);
    memset(key, 0, h->key_len);
    for (size_t i = 0; i + 1 < LUKS_STRIPES; i++) {
        mix(key, stripes + i * h->key_len, h->key_len);
        if (!library || diffuse(library, h->hash, key, h->key_len, e))
            return -1;
    }
    return 0;
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* The cipher of a slot's key material: that of the data, with the passphrase's key. */
static int slot_crypt(const struct luks_header *h, unsigned slot, const uint8_t *pass,
                      size_t pass_len, struct crypt **out, struct err *e)
{
    const struct crypt_library *library = crypt_library_get(e);
    const struct luks_slot *s = &h->slots[slot];
    uint8_t key[LUKS_KEY_MAX];
    if (!library || library->pbkdf2(h->hash, pass, pass_len, s->salt, LUKS_SALT, s->iterations, key,
                                    h->key_len, e))
        return -1;
    int rc = crypt_sectors_new(&h->spec, key, h->key_len, out, e);
    explicit_bzero(key, sizeof key);
    return rc;
}

int luks_digest(const struct luks_header *h, const uint8_t *master, uint8_t digest[LUKS_DIGEST],
                struct err *e)
{
    const struct crypt_library *library = crypt_library_get(e);
    return library ? library->pbkdf2(h->hash, master, h->key_len, h->salt, LUKS_SALT, h->iterations,
                                     digest, LUKS_DIGEST, e)
                   : -1;
}

int luks_slot_fill(const struct luks_header *h, unsigned slot, const uint8_t *master,
                   const uint8_t *pass, size_t pass_len, uint8_t *stripes, struct err *e)
{
    AUTO(crypt_cleanup) struct crypt *crypt = NULL;
    uint8_t *last = stripes + (LUKS_STRIPES - 1) * h->key_len;
    size_t material = luks_material(h->key_len);
    if (fold(h, stripes, last, e) || slot_crypt(h, slot, pass, pass_len, &crypt, e))
        return -1;
    mix(last, master, h->key_len);
    memset(last + h->key_len, 0, stripes + material - (last + h->key_len));
    return crypt->encrypt(crypt, stripes, material, 0, e);
}

/* *found: this slot takes the passphrase. `stripes` is scratch for its material. */
static int try_slot(const struct luks_area *area, const struct luks_header *h, unsigned slot,
                    const uint8_t *pass, size_t pass_len, uint8_t *stripes, uint8_t *master,
                    bool *found, struct err *e)
{
    AUTO(crypt_cleanup) struct crypt *crypt = NULL;
    uint8_t digest[LUKS_DIGEST];
    size_t material = luks_material(h->key_len);
    const struct luks_slot *s = &h->slots[slot];
    *found = false;
    if (!num_inside(s->offset, material, area->length))
        return err_set(e, EIO, "Keyslot %u lies outside of the encryption header", slot);
    if (file_read(area->file, stripes, material, area->at + s->offset, e))
        return err_prefix(e, "Failed to read key material: ");
    if (slot_crypt(h, slot, pass, pass_len, &crypt, e) ||
        crypt->decrypt(crypt, stripes, material, 0, e) || fold(h, stripes, master, e))
        return -1;
    mix(master, stripes + (LUKS_STRIPES - 1) * h->key_len, h->key_len);
    if (luks_digest(h, master, digest, e))
        return -1;
    *found = !memcmp(digest, h->digest, sizeof digest);
    return 0;
}

int luks_slot_takes(const struct luks_area *area, const struct luks_header *h, unsigned slot,
                    const uint8_t *pass, size_t pass_len, bool *takes, struct err *e)
{
    size_t material = luks_material(h->key_len);
    uint8_t master[LUKS_KEY_MAX];
    AUTO_FREE uint8_t *stripes = mem_io(material, e);
    if (!stripes)
        return -1;
    int rc = try_slot(area, h, slot, pass, pass_len, stripes, master, takes, e);
    explicit_bzero(stripes, material);
    explicit_bzero(master, sizeof master);
    return rc;
}

int luks_find_key(const struct luks_area *area, const struct luks_header *h, const uint8_t *pass,
                  size_t pass_len, struct luks_key *out, struct err *e)
{
    size_t material = luks_material(h->key_len);
    AUTO_FREE uint8_t *stripes = mem_io(material, e);
    int rc = stripes ? 0 : -1;
    out->known = false;
    for (unsigned i = 0; i < LUKS_SLOTS && !out->known && !rc; i++)
        if (h->slots[i].active)
            rc = try_slot(area, h, i, pass, pass_len, stripes, out->master, &out->known, e);
    if (stripes)
        explicit_bzero(stripes, material);
    if (rc)
        return -1;
    return out->known ? 0 : err_set(e, EACCES, "Invalid password, cannot unlock any keyslot");
}

int luks_unlock(const struct luks_area *area, const struct luks_header *h, const uint8_t *pass,
                size_t pass_len, struct crypt **out, struct err *e)
{
    struct luks_key key;
    int rc = luks_find_key(area, h, pass, pass_len, &key, e);
    if (!rc)
        rc = crypt_sectors_new(&h->spec, key.master, h->key_len, out, e);
    explicit_bzero(&key, sizeof key);
    return rc;
}
