#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "formats/qcow2/amend.h"
#include "formats/qcow2/whole.h"

const struct option_def qcow2_amend_options[] = {
    LUKS_AMEND_OPTIONS("encrypt."),
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"compat", OPTION_STR, "Compatibility level (v2 [0.10] or v3 [1.1])", NULL},
    {"backing_file", OPTION_STR, "File name of a base image", NULL},
    {"backing_fmt", OPTION_STR, "Image format of the base image", NULL},
    {"data_file", OPTION_STR, "File name of an external data file", NULL},
    {"data_file_raw", OPTION_BOOL, "The external data file must stay valid as a raw image", NULL},
    {"lazy_refcounts", OPTION_BOOL, "Postpone refcount updates", NULL},
    {"refcount_bits", OPTION_NUM, "Width of a reference count entry in bits", NULL},
    {NULL, OPTION_STR, NULL, NULL},
};

/* ---- what is asked for ----------------------------------------------------------------------- */

static int parse_keys(const struct qcow2 *q, const struct options *o, struct err *e)
{
    uint32_t method = q->head.header.crypt_method;
    if (!luks_amend_given(o, "encrypt.") || method == QCOW2_CRYPT_LUKS)
        return 0;
    return method == QCOW2_CRYPT_NONE
               ? err_set(e, EINVAL, "Can't amend encryption options - encryption not present")
               : err_set(e, ENOTSUP, "Only LUKS encryption options can be amended");
}

static int parse_version(const struct options *o, uint32_t *version, struct err *e)
{
    const char *text = options_str(o, "compat", NULL);
    if (!text)
        return 0;
    if (!strcmp(text, "0.10") || !strcmp(text, "v2"))
        *version = 2;
    else if (!strcmp(text, "1.1") || !strcmp(text, "v3"))
        *version = 3;
    else
        return err_set(e, EINVAL, "Unknown compatibility level %s", text);
    return 0;
}

static int parse_data_file(const struct qcow2 *q, const struct options *o, struct qcow2_plan *p,
                           struct err *e)
{
    p->data_file = options_str(o, "data_file", NULL);
    p->data_raw = options_bool(o, "data_file_raw", q->data_file_raw);
    if (p->data_file && !q->has_data_file)
        return err_set(e, EINVAL,
                       "data-file can only be set for images that use an external data file");
    if (p->data_raw && !q->data_file_raw)
        return err_set(e, EINVAL, "data-file-raw cannot be set on existing images");
    return 0;
}

static int parse_refcounts(const struct options *o, struct qcow2_plan *p, struct err *e)
{
    uint64_t bits = options_size(o, "refcount_bits", UINT64_C(1) << p->refcount_order);
    if (!num_is_pow2(bits) || bits > 64)
        return err_set(e, EINVAL,
                       "Refcount width must be a power of two and may not exceed 64 bits");
    p->refcount_order = num_log2(bits);
    return 0;
}

static int parse(const struct qcow2 *q, const struct options *o, struct qcow2_plan *p,
                 struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    uint64_t size = options_size(o, "size", 0);
    p->version = h->version;
    p->refcount_order = h->refcount_order;
    p->size = size ? size : h->size; /* 0 is as good as none */
    p->lazy = options_bool(o, "lazy_refcounts", h->compatible & QCOW2_COMPAT_LAZY);
    return parse_keys(q, o, e) || parse_version(o, &p->version, e) || parse_data_file(q, o, p, e) ||
                   parse_refcounts(o, p, e)
               ? -1
               : 0;
}

/* ---- may it be? ------------------------------------------------------------------------------ */

static int check_keys(struct image *img, const struct amend_request *r, struct qcow2_plan *p,
                      struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    const struct luks_area area = qcow2_crypto_area(q);
    if (!luks_amend_given(r->options, "encrypt."))
        return 0;
    return luks_amend_plan(&area, &q->luks, &q->key, r->options, "encrypt.", img->flags.secrets,
                           r->force, &p->keys, e);
}

/* What is not asked for, and does not fit the version, is told by check_downgrade. */
static int check_features(const struct qcow2 *q, const struct options *o,
                          const struct qcow2_plan *p, struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    if (p->refcount_order != h->refcount_order && p->refcount_order != 4 && p->version < 3)
        return err_set(e, EINVAL,
                       "Refcount widths other than 16 bits require compatibility level 1.1 or "
                       "above (use compat=1.1 or greater)");
    if (options_given(o, "backing_file") || options_given(o, "backing_fmt")) {
        err_set(e, EINVAL, "Cannot amend the backing file");
        return err_hint(e, "You can use 'qemu-img rebase' instead.");
    }
    if (p->lazy && !(h->compatible & QCOW2_COMPAT_LAZY) && p->version < 3)
        return err_set(e, EINVAL,
                       "Lazy refcounts only supported with compatibility level 1.1 and above "
                       "(use compat=1.1 or greater)");
    return 0;
}

/* The version comes down last, so the size changes under the higher of the two. */
static int check_size(const struct qcow2 *q, const struct options *o, const struct qcow2_plan *p,
                      struct err *e)
{
    uint32_t version = num_max(p->version, q->head.header.version);
    if (!options_size(o, "size", 0))
        return 0;
    if (p->size > INT64_MAX)
        return err_set(e, EINVAL, "Image size cannot be negative");
    return qcow2_resize_check(q, version, p->size, e);
}

/* A snapshot of version 2 has the size of the image, and a small state of the machine. */
static bool snapshots_fit(const struct qcow2 *q, uint64_t size)
{
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        if (q->snapshots[i].disk_size != size || q->snapshots[i].vm_state_size > UINT32_MAX)
            return false;
    return true;
}

/* What only a walk over the tables shows is seen to in amend.c. */
static int check_downgrade(const struct qcow2 *q, const struct qcow2_plan *p, struct err *e)
{
    uint64_t features = q->head.header.incompatible & ~QCOW2_INCOMPAT_COMPRESSION;
    if (p->version >= 3 || q->head.header.version < 3)
        return 0;
    if (p->refcount_order != 4)
        return err_set(e, ENOTSUP, "compat=0.10 requires refcount_bits=16");
    if (q->has_data_file)
        return err_set(e, ENOTSUP, "Cannot downgrade an image with a data file");
    if (!snapshots_fit(q, p->size))
        return err_set(e, ENOTSUP, "Internal snapshots prevent downgrade of image");
    if (features)
        return err_set(e, ENOTSUP,
                       "Cannot downgrade an image with incompatible features 0x%" PRIx64 " set",
                       features);
    return 0;
}

int qcow2_plan_make(struct image *img, const struct amend_request *r, struct qcow2_plan *out,
                    struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    *out = (struct qcow2_plan){0};
    return parse(q, r->options, out, e) || check_keys(img, r, out, e) ||
                   check_features(q, r->options, out, e) || check_size(q, r->options, out, e) ||
                   check_downgrade(q, out, e)
               ? -1
               : 0;
}

void qcow2_plan_release(struct qcow2_plan *p)
{
    luks_amend_free(p->keys);
    p->keys = NULL;
}
