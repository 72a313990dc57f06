#include "formats/crypt/library.h"

#include <errno.h>

#include "formats/crypt/crypt.h"

static const struct crypt_library *const library =
#ifdef HAVE_GCRYPT
    &crypt_gcrypt;
#else
    NULL;
#endif

const struct crypt_library *crypt_library_get(struct err *e)
{
    if (!library)
        err_set(e, ENOTSUP, "Encryption is not supported: built without libgcrypt");
    return library;
}

int crypt_aes_cbc_decrypt(const uint8_t key[32], const uint8_t iv[16], void *data, size_t len,
                          struct err *e)
{
    const struct crypt_library *l = crypt_library_get(e);
    void *state;
    if (!l || l->cipher_new(CRYPT_AES, CRYPT_CBC, key, 32, &state, e))
        return -1;
    int rc = l->decrypt(state, iv, data, len, e);
    l->cipher_free(state);
    return rc;
}
