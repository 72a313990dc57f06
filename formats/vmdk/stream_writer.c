/*
 * streamOptimized: made to be read from front to back, as VMware's products write and take it.
 *
 *   header │ descriptor │ grain … grain │ GT │ grain … grain │ GT │ GD │ footer │ end of stream
 *
 * Every grain is encoded and has a marker in front, and so has each piece of metadata. A grain
 * table follows the grains that it describes; the directory comes last, so the header does not know
 * where it is: the footer, a copy of the header, does. All stands on sector boundaries.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/layout.h"
#include "formats/vmdk/create.h"
#include "io/pages.h"

#define OVERHEAD  VMDK_GRAIN_DEFAULT            /* sectors before the first grain */
#define GT_PLACE  (VMDK_SECTOR + VMDK_GT_BYTES) /* a grain table with its marker */
#define GD_BUFFER (64 * KIB)
#define END_BYTES (3 * VMDK_SECTOR) /* footer's marker, footer, end of stream */

/* Grain tables of which readers take no more (qemu: 512 Mi). */
#define TABLES_MAX ((uint64_t)512 << 20)

/* A grain table that was written; those that would be empty are not. */
struct written {
    uint32_t index, sector;
};

struct stream_writer {
    struct vmdk_writer v;
    int level;
    uint64_t tables; /* grain tables of the whole guest */
    /* rank 0 */
    uint8_t open[GT_PLACE]; /* the grain table that is being filled, behind its marker */
    struct written *written;
    size_t n_written, cap_written;
};

static struct stream_writer *stream_of(const struct writer *w)
{
    return (struct stream_writer *)w; /* w is the first member of its first member */
}

/* ---- placing --------------------------------------------------------------------------------- */

static void stream_begin(const struct writer *w, struct cursor *c)
{
    (void)w;
    *c = (struct cursor){.end = (uint64_t)OVERHEAD * VMDK_SECTOR};
}

static int take(struct cursor *c, uint64_t len, uint64_t *host, struct err *e)
{
    *host = c->end;
    c->end += len;
    if (c->end / VMDK_SECTOR > VMDK_SECTORS_MAX)
        return err_set(e, EFBIG, "A vmdk file cannot hold more than 2 TiB of data");
    return 0;
}

/* The table of the grain at `block` is the open one; the last one, if it is another, is placed. */
static int enter_table(uint64_t block, struct cursor *c, struct placing *out, struct err *e)
{
    uint64_t table = block / VMDK_GTES_PER_GT, host;
    if (c->tables && c->tables != table + 1 &&
        (take(c, GT_PLACE, &host, e) || placing_add_meta(out, PLACE_TABLE, c->tables - 1, host, e)))
        return -1;
    c->tables = table + 1;
    return 0;
}

static int stream_place(const struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                        struct cursor *c, struct placing *out, struct err *e)
{
    uint64_t first = chunk * (w->chunk_size / w->block_size);
    for (size_t i = 0; i < n; i++) {
        out->host[i] = PLACE_NONE;
        if (need[i] == NEED_HOLE)
            continue;
        if (need[i] != NEED_ZERO && !need_is_packed(need[i]))
            return err_set(e, EINVAL, "A grain of a stream is not encoded");
        if (enter_table(first + i, c, out, e) ||
            (need_is_packed(need[i]) && take(c, need_packed_len(need[i]), &out->host[i], e)))
            return -1;
    }
    return 0;
}

/* ---- metadata: rank 0 ------------------------------------------------------------------------ */

static void marker_store(uint8_t *sector, uint64_t sectors, enum vmdk_marker type)
{
    memset(sector, 0, VMDK_SECTOR);
    le64_store(sector + VMDK_MARKER_LBA, sectors);
    le32_store(sector + VMDK_MARKER_TYPE, type);
}

