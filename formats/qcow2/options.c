/* Create options of qcow2: the table, and what goes with what. */
#include <errno.h>
#include <string.h>

#include "base/num.h"
#include "formats/driver_names.h"
#include "formats/qcow2/layout.h"

const struct option_def qcow2_create_options[] = {
    {"encryption", OPTION_BOOL,
     "Encrypt the image with format 'aes'. (Deprecated in favor of encrypt.format=aes)", NULL},
    {"encrypt.format", OPTION_STR, "Encrypt the image, format choices: 'aes', 'luks'", NULL},
    {"encrypt.key-secret", OPTION_STR, "ID of secret providing qcow AES key or LUKS passphrase",
     NULL},
    {"encrypt.cipher-alg", OPTION_STR, "Name of encryption cipher algorithm", NULL},
    {"encrypt.cipher-mode", OPTION_STR, "Name of encryption cipher mode", NULL},
    {"encrypt.ivgen-alg", OPTION_STR, "Name of IV generator algorithm", NULL},
    {"encrypt.ivgen-hash-alg", OPTION_STR, "Name of IV generator hash algorithm", NULL},
    {"encrypt.hash-alg", OPTION_STR, "Name of encryption hash algorithm", NULL},
    {"encrypt.iter-time", OPTION_NUM, "Time to spend in PBKDF in milliseconds", NULL},
    {"cluster_size", OPTION_SIZE, "qcow2 cluster size", "65536"},
    {"extended_l2", OPTION_BOOL, "Extended L2 tables", "off"},
    {"preallocation", OPTION_STR,
     "Preallocation mode (allowed values: off, metadata, falloc, full)", NULL},
    {"compression_type", OPTION_STR, "Compression method used for image cluster compression",
     "zlib"},
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"compat", OPTION_STR, "Compatibility level (v2 [0.10] or v3 [1.1])", NULL},
    {"backing_file", OPTION_STR, "File name of a base image", NULL},
    {"backing_fmt", OPTION_STR, "Image format of the base image", NULL},
    {"data_file", OPTION_STR, "File name of an external data file", NULL},
    {"data_file_raw", OPTION_BOOL, "The external data file must stay valid as a raw image", NULL},
    {"lazy_refcounts", OPTION_BOOL, "Postpone refcount updates", "off"},
    {"refcount_bits", OPTION_NUM, "Width of a reference count entry in bits", "16"},
    {NULL, OPTION_STR, NULL, NULL},
};

/* ---- words ----------------------------------------------------------------------------------- */

struct word {
    const char *text;
    int value;
};

/* `shown` is the name that the message gives the parameter. */
static int word_parse(const struct word *words, const char *shown, const char *text, int *out,
                      struct err *e)
{
    for (; words->text; words++) {
        if (strcmp(words->text, text) == 0) {
            *out = words->value;
            return 0;
        }
    }
    return err_set(e, EINVAL, "Parameter '%s' does not accept value '%s'", shown, text);
}

static const struct word compat_words[] = {
    {"0.10", 2}, {"v2", 2}, {"1.1", 3}, {"v3", 3}, {NULL, 0}};
static const struct word crypt_words[] = {
    {"aes", QCOW2_CRYPT_AES}, {"luks", QCOW2_CRYPT_LUKS}, {NULL, 0}};
static const struct word codec_words[] = {{"zlib", 0}, {"zstd", 1}, {NULL, 0}};
static const struct word prealloc_words[] = {{"off", QCOW2_PREALLOC_OFF},
                                             {"metadata", QCOW2_PREALLOC_METADATA},
                                             {"falloc", QCOW2_PREALLOC_FALLOC},
                                             {"full", QCOW2_PREALLOC_FULL},
                                             {NULL, 0}};

