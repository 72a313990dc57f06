/* A new LUKS header: its options, its keys, how often its passphrase is hashed. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/luks.h"
#include "formats/crypt/names.h"

#define MEASURE_NS (50 * 1000000) /* CPU time after which a rate is believed */

/* ---- options --------------------------------------------------------------------------------- */

/* `prefix` before `name`: the option's value, or `absent`. */
static const char *option(const struct options *o, const char *prefix, const char *name,
                          const char *absent)
{
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return options_str(o, full, absent);
}

static int bad_word(const char *option_name, const char *value, struct err *e)
{
    return err_set(e, EINVAL, "Parameter '%s' does not accept value '%s'", option_name, value);
}

/* Ciphers that the original has names for, but no LUKS. */
static bool is_foreign(const char *cipher)
{
    return !strcmp(cipher, "des") || !strcmp(cipher, "3des");
}

static int parse_hash(const struct options *o, const char *prefix, const char *name,
                      enum crypt_hash *out, struct err *e)
{
    const char *value = option(o, prefix, name, "sha256");
    return crypt_hash_find(value, out) ? bad_word(name, value, e) : 0;
}

int luks_params_parse(const struct options *o, const char *prefix, struct luks_params *out,
                      struct err *e)
{
    const char *cipher = option(o, prefix, "cipher-alg", "aes-256");
    const char *mode = option(o, prefix, "cipher-mode", "xts");
    const char *ivgen = option(o, prefix, "ivgen-alg", "plain64");
    const struct crypt_cipher_name *c = crypt_cipher_by_option(cipher);
    char time[64];
    *out = (struct luks_params){.unknown_cipher = c ? NULL : cipher};
    if (!c && !is_foreign(cipher))
        return bad_word("cipher-alg", cipher, e);
    if (crypt_mode_find(mode, &out->spec.mode))
        return bad_word("cipher-mode", mode, e);
    if (crypt_ivgen_find(ivgen, &out->spec.ivgen))
        return bad_word("ivgen-alg", ivgen, e);
    if (parse_hash(o, prefix, "ivgen-hash-alg", &out->spec.ivhash, e) ||
        parse_hash(o, prefix, "hash-alg", &out->hash, e))
        return -1;
    snprintf(time, sizeof time, "%siter-time", prefix);
    out->iter_time = options_size(o, time, 2000);
    out->spec.cipher = c ? c->cipher : CRYPT_AES;
    out->key_len = (c ? c->key_len : 16) * (out->spec.mode == CRYPT_XTS ? 2 : 1);
    return 0;
}

int luks_params_check(const struct luks_params *p, struct err *e)
{
    if (p->unknown_cipher)
        return err_set(e, ENOTSUP, "Algorithm '%s' not supported", p->unknown_cipher);
    return crypt_library_get(e) ? crypt_spec_check(&p->spec, e) : -1;
}

static uint64_t slot_room(const struct luks_params *p)
{
    return num_up(luks_material(p->key_len), LUKS_SLOTS_AT);
}

