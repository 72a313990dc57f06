#include <errno.h>
#include <inttypes.h>

#include "base/num.h"
#include "formats/qcow2/state.h"

/* "L1 table entry", "Standard Cluster Descriptor": bits that must be zero */
#define L1_RESERVED UINT64_C(0x7f000000000001ff)
#define L2_RESERVED UINT64_C(0x3f000000000001fe)

static const struct table_format l2_format = {
    .entry_size = 8,
    .big_endian = true,
    .place_mask = QCOW2_PLACE_MASK,
    .place_scale = 1,
    .used = QCOW2_COPIED,
    .absent = 0,
    .has_zero = true,
    .zero_is_bit = true,
    .zero = QCOW2_ZERO,
    .packed = QCOW2_COMPRESSED,
};

/* All that is wrong with a table is told in one form. */
#define CORRUPT(e, fmt, ...) err_set(e, EIO, "qcow2: Image is corrupt: " fmt, __VA_ARGS__)

int qcow2_l1_decode(const struct qcow2 *q, uint64_t index, uint64_t raw, uint64_t *host,
                    struct err *e)
{
    *host = raw & QCOW2_PLACE_MASK;
    if (*host % q->cluster_size)
        return CORRUPT(e, "L2 table offset 0x%" PRIx64 " unaligned (L1 index: %" PRIu64 ")", *host,
                       index);
    if (raw & L1_RESERVED)
        return CORRUPT(e,
                       "L1 table entry 0x%" PRIx64 " has reserved bits set (L1 index: %" PRIu64 ")",
                       raw, index);
    return 0;
}

void qcow2_packed_place(uint32_t cluster_bits, uint64_t raw, uint64_t *host, uint32_t *len)
{
    unsigned x = qcow2_packed_bits(cluster_bits);
    uint64_t sectors = (raw & ~(QCOW2_COPIED | QCOW2_COMPRESSED)) >> x;
    *host = raw & ((UINT64_C(1) << x) - 1);
    *len = (uint32_t)((sectors + 1) * 512 - (*host & 511));
}

static int packed_decode(const struct qcow2 *q, uint64_t guest, uint64_t raw,
                         struct table_entry *out, struct err *e)
{
    if (q->has_data_file)
        return CORRUPT(e,
                       "Compressed cluster entry found in image with external data file "
                       "(guest offset: 0x%" PRIx64 ")",
                       guest);
    out->kind = EXTENT_PACKED;
    out->codec = q->codec;
    qcow2_packed_place(q->cluster_bits, raw, &out->host, &out->packed_len);
    if (out->host >> 56)
        return CORRUPT(
            e, "Compressed cluster offset 0x%" PRIx64 " out of range (guest offset: 0x%" PRIx64 ")",
            out->host, guest);
    return 0;
}

/* "Standard Cluster Descriptor": is the place one that can be followed? */
static int place_check(const struct qcow2 *q, uint64_t guest, uint64_t raw, uint64_t host,
                       bool used, struct err *e)
{
    uint64_t reserved = q->extended ? L2_RESERVED | QCOW2_ZERO : L2_RESERVED;
    if (host % q->cluster_size)
        return CORRUPT(
            e, "Cluster allocation offset 0x%" PRIx64 " unaligned (guest offset: 0x%" PRIx64 ")",
            host, guest);
    if (raw & reserved)
        return CORRUPT(e,
                       "L2 entry 0x%" PRIx64 " has reserved bits set (guest offset: 0x%" PRIx64 ")",
                       raw, guest);
    if (used && q->data_file_raw && host != guest)
        return CORRUPT(e,
                       "External data file host cluster offset 0x%" PRIx64
                       " does not match guest cluster offset: 0x%" PRIx64,
                       host, guest);
    return 0;
}

int qcow2_entry_decode(const struct qcow2 *q, uint64_t cluster, uint64_t raw,
                       struct table_entry *out, struct err *e)
{
    uint64_t guest = cluster << q->cluster_bits;
    if (raw & QCOW2_COMPRESSED)
        return packed_decode(q, guest, raw, out, e);
    bool zero = !q->extended && (raw & QCOW2_ZERO);
    if (zero && q->head.header.version < 3)
        return CORRUPT(e, "Zero cluster entry found in pre-v3 image (guest offset: 0x%" PRIx64 ")",
                       guest);
    out->host = raw & QCOW2_PLACE_MASK;
    /* in a data file, offset 0 is a place like any other: "copied" says whether it is used */
    out->has_host = out->host || (q->has_data_file && (raw & QCOW2_COPIED));
    out->kind = zero ? EXTENT_ZERO : out->has_host ? EXTENT_DATA : EXTENT_HOLE;
    return place_check(q, guest, raw, out->host, out->has_host, e);
}

static int table_decode(void *ctx, uint64_t block, uint64_t raw, struct table_entry *out,
                        struct err *e)
{
    return qcow2_entry_decode(ctx, block, raw, out, e);
}

static int table_decode_first(void *ctx, uint64_t index, uint64_t raw, uint64_t *host,
                              struct err *e)
{
    return qcow2_l1_decode(ctx, index, raw, host, e);
}

void qcow2_map_close(struct qcow2 *q)
{
    table_free(q->table);
    q->table = NULL;
    qcow2_extended_free(q->extended_map);
    q->extended_map = NULL;
}

int qcow2_map_open(struct qcow2 *q, uint64_t l1_offset, uint32_t l1_entries, uint64_t size,
                   struct err *e)
{
    qcow2_map_close(q);
    q->size = size;
    if (q->extended)
        return qcow2_extended_open(q, l1_offset, l1_entries, &q->extended_map, e);
    struct table_params p = {
        .format = &l2_format,
        .file = q->file,
        .data_file = q->data_file,
        .size = size,
        .block_size = q->cluster_size,
        .levels = 2,
        .table_entries = q->l2_entries,
        .first_offset = l1_offset,
        .first_entries = l1_entries,
        .table_mask = QCOW2_PLACE_MASK,
        .table_scale = 1,
        .budget = q->budget,
        .tail = q->cluster_size,
        .decode = table_decode,
        .decode_first = table_decode_first,
        .ctx = q,
    };
    return table_open(&p, &q->table, e);
}

int qcow2_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    if (!q->table && !q->extended_map && !q->change)
        return err_set(e, EINVAL, "The image was opened for its metadata alone");
    int rc = q->change  ? qcow2_change_map(q, guest, length, out, e)
             : q->table ? table_map(q->table, guest, length, out, e)
                        : qcow2_extended_map(q->extended_map, guest, length, out, e);
    if (!rc)
        qcow2_crypto_extent(q, guest, out);
    return rc;
}
