#include <errno.h>

#include "formats/qcow/qcow.h"

int qcow_crypto_open(const struct image *img, const struct qcow_header *h, struct crypt **out,
                     struct err *e)
{
    *out = NULL;
    if (h->crypt_method == QCOW_CRYPT_NONE || img->flags.no_io)
        return 0;
    return err_set(e, ENOTSUP, "Reading encrypted qcow images is not supported");
}

int qcow_crypto_create(const struct secrets *secrets, const char *id, struct crypt **out,
                       struct err *e)
{
    (void)secrets;
    *out = NULL;
    if (!id)
        return err_set(e, EINVAL, "Parameter 'encrypt.key-secret' is required for cipher");
    return err_set(e, ENOTSUP, "Writing encrypted qcow images is not supported");
}
