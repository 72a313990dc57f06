#include "base/tree.h"
#include "formats/crypt/luks.h"
#include "formats/crypt/names.h"

static json_t *slot_info(const struct luks_slot *s)
{
    json_int_t offset = (json_int_t)s->offset;
    if (!s->active)
        return json_pack("{s:b, s:I}", "active", 0, "key-offset", offset);
    return json_pack("{s:b, s:I, s:I, s:I}", "active", 1, "iters", (json_int_t)s->iterations,
                     "key-offset", offset, "stripes", (json_int_t)LUKS_STRIPES);
}

static json_t *slots_info(const struct luks_header *h)
{
    json_t *slots = json_array();
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        slots = tree_append(slots, slot_info(&h->slots[i]));
    return slots;
}

json_t *luks_info(const struct luks_header *h, bool in_qcow2)
{
    size_t one = h->spec.mode == CRYPT_XTS ? h->key_len / 2 : h->key_len;
    const char *cipher = crypt_cipher_by_key(h->spec.cipher, one)->option;
    json_t *o = json_object();
    o = tree_set(o, "ivgen-alg", json_string(crypt_ivgen_name(h->spec.ivgen)));
    o = tree_set(o, "hash-alg", json_string(crypt_hash_name(h->hash)));
    o = tree_set(o, "cipher-alg", json_string(cipher));
    o = tree_set(o, "uuid", json_string_nocheck(h->uuid));
    if (h->spec.ivgen == CRYPT_ESSIV)
        o = tree_set(o, "ivgen-hash-alg", json_string(crypt_hash_name(h->spec.ivhash)));
    if (in_qcow2)
        o = tree_set(o, "format", json_string("luks"));
    o = tree_set(o, "cipher-mode", json_string(crypt_mode_name(h->spec.mode)));
    o = tree_set(o, "slots", slots_info(h));
    o = tree_set(o, "payload-offset", json_integer((json_int_t)h->payload));
    o = tree_set(o, "master-key-iters", json_integer(h->iterations));
    return o;
}
