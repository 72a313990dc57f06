/* "Hosted Sparse Extent Header", both ways. */
#include <string.h>

#include "base/bytes.h"
#include "formats/vmdk/vmdk.h"

/* Where the fields stand. Nothing of it is aligned. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 4,
    AT_FLAGS = 8,
    AT_CAPACITY = 12,
    AT_GRAIN = 20,
    AT_DESC_OFFSET = 28,
    AT_DESC_SIZE = 36,
    AT_GTES = 44,
    AT_RGD = 48,
    AT_GD = 56,
    AT_OVERHEAD = 64,
    AT_UNCLEAN = 72,
    AT_NEWLINES = 73,
    AT_COMPRESSION = 77,
    FIELDS_END = 79 /* zeros follow */
};

static const uint8_t newlines[4] = {'\n', ' ', '\r', '\n'};

int vmdk_sparse_load(const uint8_t *buf, size_t n, struct vmdk_sparse *out)
{
    if (n < FIELDS_END || le32_load(buf + AT_MAGIC) != VMDK_SPARSE_MAGIC)
        return -1;
    *out = (struct vmdk_sparse){
        .version = le32_load(buf + AT_VERSION),
        .flags = le32_load(buf + AT_FLAGS),
        .capacity = le64_load(buf + AT_CAPACITY),
        .grain = le64_load(buf + AT_GRAIN),
        .desc_offset = le64_load(buf + AT_DESC_OFFSET),
        .desc_size = le64_load(buf + AT_DESC_SIZE),
        .gtes = le32_load(buf + AT_GTES),
        .rgd_offset = le64_load(buf + AT_RGD),
        .gd_offset = le64_load(buf + AT_GD),
        .overhead = le64_load(buf + AT_OVERHEAD),
        .unclean = buf[AT_UNCLEAN] != 0,
        .newlines_ok = !memcmp(buf + AT_NEWLINES, newlines, sizeof newlines),
        .compression = le16_load(buf + AT_COMPRESSION),
    };
    return 0;
}

void vmdk_sparse_store(const struct vmdk_sparse *h, uint8_t *buf)
{
    memset(buf, 0, VMDK_SPARSE_HEADER);
    le32_store(buf + AT_MAGIC, VMDK_SPARSE_MAGIC);
    le32_store(buf + AT_VERSION, h->version);
    le32_store(buf + AT_FLAGS, h->flags);
    le64_store(buf + AT_CAPACITY, h->capacity);
    le64_store(buf + AT_GRAIN, h->grain);
    le64_store(buf + AT_DESC_OFFSET, h->desc_offset);
    le64_store(buf + AT_DESC_SIZE, h->desc_size);
    le32_store(buf + AT_GTES, h->gtes);
    le64_store(buf + AT_RGD, h->rgd_offset);
    le64_store(buf + AT_GD, h->gd_offset);
    le64_store(buf + AT_OVERHEAD, h->overhead);
    buf[AT_UNCLEAN] = h->unclean;
    memcpy(buf + AT_NEWLINES, newlines, sizeof newlines);
    le16_store(buf + AT_COMPRESSION, h->compression);
}
