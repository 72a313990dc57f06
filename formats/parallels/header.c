#include "formats/parallels/parallels.h"

#include <errno.h>

#include "base/num.h"

/* where each field stands */
enum header_at {
    AT_MAGIC = 0,
    AT_VERSION = 16,
    AT_HEADS = 20,
    AT_CYLINDERS = 24,
    AT_CLUSTER = 28,
    AT_ENTRIES = 32,
    AT_SECTORS = 36,
    AT_IN_USE = PARALLELS_AT_IN_USE,
    AT_DATA_OFFSET = PARALLELS_AT_DATA_OFFSET,
    AT_EXT_OFFSET = PARALLELS_AT_EXT_OFFSET,
};

#define MAGIC_SIZE 16u
static const char magic_old[MAGIC_SIZE + 1] = "WithoutFreeSpace";
static const char magic_ext[MAGIC_SIZE + 1] = "WithouFreSpacExt";

int parallels_header_load(const uint8_t *buf, struct parallels_header *h, struct err *e)
{
    bool ext = !memcmp(buf, magic_ext, MAGIC_SIZE);
    *h = (struct parallels_header){
        .old = !memcmp(buf, magic_old, MAGIC_SIZE),
        .cluster = le32_load(buf + AT_CLUSTER),
        .entries = le32_load(buf + AT_ENTRIES),
        .sectors = le64_load(buf + AT_SECTORS),
        .in_use = le32_load(buf + AT_IN_USE),
        .data_offset = le32_load(buf + AT_DATA_OFFSET),
        .ext_offset = le64_load(buf + AT_EXT_OFFSET),
    };
    if ((!ext && !h->old) || le32_load(buf + AT_VERSION) != PARALLELS_VERSION)
        return err_set(e, EINVAL, "Image not in Parallels format");
    if (h->old)
        h->sectors &= UINT32_MAX;
    if (!h->cluster)
        return err_set(e, EINVAL, "Invalid image: Zero sectors per track");
    if (h->cluster > PARALLELS_CLUSTER_MAX)
        return err_set(e, EINVAL, "Invalid image: Too big cluster");
    if (h->entries > PARALLELS_ENTRIES_MAX)
        return err_set(e, EFBIG, "Catalog too large");
    if (h->sectors > INT64_MAX / PARALLELS_SECTOR)
        return err_set(e, EFBIG, "Could not refresh total sector count: File too large");
    return 0;
}

void parallels_header_store(const struct parallels_header *h, uint8_t *buf)
{
    uint64_t cylinders = h->sectors / (PARALLELS_HEADS * PARALLELS_TRACK);
    memset(buf, 0, PARALLELS_HEADER_SIZE);
    memcpy(buf + AT_MAGIC, h->old ? magic_old : magic_ext, MAGIC_SIZE);
    le32_store(buf + AT_VERSION, PARALLELS_VERSION);
    le32_store(buf + AT_HEADS, PARALLELS_HEADS);
    le32_store(buf + AT_CYLINDERS, (uint32_t)cylinders);
    le32_store(buf + AT_CLUSTER, h->cluster);
    le32_store(buf + AT_ENTRIES, h->entries);
    le64_store(buf + AT_SECTORS, h->sectors);
    le32_store(buf + AT_IN_USE, h->in_use);
    le32_store(buf + AT_DATA_OFFSET, h->data_offset);
    le64_store(buf + AT_EXT_OFFSET, h->ext_offset);
}

struct table_format parallels_table_format(const struct parallels_header *h)
{
    return (struct table_format){
        .entry_size = 4,
        .place_mask = UINT32_MAX,
        .place_scale = h->old ? PARALLELS_SECTOR : parallels_cluster_bytes(h),
        .absent = 0,
    };
}

uint64_t parallels_data_begin(const struct parallels_header *h)
{
    uint64_t cluster = parallels_cluster_bytes(h);
    return num_div_up(PARALLELS_HEADER_SIZE + (uint64_t)h->entries * 4, cluster) * cluster;
}
