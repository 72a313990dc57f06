#include "formats/digest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/library.h"

static const struct digest_kind kinds[] = {
    {"md5", 16, CRYPT_MD5},
    {"sha1", 20, CRYPT_SHA1},
    {"sha256", 32, CRYPT_SHA256},
    {"sha512", 64, CRYPT_SHA512},
};

static const struct crypt_library *library(struct err *e)
{
    const struct crypt_library *l = crypt_library_get(e);
    if (!l)
        err_set(e, ENOTSUP, "Hashes are not supported: built without libgcrypt");
    return l;
}

int digest_of(const struct digest_kind *k, const void *data, size_t len, uint8_t *out,
              struct err *e)
{
    const struct crypt_library *l = library(e);
    return l ? l->hash((enum crypt_hash)k->algorithm, data, len, out, e) : -1;
}

/* Can the library do it now? And what it does when it is first used is done before there is
 * anything that it could leave half-made: without memory for that it ends the program. */
static const struct digest_kind *tried(const struct digest_kind *k, struct err *e)
{
    uint8_t digest[DIGEST_MAX];
    return digest_of(k, "", 0, digest, e) < 0 ? NULL : k;
}

const struct digest_kind *digest_find(const char *name, size_t n, struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strlen(kinds[i].name) == n && strncasecmp(kinds[i].name, name, n) == 0)
            return tried(&kinds[i], e);
    err_set(e, EINVAL, "Unknown hash algorithm '%.*s': it is one of md5, sha1, sha256, sha512",
            (int)num_min(n, 64), name);
    return NULL;
}

void digest_text(const struct digest_kind *k, const uint8_t *digest, char out[DIGEST_TEXT])
{
    for (size_t i = 0; i < k->length; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* ---- piece by piece -------------------------------------------------------------------------- */

struct digest {
    const struct crypt_library *library;
    void *state;
};

struct digest *digest_new(const struct digest_kind *k, struct err *e)
{
    const struct crypt_library *l = library(e);
    AUTO_FREE struct digest *d = l ? mem_new(1, sizeof *d, e) : NULL;
    if (!d || l->hash_new((enum crypt_hash)k->algorithm, &d->state, e) < 0)
        return NULL;
    d->library = l;
    return MEM_TAKE(d);
}

void digest_add(struct digest *d, const void *data, size_t len)
{
    d->library->hash_add(d->state, data, len);
}

void digest_end(struct digest *d, uint8_t *out)
{
    d->library->hash_end(d->state, out);
}

void digest_free(struct digest *d)
{
    if (d)
        d->library->hash_free(d->state);
    free(d);
}
