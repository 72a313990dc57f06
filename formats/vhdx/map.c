/* Block allocation table; sector bitmaps of images with a parent. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/slices.h"
#include "formats/vhdx/vhdx.h"

const struct table_format vhdx_bat_format = {
    .entry_size = 8,
    .place_mask = ~UINT64_C(0xfffff),
    .place_scale = 1,
    .used = VHDX_PRESENT,
    .absent = VHDX_NOT_PRESENT,
};

/* ---- entries --------------------------------------------------------------------------------- */

static int place_check(const struct vhdx *s, const char *what, uint64_t entry, uint64_t host,
                       uint64_t bytes, struct err *e)
{
    uint64_t end = s->file_size;
    if (!num_inside(host, bytes, end))
        return err_set(e, EIO,
                       "VHDX BAT entry %" PRIu64 ": %s at offset %" PRIu64 " reaches beyond the "
                       "end of the file (%" PRIu64 ")",
                       entry, what, host, end);
    if (host < VHDX_ALIGN || vhdx_regions_touch(&s->regions, host, host + bytes))
        return err_set(e, EIO,
                       "VHDX BAT entry %" PRIu64 ": %s at offset %" PRIu64 " overlaps with "
                       "metadata",
                       entry, what, host);
    return 0;
}

static int state_fail(uint64_t entry, uint64_t raw, struct err *e)
{
    return err_set(e, EIO, "VHDX BAT entry %" PRIu64 " has the invalid state %u", entry,
                   VHDX_STATE(raw));
}

/* A block that is partly here is an answer by itself, as encoded blocks are: vhdx_map looks at its
 * sector bitmap. */
static int entry_decode(void *ctx, uint64_t block, uint64_t raw, struct table_entry *out,
                        struct err *e)
{
    const struct vhdx *s = ctx;
    uint64_t entry = block + block / s->ratio;
    switch (VHDX_STATE(raw)) {
    case VHDX_NOT_PRESENT:
        out->kind = EXTENT_HOLE;
        return 0;
    case VHDX_UNDEFINED:
    case VHDX_ZERO:
    case VHDX_UNMAPPED:
    case VHDX_UNMAPPED_OLD:
        out->kind = EXTENT_ZERO;
        return 0;
    case VHDX_PARTIAL:
        if (!s->meta.has_parent)
            return state_fail(entry, raw, e);
        out->kind = EXTENT_PACKED;
        break;
    case VHDX_PRESENT:
        out->kind = EXTENT_DATA;
        break;
    default:
        return state_fail(entry, raw, e);
    }
    out->has_host = true;
    out->host = VHDX_PLACE(raw);
    return place_check(s, "block", entry, out->host, vhdx_block_bytes(s, block), e);
}

/* ---- sector bitmaps -------------------------------------------------------------------------- */

/* Bit `bit` and those behind it that are equal, `max` at most; bits stand lowest first. */
static uint64_t bits_run(const uint8_t *bits, uint64_t bit, uint64_t max, bool *set)
{
    uint64_t n = 0;
    *set = bits[bit / 8] >> (bit % 8) & 1;
    while (n < max) {
        uint64_t at = bit + n;
        if (at % 64 == 0 && max - n >= 64 && le64_load(bits + at / 8) == (*set ? UINT64_MAX : 0)) {
            n += 64;
            continue;
        }
        if ((bits[at / 8] >> (at % 8) & 1) != *set)
            break;
        n++;
    }
    return n;
}

/* Where the bitmap of this block's chunk stands. */
static int bitmap_place(struct vhdx *s, uint64_t block, struct slice *hold, uint64_t *host,
                        struct err *e)
{
    uint64_t entry = (block / s->ratio + 1) * (s->ratio + 1) - 1;
    uint64_t at = s->regions.bat.start + entry * 8;
    if (slices_move(s->bitmaps, at, hold, e))
        return -1;
    if (!num_inside(at - hold->offset, 8, hold->valid))
        return err_set(e, EIO, "VHDX BAT entry %" PRIu64 " lies beyond the end of the file", entry);
    uint64_t raw = le64_load(hold->data + (at - hold->offset));
    *host = VHDX_PLACE(raw);
    if (VHDX_STATE(raw) != VHDX_PRESENT)
        return state_fail(entry, raw, e);
    return place_check(s, "sector bitmap", entry, *host, VHDX_ALIGN, e);
}

