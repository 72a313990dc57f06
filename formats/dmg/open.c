#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/codec/codec.h"
#include "formats/dmg/dmg.h"
#include "formats/format.h"

/* What chunks are packed with; some only in builds that have the library. */
static const struct packing {
    uint32_t type;
    const char *codec;
    const char *name;
} packings[] = {
    {DMG_ADC, "adc", "ADC"},       {DMG_ZLIB, "zlib", "zlib"}, {DMG_BZIP2, "bzip2", "bzip2"},
    {DMG_LZFSE, "lzfse", "LZFSE"}, {DMG_LZMA, "xz", "LZMA"},
};

struct dmg {
    struct dmg_chunks chunks;
    const struct codec *codec[ARRAY_LEN(packings)]; /* NULL: not in this build */
};

/* No magic at the start: the name must do. */
static int dmg_probe(const uint8_t *head, size_t n, const char *filename)
{
    size_t len = filename ? strlen(filename) : 0;
    (void)head;
    (void)n;
    return len > 4 && !strcmp(filename + len - 4, ".dmg") ? 2 : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Old images have both; then they say the same. */
static int dmg_read_tables(struct dmg *d, struct file *f, const struct dmg_trailer *t,
                           struct err *e)
{
    struct dmg_mish mish = {.chunks = &d->chunks, .data_fork = t->data_fork};
    if (t->fork_len && dmg_fork_read(f, t->fork, t->fork_len, &mish, e))
        return -1;
    if (!d->chunks.n && t->plist_len && dmg_plist_read(f, t->plist, t->plist_len, &mish, e))
        return -1;
    if (!d->chunks.n && t->sectors)
        return err_set(e, EINVAL, "dmg file has no table of chunks");
    return dmg_chunks_finish(&d->chunks, e);
}

static uint32_t dmg_largest_block(const struct dmg *d)
{
    uint64_t most = 0;
    for (size_t i = 0; i < d->chunks.n; i++)
        if (dmg_is_packed(d->chunks.of[i].type))
            most = num_max(most, d->chunks.of[i].sectors);
    return (uint32_t)(most * DMG_SECTOR);
}

static void dmg_free(struct dmg *d)
{
    dmg_chunks_release(&d->chunks);
    free(d);
}

static void dmg_cleanup(struct dmg **d)
{
    if (*d)
        dmg_free(*d);
}

static void dmg_close(struct image *img)
{
    dmg_free(img->state);
    img->state = NULL;
}

static int dmg_open(struct image *img, struct err *e)
{
    struct dmg_trailer t;
    AUTO(dmg_cleanup) struct dmg *d = mem_new(1, sizeof *d, e);
    if (!d || dmg_trailer_read(img->file, &t, e) || dmg_read_tables(d, img->file, &t, e))
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(packings); i++)
        d->codec[i] = codec_find(packings[i].codec);
    img->size = t.sectors * DMG_SECTOR;
    img->largest_block = dmg_largest_block(d);
    img->state = MEM_TAKE(d);
    return 0;
}

/* ---- map ------------------------------------------------------------------------------------- */

static int dmg_codec(const struct dmg *d, const struct dmg_chunk *c, const struct codec **out,
                     struct err *e)
{
    for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
        if (packings[i].type != c->type)
            continue;
        *out = d->codec[i];
        return *out ? 0
                    : err_set(e, ENOTSUP, "dmg chunks packed with %s are not supported here",
                              packings[i].name);
    }
    return err_set(e, ENOTSUP, "dmg chunks of unknown type %" PRIx32 " are not supported", c->type);
}

static int dmg_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                   struct err *e)
{
    const struct dmg *d = img->state;
    const struct dmg_chunk *c = dmg_chunks_find(&d->chunks, guest / DMG_SECTOR);
    (void)length; /* the core cuts it */
    if (!c)
        return err_set(e, EIO, "No chunk of the dmg file holds sector %" PRIu64,
                       guest / DMG_SECTOR);
    uint64_t offset = guest - c->sector * DMG_SECTOR;
    out->length = c->sectors * DMG_SECTOR - offset;
    out->kind = EXTENT_ZERO;
    if (c->type == DMG_ZERO)
        return 0;
    out->file = img->file;
    out->host = c->host + (c->type == DMG_RAW ? offset : 0);
    out->kind = EXTENT_DATA;
    if (c->type == DMG_RAW)
        return 0;
    out->kind = EXTENT_PACKED;
    out->packed_len = c->packed_len;
    out->block_size = (uint32_t)(c->sectors * DMG_SECTOR);
    out->block_offset = (uint32_t)offset;
    return dmg_codec(d, c, &out->codec, e);
}

const struct format format_dmg = {
    .name = "dmg",
    .probe = dmg_probe,
    .named_only = true,
    .open = dmg_open,
    .close = dmg_close,
    .map = dmg_map,
};
