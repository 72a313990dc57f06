#include <errno.h>
#include <string.h>

#include "formats/crypt/crypt.h"
#include "formats/crypt/passphrase.h"
#include "formats/qcow/qcow.h"

/* encrypt.format may be given; then it says what the header says. */
static int options_check(const json_t *options, const struct qcow_header *h, struct err *e)
{
    const char *format = json_string_value(json_object_get(options, "format")), *key;
    json_t *v;
    if (format && h->crypt_method == QCOW_CRYPT_NONE)
        return err_set(e, EINVAL,
                       "No encryption in image header, but options specified format '%s'", format);
    if (format && strcmp(format, "aes"))
        return err_set(e, EINVAL,
                       "Header reported 'aes' encryption format but options specify '%s'", format);
    json_object_foreach((json_t *)options, key, v)
    {
        if (h->crypt_method && strcmp(key, "format") && strcmp(key, "key-secret"))
            return err_set(e, EINVAL, "Parameter '%s' is unexpected", key);
    }
    return 0;
}

int qcow_crypto_open(const struct image *img, const struct qcow_header *h, struct crypt **out,
                     struct err *e)
{
    const json_t *options = json_object_get(img->spec, "encrypt");
    const char *id = json_string_value(json_object_get(options, "key-secret"));
    *out = NULL;
    if (options_check(options, h, e))
        return -1;
    if (h->crypt_method == QCOW_CRYPT_NONE || img->flags.no_io)
        return 0;
    return qcow_crypto_create(img->flags.secrets, id, out, e);
}

int qcow_crypto_create(const struct secrets *secrets, const char *id, struct crypt **out,
                       struct err *e)
{
    const uint8_t *pass;
    size_t len;
    if (crypt_passphrase(secrets, id, "encrypt.key-secret", &pass, &len, e))
        return -1;
    return crypt_aes_legacy_new(pass, len, out, e);
}