/* c->crypt = 0 if nothing is to be encrypted. */
static int crypt_words_parse(const struct options *o, struct qcow2_create *c, struct err *e)
{
    static const char *const sub[] = {
        "encrypt.cipher-alg", "encrypt.cipher-mode",    "encrypt.hash-alg",  "encrypt.iter-time",
        "encrypt.ivgen-alg",  "encrypt.ivgen-hash-alg", "encrypt.key-secret"};
    const char *text = options_str(o, "encrypt.format", NULL);
    c->crypt = options_bool(o, "encryption", false) ? QCOW2_CRYPT_AES : QCOW2_CRYPT_NONE;
    c->key_secret = options_str(o, "encrypt.key-secret", NULL);
    if (text && word_parse(crypt_words, "format", text, &c->crypt, e))
        return -1;
    if (c->crypt == QCOW2_CRYPT_LUKS)
        return luks_params_parse(o, "encrypt.", &c->luks, e);
    size_t n = ARRAY_LEN(sub) - (c->crypt ? 1 : 0); /* aes has a secret, and nothing else */
    for (size_t i = 0; i < n; i++)
        if (options_given(o, sub[i]))
            return c->crypt ? err_set(e, EINVAL, "Parameter '%s' is unexpected", sub[i])
                            : err_set(e, EINVAL, "Parameter 'encrypt.format' is missing");
    return 0;
}

static int create_words(const struct options *o, const char *backing_format, struct qcow2_create *c,
                        struct err *e)
{
    int version = 0, prealloc = 0, zstd = 0;
    const char *mode = options_str(o, "preallocation", "off");
    const char *codec = options_str(o, "compression_type", "zlib");
    if (word_parse(compat_words, "version", options_str(o, "compat", "1.1"), &version, e))
        return -1;
    if (backing_format && !driver_name_known(backing_format))
        return err_set(e, EINVAL, "Parameter 'backing-fmt' does not accept value '%s'",
                       backing_format);
    if (crypt_words_parse(o, c, e) ||
        word_parse(prealloc_words, "preallocation", mode, &prealloc, e) ||
        word_parse(codec_words, "compression-type", codec, &zstd, e))
        return -1;
    c->version = (unsigned)version;
    c->prealloc = (enum qcow2_prealloc)prealloc;
    c->zstd = zstd;
    return 0;
}

/* ---- checks, in the order in which qemu makes them --------------------------------------------
 */

static int need_v3(const struct qcow2_create *c, const char *what, const char *and, struct err *e)
{
    if (c->version >= 3)
        return 0;
    return err_set(e, EINVAL, "%s compatibility level 1.1 %s above (use version=v3 or greater)",
                   what, and);
}

static int create_cluster(const struct options *o, struct qcow2_create *c, struct err *e)
{
    uint64_t cluster = options_size(o, "cluster_size", 65536);
    c->extended_l2 = options_bool(o, "extended_l2", false);
    if (c->extended_l2 && need_v3(c, "Extended L2 entries are only supported with", "and", e))
        return -1;
    if (!num_is_pow2(cluster) || num_log2(cluster) < QCOW2_MIN_CLUSTER_BITS ||
        num_log2(cluster) > QCOW2_MAX_CLUSTER_BITS)
        return err_set(e, EINVAL, "Cluster size must be a power of two between %d and %dk",
                       1 << QCOW2_MIN_CLUSTER_BITS, 1 << (QCOW2_MAX_CLUSTER_BITS - 10));
    if (c->extended_l2 && cluster < 16 * KIB)
        return err_set(e, EINVAL,
                       "Extended L2 entries are only supported with cluster sizes of at "
                       "least 16384 bytes");
    c->cluster_bits = num_log2(cluster);
    return 0;
}

static int create_backing(const char *name, const char *format, const struct qcow2_create *c,
                          struct err *e)
{
    if (name && c->prealloc != QCOW2_PREALLOC_OFF && !c->extended_l2)
        return err_set(e, EINVAL,
                       "Backing file and preallocation can only be used at the same "
                       "time if extended_l2 is on");
    if (format && !name)
        return err_set(e, EINVAL, "Backing format cannot be used without backing file");
    return 0;
}

static int create_lazy(const struct options *o, struct qcow2_create *c, struct err *e)
{
    c->lazy = options_bool(o, "lazy_refcounts", false);
    return c->lazy ? need_v3(c, "Lazy refcounts only supported with", "and", e) : 0;
}

static int create_refcounts(const struct options *o, struct qcow2_create *c, struct err *e)
{
    uint64_t bits = options_size(o, "refcount_bits", 16);
    if (!num_is_pow2(bits) || bits > 64)
        return err_set(e, EINVAL,
                       "Refcount width must be a power of two and may not exceed 64 bits");
    if (bits != 16 && need_v3(c, "Different refcount widths than 16 bits require", "or", e))
        return -1;
    c->refcount_order = num_log2(bits);
    return 0;
}

