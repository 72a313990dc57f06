/*
 * Where the data of a VHD is.
 *
 * The bitmap of a block counts in differencing images alone: its clear bits are the parent's
 * sectors. In a dynamic image such sectors were never written and are zeros in the block as well.
 */
#include "formats/vpc/vpc.h"

#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/slices.h"

#define PIECE (64u * 1024) /* of the block table at once */

/* ---- opening --------------------------------------------------------------------------------- */

static int truncated(struct err *e)
{
    return err_set(e, EINVAL,
                   "block-vpc: free_data_block_offset points after the end of file. The image has "
                   "been truncated.");
}

/* All blocks lie inside the file. */
static int check_table(const struct image *img, const struct vpc *v, struct err *e)
{
    uint64_t at = v->header.table_offset, size = num_up(file_size(img->file), VPC_SECTOR);
    uint64_t bytes = num_div_up(img->size, v->header.block_size) * 4;
    uint64_t block = (uint64_t)v->lead + v->header.block_size;
    AUTO_FREE uint8_t *buf = mem_io(PIECE, e);
    if (!buf)
        return -1;
    if (!num_inside(at, (uint64_t)v->header.entries * 4, size))
        return truncated(e);
    for (uint64_t n; bytes; at += n, bytes -= n) {
        n = num_min(bytes, PIECE);
        if (file_read_padded(img->file, buf, n, at, NULL, e))
            return err_set(e, EIO, "Error reading pagetable");
        for (uint64_t i = 0; i < n; i += 4) {
            uint64_t entry = be32_load(buf + i);
            if (entry != VPC_ABSENT && !num_inside(entry * VPC_SECTOR, block, size))
                return truncated(e);
        }
    }
    return 0;
}

int vpc_map_open(struct image *img, struct vpc *v, struct err *e)
{
    const struct table_params p = {
        .format = &vpc_table_format,
        .file = img->file,
        .data_file = img->file,
        .size = img->size,
        .block_size = v->header.block_size,
        .levels = 1,
        .first_offset = v->header.table_offset,
        .first_entries = v->header.entries,
        .lead = v->lead,
        .budget = img->flags.metadata_budget,
    };
    if (check_table(img, v, e) || table_open(&p, &v->table, e))
        return -1;
    v->edit.table = v->table;
    if (v->footer.type != VPC_DIFFERENCING)
        return 0;
    return slices_new(img->file, img->flags.metadata_budget, 0, &v->bitmaps, e);
}

void vpc_map_close(struct vpc *v)
{
    table_free(v->table);
    slices_free(v->bitmaps);
}

/* ---- the bitmap of a block ------------------------------------------------------------------- */

/* Another thread may be setting it. */
static uint8_t byte_at(const uint8_t *bits, uint64_t i)
{
    return __atomic_load_n(&bits[i / 8], __ATOMIC_ACQUIRE);
}

static bool bit_at(const uint8_t *bits, uint64_t i)
{
    return byte_at(bits, i) & (0x80u >> (i % 8));
}

/* How many bits from `i` on, before `end`, are like the first. */
static uint64_t bit_run(const uint8_t *bits, uint64_t i, uint64_t end)
{
    const bool set = bit_at(bits, i);
    const uint8_t all = set ? 0xff : 0;
    uint64_t at = i;
    while (at < end) {
        if (at % 8 == 0 && byte_at(bits, at) == all)
            at += 8;
        else if (bit_at(bits, at) == set)
            at++;
        else
            break;
    }
    return num_min(at, end) - i;
}

/* Shorten `out`, a piece of a block with a place, to sectors of one kind. A bitmap may be longer
 * than a slice, and begins anywhere in one. */
static int split_by_bitmap(const struct vpc *v, struct extent *out, uint64_t in, struct err *e)
{
    uint64_t bitmap = out->host - in - v->lead;
    uint64_t sector = in / VPC_SECTOR, end = num_div_up(in + out->length, VPC_SECTOR);
    uint64_t at = bitmap + sector / 8;
    struct slice s = {0};
    if (slices_get(v->bitmaps, at, &s, e))
        return -1;
    uint64_t room = at - s.offset < s.valid ? s.valid - (at - s.offset) : 0;
    if (!room) {
        slices_put(v->bitmaps, &s);
        return err_set(e, EIO, "The bitmap at offset 0x%" PRIx64 " lies beyond the end of the file",
                       bitmap);
    }
    const uint8_t *bits = s.data + (at - s.offset);
    uint64_t first = sector % 8;
    uint64_t run = bit_run(bits, first, num_min(first + (end - sector), room * 8));
    if (!bit_at(bits, first))
        out->kind = EXTENT_HOLE;
    slices_put(v->bitmaps, &s);
    out->length = num_min(out->length, (sector + run) * VPC_SECTOR - in);
    if (out->kind == EXTENT_HOLE) {
        out->has_host = false;
        out->file = NULL;
        out->host = 0;
    }
    return 0;
}

/* ---- mapping --------------------------------------------------------------------------------- */

/* The parent must be the image that this one was made on. */
static int check_parent(const struct image *img, const struct vpc *v, struct err *e)
{
    const struct image *parent = img->backing;
    if (!parent || parent->format != &format_vpc ||
        !memcmp(vpc_of(parent)->footer.uuid, v->header.parent_uuid, UUID_SIZE))
        return 0;
    return err_set(e, EINVAL,
                   "Parent image '%s' is not the one that '%s' was made on: their UUIDs differ",
                   parent->name, img->name);
}

static int map_fixed(const struct image *img, const struct vpc *v, uint64_t guest, uint64_t length,
                     struct extent *out, struct err *e)
{
    if (guest >= v->data_end)
        return err_set(e, EIO, "The image has been truncated: its data ends at offset %" PRIu64,
                       v->data_end);
    out->kind = EXTENT_DATA;
    out->file = img->file;
    out->host = guest;
    out->has_host = true;
    out->length = num_min(length, v->data_end - guest);
    return 0;
}

int vpc_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e)
{
    const struct vpc *v = vpc_of(img);
    if (!v->table)
        return map_fixed(img, v, guest, length, out, e);
    if (table_map(v->table, guest, length, out, e))
        return -1;
    if (!v->bitmaps)
        return 0;
    if (out->kind != EXTENT_DATA)
        return check_parent(img, v, e);
    if (check_parent(img, v, e))
        return -1;
    return split_by_bitmap(v, out, guest % v->header.block_size, e);
}
