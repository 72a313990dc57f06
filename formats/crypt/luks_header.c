#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/crypt/luks.h"
#include "formats/crypt/names.h"

/* "LUKS phdr", "Keyslot": where fields stand */
#define AT_VERSION    6
#define AT_CIPHER     8
#define AT_MODE       40
#define AT_HASH       72
#define AT_PAYLOAD    104
#define AT_KEY_LEN    108
#define AT_DIGEST     112
#define AT_SALT       132
#define AT_ITERATIONS 164
#define AT_UUID       168
#define AT_SLOTS      208
#define TEXT          32 /* of a name */

#define SLOT_ACTIVE UINT32_C(0x00ac71f3)
#define SLOT_DEAD   UINT32_C(0x0000dead)
#define SECTOR      UINT64_C(512)

static const uint8_t magic[] = {'L', 'U', 'K', 'S', 0xba, 0xbe};

bool luks_probe(const uint8_t *head, size_t n)
{
    return n >= AT_CIPHER && !memcmp(head, magic, sizeof magic) &&
           be16_load(head + AT_VERSION) == 1;
}

size_t luks_material(size_t key_len)
{
    return num_up(key_len * LUKS_STRIPES, SECTOR);
}

/* ---- load ------------------------------------------------------------------------------------ */

static int check_start(const uint8_t *buf, struct err *e)
{
    if (memcmp(buf, magic, sizeof magic))
        return err_set(e, EINVAL, "Volume is not in LUKS format");
    if (be16_load(buf + AT_VERSION) != 1)
        return err_set(e, ENOTSUP, "LUKS version %u is not supported", be16_load(buf + AT_VERSION));
    if (!memchr(buf + AT_CIPHER, 0, TEXT))
        return err_set(e, EINVAL, "LUKS header cipher name is not NUL terminated");
    if (!memchr(buf + AT_MODE, 0, TEXT))
        return err_set(e, EINVAL, "LUKS header cipher mode is not NUL terminated");
    if (!memchr(buf + AT_HASH, 0, TEXT))
        return err_set(e, EINVAL, "LUKS header hash spec is not NUL terminated");
    if (be32_load(buf + AT_PAYLOAD) * SECTOR < num_up(LUKS_HEADER, SECTOR))
        return err_set(e, EINVAL, "LUKS payload is overlapping with the header");
    if (!be32_load(buf + AT_ITERATIONS))
        return err_set(e, EINVAL, "LUKS key iteration count is zero");
    return 0;
}

static int load_slot(const uint8_t *p, unsigned i, struct luks_slot *out, struct err *e)
{
    uint32_t stripes = be32_load(p + 44);
    out->active = be32_load(p) == SLOT_ACTIVE;
    out->iterations = be32_load(p + 4);
    out->offset = be32_load(p + 40) * SECTOR;
    memcpy(out->salt, p + 8, LUKS_SALT);
    if (stripes != LUKS_STRIPES)
        return err_set(e, EINVAL, "Keyslot %u is corrupted (stripes %d != %u)", i, (int)stripes,
                       LUKS_STRIPES);
    if (out->offset < num_up(LUKS_HEADER, SECTOR))
        return err_set(e, EINVAL, "Keyslot %u is overlapping with the LUKS header", i);
    if (!out->active && be32_load(p) != SLOT_DEAD)
        return err_set(e, EINVAL, "Keyslot %u state (active/disable) is corrupted", i);
    if (out->active && !out->iterations)
        return err_set(e, EINVAL, "Keyslot %u iteration count is zero", i);
    return 0;
}

/* Numbers of sectors and of key bytes have 32 bits: nothing here overflows 64. */
static int check_room(const struct luks_header *h, uint64_t material, unsigned i, struct err *e)
{
    uint64_t at = h->slots[i].offset;
    if (!num_inside(at, material, h->payload))
        return err_set(e, EINVAL, "Keyslot %u is overlapping with the encrypted payload", i);
    for (unsigned k = 0; k < i; k++) {
        uint64_t other = h->slots[k].offset;
        if (at < other + material && other < at + material)
            return err_set(e, EINVAL, "Keyslots %u and %u are overlapping in the header", k, i);
    }
    return 0;
}

static int load_slots(const uint8_t *buf, struct luks_header *h, struct err *e)
{
    uint64_t material = num_up(be32_load(buf + AT_KEY_LEN) * (uint64_t)LUKS_STRIPES, SECTOR);
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        if (load_slot(buf + luks_slot_at(i), i, &h->slots[i], e) || check_room(h, material, i, e))
            return -1;
    return 0;
}

/* "xts-plain64", "cbc-essiv:sha256": mode, IV generator, its hash. Cut up in place. */
struct mode_text {
    char text[TEXT];
    const char *mode, *ivgen, *hash; /* hash NULL: none */
};

static int split_mode(const uint8_t *buf, struct mode_text *m, struct err *e)
{
    snprintf(m->text, sizeof m->text, "%s", (const char *)buf + AT_MODE);
    char *ivgen = strchr(m->text, '-');
    if (!ivgen)
        return err_set(e, EINVAL, "Unexpected cipher mode string format '%s'", m->text);
    *ivgen++ = '\0';
    char *hash = strchr(ivgen, ':');
    if (hash)
        *hash++ = '\0';
    m->mode = m->text;
    m->ivgen = ivgen;
    m->hash = hash;
    return 0;
}