/* `out` is a block that is partly here, from out->block_offset on: keep the run of sectors that are
 * or that are not. The bits of a block fill a slice at most, and are aligned to what they fill. */
static int partial_map(struct vhdx *s, uint64_t block, struct slice *hold, struct extent *out,
                       struct err *e)
{
    uint64_t bitmap = 0, in = out->block_offset, sector = s->meta.logical_sector;
    if (bitmap_place(s, block, hold, &bitmap, e))
        return -1;
    uint64_t first = block % s->ratio * (s->meta.block_size / sector) + in / sector;
    uint64_t at = bitmap + first / 8, want = num_div_up(in % sector + out->length, sector);
    if (slices_move(s->bitmaps, at, hold, e))
        return -1;
    uint64_t bit = (at - hold->offset) * 8 + first % 8;
    if (!num_inside(bit, want, hold->valid * UINT64_C(8)))
        return err_set(e, EIO, "VHDX sector bitmap at offset %" PRIu64 " is cut short", bitmap);
    bool here;
    uint64_t n = bits_run(hold->data, bit, want, &here);
    out->kind = here ? EXTENT_DATA : EXTENT_HOLE;
    out->length = num_min(out->length, n * sector - in % sector);
    out->has_host = here;
    out->host += in;
    out->block_size = out->block_offset = 0;
    if (!here) {
        out->file = NULL;
        out->host = 0;
    }
    return 0;
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* Is what was opened as the backing image the one that this image was made over, and unchanged? */
static int parent_check(const struct image *img, struct vhdx *s, struct err *e)
{
    const struct image *below = img->backing;
    if (!below || atomic_load_explicit(&s->parent_ok, memory_order_relaxed))
        return 0;
    const struct vhdx *parent = below->format == &format_vhdx ? below->state : NULL;
    for (unsigned i = 0; parent && i < s->parent.n_linkage; i++) {
        if (vhdx_guid_equal(&s->parent.linkage[i], &parent->data_write)) {
            atomic_store_explicit(&s->parent_ok, true, memory_order_relaxed);
            return 0;
        }
    }
    return err_set(e, EINVAL, "'%s' is not the parent that '%s' was made over%s", below->name,
                   img->name, parent ? ", or it was written to since" : ": it is no VHDX image");
}

/* ---- map ------------------------------------------------------------------------------------- */

int vhdx_map_open(struct vhdx *s, uint64_t budget, struct err *e)
{
    struct table_params p = {
        .format = &vhdx_bat_format,
        .file = s->file,
        .data_file = s->file,
        .size = s->meta.size,
        .block_size = s->meta.block_size,
        .levels = 1,
        .first_offset = s->regions.bat.start,
        .first_entries = s->blocks,
        .gap_every = s->ratio,
        .budget = s->meta.has_parent ? budget / 2 : budget,
        .decode = entry_decode,
        .ctx = s,
    };
    if (s->meta.has_parent && slices_new(s->file, budget / 2, 0, &s->bitmaps, e))
        return -1;
    return table_open(&p, &s->table, e);
}

void vhdx_map_close(struct vhdx *s)
{
    table_free(s->table);
    slices_free(s->bitmaps);
}

int vhdx_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e)
{
    struct vhdx *s = vhdx_of(img);
    if (s->meta.has_parent && parent_check(img, s, e))
        return -1;
    if (table_map(s->table, guest, length, out, e))
        return -1;
    if (out->kind != EXTENT_PACKED)
        return 0;
    struct slice hold = {0};
    int r = partial_map(s, guest / s->meta.block_size, &hold, out, e);
    slices_put(s->bitmaps, &hold);
    return r;
}
