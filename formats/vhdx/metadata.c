/* "Metadata Region": a table of items, by identifier. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/vhdx.h"

#define ENTRY_SIZE   32u
#define ENTRIES_FROM 32u
#define ENTRIES_MAX  2047u
#define ITEM_MAX     MIB /* "Length ... less than or equal to 1 MB" */

enum { FLAG_USER = 1, FLAG_VIRTUAL_DISK = 2, FLAG_REQUIRED = 4 };
enum { PARAMETER_LEAVE_ALLOCATED = 1, PARAMETER_HAS_PARENT = 2 };

/* ---- items that we know ---------------------------------------------------------------------- */

enum item { PARAMETERS, SIZE, DISK_ID, LOGICAL, PHYSICAL, LOCATOR, ITEMS };

static const struct item_kind {
    const char *name;
    uint32_t length; /* 0 = any */
    uint32_t flags;  /* as we write it */
    struct vhdx_guid guid;
} kinds[ITEMS] = {
    [PARAMETERS] = {"file parameters",
                    8,
                    FLAG_REQUIRED,
                    {{0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d, 0xb3, 0xb6, 0x33, 0xf0, 0xaa,
                      0x44, 0xe7, 0x6b}}},
    [SIZE] = {"virtual disk size",
              8,
              FLAG_REQUIRED | FLAG_VIRTUAL_DISK,
              {{0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48, 0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b,
                0xf4, 0xb8}}},
    [DISK_ID] = {"virtual disk ID",
                 16,
                 FLAG_REQUIRED | FLAG_VIRTUAL_DISK,
                 {{0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45, 0x93, 0xef, 0xc3, 0x09, 0xe0,
                   0x00, 0xc7, 0x46}}},
    [LOGICAL] = {"logical sector size",
                 4,
                 FLAG_REQUIRED | FLAG_VIRTUAL_DISK,
                 {{0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47, 0xba, 0x47, 0xf2, 0x33, 0xa8,
                   0xfa, 0xab, 0x5f}}},
    [PHYSICAL] = {"physical sector size",
                  4,
                  FLAG_REQUIRED | FLAG_VIRTUAL_DISK,
                  {{0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44, 0x9c, 0xc9, 0xe9, 0x88, 0x52,
                    0x51, 0xc5, 0x56}}},
    [LOCATOR] = {"parent locator",
                 0,
                 FLAG_REQUIRED,
                 {{0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45, 0xab, 0xf7, 0xd3, 0xd8, 0x48,
                   0x34, 0xab, 0x0c}}},
};

/* ---- the table ------------------------------------------------------------------------------- */

/* In the order of the table; offsets count from the region's begin. */
struct entry {
    struct vhdx_guid guid;
    uint64_t start, end; /* start == end: an item without bytes */
    uint32_t flags;
};

struct entries {
    struct entry *of;
    size_t n;
};

static void entries_release(struct entries *t)
{
    free(t->of);
}

static int kind_of(const struct entry *x)
{
    for (int i = 0; i < ITEMS; i++)
        if (!(x->flags & FLAG_USER) && vhdx_guid_equal(&x->guid, &kinds[i].guid))
            return i;
    return -1;
}

static int entry_load(const uint8_t *p, uint64_t region, struct entry *out, struct err *e)
{
    uint64_t offset = le32_load(p + 16), length = le32_load(p + 20);
    *out = (struct entry){vhdx_guid_load(p), offset, offset + length, le32_load(p + 24)};
    bool placed = length ? offset >= VHDX_METADATA_TABLE_SIZE && out->end <= region : !offset;
    if (length > ITEM_MAX || !placed)
        return err_set(e, EINVAL,
                       "VHDX metadata item at offset %" PRIu64 " of %" PRIu64
                       " bytes is not a valid one",
                       offset, length);
    if (kind_of(out) < 0 && (out->flags & FLAG_REQUIRED))
        return err_set(e, ENOTSUP, "VHDX image has a required metadata item of an unknown kind");
    return 0;
}

static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static int guid_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int user = (int)(x->flags & FLAG_USER) - (int)(y->flags & FLAG_USER);
    return user ? user : memcmp(x->guid.byte, y->guid.byte, sizeof x->guid.byte);
}

/* No identifier twice, no byte in two items. Leaves them in the order of their places. */
static int entries_check(struct entries *t, struct err *e)
{
    qsort(t->of, t->n, sizeof *t->of, guid_order);
    for (size_t i = 1; i < t->n; i++)
        if (!guid_order(&t->of[i - 1], &t->of[i]))
            return err_set(e, EINVAL, "VHDX metadata lists an item twice");
    qsort(t->of, t->n, sizeof *t->of, entry_order);
    for (size_t i = 1; i < t->n; i++)
        if (t->of[i - 1].end > t->of[i].start)
            return err_set(e, EINVAL, "VHDX metadata items overlap at offset %" PRIu64,
                           t->of[i].start);
    return 0;
}

