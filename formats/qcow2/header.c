#include "formats/qcow2/header.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/qcow2.h"

/* ---- the header ------------------------------------------------------------------------------ */

static void header_load_v2(const uint8_t *b, struct qcow2_header *h)
{
    h->version = be32_load(b + 4);
    h->backing_offset = be64_load(b + 8);
    h->backing_length = be32_load(b + 16);
    h->cluster_bits = be32_load(b + 20);
    h->size = be64_load(b + 24);
    h->crypt_method = be32_load(b + 32);
    h->l1_entries = be32_load(b + 36);
    h->l1_offset = be64_load(b + 40);
    h->reftable_offset = be64_load(b + 48);
    h->reftable_clusters = be32_load(b + 56);
    h->n_snapshots = be32_load(b + 60);
    h->snapshots_offset = be64_load(b + 64);
}

static void header_load_v3(const uint8_t *b, struct qcow2_header *h)
{
    h->incompatible = be64_load(b + 72);
    h->compatible = be64_load(b + 80);
    h->autoclear = be64_load(b + 88);
    h->refcount_order = be32_load(b + 96);
    h->header_length = be32_load(b + 100);
    if (h->header_length > QCOW2_HEADER_V3_MIN)
        h->compression_type = b[104];
}

int qcow2_header_load(const uint8_t *buf, size_t n, struct qcow2_header *out, struct err *e)
{
    uint8_t b[QCOW2_HEADER_V3] = {0};
    memcpy(b, buf, num_min(n, sizeof b));
    if (be32_load(b) != QCOW2_MAGIC)
        return err_set(e, EINVAL, "Image is not in qcow2 format");

    struct qcow2_header h = {.refcount_order = 4, .header_length = QCOW2_HEADER_V2};
    header_load_v2(b, &h);
    if (h.version != 2 && h.version != 3)
        return err_set(e, ENOTSUP, "Unsupported qcow2 version %" PRIu32, h.version);
    if (h.cluster_bits < QCOW2_MIN_CLUSTER_BITS || h.cluster_bits > QCOW2_MAX_CLUSTER_BITS)
        return err_set(e, EINVAL, "Unsupported cluster size: 2^%" PRIu32, h.cluster_bits);

    if (h.version == 3) {
        header_load_v3(b, &h);
        if (h.header_length < QCOW2_HEADER_V3_MIN)
            return err_set(e, EINVAL, "qcow2 header too short");
    }
    if (h.header_length > UINT32_C(1) << h.cluster_bits)
        return err_set(e, EINVAL, "qcow2 header exceeds cluster size");
    *out = h;
    return 0;
}

void qcow2_header_store(const struct qcow2_header *h, uint8_t *buf)
{
    be32_store(buf, QCOW2_MAGIC);
    be32_store(buf + 4, h->version);
    be64_store(buf + 8, h->backing_offset);
    be32_store(buf + 16, h->backing_length);
    be32_store(buf + 20, h->cluster_bits);
    be64_store(buf + 24, h->size);
    be32_store(buf + 32, h->crypt_method);
    be32_store(buf + 36, h->l1_entries);
    be64_store(buf + 40, h->l1_offset);
    be64_store(buf + 48, h->reftable_offset);
    be32_store(buf + 56, h->reftable_clusters);
    be32_store(buf + 60, h->n_snapshots);
    be64_store(buf + 64, h->snapshots_offset);
    if (h->version < 3)
        return;
    be64_store(buf + 72, h->incompatible);
    be64_store(buf + 80, h->compatible);
    be64_store(buf + 88, h->autoclear);
    be32_store(buf + 96, h->refcount_order);
    be32_store(buf + 100, h->header_length);
    if (h->header_length > QCOW2_HEADER_V3_MIN) {
        memset(buf + QCOW2_HEADER_V3_MIN, 0, QCOW2_HEADER_V3 - QCOW2_HEADER_V3_MIN);
        buf[104] = h->compression_type;
    }
}

/* ---- loading extensions ---------------------------------------------------------------------- */

static uint8_t *bytes_dup(const uint8_t *p, size_t n, struct err *e)
{
    uint8_t *q = mem_new(n, 1, e);
    if (q)
        memcpy(q, p, n);
    return q;
}

/* A string of n bytes, replacing an earlier one. */
static int string_load(char **out, const uint8_t *p, size_t n, struct err *e)
{
    char *s = mem_new(n + 1, 1, e);
    if (!s)
        return -1;
    memcpy(s, p, n);
    free(*out);
    *out = s;
    return 0;
}

