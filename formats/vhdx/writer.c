/* vhdx_writer: a fresh image, from its options to its signature. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "formats/front_table.h"
#include "formats/layout.h"
#include "formats/vhdx/vhdx.h"
#include "io/pages.h"

#define SECTOR          512u
#define BEHIND_METADATA (5 * MIB) /* from its begin to the first block, as others leave it */

struct vhdx_writer {
    struct writer w;
    struct vhdx_create create;
    struct layout layout;
    struct vhdx_header header;
    struct vhdx_regions regions; /* bat, metadata */
    struct vhdx_guid disk_id;
    uint64_t blocks, ratio;
    struct file *file;       /* borrowed */
    struct front_table *bat; /* rank 0; made when first needed */
};

static struct vhdx_writer *writer_of(const struct writer *w)
{
    return (struct vhdx_writer *)w; /* w is its first member */
}

/* ---- opening --------------------------------------------------------------------------------- */

/* identifier, headers, regions │ log │ BAT │ metadata │ blocks */
static void places_set(struct vhdx_writer *w)
{
    const struct vhdx_create *c = &w->create;
    w->blocks = num_div_up(c->size, c->block_size);
    w->ratio = vhdx_chunk_ratio(SECTOR, c->block_size);
    /* of an empty disk others take the last block to be number 2^32 - 1 */
    uint64_t last = w->blocks ? w->blocks - 1 : UINT32_MAX;
    uint64_t bat = (w->blocks + last / w->ratio) * 8;
    w->regions.bat.start = MIB + c->log_size;
    w->regions.bat.end = w->regions.bat.start + num_up(bat, VHDX_ALIGN);
    w->regions.metadata.start = w->regions.bat.end;
    w->regions.metadata.end = w->regions.metadata.start + MIB;
    w->layout = (struct layout){
        .unit = layout_unit(c->block_size),
        .block = c->block_size,
        .align = VHDX_ALIGN,
        .begin = w->regions.metadata.start + BEHIND_METADATA,
    };
}

static void header_set(struct vhdx_writer *w, const uint8_t random[64])
{
    w->header = (struct vhdx_header){
        .sequence = 1,
        .file_write = vhdx_guid_make(random),
        .data_write = vhdx_guid_make(random + 16),
        .version = 1,
        .log_length = (uint32_t)w->create.log_size,
        .log_offset = MIB,
    };
    w->disk_id = vhdx_guid_make(random + 32);
}

static void vhdx_writer_free(struct writer *base)
{
    struct vhdx_writer *w = writer_of(base);
    if (w)
        front_table_free(w->bat);
    free(w);
}

static int vhdx_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    uint64_t size = p->size > UINT64_MAX - SECTOR ? p->size : num_up(p->size, SECTOR);
    enum file_prealloc none; /* the original takes the option, and reserves nothing */
    AUTO_FREE struct vhdx_writer *w = mem_new(1, sizeof *w, e);
    if (!w || file_create_prealloc(p->options, &none, e) ||
        vhdx_create_parse(p->options, size, &w->create, e))
        return -1;
    places_set(w);
    header_set(w, p->random);
    w->file = p->file;
    w->w = (struct writer){
        .block_size = w->layout.unit,
        .chunk_size = layout_chunk(w->layout.unit),
        .data_file = p->file,
        .reserve = w->create.fixed,
    };
    /* a device: nothing of what stood there may be taken for log, BAT or metadata */
    if (writer_begins(p) && !file_grows_zero(p->file) &&
        file_zero(p->file, 0, w->layout.begin, FILE_ZERO_KEEP, e))
        return -1;
    *out = &MEM_TAKE(w)->w;
    return 0;
}

/* ---- placing --------------------------------------------------------------------------------- */

static void vhdx_writer_begin(const struct writer *base, struct cursor *c)
{
    layout_begin(&writer_of(base)->layout, c);
}

static int vhdx_writer_place(const struct writer *base, uint64_t chunk, const need_t *need,
                             size_t n, struct cursor *c, struct placing *out, struct err *e)
{
    uint64_t first = chunk * (base->chunk_size / base->block_size);
    return layout_place(&writer_of(base)->layout, first, need, n, c, out, e);
}

/* ---- metadata: rank 0 ------------------------------------------------------------------------ */