uint64_t luks_payload(const struct luks_params *p)
{
    return LUKS_SLOTS_AT + LUKS_SLOTS * slot_room(p);
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* Counter mode with HMAC-SHA512 under the random bytes (NIST SP 800-108). */
int luks_expand(const uint8_t random[64], enum luks_use use, uint8_t *out, size_t len,
                struct err *e)
{
    const struct crypt_library *library = crypt_library_get(e);
    uint8_t in[5] = {(uint8_t)use}, digest[CRYPT_DIGEST_MAX];
    int rc = library ? 0 : -1;
    for (size_t at = 0; at < len && !rc; at += sizeof digest) {
        be32_store(in + 1, (uint32_t)(at / sizeof digest));
        rc = library->hmac(CRYPT_SHA512, random, 64, in, sizeof in, digest, e);
        memcpy(out + at, digest, num_min(sizeof digest, len - at));
    }
    explicit_bzero(digest, sizeof digest);
    return rc;
}

int luks_crypt_new(const struct luks_params *p, const uint8_t random[64], struct crypt **out,
                   struct err *e)
{
    uint8_t master[LUKS_KEY_MAX];
    int rc = luks_expand(random, LUKS_MASTER, master, p->key_len, e);
    if (!rc)
        rc = crypt_sectors_new(&p->spec, master, p->key_len, out, e);
    explicit_bzero(master, sizeof master);
    return rc;
}

static int make_uuid(const uint8_t random[64], char *out, struct err *e)
{
    uint8_t u[16];
    if (luks_expand(random, LUKS_ID, u, sizeof u, e))
        return -1;
    u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
    u[8] = (uint8_t)((u[8] & 0x3f) | 0x80);
    snprintf(out, LUKS_UUID + 1,
             "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
             u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
             u[15]);
    return 0;
}

/* ---- iterations ------------------------------------------------------------------------------ */

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* PBKDF2 iterations in a second of this thread's CPU time, for `len` bytes of output. */
static int measure_rate(enum crypt_hash hash, size_t len, double *out, struct err *e)
{
    const struct crypt_library *library = crypt_library_get(e);
    uint8_t salt[LUKS_SALT] = {0}, key[LUKS_KEY_MAX];
    uint64_t spent = 0;
    for (uint32_t n = 4096; library && n < UINT32_MAX / 4; n *= 2) {
        uint64_t start = cpu_ns();
        if (library->pbkdf2(hash, (const uint8_t *)"password", 8, salt, sizeof salt, n, key, len,
                            e))
            return -1;
        spent = cpu_ns() - start;
        *out = n * 1e9 / (double)num_max(spent, 1);
        if (spent >= MEASURE_NS)
            return 0;
    }
    return library ? 0 : -1;
}

/* The same on every machine where a seed asks for the same bytes. */
int luks_iterations(enum crypt_hash hash, size_t len, double ms, uint32_t *out, struct err *e)
{
    double rate = 0;
    if (!getenv("MPI_IMG_SEED") && measure_rate(hash, len, &rate, e))
        return -1;
    double n = rate * ms / 1000;
    if (n > UINT32_MAX)
        return err_errno(e, ERANGE, "PBKDF iterations %.0f larger than %" PRIu32, n, UINT32_MAX);
    *out = (uint32_t)num_max((uint64_t)n, LUKS_ITERATIONS);
    return 0;
}

/* ---- the header ------------------------------------------------------------------------------ */

static int fill_header(const struct luks_params *p, const uint8_t random[64], struct luks_header *h,
                       struct err *e)
{
    *h = (struct luks_header){
        .spec = p->spec, .hash = p->hash, .key_len = p->key_len, .payload = luks_payload(p)};
    for (unsigned i = 0; i < LUKS_SLOTS; i++)
        h->slots[i].offset = LUKS_SLOTS_AT + i * slot_room(p);
    h->slots[0].active = true;
    double ms = (double)p->iter_time;
    return luks_expand(random, LUKS_SALTS, h->salt, LUKS_SALT, e) ||
                   luks_expand(random, LUKS_SLOT_SALT, h->slots[0].salt, LUKS_SALT, e) ||
                   make_uuid(random, h->uuid, e) ||
                   luks_iterations(p->hash, p->key_len, ms, &h->slots[0].iterations, e) ||
                   luks_iterations(p->hash, LUKS_DIGEST, ms / 8, &h->iterations, e)
               ? -1
               : 0;
}

static int fill_keys(struct luks_header *h, const uint8_t random[64], const uint8_t *pass,
                     size_t pass_len, uint8_t *stripes, struct err *e)
{
    uint8_t master[LUKS_KEY_MAX];
    int rc = luks_expand(random, LUKS_MASTER, master, h->key_len, e);
    if (!rc)
        rc = luks_expand(random, LUKS_MATERIAL, stripes, (LUKS_STRIPES - 1) * h->key_len, e);
    if (!rc)
        rc = luks_digest(h, master, h->digest, e);
    if (!rc)
        rc = luks_slot_fill(h, 0, master, pass, pass_len, stripes, e);
    explicit_bzero(master, sizeof master);
    return rc;
}

int luks_create(const struct luks_params *p, const uint8_t random[64], const uint8_t *pass,
                size_t pass_len, uint8_t **out, struct err *e)
{
    struct luks_header h;
    AUTO_FREE uint8_t *buf = mem_io(luks_payload(p), e);
    if (!buf || fill_header(p, random, &h, e))
        return -1;
    memset(buf, 0, luks_payload(p));
    if (fill_keys(&h, random, pass, pass_len, buf + h.slots[0].offset, e))
        return -1;
    luks_header_store(&h, buf);
    *out = MEM_TAKE(buf);
    return 0;
}