static int bitmaps_load(struct qcow2_extensions *x, const uint8_t *p, size_t n, uint64_t autoclear,
                        struct err *e)
{
    if (n != 24)
        return err_set(e, EINVAL, "bitmaps_ext: Invalid extension length");
    /* "Bitmaps extension": not current unless the autoclear bit says so */
    x->stale_bitmaps = !(autoclear & QCOW2_AUTOCLEAR_BITMAPS);
    if (x->stale_bitmaps)
        return 0;
    if (be32_load(p + 4) != 0)
        return err_set(e, EINVAL, "bitmaps_ext: Reserved field is not zero");
    x->has_bitmaps = true;
    x->n_bitmaps = be32_load(p);
    x->bitmap_dir_size = be64_load(p + 8);
    x->bitmap_dir_offset = be64_load(p + 16);
    return 0;
}

static int crypto_load(struct qcow2_extensions *x, const uint8_t *p, size_t n, struct err *e)
{
    if (n != 16)
        return err_set(e, EINVAL, "CRYPTO header extension size %zu, but expected size 16", n);
    x->crypto_offset = be64_load(p);
    x->crypto_length = be64_load(p + 8);
    return 0;
}

static int unknown_load(struct qcow2_extensions *x, uint32_t type, const uint8_t *p, uint32_t n,
                        struct err *e)
{
    struct qcow2_extension *list =
        mem_grow(x->unknown, x->n_unknown + (size_t)1, sizeof *x->unknown, e);
    if (!list)
        return -1;
    x->unknown = list;
    uint8_t *data = bytes_dup(p, n, e);
    if (!data)
        return -1;
    list[x->n_unknown++] = (struct qcow2_extension){.type = type, .length = n, .data = data};
    return 0;
}

static int features_load(struct qcow2_extensions *x, const uint8_t *p, uint32_t n, struct err *e)
{
    uint8_t *data = bytes_dup(p, n, e);
    if (!data)
        return -1;
    free(x->features);
    x->features = data;
    x->features_length = n;
    return 0;
}

static int extension_load(struct qcow2_extensions *x, uint32_t type, const uint8_t *p, uint32_t n,
                          uint64_t autoclear, struct err *e)
{
    switch (type) {
    case QCOW2_EXT_BACKING_FORMAT:
        if (n >= 16) /* qemu's limit */
            return err_set(e, EFBIG, "ERROR: ext_backing_format: len=%" PRIu32 " too large (>=16)",
                           n);
        return string_load(&x->backing_format, p, n, e);
    case QCOW2_EXT_DATA_FILE:
        return string_load(&x->data_file, p, n, e);
    case QCOW2_EXT_CRYPTO:
        return crypto_load(x, p, n, e);
    case QCOW2_EXT_FEATURES:
        return features_load(x, p, n, e);
    case QCOW2_EXT_BITMAPS:
        return bitmaps_load(x, p, n, autoclear, e);
    default:
        return unknown_load(x, type, p, n, e);
    }
}

int qcow2_extensions_load(const uint8_t *buf, size_t n, uint64_t autoclear,
                          struct qcow2_extensions *out, struct err *e)
{
    size_t at = 0;
    while (n - at >= 8) {
        uint32_t type = be32_load(buf + at);
        uint32_t length = be32_load(buf + at + 4);
        at += 8;
        if (type == 0)
            return 0;
        if (length > n - at)
            return err_set(e, EINVAL, "Header extension too large");
        if (extension_load(out, type, buf + at, length, autoclear, e))
            return -1;
        at += num_min(num_up(length, 8), n - at);
    }
    return 0;
}

/* ---- storing extensions ---------------------------------------------------------------------- */

struct store {
    uint8_t *buf;
    size_t cap, at;
};

static int store_room(const struct store *s, size_t n, struct err *e)
{
    if (n > s->cap - s->at)
        return err_set(e, ENOSPC, "No space left on device");
    return 0;
}

static int store_one(struct store *s, uint32_t type, const void *data, uint32_t n, struct err *e)
{
    size_t padded = num_up(n, 8);
    if (store_room(s, 8 + padded, e))
        return -1;
    be32_store(s->buf + s->at, type);
    be32_store(s->buf + s->at + 4, n);
    memset(s->buf + s->at + 8, 0, padded);
    if (n)
        memcpy(s->buf + s->at + 8, data, n);
    s->at += 8 + padded;
    return 0;
}

