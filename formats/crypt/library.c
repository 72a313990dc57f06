#include "formats/crypt/library.h"

#include <errno.h>

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
