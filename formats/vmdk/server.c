/* Extents as servers make them over a base: "COWD" (vmfsSparse) and seSparse. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/vmdk/state.h"

/* ---- COWD ------------------------------------------------------------------------------------ */

#define COWD_HEADER  32u /* the bytes that matter */
#define COWD_GTES    4096u
#define COWD_AT_FREE 28u

int vmdk_cowd_open(struct vmdk_extent *x, struct err *e)
{
    uint8_t h[COWD_HEADER];
    if (file_read_padded(x->file, h, sizeof h, 0, NULL, e))
        return err_prefix(e, "Could not read header from file '%s': ", file_name(x->file));
    uint64_t sectors = le32_load(h + 12), grain = le32_load(h + 16);
    uint64_t directory = le32_load(h + 20), entries = le32_load(h + 24);
    if (vmdk_geometry_set(x, sectors, grain, COWD_GTES, e))
        return -1;
    if (entries < x->grid.first_entries)
        return err_set(e, EINVAL,
                       "L1 size too small: %" PRIu64 " entries where the disk takes %" PRIu64,
                       entries, x->grid.first_entries);
    x->grid.first_offset = directory * VMDK_SECTOR;
    x->free_at = COWD_AT_FREE;
    return 0;
}

/* ---- seSparse -------------------------------------------------------------------------------- */

#define SE_MAGIC          UINT64_C(0xcafebabe)
#define SE_VERSION        UINT64_C(0x0000000200000001)
#define SE_VOLATILE_MAGIC UINT64_C(0xcafecafe)
#define SE_GRAIN          8u  /* sectors */
#define SE_TABLE          64u /* sectors of a grain table */

/* The constant header. Everything in it is 8 bytes. */
enum {
    SE_AT_MAGIC = 0,
    SE_AT_VERSION = 8,
    SE_AT_CAPACITY = 16,
    SE_AT_GRAIN = 24,
    SE_AT_TABLE = 32,
    SE_AT_FLAGS = 40,
    SE_AT_RESERVED = 48, /* four */
    SE_AT_VOLATILE = 80, /* pairs of place and size, in sectors, from here on */
    SE_AT_DIRECTORY = 128,
    SE_AT_TABLES = 144,
    SE_AT_GRAINS = 192,
    SE_AT_PAD = 208,
};

/* The volatile header. */
enum { SE_AT_REPLAY = 24, SE_AT_VOLATILE_PAD = 32 };

static bool is_zero(const uint8_t *p, size_t from)
{
    for (size_t i = from; i < VMDK_SECTOR; i++)
        if (p[i])
            return false;
    return true;
}

static int se_geometry_check(const uint8_t *h, struct err *e)
{
    const uint8_t *r = h + SE_AT_RESERVED;
    uint64_t grain = le64_load(h + SE_AT_GRAIN), table = le64_load(h + SE_AT_TABLE);
    if (grain != SE_GRAIN)
        return err_set(e, ENOTSUP, "Unsupported grain size: %" PRIu64, grain);
    if (table != SE_TABLE)
        return err_set(e, ENOTSUP, "Unsupported grain table size: %" PRIu64, table);
    if (le64_load(h + SE_AT_FLAGS))
        return err_set(e, ENOTSUP, "Unsupported flags: 0x%016" PRIx64, le64_load(h + SE_AT_FLAGS));
    if (le64_load(r) | le64_load(r + 8) | le64_load(r + 16) | le64_load(r + 24))
        return err_set(e, ENOTSUP,
                       "Unsupported reserved bits: 0x%016" PRIx64 " 0x%016" PRIx64 " 0x%016" PRIx64
                       " 0x%016" PRIx64,
                       le64_load(r), le64_load(r + 8), le64_load(r + 16), le64_load(r + 24));
    if (!is_zero(h, SE_AT_PAD))
        return err_set(e, ENOTSUP, "Unsupported non-zero const header padding");
    return 0;
}

static int se_const_check(const uint8_t *h, struct err *e)
{
    uint64_t magic = le64_load(h + SE_AT_MAGIC), version = le64_load(h + SE_AT_VERSION);
    if (magic != SE_MAGIC)
        return err_set(e, ENOTSUP, "Bad const header magic: 0x%016" PRIx64, magic);
    if (version != SE_VERSION)
        return err_set(e, ENOTSUP, "Unsupported version: 0x%016" PRIx64, version);
    return se_geometry_check(h, e);
}

/* With a journal that is yet to be replayed the tables tell the wrong thing. */
static int se_volatile_check(const uint8_t *h, struct err *e)
{
    uint64_t magic = le64_load(h);
    if (magic != SE_VOLATILE_MAGIC)
        return err_set(e, ENOTSUP, "Bad volatile header magic: 0x%016" PRIx64, magic);
    if (h[SE_AT_REPLAY])
        return err_set(e, ENOTSUP, "Image is dirty, Replaying journal not supported");
    if (!is_zero(h, SE_AT_VOLATILE_PAD))
        return err_set(e, ENOTSUP, "Unsupported non-zero volatile header padding");
    return 0;
}

static int se_read(const struct vmdk_extent *x, uint64_t at, uint8_t *buf, struct err *e)
{
    if (file_read_padded(x->file, buf, VMDK_SECTOR, at, NULL, e))
        return err_prefix(e, "Could not read header from file '%s': ", file_name(x->file));
    return 0;
}

/* A place in sectors of the header, in bytes. */
static int se_place(const uint8_t *h, size_t field, uint64_t *out, struct err *e)
{
    if (num_mul(le64_load(h + field), VMDK_SECTOR, out) && *out <= INT64_MAX)
        return 0;
    return err_set(e, EINVAL, "A place in the header of the extent is out of range: 0x%016" PRIx64,
                   le64_load(h + field));
}

int vmdk_sesparse_open(struct vmdk_extent *x, struct err *e)
{
    uint8_t h[VMDK_SECTOR], second[VMDK_SECTOR];
    uint64_t at;
    if (se_read(x, 0, h, e) || se_const_check(h, e) || se_place(h, SE_AT_VOLATILE, &at, e) ||
        se_read(x, at, second, e) || se_volatile_check(second, e))
        return -1;
    x->wide = true;
    if (se_place(h, SE_AT_DIRECTORY, &x->grid.first_offset, e) ||
        se_place(h, SE_AT_TABLES, &x->grid.tables_offset, e) ||
        se_place(h, SE_AT_GRAINS, &x->grid.grains_offset, e))
        return -1;
    return vmdk_geometry_set(x, le64_load(h + SE_AT_CAPACITY), SE_GRAIN,
                             SE_TABLE * VMDK_SECTOR / sizeof(uint64_t), e);
}
