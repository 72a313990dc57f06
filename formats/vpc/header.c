#include "formats/vpc/vpc.h"

#include <errno.h>
#include <inttypes.h>

#include "base/num.h"

/* where each field of the footer stands */
enum footer_at {
    AT_FEATURES = 8,
    AT_VERSION = 12,
    AT_DATA_OFFSET = 16,
    AT_TIME = 24,
    AT_CREATOR = 28,
    AT_CREATOR_VERSION = 32,
    AT_CREATOR_OS = 36,
    AT_ORIGINAL_SIZE = 40,
    AT_SIZE = 48,
    AT_CYLINDERS = 56,
    AT_HEADS = 58,
    AT_SECTORS = 59,
    AT_TYPE = 60,
    AT_CHECKSUM = 64,
    AT_UUID = 68,
};

/* and of the dynamic header */
enum header_at {
    AT_NEXT = 8, /* all ones */
    AT_TABLE = 16,
    AT_HEADER_VERSION = 24,
    AT_ENTRIES = 28,
    AT_BLOCK_SIZE = 32,
    AT_HEADER_CHECKSUM = 36,
    AT_PARENT_UUID = 40,
    AT_PARENT_NAME = 64,
    AT_LOCATORS = 576,
};

static const char footer_cookie[8] = "conectix", header_cookie[8] = "cxsparse";
static const char creator_os[4] = "Wi2k";

#define FEATURES        UINT32_C(2) /* this bit is always set */
#define VERSION         UINT32_C(0x00010000)
#define CREATOR_VERSION UINT32_C(0x00050003)
#define LOCATOR_SIZE    24u
#define ENTRIES_MAX     ((uint32_t)INT32_MAX / 4) /* what qemu-img reads */

const struct table_format vpc_table_format = {
    .entry_size = 4,
    .big_endian = true,
    .place_mask = UINT32_MAX,
    .place_scale = VPC_SECTOR,
    .absent = VPC_ABSENT,
};

/* The complement of the sum of all bytes but the checksum's own. */
static uint32_t checksum(const uint8_t *buf, size_t n, size_t at)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += i >= at && i < at + 4 ? 0 : buf[i];
    return ~sum;
}

/* ---- footer ---------------------------------------------------------------------------------- */

enum vpc_footer_state vpc_footer_load(const uint8_t *buf, struct vpc_footer *f)
{
    *f = (struct vpc_footer){0};
    if (memcmp(buf, footer_cookie, sizeof footer_cookie) != 0)
        return VPC_FOOTER_NONE;
    f->data_offset = be64_load(buf + AT_DATA_OFFSET);
    f->time = be32_load(buf + AT_TIME);
    memcpy(f->creator, buf + AT_CREATOR, sizeof f->creator);
    f->original_size = be64_load(buf + AT_ORIGINAL_SIZE);
    f->size = be64_load(buf + AT_SIZE);
    f->geometry =
        (struct vpc_geometry){be16_load(buf + AT_CYLINDERS), buf[AT_HEADS], buf[AT_SECTORS]};
    f->type = be32_load(buf + AT_TYPE);
    memcpy(f->uuid, buf + AT_UUID, UUID_SIZE);
    bool good = be32_load(buf + AT_CHECKSUM) == checksum(buf, VPC_FOOTER_SIZE, AT_CHECKSUM);
    return good ? VPC_FOOTER_GOOD : VPC_FOOTER_DAMAGED;
}

void vpc_footer_store(const struct vpc_footer *f, uint8_t *buf)
{
    memset(buf, 0, VPC_FOOTER_SIZE);
    memcpy(buf, footer_cookie, sizeof footer_cookie);
    be32_store(buf + AT_FEATURES, FEATURES);
    be32_store(buf + AT_VERSION, VERSION);
    be64_store(buf + AT_DATA_OFFSET, f->data_offset);
    be32_store(buf + AT_TIME, f->time);
    memcpy(buf + AT_CREATOR, f->creator, sizeof f->creator);
    be32_store(buf + AT_CREATOR_VERSION, CREATOR_VERSION);
    memcpy(buf + AT_CREATOR_OS, creator_os, sizeof creator_os);
    be64_store(buf + AT_ORIGINAL_SIZE, f->original_size);
    be64_store(buf + AT_SIZE, f->size);
    be16_store(buf + AT_CYLINDERS, f->geometry.cylinders);
    buf[AT_HEADS] = f->geometry.heads;
    buf[AT_SECTORS] = f->geometry.sectors;
    be32_store(buf + AT_TYPE, f->type);
    memcpy(buf + AT_UUID, f->uuid, UUID_SIZE);
    be32_store(buf + AT_CHECKSUM, checksum(buf, VPC_FOOTER_SIZE, AT_CHECKSUM));
}

/* ---- dynamic header -------------------------------------------------------------------------- */

uint32_t vpc_bitmap_size(uint32_t block_size)
{
    uint64_t bytes = num_div_up(block_size / VPC_SECTOR, 8);
    return (uint32_t)num_up(bytes, VPC_SECTOR);
}

/* The checksum is not looked at: qemu-img does not, and some programs write a wrong one. */
int vpc_header_load(const uint8_t *buf, struct vpc_header *h, struct err *e)
{
    *h = (struct vpc_header){
        .table_offset = be64_load(buf + AT_TABLE),
        .entries = be32_load(buf + AT_ENTRIES),
        .block_size = be32_load(buf + AT_BLOCK_SIZE),
    };
    memcpy(h->parent_uuid, buf + AT_PARENT_UUID, UUID_SIZE);
    memcpy(h->parent_name, buf + AT_PARENT_NAME, sizeof h->parent_name);
    for (unsigned i = 0; i < VPC_LOCATORS; i++) {
        const uint8_t *at = buf + AT_LOCATORS + i * LOCATOR_SIZE;
        struct vpc_locator *l = &h->locators[i];
        memcpy(l->code, at, sizeof l->code);
        l->length = be32_load(at + 8);
        l->offset = be64_load(at + 16);
    }
    if (memcmp(buf, header_cookie, sizeof header_cookie) != 0)
        return err_set(e, EINVAL, "Invalid header magic");
    if (!num_is_pow2(h->block_size) || h->block_size < VPC_SECTOR)
        return err_set(e, EINVAL, "Invalid block size %" PRIu32, h->block_size);
    if (h->entries > ENTRIES_MAX)
        return err_set(e, EINVAL, "Max Table Entries too large (%" PRId32 ")", (int32_t)h->entries);
    return 0;
}

void vpc_header_store(const struct vpc_header *h, uint8_t *buf)
{
    memset(buf, 0, VPC_HEADER_SIZE);
    memcpy(buf, header_cookie, sizeof header_cookie);
    be64_store(buf + AT_NEXT, VPC_NOWHERE);
    be64_store(buf + AT_TABLE, h->table_offset);
    be32_store(buf + AT_HEADER_VERSION, VERSION);
    be32_store(buf + AT_ENTRIES, h->entries);
    be32_store(buf + AT_BLOCK_SIZE, h->block_size);
    be32_store(buf + AT_HEADER_CHECKSUM, checksum(buf, VPC_HEADER_SIZE, AT_HEADER_CHECKSUM));
}
