#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/vmdk/state.h"

/* ---- entries --------------------------------------------------------------------------------- */

static const struct table_format hosted_format = {
    .entry_size = 4,
    .place_mask = UINT32_MAX,
    .place_scale = VMDK_SECTOR,
    .absent = 0,
};

/* With this the table need not ask us. */
static const struct table_format hosted_zero_format = {
    .entry_size = 4,
    .place_mask = UINT32_MAX,
    .place_scale = VMDK_SECTOR,
    .absent = 0,
    .has_zero = true,
    .zero = 1,
};

/* Entries of neighbours differ by no fixed step: each is decoded. */
static const struct table_format wide_format = {
    .entry_size = 8,
    .place_mask = UINT64_MAX,
    .place_scale = UINT64_C(1) << 32,
    .absent = 0,
};

static int hosted_decode_packed(void *ctx, uint64_t block, uint64_t raw, struct table_entry *out,
                                struct err *e)
{
    const struct vmdk_extent *x = ctx;
    (void)block;
    (void)e;
    if (!raw)
        return 0;
    if (raw == 1 && x->zero_grain) {
        out->kind = EXTENT_ZERO;
        return 0;
    }
    out->kind = EXTENT_PACKED;
    out->host = raw * VMDK_SECTOR + x->lead_in;
    out->packed_len = x->packed_max;
    out->codec = codec_find("zlib");
    return 0;
}

/* seSparse: what the four highest bits of an entry say. */
enum { WIDE_ABSENT = 0, WIDE_UNMAPPED = 1, WIDE_ZERO = 2, WIDE_STORED = 3 };

#define WIDE_TABLE                                                                                 \
    UINT64_C(0x10000000) /* the high half of a directory entry that holds a table                  \
                          */

static int wide_decode(void *ctx, uint64_t block, uint64_t raw, struct table_entry *out,
                       struct err *e)
{
    const struct vmdk_extent *x = ctx;
    uint64_t index = (raw >> 48 & 0xfff) | (raw & UINT64_C(0xffffffffffff)) << 12;
    unsigned what = (unsigned)(raw >> 60);
    if (!raw)
        return 0;
    if (what == WIDE_UNMAPPED || what == WIDE_ZERO) {
        out->kind = EXTENT_ZERO;
        return 0;
    }
    out->kind = EXTENT_DATA;
    out->has_host = true;
    if (what == WIDE_STORED && num_mul(index, x->grain, &out->host) &&
        num_add(out->host, x->grid.grains_offset, &out->host) && out->host <= INT64_MAX)
        return 0;
    return err_set(e, EIO, "Invalid grain table entry 0x%016" PRIx64 " (grain %" PRIu64 ")", raw,
                   block);
}