static int store_string(struct store *s, uint32_t type, const char *text, struct err *e)
{
    return text ? store_one(s, type, text, (uint32_t)strlen(text), e) : 0;
}

static int store_crypto(struct store *s, const struct qcow2_extensions *x, struct err *e)
{
    if (!x->crypto_offset)
        return 0;
    uint8_t b[16];
    be64_store(b, x->crypto_offset);
    be64_store(b + 8, x->crypto_length);
    return store_one(s, QCOW2_EXT_CRYPTO, b, sizeof b, e);
}

static int store_bitmaps(struct store *s, const struct qcow2_extensions *x, struct err *e)
{
    if (!x->has_bitmaps)
        return 0;
    uint8_t b[24] = {0};
    be32_store(b, x->n_bitmaps);
    be64_store(b + 8, x->bitmap_dir_size);
    be64_store(b + 16, x->bitmap_dir_offset);
    return store_one(s, QCOW2_EXT_BITMAPS, b, sizeof b, e);
}

int qcow2_extensions_store(const struct qcow2_extensions *x, uint8_t *buf, size_t cap, size_t *used,
                           struct err *e)
{
    struct store s = {.buf = buf, .cap = cap};
    if (store_string(&s, QCOW2_EXT_BACKING_FORMAT, x->backing_format, e) ||
        store_string(&s, QCOW2_EXT_DATA_FILE, x->data_file, e) || store_crypto(&s, x, e))
        return -1;
    if (x->features && store_one(&s, QCOW2_EXT_FEATURES, x->features, x->features_length, e))
        return -1;
    if (store_bitmaps(&s, x, e))
        return -1;
    for (uint32_t i = 0; i < x->n_unknown; i++)
        if (store_one(&s, x->unknown[i].type, x->unknown[i].data, x->unknown[i].length, e))
            return -1;
    if (store_one(&s, 0, NULL, 0, e))
        return -1;
    *used = s.at;
    return 0;
}

/* ---- feature names --------------------------------------------------------------------------- */

#define FEATURE_ROW  48u
#define FEATURE_NAME 46u

static const struct {
    uint8_t type, bit;
    const char *name;
} feature_rows[] = {
    {0, 0, "dirty bit"},        {0, 1, "corrupt bit"},         {0, 2, "external data file"},
    {0, 3, "compression type"}, {0, 4, "extended L2 entries"}, {1, 0, "lazy refcounts"},
    {2, 0, "bitmaps"},          {2, 1, "raw external data"},
};

_Static_assert(ARRAY_LEN(feature_rows) * FEATURE_ROW == QCOW2_FEATURES_LENGTH, "rows of the table");

uint8_t *qcow2_features_new(struct err *e)
{
    uint8_t *t = mem_new(ARRAY_LEN(feature_rows), FEATURE_ROW, e);
    for (size_t i = 0; t && i < ARRAY_LEN(feature_rows); i++) {
        uint8_t *row = t + i * FEATURE_ROW;
        row[0] = feature_rows[i].type;
        row[1] = feature_rows[i].bit;
        memcpy(row + 2, feature_rows[i].name, strlen(feature_rows[i].name));
    }
    return t;
}

static const uint8_t *feature_row(const struct qcow2_extensions *x, unsigned bit)
{
    for (uint32_t at = 0; at + FEATURE_ROW <= x->features_length; at += FEATURE_ROW) {
        const uint8_t *row = x->features + at;
        if (row[0] == 0 && row[1] == bit && row[2])
            return row;
    }
    return NULL;
}

char *qcow2_features_text(const struct qcow2_extensions *x, uint64_t mask, struct err *e)
{
    AUTO_FREE char *text = mem_strdup("", e);
    uint64_t unnamed = mask;
    for (unsigned bit = 0; text && bit < 64; bit++) {
        const uint8_t *row = mask >> bit & 1 ? feature_row(x, bit) : NULL;
        if (!row)
            continue;
        unnamed &= ~(UINT64_C(1) << bit);
        char *more = mem_printf(e, "%s%s%.*s", text, *text ? ", " : "", (int)FEATURE_NAME,
                                (const char *)row + 2);
        free(text);
        text = more;
    }
    if (!text || !unnamed)
        return MEM_TAKE(text);
    return mem_printf(e, "%s%sUnknown incompatible feature: %" PRIx64, text, *text ? ", " : "",
                      unnamed);
}

