#include "formats/vdi/vdi.h"

#include <errno.h>
#include <inttypes.h>

#include "base/num.h"
#include "base/zero.h"

/* Section "Header": where each field stands. */
enum vdi_at {
    AT_TEXT = 0x00,
    AT_SIGNATURE = VDI_SIGNATURE_AT,
    AT_VERSION = 0x44,
    AT_HEADER_SIZE = 0x48,
    AT_TYPE = 0x4c,
    AT_MAP = 0x154,
    AT_DATA = 0x158,
    AT_SECTOR_SIZE = 0x168,
    AT_SIZE = 0x170,
    AT_BLOCK_SIZE = 0x178,
    AT_BLOCKS = 0x180,
    AT_ALLOCATED = 0x184,
    AT_UUID_IMAGE = 0x188,
    AT_UUID_SNAPSHOT = 0x198,
    AT_UUID_LINK = 0x1a8,
    AT_UUID_PARENT = 0x1b8,
};

#define TEXT        "<<< mpi-img VM Virtual Disk Image >>>\n"
#define VERSION     UINT32_C(0x00010001)
#define HEADER_SIZE UINT32_C(0x180) /* of the fields, from AT_HEADER_SIZE on */
#define SECTOR      512u

const struct table_format vdi_table_format = {
    .entry_size = 4,
    .place_mask = UINT32_MAX,
    .place_scale = VDI_BLOCK,
    .absent = VDI_ABSENT,
    .has_zero = true,
    .zero = VDI_ZERO,
};

int vdi_size_check(uint64_t size, struct err *e)
{
    if (size <= VDI_SIZE_MAX)
        return 0;
    return err_set(e, ENOTSUP,
                   "Unsupported VDI image size (size is 0x%" PRIx64 ", max supported is 0x%" PRIx64
                   ")",
                   size, VDI_SIZE_MAX);
}

static int unsupported(struct err *e)
{
    e->no = ENOTSUP;
    return err_prefix(e, "unsupported VDI image ");
}

static int geometry_check(const struct vdi_header *h, const uint8_t *buf, struct err *e)
{
    uint32_t sector = le32_load(buf + AT_SECTOR_SIZE), block = le32_load(buf + AT_BLOCK_SIZE);
    if (h->map_offset % SECTOR)
        return err_set(e, 0, "(unaligned block map offset 0x%" PRIx32 ")", h->map_offset);
    if (h->data_offset % SECTOR)
        return err_set(e, 0, "(unaligned data offset 0x%" PRIx32 ")", h->data_offset);
    if (sector != SECTOR)
        return err_set(e, 0, "(sector size %" PRIu32 " is not %u)", sector, SECTOR);
    if (block != VDI_BLOCK)
        return err_set(e, 0, "(block size %" PRIu32 " is not %" PRIu32 ")", block, VDI_BLOCK);
    if (h->size > (uint64_t)h->blocks * VDI_BLOCK)
        return err_set(e, 0, "(disk size %" PRIu64 ", image bitmap has room for %" PRIu64 ")",
                       h->size, (uint64_t)h->blocks * VDI_BLOCK);
    if (!zero_is(buf + AT_UUID_LINK, UUID_SIZE))
        return err_set(e, 0, "(non-NULL link UUID)");
    if (!zero_is(buf + AT_UUID_PARENT, UUID_SIZE))
        return err_set(e, 0, "(non-NULL parent UUID)");
    if (h->blocks > VDI_BLOCKS_MAX)
        return err_set(e, 0, "(too many blocks %" PRIu32 ", max is %" PRIu32 ")", h->blocks,
                       VDI_BLOCKS_MAX);
    if (h->map_offset < VDI_HEADER_SIZE)
        return err_set(e, 0, "(block map offset 0x%" PRIx32 " lies in the header)", h->map_offset);
    return 0;
}

int vdi_header_load(const uint8_t *buf, struct vdi_header *h, struct err *e)
{
    uint32_t signature = le32_load(buf + AT_SIGNATURE), version = le32_load(buf + AT_VERSION);
    *h = (struct vdi_header){
        .type = le32_load(buf + AT_TYPE),
        .map_offset = le32_load(buf + AT_MAP),
        .data_offset = le32_load(buf + AT_DATA),
        .size = le64_load(buf + AT_SIZE),
        .blocks = le32_load(buf + AT_BLOCKS),
        .allocated = le32_load(buf + AT_ALLOCATED),
    };
    memcpy(h->uuid_image, buf + AT_UUID_IMAGE, UUID_SIZE);
    memcpy(h->uuid_snapshot, buf + AT_UUID_SNAPSHOT, UUID_SIZE);
    if (vdi_size_check(h->size, e))
        return -1;
    h->size = num_up(h->size, SECTOR); /* VirtualBox makes whole sectors, others did not */
    if (signature != VDI_SIGNATURE)
        return err_set(e, EINVAL, "Image not in VDI format (bad signature %08" PRIx32 ")",
                       signature);
    if (version != VERSION) {
        err_set(e, 0, "(version %" PRIu32 ".%" PRIu32 ")", version >> 16, version & 0xffff);
        return unsupported(e);
    }
    return geometry_check(h, buf, e) ? unsupported(e) : 0;
}

void vdi_header_store(const struct vdi_header *h, uint8_t *buf)
{
    memset(buf, 0, VDI_HEADER_SIZE);
    memcpy(buf + AT_TEXT, TEXT, sizeof TEXT - 1);
    le32_store(buf + AT_SIGNATURE, VDI_SIGNATURE);
    le32_store(buf + AT_VERSION, VERSION);
    le32_store(buf + AT_HEADER_SIZE, HEADER_SIZE);
    le32_store(buf + AT_TYPE, h->type);
    le32_store(buf + AT_MAP, h->map_offset);
    le32_store(buf + AT_DATA, h->data_offset);
    le32_store(buf + AT_SECTOR_SIZE, SECTOR);
    le64_store(buf + AT_SIZE, h->size);
    le32_store(buf + AT_BLOCK_SIZE, VDI_BLOCK);
    le32_store(buf + AT_BLOCKS, h->blocks);
    le32_store(buf + AT_ALLOCATED, h->allocated);
    memcpy(buf + AT_UUID_IMAGE, h->uuid_image, UUID_SIZE);
    memcpy(buf + AT_UUID_SNAPSHOT, h->uuid_snapshot, UUID_SIZE);
}
