#include "formats/vdi/vdi.h"

#include "base/mem.h"
#include "base/num.h"
#include "formats/block_writer.h"

#define MAP_OFFSET VDI_HEADER_SIZE
#define DATA_ALIGN VDI_BLOCK /* as VirtualBox aligns data: no page holds two blocks */

const struct option_def vdi_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"static", OPTION_BOOL, "VDI static (pre-allocated) image", "off"},
    {NULL, 0, NULL, NULL},
};

struct vdi_writer {
    struct block_writer blocks; /* first: the core's pointer is to it */
    struct vdi_header header;
};

static struct vdi_writer *writer_of(const struct writer *w)
{
    return (struct vdi_writer *)w;
}

static void vdi_writer_free(struct writer *w)
{
    if (w)
        block_writer_release(&writer_of(w)->blocks);
    free(w);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void fill_header(struct vdi_header *h, const struct writer_params *p)
{
    h->type = options_bool(p->options, "static", false) ? VDI_STATIC : VDI_DYNAMIC;
    h->blocks = (uint32_t)num_div_up(h->size, VDI_BLOCK);
    h->map_offset = MAP_OFFSET;
    h->data_offset = (uint32_t)num_up(MAP_OFFSET + (uint64_t)h->blocks * 4, DATA_ALIGN);
    uuid_make(p->random, h->uuid_image);
    uuid_make(p->random + UUID_SIZE, h->uuid_snapshot);
    uuid_swap(h->uuid_image);
    uuid_swap(h->uuid_snapshot);
}

static uint64_t full_end(const struct vdi_header *h)
{
    return h->data_offset + (uint64_t)h->blocks * VDI_BLOCK;
}

static void fill_writer(struct vdi_writer *w, const struct writer_params *p)
{
    const struct vdi_header *h = &w->header;
    w->blocks.base = h->data_offset;
    w->blocks.layout = (struct layout){
        .unit = layout_unit(VDI_BLOCK),
        .block = VDI_BLOCK,
        .align = VDI_BLOCK,
        .begin = h->data_offset,
    };
    w->blocks.table_params = (struct front_table_params){
        .format = &vdi_table_format,
        .offset = {h->map_offset},
        .copies = 1,
        .entries = h->blocks,
        .fill = VDI_ABSENT,
    };
    if (h->type == VDI_STATIC)
        block_writer_in_place(&w->blocks, p->file, h->data_offset);
    else
        block_writer_placed(&w->blocks, p->file);
}

static int vdi_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    enum file_prealloc mode;
    AUTO_FREE struct vdi_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    w->header.size = p->size > INT64_MAX ? p->size : num_up(p->size, 512);
    if (file_create_prealloc(p->options, &mode, e) || vdi_size_check(w->header.size, e))
        return -1;
    fill_header(&w->header, p);
    fill_writer(w, p);
    if (writer_begins(p) && w->header.type == VDI_STATIC &&
        file_create_reserve(p->file, full_end(&w->header), mode, e))
        return -1;
    *out = &MEM_TAKE(w)->blocks.writer;
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The header comes last: without its signature the file is no image. */
static int vdi_finish(struct writer *base, struct cursor *c, struct pages *pages, struct err *e)
{
    struct vdi_writer *w = writer_of(base);
    struct file *f = base->data_file;
    uint64_t end = w->header.type == VDI_STATIC ? full_end(&w->header) : c->end;
    uint8_t buf[VDI_HEADER_SIZE];
    if ((w->header.type == VDI_STATIC &&
         block_writer_fill(&w->blocks, w->header.blocks, w->header.data_offset, pages, e)) ||
        block_writer_tables(&w->blocks, pages, e) ||
        (file_size(f) != end && file_truncate(f, end, e)) || file_sync(f, e))
        return -1;
    w->header.allocated = (uint32_t)w->blocks.blocks;
    vdi_header_store(&w->header, buf);
    return file_write(f, buf, sizeof buf, 0, e);
}

const struct writer_ops vdi_writer = {
    .open = vdi_writer_open,
    .free = vdi_writer_free,
    .begin = block_writer_begin,
    .place = block_writer_place,
    .publish = block_writer_publish,
    .finish = vdi_finish,
};
