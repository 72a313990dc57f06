/* What info says about an encrypted image, from the LUKS1 header that the image holds. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/tree.h"
#include "formats/qcow2/state.h"

/* LUKS1 on-disk format: header and key slots */
#define LUKS_HEADER      592u
#define LUKS_SLOTS_AT    208u
#define LUKS_SLOT        48u
#define LUKS_N_SLOTS     8u
#define LUKS_TEXT        32u
#define LUKS_UUID        40u
#define LUKS_SLOT_IN_USE 0x00ac71f3u
#define SECTOR           512

static const uint8_t luks_magic[6] = {'L', 'U', 'K', 'S', 0xba, 0xbe};

/* A text field that may fill its room. */
static void field_text(const uint8_t *p, size_t n, char *out)
{
    size_t len = strnlen((const char *)p, n);
    memcpy(out, p, len);
    out[len] = '\0';
}

static json_t *slots_info(const uint8_t *h)
{
    json_t *slots = json_array();
    for (unsigned i = 0; i < LUKS_N_SLOTS; i++) {
        const uint8_t *p = h + LUKS_SLOTS_AT + i * LUKS_SLOT;
        json_int_t offset = (json_int_t)be32_load(p + 40) * SECTOR;
        json_t *slot;
        if (be32_load(p) == LUKS_SLOT_IN_USE)
            slot = json_pack("{s:b, s:I, s:I, s:I}", "active", 1, "iters",
                             (json_int_t)be32_load(p + 4), "key-offset", offset, "stripes",
                             (json_int_t)be32_load(p + 44));
        else
            slot = json_pack("{s:b, s:I}", "active", 0, "key-offset", offset);
        slots = tree_append(slots, slot);
    }
    return slots;
}

/* "aes" with 64 bytes of key in xts is aes-256: xts uses two keys. */
static void cipher_name(const uint8_t *h, const char *mode, char *out, size_t n)
{
    char name[LUKS_TEXT + 1];
    field_text(h + 8, LUKS_TEXT, name);
    uint32_t bits = be32_load(h + 108) * 8;
    if (!strcmp(name, "cast5"))
        snprintf(out, n, "cast5-128");
    else
        snprintf(out, n, "%s-%" PRIu32, name, strcmp(mode, "xts") ? bits : bits / 2);
}

/* "xts-plain64", "cbc-essiv:sha256": mode, IV generator, its hash. The key order is info's. */
static json_t *luks_info(const uint8_t *h)
{
    char mode[LUKS_TEXT + 1], hash[LUKS_TEXT + 1], uuid[LUKS_UUID + 1], cipher[64];
    field_text(h + 40, LUKS_TEXT, mode);
    field_text(h + 72, LUKS_TEXT, hash);
    field_text(h + 168, LUKS_UUID, uuid);
    char *ivgen = strchr(mode, '-'), *ivhash = NULL;
    if (ivgen)
        *ivgen++ = '\0';
    if (ivgen && (ivhash = strchr(ivgen, ':')))
        *ivhash++ = '\0';
    cipher_name(h, mode, cipher, sizeof cipher);

    json_t *o = json_object();
    o = tree_set(o, "ivgen-alg", json_string_nocheck(ivgen ? ivgen : "plain"));
    o = tree_set(o, "hash-alg", json_string_nocheck(hash));
    o = tree_set(o, "cipher-alg", json_string_nocheck(cipher));
    o = tree_set(o, "uuid", json_string_nocheck(uuid));
    if (ivhash)
        o = tree_set(o, "ivgen-hash-alg", json_string_nocheck(ivhash));
    o = tree_set(o, "format", json_string_nocheck("luks"));
    o = tree_set(o, "cipher-mode", json_string_nocheck(mode));
    o = tree_set(o, "slots", slots_info(h));
    o = tree_set(o, "payload-offset", json_integer((json_int_t)be32_load(h + 104) * SECTOR));
    o = tree_set(o, "master-key-iters", json_integer(be32_load(h + 164)));
    return o;
}

int qcow2_crypto_load(const struct qcow2 *q, json_t **out, struct err *e)
{
    const struct qcow2_extensions *x = &q->head.ext;
    uint8_t h[LUKS_HEADER];
    *out = NULL;
    if (q->head.header.crypt_method == QCOW2_CRYPT_NONE)
        return 0;
    if (q->head.header.crypt_method == QCOW2_CRYPT_AES) {
        *out = json_pack("{s:s}", "format", "aes");
        return *out ? 0 : err_nomem(e);
    }
    if (!num_inside(x->crypto_offset, sizeof h, qcow2_file_limit(q)) ||
        file_read_padded(q->file, h, sizeof h, x->crypto_offset, NULL, e))
        return err_set(e, EIO, "Unable to read encryption header");
    if (memcmp(h, luks_magic, sizeof luks_magic))
        return err_set(e, EINVAL, "Volume is not in LUKS format");
    if (be16_load(h + 6) != 1)
        return err_set(e, ENOTSUP, "LUKS version %u is not supported", be16_load(h + 6));
    *out = luks_info(h);
    return *out ? 0 : err_nomem(e);
}
