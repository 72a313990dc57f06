/* "Region Table". */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/crc32c.h"
#include "formats/vhdx/vhdx.h"

#define ENTRY_SIZE   32u
#define ENTRIES_MAX  2047u
#define ENTRIES_FROM 16u
#define REQUIRED     1u

static const struct vhdx_guid guid_bat = {{0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42, 0x9d,
                                           0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08}};
static const struct vhdx_guid guid_metadata = {{0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                                                0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e}};

uint64_t vhdx_region_place(unsigned copy)
{
    return (copy + 3) * (64 * KIB);
}

/* ---- a table --------------------------------------------------------------------------------- */

static uint32_t checksum(const uint8_t *table)
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(0, table, 4);
    crc = crc32c(crc, zero, 4);
    return crc32c(crc, table + 8, VHDX_REGION_TABLE_SIZE - 8);
}

static bool table_is_good(const uint8_t *table)
{
    return !memcmp(table, "regi", 4) && le32_load(table + 4) == checksum(table);
}

/* The first copy that is good. */
static int table_read(struct file *f, uint8_t *table, struct err *e)
{
    for (unsigned i = 0; i < VHDX_REGION_TABLES; i++) {
        if (file_read_padded(f, table, VHDX_REGION_TABLE_SIZE, vhdx_region_place(i), NULL, e))
            return err_prefix(e, "Could not read VHDX region table: ");
        if (table_is_good(table))
            return 0;
    }
    return err_set(e, EINVAL, "Both region tables of the VHDX image are damaged");
}

static void entry_store(uint8_t *p, const struct vhdx_guid *guid, const struct vhdx_range *at)
{
    memcpy(p, guid->byte, 16);
    le64_store(p + 16, at->start);
    le32_store(p + 24, (uint32_t)(at->end - at->start));
    le32_store(p + 28, REQUIRED);
}

void vhdx_regions_store(const struct vhdx_regions *r, uint8_t buf[VHDX_REGION_TABLE_SIZE])
{
    memset(buf, 0, VHDX_REGION_TABLE_SIZE);
    memcpy(buf, "regi", 4);
    le32_store(buf + 8, 2);
    entry_store(buf + ENTRIES_FROM, &guid_bat, &r->bat);
    entry_store(buf + ENTRIES_FROM + ENTRY_SIZE, &guid_metadata, &r->metadata);
    le32_store(buf + 4, checksum(buf));
}

/* ---- its entries ----------------------------------------------------------------------------- */

static int range_add(struct vhdx_regions *r, uint64_t start, uint64_t length, struct err *e)
{
    if (!length || length % VHDX_ALIGN || start % VHDX_ALIGN || start < VHDX_ALIGN ||
        start > INT64_MAX - length)
        return err_set(e, EINVAL,
                       "VHDX region at offset %" PRIu64 " of %" PRIu64 " bytes is not a valid one",
                       start, length);
    for (size_t i = r->n; i; i--) {
        const struct vhdx_range *other = &r->all[i - 1];
        if (start < other->end && other->start < start + length)
            return err_set(e, EINVAL,
                           "VHDX region %" PRIu64 "-%" PRIu64 " overlaps with region %" PRIu64
                           "-%" PRIu64,
                           start, start + length, other->start, other->end);
    }
    r->all[r->n++] = (struct vhdx_range){start, start + length};
    return 0;
}

/* A region that we know may stand in the table once. */
static int range_know(struct vhdx_range *out, const struct vhdx_range *at, const char *name,
                      struct err *e)
{
    if (out->end)
        return err_set(e, EINVAL, "VHDX region table lists the %s twice", name);
    *out = *at;
    return 0;
}

static int entry_load(struct vhdx_regions *r, const uint8_t *p, struct err *e)
{
    struct vhdx_guid guid = vhdx_guid_load(p);
    if (range_add(r, le64_load(p + 16), le32_load(p + 24), e))
        return -1;
    const struct vhdx_range *at = &r->all[r->n - 1];
    if (vhdx_guid_equal(&guid, &guid_bat))
        return range_know(&r->bat, at, "BAT", e);
    if (vhdx_guid_equal(&guid, &guid_metadata))
        return range_know(&r->metadata, at, "metadata", e);
    if (le32_load(p + 28) & REQUIRED)
        return err_set(e, ENOTSUP, "VHDX image has a required region of an unknown kind");
    return 0;
}

static int range_order(const void *a, const void *b)
{
    const struct vhdx_range *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

static int entries_load(struct vhdx_regions *r, const uint8_t *table, struct err *e)
{
    uint32_t n = le32_load(table + 8);
    for (uint32_t i = 0; i < n; i++)
        if (entry_load(r, table + ENTRIES_FROM + (size_t)i * ENTRY_SIZE, e))
            return -1;
    if (!r->bat.end || !r->metadata.end)
        return err_set(e, EINVAL, "VHDX region table lists no %s", r->bat.end ? "metadata" : "BAT");
    memcpy(r->sorted, r->all, r->n * sizeof *r->all);
    qsort(r->sorted, r->n, sizeof *r->sorted, range_order);
    return 0;
}

int vhdx_regions_read(struct file *f, const struct vhdx_header *h, struct vhdx_regions *out,
                      struct err *e)
{
    AUTO_FREE uint8_t *table = mem_io(VHDX_REGION_TABLE_SIZE, e);
    if (!table || table_read(f, table, e))
        return -1;
    uint32_t n = le32_load(table + 8);
    if (n > ENTRIES_MAX)
        return err_set(e, EINVAL, "VHDX region table has too many entries: %" PRIu32, n);
    out->all = mem_new(n + 1, sizeof *out->all, e);
    out->sorted = mem_new(n + 1, sizeof *out->sorted, e);
    if (!out->all || !out->sorted)
        return -1;
    if (h->log_length && range_add(out, h->log_offset, h->log_length, e))
        return -1;
    return entries_load(out, table, e);
}

void vhdx_regions_release(struct vhdx_regions *r)
{
    free(r->all);
    free(r->sorted);
    *r = (struct vhdx_regions){0};
}

bool vhdx_regions_touch(const struct vhdx_regions *r, uint64_t start, uint64_t end)
{
    size_t low = 0, high = r->n; /* the first that ends behind `start` is in [low, high] */
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->sorted[mid].end > start)
            high = mid;
        else
            low = mid + 1;
    }
    return low < r->n && r->sorted[low].start < end;
}