static int add_written(struct stream_writer *w, uint64_t index, uint64_t host, struct err *e)
{
    if (w->n_written == w->cap_written) {
        size_t cap = num_max(64, 2 * w->cap_written);
        struct written *grown = mem_grow(w->written, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        w->written = grown;
        w->cap_written = cap;
    }
    w->written[w->n_written++] =
        (struct written){(uint32_t)index, (uint32_t)(host / VMDK_SECTOR) + 1};
    return 0;
}

static int put_table(struct stream_writer *w, uint64_t index, uint64_t host, struct pages *pages,
                     struct err *e)
{
    marker_store(w->open, VMDK_GT_BYTES / VMDK_SECTOR, VMDK_MARKER_GT);
    if (add_written(w, index, host, e) || writer_put(w->v.file, pages, host, w->open, GT_PLACE, e))
        return -1;
    memset(w->open, 0, sizeof w->open);
    return 0;
}

/* A chunk lies within one table, so what it closes lies before all of its grains. */
static int stream_publish(struct writer *base, uint64_t chunk, const need_t *need, size_t n,
                          const struct placing *placed, struct pages *pages, struct err *e)
{
    struct stream_writer *w = stream_of(base);
    uint64_t first = chunk * (base->chunk_size / base->block_size);
    for (size_t i = 0; i < placed->n_meta; i++)
        if (put_table(w, placed->meta[i].index, placed->meta[i].host, pages, e))
            return -1;
    for (size_t i = 0; i < n; i++) {
        uint8_t *at = w->open + VMDK_SECTOR + (first + i) % VMDK_GTES_PER_GT * 4;
        if (need[i] == NEED_ZERO)
            table_store(&vmdk_grain_table, at, vmdk_grain_table.zero);
        else if (placed->host[i] != PLACE_NONE)
            table_store(&vmdk_grain_table, at, table_encode(&vmdk_grain_table, placed->host[i], 0));
    }
    return 0;
}

/* ---- the end: rank 0 ------------------------------------------------------------------------- */

static int put_last_table(struct stream_writer *w, struct cursor *c, struct pages *pages,
                          struct err *e)
{
    uint64_t host;
    if (!c->tables)
        return 0;
    return take(c, GT_PLACE, &host, e) || put_table(w, c->tables - 1, host, pages, e) ? -1 : 0;
}

/* One buffer of the directory: entries from `first` on; *next is the written table to go on with.
 */
static void fill_directory(const struct stream_writer *w, uint64_t first, uint8_t *buf,
                           size_t *next)
{
    memset(buf, 0, GD_BUFFER);
    for (; *next < w->n_written; ++*next) {
        const struct written *t = &w->written[*next];
        if (t->index - first >= GD_BUFFER / 4)
            break;
        le32_store(buf + (t->index - first) * 4, t->sector);
    }
}

/* *gd: its sector. */
static int put_directory(struct stream_writer *w, struct cursor *c, uint64_t *gd,
                         struct pages *pages, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(GD_BUFFER, e);
    const uint64_t len = num_up(w->tables * 4, VMDK_SECTOR);
    uint64_t host;
    size_t next = 0;
    if (!buf || take(c, VMDK_SECTOR + len, &host, e))
        return -1;
    *gd = host / VMDK_SECTOR + 1;
    marker_store(buf, len / VMDK_SECTOR, VMDK_MARKER_GD);
    if (writer_put(w->v.file, pages, host, buf, VMDK_SECTOR, e))
        return -1;
    for (uint64_t at = 0; at < len; at += GD_BUFFER) {
        fill_directory(w, at / 4, buf, &next);
        if (writer_put(w->v.file, pages, *gd * VMDK_SECTOR + at, buf, num_min(len - at, GD_BUFFER),
                       e))
            return -1;
    }
    return 0;
}

static void header_store(const struct stream_writer *w, uint64_t gd, uint8_t *buf)
{
    bool zeroed = w->v.create.zeroed_grain;
    const struct vmdk_sparse h = {
        .version = VMDK_VERSION_MAX,
        .flags = VMDK_FLAG_NEWLINE | VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS |
                 (zeroed ? VMDK_FLAG_ZERO_GRAIN : 0),
        .capacity = w->v.create.size / VMDK_SECTOR,
        .grain = VMDK_GRAIN_DEFAULT,
        .desc_offset = VMDK_DESC_OFFSET,
        .desc_size = VMDK_DESC_SIZE,
        .gtes = VMDK_GTES_PER_GT,
        .gd_offset = gd,
        .overhead = OVERHEAD,
        .compression = VMDK_DEFLATE,
    };
    vmdk_sparse_store(&h, buf);
}

static int put_end(struct stream_writer *w, struct cursor *c, uint64_t gd, struct pages *pages,
                   struct err *e)
{
    uint8_t buf[END_BYTES];
    uint64_t host;
    if (take(c, END_BYTES, &host, e))
        return -1;
    marker_store(buf, 1, VMDK_MARKER_FOOTER);
    header_store(w, gd, buf + VMDK_SECTOR);
    marker_store(buf + 2 * VMDK_SECTOR, 0, VMDK_MARKER_EOS);
    return writer_put(w->v.file, pages, host, buf, sizeof buf, e);
}

static int stream_finish(struct writer *base, struct cursor *c, struct pages *pages, struct err *e)
{
    struct stream_writer *w = stream_of(base);
    struct file *f = w->v.file;
    uint8_t header[VMDK_SPARSE_HEADER];
    uint64_t gd;
    header_store(w, VMDK_GD_AT_END, header);
    if (vmdk_descriptor_put(&w->v.create, w->v.path, f, pages, e) ||
        put_last_table(w, c, pages, e) || put_directory(w, c, &gd, pages, e) ||
        put_end(w, c, gd, pages, e) || pages_flush(pages, e) || file_truncate(f, c->end, e) ||
        file_sync(f, e))
        return -1;
    return file_write(f, header, sizeof header, 0, e);
}

/* ---- packing --------------------------------------------------------------------------------- */

static int stream_packer_new(const struct writer *w, struct packer **out, struct err *e)
{
    return vmdk_packer_new(stream_of(w)->level, out, e);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void stream_free(struct writer *w)
{
    if (w)
        free(stream_of(w)->written);
    free(w);
}

static const struct writer_ops stream_ops = {
    .free = stream_free,
    .begin = stream_begin,
    .place = stream_place,
    .publish = stream_publish,
    .finish = stream_finish,
    .packer_new = stream_packer_new,
    .packer_free = vmdk_packer_free,
    .pack = vmdk_pack,
};

int vmdk_stream_open(const struct writer_params *p, const struct vmdk_create *c,
                     struct writer **out, struct err *e)
{
    uint64_t tables = num_div_up(c->size, VMDK_GT_SPAN);
    if (tables > TABLES_MAX)
        return err_set(e, EFBIG, "The image size is too large for file format 'vmdk'");
    struct stream_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    w->v = (struct vmdk_writer){
        .w = {.ops = &stream_ops,
              .block_size = VMDK_GRAIN_BYTES,
              .chunk_size = layout_chunk(VMDK_GRAIN_BYTES),
              .data_file = p->file,
              .packs = true,
              .packed_max = VMDK_PACKED_MAX,
              .zero_flag = c->zeroed_grain},
        .create = *c,
        .file = p->file,
        .path = p->path,
    };
    w->level = p->level;
    w->tables = tables;
    *out = &w->v.w;
    return 0;
}
