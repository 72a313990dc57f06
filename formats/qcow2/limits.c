#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/state.h"

#define KNOWN_INCOMPAT                                                                             \
    (QCOW2_INCOMPAT_DIRTY | QCOW2_INCOMPAT_CORRUPT | QCOW2_INCOMPAT_DATA_FILE |                    \
     QCOW2_INCOMPAT_COMPRESSION | QCOW2_INCOMPAT_EXTENDED_L2)

#define SUBCLUSTERS         32u
#define MIN_SUBCLUSTER_SIZE 512u

int qcow2_features_check(const struct qcow2_head *head, struct err *e)
{
    uint64_t unknown = head->header.incompatible & ~KNOWN_INCOMPAT;
    if (!unknown)
        return 0;
    AUTO_FREE char *text = qcow2_features_text(&head->ext, unknown, e);
    return text ? err_set(e, ENOTSUP, "Unsupported qcow2 feature(s): %s", text) : -1;
}

/* A table of `entries` of 8 bytes: size limited, cluster aligned, end representable. */
static int table_check(const struct qcow2_header *h, uint64_t offset, uint64_t bytes, uint64_t max,
                       const char *what, struct err *e)
{
    uint64_t end;
    if (bytes > max)
        return err_set(e, EFBIG, "%s too large", what);
    if (offset % (UINT64_C(1) << h->cluster_bits) || !num_add(offset, bytes, &end) ||
        end > INT64_MAX)
        return err_set(e, EINVAL, "%s offset invalid", what);
    return 0;
}

int qcow2_l1_check(const struct qcow2_header *h, uint64_t offset, uint64_t entries,
                   const char *what, struct err *e)
{
    return table_check(h, offset, entries * 8, QCOW2_MAX_L1_BYTES, what, e);
}

static int compression_check(const struct qcow2_header *h, struct err *e)
{
    bool bit = h->incompatible & QCOW2_INCOMPAT_COMPRESSION;
    if (h->compression_type > QCOW2_CODEC_ZSTD)
        return err_set(e, ENOTSUP, "qcow2: unknown compression type: %u", h->compression_type);
    if (h->compression_type == QCOW2_CODEC_DEFLATE && bit)
        return err_set(e, EINVAL,
                       "qcow2: Compression type incompatible feature bit must not be set");
    if (h->compression_type != QCOW2_CODEC_DEFLATE && !bit)
        return err_set(e, EINVAL, "qcow2: Compression type incompatible feature bit must be set");
    return 0;
}

static int crypto_check(const struct qcow2_head *head, struct err *e)
{
    const struct qcow2_header *h = &head->header;
    uint64_t cluster = UINT64_C(1) << h->cluster_bits;
    if (h->crypt_method > QCOW2_CRYPT_LUKS)
        return err_set(e, EINVAL, "Unsupported encryption method %" PRIu32, h->crypt_method);
    if (h->crypt_method == QCOW2_CRYPT_LUKS && !head->ext.crypto_offset)
        return err_set(e, EINVAL, "Missing CRYPTO header for crypt method %" PRIu32,
                       h->crypt_method);
    if (head->ext.crypto_offset && h->crypt_method != QCOW2_CRYPT_LUKS)
        return err_set(e, EINVAL,
                       "CRYPTO header extension only expected with LUKS encryption method");
    if (head->ext.crypto_offset % cluster)
        return err_set(e, EINVAL,
                       "Encryption header offset '%" PRIu64
                       "' is not a multiple of cluster size '%" PRIu64 "'",
                       head->ext.crypto_offset, cluster);
    return 0;
}

static int bitmaps_check(const struct qcow2_head *head, struct err *e)
{
    const struct qcow2_extensions *x = &head->ext;
    uint64_t cluster = UINT64_C(1) << head->header.cluster_bits;
    uint64_t max = (uint64_t)QCOW2_MAX_BITMAPS * 1024;
    if (!x->has_bitmaps)
        return 0;
    if (!x->n_bitmaps)
        return err_set(e, EINVAL, "found bitmaps extension with zero bitmaps");
    if (x->n_bitmaps > QCOW2_MAX_BITMAPS)
        return err_set(e, EINVAL,
                       "bitmaps_ext: Image has %" PRIu32
                       " bitmaps, exceeding the QEMU supported maximum of %u",
                       x->n_bitmaps, QCOW2_MAX_BITMAPS);
    if (x->bitmap_dir_offset % cluster)
        return err_set(e, EINVAL, "bitmaps_ext: invalid bitmap directory offset");
    if (x->bitmap_dir_size > max)
        return err_set(e, EINVAL,
                       "bitmaps_ext: bitmap directory size (%" PRIu64
                       ") exceeds the maximum supported size (%" PRIu64 ")",
                       x->bitmap_dir_size, max);
    if (!x->bitmap_dir_size)
        return err_set(e, EINVAL, "Requested bitmap directory size is zero");
    return 0;
}

static int features_check(const struct qcow2_head *head, const struct image_flags *flags,
                          struct err *e)
{
    const struct qcow2_header *h = &head->header;
    uint32_t sub = (UINT32_C(1) << h->cluster_bits) / SUBCLUSTERS;
    if (qcow2_features_check(head, e))
        return -1;
    if ((h->incompatible & QCOW2_INCOMPAT_CORRUPT) && flags->write && !flags->check)
        return err_set(e, EACCES, "qcow2: Image is corrupt; cannot be opened read/write");
    if ((h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2) && sub < MIN_SUBCLUSTER_SIZE)
        return err_set(e, EINVAL, "Unsupported subcluster size: %" PRIu32, sub);
    if (h->refcount_order > 6)
        return err_set(e, EINVAL, "Reference count entry width too large; may not exceed 64 bits");
    return 0;
}

static int active_l1_check(const struct qcow2_header *h, struct err *e)
{
    bool extended = h->incompatible & QCOW2_INCOMPAT_EXTENDED_L2;
    uint64_t l2_entries = (UINT64_C(1) << h->cluster_bits) / (extended ? 16 : 8);
    uint64_t need = num_div_up(h->size, l2_entries << h->cluster_bits);
    if (qcow2_l1_check(h, h->l1_offset, h->l1_entries, "Active L1 table", e))
        return -1;
    if (need > INT32_MAX || h->size > INT64_MAX)
        return err_set(e, EFBIG, "Image is too big");
    if (h->l1_entries < need)
        return err_set(e, EINVAL, "L1 table is too small");
    return 0;
}

int qcow2_limits_check(const struct qcow2_head *head, const struct image_flags *flags,
                       struct err *e)
{
    const struct qcow2_header *h = &head->header;
    uint64_t reftable_bytes = (uint64_t)h->reftable_clusters << h->cluster_bits;
    if (features_check(head, flags, e) || compression_check(h, e) || crypto_check(head, e))
        return -1;
    if (!h->reftable_clusters && !flags->check)
        return err_set(e, EINVAL, "Image does not contain a reference count table");
    if (table_check(h, h->reftable_offset, reftable_bytes, QCOW2_MAX_REFTABLE_BYTES,
                    "Reference count table", e))
        return -1;
    /* a check tells itself what is wrong with the snapshots */
    if (!flags->check && table_check(h, h->snapshots_offset, h->n_snapshots, QCOW2_MAX_SNAPSHOTS,
                                     "Snapshot table", e))
        return -1;
    if (active_l1_check(h, e))
        return -1;
    return bitmaps_check(head, e);
}
