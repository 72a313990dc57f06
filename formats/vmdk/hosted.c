/* "Hosted Sparse Extents": one header, a grain directory, grain tables, grains; plain or encoded,
 * with the tables in front or, in a stream, at the end. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/vmdk/state.h"

#define GRAIN_MAX      (GIB / VMDK_SECTOR) /* sectors */
#define DIRECTORY_MAX  (UINT64_C(1) << 25) /* entries; qemu-img takes no more either */
#define FOOTER_SECTORS 3u                  /* marker, header, end-of-stream marker */

/* ---- the header ------------------------------------------------------------------------------ */

static bool is_marker(const uint8_t *p, enum vmdk_marker type)
{
    return le32_load(p + VMDK_MARKER_SIZE) == 0 && le32_load(p + VMDK_MARKER_TYPE) == type;
}

/* "Stream-Optimized": the header that counts is the last but one sector, between two markers. */
static int footer_load(struct file *f, struct vmdk_sparse *out, struct err *e)
{
    uint8_t buf[FOOTER_SECTORS * VMDK_SECTOR];
    uint64_t size = num_up(file_size(f), VMDK_SECTOR);
    if (size < sizeof buf + VMDK_SPARSE_HEADER)
        return err_set(e, EIO, "Failed to read footer: %s", strerror(EIO));
    if (file_read_padded(f, buf, sizeof buf, size - sizeof buf, NULL, e))
        return err_prefix(e, "Failed to read footer: ");
    const uint8_t *end = buf + 2 * VMDK_SECTOR;
    if (!is_marker(buf, VMDK_MARKER_FOOTER) || !is_marker(end, VMDK_MARKER_EOS) ||
        le64_load(end + VMDK_MARKER_LBA) ||
        vmdk_sparse_load(buf + VMDK_SECTOR, VMDK_SPARSE_HEADER, out))
        return err_set(e, EINVAL, "Invalid footer");
    return 0;
}

int vmdk_hosted_header(struct file *f, struct vmdk_sparse *out, struct err *e)
{
    uint8_t buf[VMDK_SPARSE_HEADER];
    size_t got;
    if (file_read_padded(f, buf, sizeof buf, 0, &got, e))
        return err_prefix(e, "Could not read header from file '%s': ", file_name(f));
    if (vmdk_sparse_load(buf, got, out))
        return err_set(e, EINVAL, "Image not in VMDK format");
    return out->gd_offset == VMDK_GD_AT_END ? footer_load(f, out, e) : 0;
}

/* ---- what it must satisfy -------------------------------------------------------------------- */

int vmdk_geometry_set(struct vmdk_extent *x, uint64_t sectors, uint64_t grain, uint64_t gtes,
                      struct err *e)
{
    uint64_t covered; /* sectors of one grain table */
    if (!num_mul(grain, gtes, &covered) || grain > GRAIN_MAX)
        return err_set(e, EFBIG, "Invalid granularity, image may be corrupt");
    if (!covered)
        return err_set(e, EINVAL, "L1 entry size is invalid");
    x->grid.gtes = gtes;
    x->grid.first_entries = num_div_up(sectors, covered);
    if (x->grid.first_entries > DIRECTORY_MAX)
        return err_set(e, EFBIG, "L1 size too big");
    if (!num_mul(sectors, VMDK_SECTOR, &x->size) || x->size > INT64_MAX)
        return err_set(e, EFBIG, "Could not refresh total sector count: %s", strerror(EFBIG));
    x->grain = (uint32_t)(grain * VMDK_SECTOR);
    return 0;
}

static int header_check(const struct vmdk_sparse *h, bool write, struct err *e)
{
    if (h->version > VMDK_VERSION_MAX)
        return err_set(e, ENOTSUP, "Unsupported VMDK version %" PRIu32, h->version);
    if (h->version == 3 && write && h->compression != VMDK_DEFLATE)
        return err_set(e, EINVAL, "VMDK version 3 must be read only");
    if (h->gtes > VMDK_GTES_PER_GT)
        return err_set(e, EINVAL, "L2 table size too big");
    return 0;
}

/* The metadata in front of the grains is there at least. */
static int length_check(const struct vmdk_extent *x, const struct vmdk_sparse *h, struct err *e)
{
    uint64_t least;
    if (!num_mul(h->overhead, VMDK_SECTOR, &least))
        least = UINT64_MAX;
    if (num_up(file_size(x->file), VMDK_SECTOR) < least)
        return err_set(e, EINVAL, "File truncated, expecting at least %" PRIu64 " bytes", least);
    if (!num_mul(h->gd_offset, VMDK_SECTOR, &least))
        return err_set(e, EIO, "Could not read l1 table from extent '%s': %s", file_name(x->file),
                       strerror(EIO));
    return 0;
}

/* How long an encoded grain is stands in its marker: to read that first would be a request more for
 * each. A stream ends by itself, so that the most it can take is enough: no encoder gives more than
 * nine bits a byte, and some bytes around them. */
static uint32_t packed_most(uint32_t grain)
{
    return grain + grain / 8 + 512;
}

int vmdk_hosted_open(struct vmdk_extent *x, bool write, struct err *e)
{
    struct vmdk_sparse h;
    if (vmdk_hosted_header(x->file, &h, e) || header_check(&h, write, e) ||
        vmdk_geometry_set(x, h.capacity, h.grain, h.gtes, e) || length_check(x, &h, e))
        return -1;
    x->grid.first_offset = h.gd_offset * VMDK_SECTOR;
    if (!(h.flags & VMDK_FLAG_RGD) || !num_mul(h.rgd_offset, VMDK_SECTOR, &x->grid.copy_offset))
        x->grid.copy_offset = 0;
    x->zero_grain = h.flags & VMDK_FLAG_ZERO_GRAIN;
    x->packed = h.compression == VMDK_DEFLATE;
    x->lead_in = x->packed && (h.flags & VMDK_FLAG_MARKERS) ? VMDK_MARKER_HEAD : 0;
    x->packed_max = packed_most(x->grain);
    return 0;
}
