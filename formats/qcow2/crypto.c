/* Encrypted images: the LUKS header that the image holds, or the AES of old; the key; what info
 * says. */
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "formats/crypt/passphrase.h"
#include "formats/qcow2/state.h"

/* ---- runtime options ------------------------------------------------------------------------- */

static int check_keys(const json_t *options, struct err *e)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)options, key, v)
    {
        if (strcmp(key, "format") && strcmp(key, "key-secret"))
            return err_set(e, EINVAL, "Parameter '%s' is unexpected", key);
    }
    return 0;
}

/* encrypt.format may be given; then it says what the header says. */
static int check_options(const struct qcow2 *q, const json_t *options, struct err *e)
{
    static const char *const names[] = {
        [QCOW2_CRYPT_NONE] = "", [QCOW2_CRYPT_AES] = "aes", [QCOW2_CRYPT_LUKS] = "luks"};
    const char *format = json_string_value(json_object_get(options, "format"));
    uint32_t method = q->head.header.crypt_method;
    if (format && method == QCOW2_CRYPT_NONE)
        return err_set(e, EINVAL,
                       "No encryption in image header, but options specified format '%s'", format);
    if (format && strcmp(format, names[method]))
        return err_set(e, EINVAL, "Header reported '%s' encryption format but options specify '%s'",
                       names[method], format);
    return method == QCOW2_CRYPT_NONE ? 0 : check_keys(options, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

struct luks_area qcow2_crypto_area(const struct qcow2 *q)
{
    const struct qcow2_extensions *x = &q->head.ext;
    return (struct luks_area){q->file, x->crypto_offset, x->crypto_length};
}

static int load_header(struct qcow2 *q, struct err *e)
{
    struct luks_area area = qcow2_crypto_area(q);
    if (!num_inside(area.at, LUKS_HEADER, qcow2_file_limit(q)))
        return err_set(e, EIO, "Unable to read encryption header");
    return luks_header_read(&area, &q->luks, e);
}

static int open_key(struct image *img, const json_t *options, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const char *id = json_string_value(json_object_get(options, "key-secret"));
    const uint8_t *pass;
    size_t len;
    if (crypt_passphrase(img->flags.secrets, id, "encrypt.key-secret", &pass, &len, e))
        return -1;
    if (q->head.header.crypt_method == QCOW2_CRYPT_AES)
        return crypt_aes_legacy_new(pass, len, &q->crypt, e);
    struct luks_area area = qcow2_crypto_area(q);
    if (luks_find_key(&area, &q->luks, pass, len, &q->key, e))
        return -1;
    return crypt_sectors_new(&q->luks.spec, q->key.master, q->luks.key_len, &q->crypt, e);
}

int qcow2_crypto_open(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const json_t *options = json_object_get(img->spec, "encrypt");
    uint32_t method = q->head.header.crypt_method;
    if (check_options(q, options, e) || (method == QCOW2_CRYPT_LUKS && load_header(q, e)))
        return -1;
    if (method == QCOW2_CRYPT_NONE || img->flags.no_io)
        return 0;
    return open_key(img, options, e);
}

/* ---- use ------------------------------------------------------------------------------------- */

void qcow2_crypto_extent(const struct qcow2 *q, uint64_t guest, struct extent *x)
{
    if (!q->crypt || x->kind != EXTENT_DATA)
        return;
    x->crypt = q->crypt;
    x->crypt_at = q->head.header.crypt_method == QCOW2_CRYPT_AES ? guest : x->host;
}

int qcow2_crypto_info(const struct qcow2 *q, json_t **out, struct err *e)
{
    *out = NULL;
    if (q->head.header.crypt_method == QCOW2_CRYPT_NONE)
        return 0;
    *out = q->head.header.crypt_method == QCOW2_CRYPT_AES ? json_pack("{s:s}", "format", "aes")
                                                          : luks_info(&q->luks, true);
    return *out ? 0 : err_nomem(e);
}
