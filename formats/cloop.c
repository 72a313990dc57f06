/*
 * cloop: the compressed loop device's image (version 2), read only.
 *
 *   shell script | size of a block, number of blocks | offsets, one more than blocks | zlib streams
 *
 * All numbers are big-endian. A block is packed from its offset to the next one's.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/format.h"
#include "formats/slices.h"

#define CLOOP_HEADER    136u /* the table of offsets follows */
#define CLOOP_BLOCK_MAX (64 * MIB)
#define CLOOP_TABLE_MAX (512 * MIB)
#define CLOOP_PIECE     (64 * KIB) /* the table is looked through in such pieces */

struct cloop {
    uint32_t block_size, n_blocks;
    const struct codec *codec;
    struct slices *offsets;
};

static const char cloop_magic[] = "#!/bin/sh\n"
                                  "#V2.0 Format\n"
                                  "modprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1\n";

static int cloop_probe(const uint8_t *head, size_t n, const char *filename)
{
    size_t len = sizeof cloop_magic - 1;
    (void)filename;
    return n >= len && memcmp(head, cloop_magic, len) == 0 ? 100 : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int cloop_header_check(const struct cloop *c, struct err *e)
{
    if (!c->block_size)
        return err_set(e, EINVAL, "block_size cannot be zero");
    if (c->block_size % 512)
        return err_set(e, EINVAL, "block_size %" PRIu32 " must be a multiple of 512",
                       c->block_size);
    if (c->block_size > CLOOP_BLOCK_MAX)
        return err_set(e, EINVAL, "block_size %" PRIu32 " must be 64 MB or less", c->block_size);
    if (c->n_blocks > UINT32_MAX / 8)
        return err_set(e, EINVAL, "n_blocks %" PRIu32 " must be %" PRIu32 " or less", c->n_blocks,
                       UINT32_MAX / 8);
    if (((uint64_t)c->n_blocks + 1) * 8 > CLOOP_TABLE_MAX)
        return err_set(e, EINVAL, "image requires too many offsets, try increasing block size");
    return 0;
}

static int cloop_header_read(struct cloop *c, struct file *f, struct err *e)
{
    uint8_t head[CLOOP_HEADER];
    if (file_read_padded(f, head, sizeof head, 0, NULL, e))
        return err_prefix(e, "Could not read the header: ");
    c->block_size = be32_load(head + 128);
    c->n_blocks = be32_load(head + 132);
    return cloop_header_check(c, e);
}

/* Block index - 1 is packed between the two. */
static int cloop_offset_check(uint64_t before, uint64_t offset, uint64_t index, struct err *e)
{
    if (offset < before)
        return err_set(e, EINVAL,
                       "offsets not monotonically increasing at index %" PRIu64
                       ", image file is corrupt",
                       index);
    if (offset - before > 2 * CLOOP_BLOCK_MAX || offset > INT64_MAX)
        return err_set(e, EINVAL,
                       "invalid compressed block size at index %" PRIu64 ", image file is corrupt",
                       index);
    return 0;
}

/* All of the table once, in order: what is wrong with it shows before anything is read by it. */
static int cloop_table_check(const struct cloop *c, struct file *f, struct err *e)
{
    AUTO_FREE uint8_t *piece = mem_new(1, CLOOP_PIECE, e);
    uint64_t before = 0, left = (uint64_t)c->n_blocks + 1;
    if (!piece)
        return -1;
    for (uint64_t index = 0; left;) {
        uint64_t n = num_min(left, CLOOP_PIECE / 8);
        if (file_read(f, piece, n * 8, CLOOP_HEADER + index * 8, e))
            return err_prefix(e, "Could not read the table of offsets: ");
        for (uint64_t i = 0; i < n; i++, index++) {
            uint64_t offset = be64_load(piece + i * 8);
            if (index && cloop_offset_check(before, offset, index, e))
                return -1;
            before = offset;
        }
        left -= n;
    }
    return 0;
}

static void cloop_free(struct cloop *c)
{
    slices_free(c->offsets);
    free(c);
}

static void cloop_cleanup(struct cloop **c)
{
    if (*c)
        cloop_free(*c);
}

static void cloop_close(struct image *img)
{
    cloop_free(img->state);
    img->state = NULL;
}

static int cloop_open(struct image *img, struct err *e)
{
    AUTO(cloop_cleanup) struct cloop *c = mem_new(1, sizeof *c, e);
    if (!c || cloop_header_read(c, img->file, e) || cloop_table_check(c, img->file, e) ||
        slices_new(img->file, img->flags.metadata_budget, 0, &c->offsets, e))
        return -1;
    c->codec = codec_find("zlib");
    img->size = (uint64_t)c->n_blocks * c->block_size;
    img->largest_block = c->block_size;
    img->state = MEM_TAKE(c);
    return 0;
}

/* ---- map ------------------------------------------------------------------------------------- */

/* Offset `index` of the table, through a slice that may be held: none of them crosses its border.
 */
static int cloop_offset(struct cloop *c, struct slice *s, uint64_t index, uint64_t *offset,
                        struct err *e)
{
    uint64_t at = CLOOP_HEADER + index * 8;
    if (slices_move(c->offsets, at, s, e))
        return -1;
    if (!num_inside(at - s->offset, 8, s->valid))
        return err_set(e, EIO, "%s", strerror(EIO));
    *offset = be64_load(s->data + (at - s->offset));
    return 0;
}

/* The file may have changed since it was opened. */
static int cloop_block(struct cloop *c, uint64_t block, uint64_t *host, uint32_t *packed_len,
                       struct err *e)
{
    struct slice s = {0};
    uint64_t end = 0;
    int rc = cloop_offset(c, &s, block, host, e) || cloop_offset(c, &s, block + 1, &end, e) ||
                     cloop_offset_check(*host, end, block + 1, e)
                 ? -1
                 : 0;
    slices_put(c->offsets, &s);
    *packed_len = (uint32_t)(end - *host);
    return rc;
}

static int cloop_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                     struct err *e)
{
    struct cloop *c = img->state;
    (void)length; /* the core cuts it */
    out->kind = EXTENT_PACKED;
    out->file = img->file;
    out->codec = c->codec;
    out->block_size = c->block_size;
    out->block_offset = (uint32_t)(guest % c->block_size);
    out->length = c->block_size - out->block_offset;
    return cloop_block(c, guest / c->block_size, &out->host, &out->packed_len, e);
}

const struct format format_cloop = {
    .name = "cloop",
    .probe = cloop_probe,
    .named_only = true,
    .open = cloop_open,
    .close = cloop_close,
    .map = cloop_map,
};