static int hash_parse(const char *name, enum crypt_hash *out, struct err *e)
{
    if (!crypt_hash_find(name, out))
        return 0;
    return err_set(e, ENOTSUP, "Hash algorithm '%s' not supported", name);
}

static int load_cipher(const uint8_t *buf, struct luks_header *h, struct err *e)
{
    const char *name = (const char *)buf + AT_CIPHER;
    uint32_t total = be32_load(buf + AT_KEY_LEN);
    unsigned keys = h->spec.mode == CRYPT_XTS ? 2 : 1;
    const struct crypt_cipher_name *c = crypt_cipher_by_header(name, total / keys);
    if (!c || total % keys)
        return err_set(e, ENOTSUP, "Algorithm '%s' with key size %u bytes not supported", name,
                       total / keys);
    h->spec.cipher = c->cipher;
    h->key_len = total;
    return 0;
}

static int load_spec(const uint8_t *buf, struct luks_header *h, struct err *e)
{
    struct mode_text m;
    if (split_mode(buf, &m, e) || (m.hash && hash_parse(m.hash, &h->spec.ivhash, e)))
        return -1;
    if (crypt_mode_find(m.mode, &h->spec.mode))
        return err_set(e, ENOTSUP, "Cipher mode '%s' not supported", m.mode);
    if (load_cipher(buf, h, e) || hash_parse((const char *)buf + AT_HASH, &h->hash, e))
        return -1;
    if (crypt_ivgen_find(m.ivgen, &h->spec.ivgen))
        return err_set(e, ENOTSUP, "IV generator '%s' not supported", m.ivgen);
    if (h->spec.ivgen == CRYPT_ESSIV && !m.hash)
        return err_set(e, EINVAL, "Missing IV generator hash specification");
    return crypt_spec_check(&h->spec, e);
}

int luks_header_load(const uint8_t *buf, struct luks_header *out, struct err *e)
{
    *out = (struct luks_header){0};
    if (check_start(buf, e))
        return -1;
    out->payload = be32_load(buf + AT_PAYLOAD) * SECTOR;
    out->iterations = be32_load(buf + AT_ITERATIONS);
    memcpy(out->digest, buf + AT_DIGEST, LUKS_DIGEST);
    memcpy(out->salt, buf + AT_SALT, LUKS_SALT);
    memcpy(out->uuid, buf + AT_UUID, sizeof out->uuid - 1);
    return load_slots(buf, out, e) ? -1 : load_spec(buf, out, e);
}

int luks_header_read(const struct luks_area *area, struct luks_header *out, struct err *e)
{
    uint8_t buf[LUKS_HEADER];
    if (area->length < sizeof buf)
        return err_set(e, EIO, "Unable to read encryption header");
    if (file_read_padded(area->file, buf, sizeof buf, area->at, NULL, e))
        return err_prefix(e, "Unable to read LUKS header: ");
    return luks_header_load(buf, out, e);
}

/* ---- store ----------------------------------------------------------------------------------- */

static void store_names(const struct luks_header *h, uint8_t *buf)
{
    size_t one = h->spec.mode == CRYPT_XTS ? h->key_len / 2 : h->key_len;
    bool hashes = h->spec.ivgen == CRYPT_ESSIV;
    snprintf((char *)buf + AT_CIPHER, TEXT, "%s", crypt_cipher_by_key(h->spec.cipher, one)->header);
    snprintf((char *)buf + AT_MODE, TEXT, "%s-%s%s%s", crypt_mode_name(h->spec.mode),
             crypt_ivgen_name(h->spec.ivgen), hashes ? ":" : "",
             hashes ? crypt_hash_name(h->spec.ivhash) : "");
    snprintf((char *)buf + AT_HASH, TEXT, "%s", crypt_hash_name(h->hash));
}

uint64_t luks_slot_at(unsigned slot)
{
    return AT_SLOTS + slot * (uint64_t)LUKS_SLOT;
}

void luks_slot_store(const struct luks_slot *s, uint8_t buf[LUKS_SLOT])
{
    be32_store(buf, s->active ? SLOT_ACTIVE : SLOT_DEAD);
    be32_store(buf + 4, s->iterations);
    memcpy(buf + 8, s->salt, LUKS_SALT);
    be32_store(buf + 40, (uint32_t)(s->offset / SECTOR));
    be32_store(buf + 44, LUKS_STRIPES);
}

void luks_header_store(const struct luks_header *h, uint8_t *buf)
{
    memset(buf, 0, LUKS_HEADER);
    memcpy(buf, magic, sizeof magic);
    be16_store(buf + AT_VERSION, 1);
    store_names(h, buf);
    be32_store(buf + AT_PAYLOAD, (uint32_t)(h->payload / SECTOR));
    be32_store(buf + AT_KEY_LEN, (uint32_t)h->key_len);
    memcpy(buf + AT_DIGEST, h->digest, LUKS_DIGEST);
    memcpy(buf + AT_SALT, h->salt, LUKS_SALT);
    be32_store(buf + AT_ITERATIONS, h->iterations);
    memcpy(buf + AT_UUID, h->uuid, LUKS_UUID);
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        luks_slot_store(&h->slots[i], buf + luks_slot_at(i));
}