static int wide_decode_first(void *ctx, uint64_t index, uint64_t raw, uint64_t *host, struct err *e)
{
    const struct vmdk_extent *x = ctx;
    uint64_t table = raw & UINT32_MAX, bytes = x->grid.gtes * sizeof(uint64_t);
    if (raw >> 32 == WIDE_TABLE && num_add(x->grid.tables_offset, table * bytes, host))
        return 0;
    return err_set(e, EIO, "Invalid grain directory entry 0x%016" PRIx64 " (index %" PRIu64 ")",
                   raw, index);
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const struct table_format *format_of(const struct vmdk_extent *x)
{
    if (x->wide)
        return &wide_format;
    return x->zero_grain ? &hosted_zero_format : &hosted_format;
}

/* What a file may lack at its end: the rest of its last grain. */
static uint32_t tail_of(uint32_t grain)
{
    return num_is_pow2(grain) ? grain : UINT32_C(1) << (32 - __builtin_clz(grain));
}

int vmdk_table_open(const struct vmdk *v, struct vmdk_extent *x, struct table **out, struct err *e)
{
    struct table_params p = {
        .format = format_of(x),
        .file = x->file,
        .data_file = x->file,
        .size = x->size,
        .block_size = x->grain,
        .levels = 2,
        .table_entries = x->grid.gtes,
        .first_offset = x->grid.first_offset,
        .first_entries = x->grid.first_entries,
        .table_mask = UINT64_MAX,
        .table_scale = VMDK_SECTOR,
        .budget = v->pool.budget,
        .tail = tail_of(x->grain),
        .decode = x->wide     ? wide_decode
                  : x->packed ? hosted_decode_packed
                              : NULL,
        .decode_first = x->wide ? wide_decode_first : NULL,
        .ctx = x,
    };
    if (table_open(&p, out, e))
        return err_prefix(e, "Could not read l1 table from extent '%s': ", file_name(x->file));
    return 0;
}

/* ---- one extent ------------------------------------------------------------------------------ */

static void flat_map(const struct vmdk_extent *x, uint64_t at, struct extent *out)
{
    out->kind = EXTENT_DATA;
    out->file = x->file;
    out->host = x->host + at;
    out->has_host = true;
    out->length = x->size - at;
    out->tail = VMDK_SECTOR;
}

/* An encoded grain ends where the next one begins, if that follows it in the file: less to read.
 * The last one of the disk may hold no more than the disk does. */
static int packed_trim(struct table *t, const struct vmdk_extent *x, uint64_t at,
                       struct extent *out, struct err *e)
{
    uint64_t block = at / x->grain, next = 0, left = x->size - block * x->grain;
    out->block_size = (uint32_t)num_min(x->grain, left);
    if (left <= x->grain)
        return 0;
    if (table_raw(t, block + 1, &next, e)) {
        err_clear(e); /* it is told when somebody asks for that grain */
        return 0;
    }
    next *= VMDK_SECTOR;
    if (next > out->host)
        out->packed_len = (uint32_t)num_min(out->packed_len, next - out->host);
    return 0;
}

int vmdk_extent_map(struct vmdk *v, struct vmdk_extent *x, uint64_t at, uint64_t length,
                    struct extent *out, struct err *e)
{
    length = num_min(length, x->size - at);
    if (!x->grain) {
        flat_map(x, at, out);
        return 0;
    }
    struct table *t = vmdk_pool_get(v, x, e);
    if (!t)
        return -1;
    int r = table_map(t, at, length, out, e);
    if (!r && out->kind == EXTENT_PACKED)
        r = packed_trim(t, x, at, out, e);
    vmdk_pool_put(v, x);
    return r;
}

/* ---- all of them ----------------------------------------------------------------------------- */

struct vmdk_extent *vmdk_extent_at(struct vmdk *v, uint64_t guest)
{
    size_t low = 0, high = v->n; /* the last that begins at or before it */
    while (high - low > 1) {
        size_t mid = low + (high - low) / 2;
        if (v->extents[mid].start <= guest)
            low = mid;
        else
            high = mid;
    }
    return &v->extents[low];
}

/* A hole goes on where the next extent begins with one. */
static void hole_extend(struct vmdk *v, struct vmdk_extent *x, uint64_t guest, uint64_t length,
                        struct extent *out, struct err *e)
{
    struct vmdk_extent *end = v->extents + v->n;
    while (guest + out->length == x->start + x->size && out->length < length && ++x < end) {
        struct extent more = {0};
        if (!x->size)
            continue;
        if (vmdk_extent_map(v, x, 0, length - out->length, &more, e)) {
            err_clear(e);
            return;
        }
        if (more.kind != EXTENT_HOLE)
            return;
        out->length += num_min(more.length, length - out->length);
    }
}

/* What is left to the parent is good only over that parent as it was when this image was made:
 * its content identifier changes with its first write. */
static int parent_check(const struct vmdk *v, struct err *e)
{
    const struct image *parent = v->image->backing;
    if (!parent)
        return 0;
    if (parent->format != &format_vmdk)
        return err_set(e, EINVAL, "The parent '%s' is no vmdk image", parent->name);
    uint32_t cid = vmdk_of(parent)->desc.cid;
    if (cid == v->desc.parent_cid)
        return 0;
    return err_set(e, EINVAL,
                   "The parent '%s' was changed after '%s' was made over it: its CID is %08" PRIx32
                   ", not %08" PRIx32,
                   parent->name, v->image->name, cid, v->desc.parent_cid);
}

int vmdk_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e)
{
    struct vmdk *v = vmdk_of(img);
    struct vmdk_extent *x = vmdk_extent_at(v, guest);
    if (vmdk_extent_map(v, x, guest - x->start, length, out, e))
        return -1;
    if (out->kind != EXTENT_HOLE)
        return 0;
    if (parent_check(v, e))
        return -1;
    hole_extend(v, x, guest, length, out, e);
    return 0;
}
