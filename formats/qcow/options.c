/* Create options of qcow, and the header that they make. */
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "formats/driver_names.h"
#include "formats/qcow/qcow.h"
#include "formats/writer.h"

const struct option_def qcow_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"backing_file", OPTION_STR, "File name of a base image", NULL},
    {"backing_fmt", OPTION_STR, "Format of the backing image", NULL},
    {"encryption", OPTION_BOOL,
     "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)", NULL},
    {"encrypt.format", OPTION_STR, "Encrypt the image, format choices: 'aes'", NULL},
    {"encrypt.key-secret", OPTION_STR, "ID of the secret that provides the AES encryption key",
     NULL},
    {NULL, 0, NULL, NULL},
};

static int crypt_parse(const struct options *o, struct qcow_create *c, struct err *e)
{
    const char *format = options_str(o, "encrypt.format", NULL);
    bool old = options_bool(o, "encryption", false);
    c->key_secret = options_str(o, "encrypt.key-secret", NULL);
    if (old && format)
        return err_set(e, EINVAL,
                       "'encrypt.format' and its alias 'encryption' can't be used at the same "
                       "time");
    if (!format && !old && c->key_secret)
        return err_set(e, EINVAL, "Parameter 'encrypt.format' is missing");
    if (format && strcmp(format, "aes") && strcmp(format, "luks"))
        return err_set(e, EINVAL, "Parameter 'format' does not accept value '%s'", format);
    c->header.crypt_method = format || old ? QCOW_CRYPT_AES : QCOW_CRYPT_NONE;
    return 0;
}

static int backing_parse(const struct writer_params *p, struct qcow_header *h, struct err *e)
{
    h->cluster_bits = p->backing_name ? 9 : 12;
    h->l2_bits = p->backing_name ? 12 : 9;
    if (p->backing_format && !driver_name_known(p->backing_format))
        return err_set(e, EINVAL, "unrecognized backing format '%s'", p->backing_format);
    if (!p->backing_name)
        return 0;
    if (strlen(p->backing_name) > QCOW_MAX_BACKING)
        return err_set(e, EINVAL, "Backing file name too long");
    h->backing_offset = QCOW_HEADER;
    h->backing_length = (uint32_t)strlen(p->backing_name);
    return 0;
}

int qcow_create_parse(const struct writer_params *p, struct qcow_create *c, struct err *e)
{
    const char *format = options_str(p->options, "encrypt.format", "aes");
    struct qcow_header *h = &c->header;
    enum file_prealloc none; /* the file grows as it is written: the mode must only be one */
    *c = (struct qcow_create){0};
    if (crypt_parse(p->options, c, e) || file_create_prealloc(p->options, &none, e))
        return -1;
    if (!p->size)
        return err_set(e, EINVAL, "Image size is too small, cannot be zero length");
    if (backing_parse(p, h, e))
        return -1;
    if (strcmp(format, "aes"))
        return err_set(e, ENOTSUP, "Unsupported encryption format");
    h->size = p->size > INT64_MAX ? INT64_MAX : num_up(p->size, 512);
    if (qcow_l1_entries(h) > QCOW_MAX_L1_NEW)
        return err_set(e, EINVAL, "Image too large");
    h->l1_offset = num_up(QCOW_HEADER + h->backing_length, 8);
    return 0;
}