static int need_bat(struct vhdx_writer *w, struct err *e)
{
    const struct front_table_params p = {
        .format = &vhdx_bat_format,
        .file = w->file,
        .offset = {w->regions.bat.start},
        .copies = 1,
        .entries = vhdx_bat_entries(w->blocks, w->ratio, false),
        .fill = w->create.state_zero ? VHDX_ZERO : VHDX_NOT_PRESENT,
        .gap_every = w->ratio,
    };
    return w->bat ? 0 : front_table_new(&p, &w->bat, e);
}

/* A block is zero where nothing is written to it: on a device that takes a write, before its
 * chunk's worker is told where it is. */
static int block_publish(struct vhdx_writer *w, const struct place_meta *m, struct pages *pages,
                         struct err *e)
{
    if (!file_grows_zero(w->file) &&
        file_zero(w->file, m->host, w->create.block_size, FILE_ZERO_UNMAP, e))
        return -1;
    return front_table_set(w->bat, m->index, table_encode(&vhdx_bat_format, m->host, 0), pages, e);
}

static int vhdx_writer_publish(struct writer *base, uint64_t chunk, const need_t *need, size_t n,
                               const struct placing *placed, struct pages *pages, struct err *e)
{
    struct vhdx_writer *w = writer_of(base);
    (void)chunk;
    (void)need;
    (void)n;
    if (need_bat(w, e))
        return -1;
    for (size_t i = 0; i < placed->n_meta; i++)
        if (block_publish(w, &placed->meta[i], pages, e))
            return -1;
    return 0;
}

static int put_metadata(const struct vhdx_writer *w, struct pages *pages, struct err *e)
{
    const struct vhdx_metadata m = {
        .block_size = w->create.block_size,
        .leave_allocated = w->create.fixed,
        .size = w->create.size,
        .disk_id = w->disk_id,
        .logical_sector = SECTOR,
        .physical_sector = SECTOR,
    };
    AUTO_FREE uint8_t *buf = mem_io(VHDX_METADATA_SIZE, e);
    if (!buf)
        return -1;
    vhdx_metadata_store(&m, buf);
    return writer_put(w->file, pages, w->regions.metadata.start, buf, VHDX_METADATA_SIZE, e);
}

static int put_headers(const struct vhdx_writer *w, struct pages *pages, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(VHDX_REGION_TABLE_SIZE, e);
    struct vhdx_header h = w->header;
    if (!buf)
        return -1;
    vhdx_regions_store(&w->regions, buf);
    for (unsigned i = 0; i < VHDX_REGION_TABLES; i++)
        if (writer_put(w->file, pages, vhdx_region_place(i), buf, VHDX_REGION_TABLE_SIZE, e))
            return -1;
    for (unsigned i = 0; i < VHDX_HEADERS; i++, h.sequence++) {
        vhdx_header_store(&h, buf);
        if (writer_put(w->file, pages, vhdx_header_place(i), buf, VHDX_HEADER_SIZE, e))
            return -1;
    }
    return 0;
}

/* The last write: without it, it is no image. */
static int put_signature(const struct vhdx_writer *w, struct err *e)
{
    static const char creator[] = "mpi-img";
    AUTO_FREE uint8_t *buf = mem_io(PAGES_SIZE, e);
    if (!buf)
        return -1;
    memset(buf, 0, PAGES_SIZE);
    memcpy(buf, VHDX_SIGNATURE, 8);
    for (size_t i = 0; creator[i]; i++)
        le16_store(buf + 8 + 2 * i, (uint16_t)creator[i]);
    return file_write(w->file, buf, PAGES_SIZE, 0, e);
}

static int vhdx_writer_finish(struct writer *base, struct cursor *c, struct pages *pages,
                              struct err *e)
{
    struct vhdx_writer *w = writer_of(base);
    if (need_bat(w, e) || front_table_finish(w->bat, pages, e) || put_metadata(w, pages, e) ||
        put_headers(w, pages, e) || pages_flush(pages, e))
        return -1;
    if (file_is_regular(w->file) && file_size(w->file) != c->end &&
        file_truncate(w->file, c->end, e))
        return -1;
    return file_sync(w->file, e) ? -1 : put_signature(w, e);
}

const struct writer_ops vhdx_writer = {
    .open = vhdx_writer_open,
    .free = vhdx_writer_free,
    .begin = vhdx_writer_begin,
    .place = vhdx_writer_place,
    .publish = vhdx_writer_publish,
    .finish = vhdx_writer_finish,
};