/* ---- the cluster ----------------------------------------------------------------------------- */

void qcow2_extensions_release(struct qcow2_extensions *x)
{
    free(x->backing_format);
    free(x->data_file);
    free(x->features);
    for (uint32_t i = 0; i < x->n_unknown; i++)
        free(x->unknown[i].data);
    free(x->unknown);
    *x = (struct qcow2_extensions){0};
}

void qcow2_head_release(struct qcow2_head *h)
{
    qcow2_extensions_release(&h->ext);
    free(h->backing_name);
    free(h->extra);
    *h = (struct qcow2_head){0};
}

/* `at`..`at+len` of a buffer that is zero behind n, as a new allocation. */
static uint8_t *padded_dup(const uint8_t *buf, size_t n, size_t at, size_t len, struct err *e)
{
    uint8_t *p = mem_new(len, 1, e);
    if (p && at < n)
        memcpy(p, buf + at, num_min(len, n - at));
    return p;
}

static int head_load_extra(const uint8_t *buf, size_t n, struct qcow2_head *h, struct err *e)
{
    if (h->header.header_length <= QCOW2_HEADER_V3)
        return 0;
    h->extra_length = h->header.header_length - QCOW2_HEADER_V3;
    h->extra = padded_dup(buf, n, QCOW2_HEADER_V3, h->extra_length, e);
    return h->extra ? 0 : -1;
}

static int head_load_backing(const uint8_t *buf, size_t n, struct qcow2_head *h, struct err *e)
{
    const struct qcow2_header *hd = &h->header;
    uint64_t cluster = UINT64_C(1) << hd->cluster_bits;
    if (!hd->backing_offset)
        return 0;
    if (hd->backing_length > QCOW2_MAX_BACKING_NAME ||
        hd->backing_length > cluster - hd->backing_offset)
        return err_set(e, EINVAL, "Backing file name too long");
    h->backing_name =
        (char *)padded_dup(buf, n, hd->backing_offset, hd->backing_length + (size_t)1, e);
    if (!h->backing_name)
        return -1;
    h->backing_name[hd->backing_length] = '\0';
    return 0;
}

int qcow2_head_load(const uint8_t *buf, size_t n, struct qcow2_head *out, struct err *e)
{
    *out = (struct qcow2_head){0};
    if (qcow2_header_load(buf, n, &out->header, e))
        return -1;
    const struct qcow2_header *hd = &out->header;
    uint64_t cluster = UINT64_C(1) << hd->cluster_bits;
    if (hd->backing_offset > cluster)
        return err_set(e, EINVAL, "Invalid backing file offset");
    uint64_t end = num_min(hd->backing_offset ? hd->backing_offset : cluster, n);
    uint64_t begin = hd->header_length;
    if (begin < end && qcow2_extensions_load(buf + begin, end - begin, hd->autoclear, &out->ext, e))
        return -1;
    return head_load_backing(buf, n, out, e) || head_load_extra(buf, n, out, e) ? -1 : 0;
}

int qcow2_head_store(struct qcow2_head *h, uint8_t *buf, size_t cluster_size, struct err *e)
{
    struct qcow2_header *hd = &h->header;
    if (hd->version >= 3)
        hd->header_length = QCOW2_HEADER_V3 + h->extra_length;
    else
        hd->header_length = QCOW2_HEADER_V2;
    if (hd->header_length > cluster_size)
        return err_set(e, ENOSPC, "No space left on device");
    memset(buf, 0, cluster_size);
    if (hd->version >= 3 && h->extra_length)
        memcpy(buf + QCOW2_HEADER_V3, h->extra, h->extra_length);

    size_t used = 0, length = h->backing_name ? strlen(h->backing_name) : 0;
    if (qcow2_extensions_store(&h->ext, buf + hd->header_length, cluster_size - hd->header_length,
                               &used, e))
        return -1;
    size_t name_at = hd->header_length + used;
    if (length > cluster_size - name_at)
        return err_set(e, ENOSPC, "No space left on device");
    hd->backing_offset = h->backing_name ? name_at : 0;
    hd->backing_length = (uint32_t)length;
    if (length)
        memcpy(buf + name_at, h->backing_name, length);
    qcow2_header_store(hd, buf);
    return 0;
}