static int entries_read(struct file *f, const struct vhdx_range *region, struct entries *out,
                        struct err *e)
{
    AUTO_FREE uint8_t *table = mem_io(VHDX_METADATA_TABLE_SIZE, e);
    if (!table)
        return -1;
    if (file_read(f, table, VHDX_METADATA_TABLE_SIZE, region->start, e))
        return err_prefix(e, "Could not read VHDX metadata: ");
    uint16_t n = le16_load(table + 10);
    if (memcmp(table, "metadata", 8) || n > ENTRIES_MAX)
        return err_set(e, EINVAL, "VHDX metadata table is damaged");
    out->of = mem_new(n, sizeof *out->of, e);
    if (!out->of)
        return -1;
    for (; out->n < n; out->n++)
        if (entry_load(table + ENTRIES_FROM + out->n * ENTRY_SIZE, region->end - region->start,
                       &out->of[out->n], e))
            return -1;
    return entries_check(out, e);
}

/* ---- what they say --------------------------------------------------------------------------- */

static int item_load(struct vhdx_metadata *m, enum item kind, const uint8_t *p)
{
    uint32_t flags;
    switch (kind) {
    case PARAMETERS:
        flags = le32_load(p + 4);
        m->block_size = le32_load(p);
        m->leave_allocated = flags & PARAMETER_LEAVE_ALLOCATED;
        m->has_parent = flags & PARAMETER_HAS_PARENT;
        return 0;
    case SIZE:
        m->size = le64_load(p);
        return 0;
    case DISK_ID:
        m->disk_id = vhdx_guid_load(p);
        return 0;
    case LOGICAL:
        m->logical_sector = le32_load(p);
        return 0;
    default:
        m->physical_sector = le32_load(p);
        return 0;
    }
}

static int item_read(struct file *f, const struct vhdx_range *region, const struct entry *x,
                     enum item kind, struct vhdx_metadata *m, struct err *e)
{
    uint8_t buf[16];
    uint64_t length = x->end - x->start;
    if (kind == LOCATOR) {
        m->locator_offset = region->start + x->start;
        m->locator_length = (uint32_t)length;
        return 0;
    }
    if (length != kinds[kind].length)
        return err_set(e, EINVAL, "VHDX metadata item '%s' has a length of %" PRIu64 " bytes",
                       kinds[kind].name, length);
    if (file_read(f, buf, length, region->start + x->start, e))
        return err_prefix(e, "Could not read VHDX metadata: ");
    return item_load(m, kind, buf);
}

static int limits_check(const struct vhdx_metadata *m, struct err *e)
{
    if (!num_is_pow2(m->block_size) || m->block_size < MIB || m->block_size > VHDX_BLOCK_MAX)
        return err_set(e, EINVAL, "VHDX block size %" PRIu32 " is not a power of two in 1-256 MiB",
                       m->block_size);
    if (m->logical_sector != 512 && m->logical_sector != 4096)
        return err_set(e, ENOTSUP, "VHDX logical sector size %" PRIu32 " is not supported",
                       m->logical_sector);
    if (m->size > VHDX_SIZE_MAX)
        return err_set(e, EFBIG, "VHDX virtual disk of %" PRIu64 " bytes is larger than 64 TiB",
                       m->size);
    if (m->size % m->logical_sector)
        return err_set(e, EINVAL,
                       "VHDX virtual disk size %" PRIu64 " is not a multiple of its sectors",
                       m->size);
    return 0;
}

int vhdx_metadata_read(struct file *f, const struct vhdx_range *region, struct vhdx_metadata *out,
                       struct err *e)
{
    AUTO(entries_release) struct entries t = {0};
    bool found[ITEMS] = {false};
    *out = (struct vhdx_metadata){0};
    if (entries_read(f, region, &t, e))
        return -1;
    for (size_t i = 0; i < t.n; i++) {
        int kind = kind_of(&t.of[i]);
        if (kind < 0)
            continue;
        found[kind] = true;
        if (item_read(f, region, &t.of[i], (enum item)kind, out, e))
            return -1;
    }
    for (int i = 0; i < ITEMS; i++)
        if (!found[i] && (i != LOCATOR || out->has_parent))
            return err_set(e, EINVAL, "VHDX metadata lacks the item '%s'", kinds[i].name);
    return limits_check(out, e);
}

/* ---- storing --------------------------------------------------------------------------------- */

static void item_store(const struct vhdx_metadata *m, enum item kind, uint8_t *p)
{
    switch (kind) {
    case PARAMETERS:
        le32_store(p, m->block_size);
        le32_store(p + 4, m->leave_allocated ? PARAMETER_LEAVE_ALLOCATED : 0);
        break;
    case SIZE:
        le64_store(p, m->size);
        break;
    case DISK_ID:
        memcpy(p, m->disk_id.byte, sizeof m->disk_id.byte);
        break;
    case LOGICAL:
        le32_store(p, m->logical_sector);
        break;
    default:
        le32_store(p, m->physical_sector);
        break;
    }
}

void vhdx_metadata_store(const struct vhdx_metadata *m, uint8_t buf[VHDX_METADATA_SIZE])
{
    uint32_t at = VHDX_METADATA_TABLE_SIZE;
    memset(buf, 0, VHDX_METADATA_SIZE);
    memcpy(buf, "metadata", 8);
    le16_store(buf + 10, LOCATOR);
    for (enum item i = PARAMETERS; i < LOCATOR; i++) {
        uint8_t *entry = buf + ENTRIES_FROM + (size_t)i * ENTRY_SIZE;
        memcpy(entry, kinds[i].guid.byte, 16);
        le32_store(entry + 16, at);
        le32_store(entry + 20, kinds[i].length);
        le32_store(entry + 24, kinds[i].flags);
        item_store(m, i, buf + at);
        at += kinds[i].length;
    }
}