static int create_data_file(const struct options *o, const char *backing_name,
                            struct qcow2_create *c, struct err *e)
{
    c->data_file = options_str(o, "data_file", NULL);
    c->data_file_raw = options_bool(o, "data_file_raw", false);
    if (c->data_file_raw && !c->data_file)
        return err_set(e, EINVAL, "data-file-raw requires data-file");
    if (c->data_file_raw && backing_name)
        return err_set(e, EINVAL, "Backing file and data-file-raw cannot be used at the same time");
    /* so that the data file reads as the guest does, every block is mapped */
    if (c->data_file_raw && c->prealloc == QCOW2_PREALLOC_OFF)
        c->prealloc = QCOW2_PREALLOC_METADATA;
    if (!c->data_file)
        return 0;
    return need_v3(c, "External data files are only supported with", "and", e);
}

/* `format`: what the image is too large for, in the message. */
static int create_size(uint64_t size, const char *format, struct qcow2_create *c, struct err *e)
{
    if (size % 512)
        return err_set(e, EINVAL, "Image size must be a multiple of 512 bytes");
    unsigned l2_bits = 2 * c->cluster_bits - (c->extended_l2 ? 4 : 3);
    uint64_t l1_entries = num_div_up(size, UINT64_C(1) << l2_bits);
    if (size > INT64_MAX || l1_entries > QCOW2_MAX_L1_BYTES / 8)
        return err_set(e, EFBIG, "The image size is too large%s (try using a larger cluster size)",
                       format);
    c->size = size;
    return 0;
}

static int create_crypt(const struct qcow2_create *c, struct err *e)
{
    if (c->crypt && !c->key_secret)
        return err_set(e, EINVAL, "Parameter 'encrypt.key-secret' is required for cipher");
    return 0;
}

int qcow2_create_parse(const struct options *o, uint64_t size, const char *backing_name,
                       const char *backing_format, struct qcow2_create *out, struct err *e)
{
    struct qcow2_create c = {0};
    if (options_given(o, "encryption") && options_given(o, "encrypt.format"))
        return err_set(e, EINVAL,
                       "'encrypt.format' and its alias 'encryption' can't be used at "
                       "the same time");
    if (create_words(o, backing_format, &c, e) || create_cluster(o, &c, e) ||
        create_backing(backing_name, backing_format, &c, e) || create_lazy(o, &c, e) ||
        create_refcounts(o, &c, e) || create_data_file(o, backing_name, &c, e) ||
        (c.zstd && need_v3(&c, "Non-zlib compression type is only supported with", "and", e)) ||
        create_size(size, " for file format 'qcow2'", &c, e) || create_crypt(&c, e))
        return -1;
    *out = c;
    return 0;
}

/* ---- measure --------------------------------------------------------------------------------- */

static int measure_words(const struct options *o, struct qcow2_create *c, struct err *e)
{
    int version = 0, prealloc = 0;
    const char *compat = options_str(o, "compat", "1.1");
    const char *mode = options_str(o, "preallocation", "off");
    if (word_parse(compat_words, "", compat, &version, e))
        return err_set(e, EINVAL, "Invalid compatibility level: '%s'", compat);
    if (word_parse(prealloc_words, "", mode, &prealloc, e))
        return err_set(e, EINVAL, "invalid parameter value: %s", mode);
    c->version = (unsigned)version;
    c->prealloc = (enum qcow2_prealloc)prealloc;
    return 0;
}

/* Of encryption, only LUKS takes room. */
static int measure_crypt(const struct options *o, struct qcow2_create *c, struct err *e)
{
    if (strcmp(options_str(o, "encrypt.format", ""), "luks"))
        return 0;
    return crypt_words_parse(o, c, e) || create_crypt(c, e) || luks_params_check(&c->luks, e) ? -1
                                                                                              : 0;
}

int qcow2_measure_parse(const struct options *o, uint64_t size, struct qcow2_create *out,
                        struct err *e)
{
    struct qcow2_create c = {0};
    if (measure_words(o, &c, e) || create_cluster(o, &c, e) || create_refcounts(o, &c, e) ||
        measure_crypt(o, &c, e) || create_size(size, "", &c, e))
        return -1;
    *out = c;
    return 0;
}
