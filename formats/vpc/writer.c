#include "formats/vpc/vpc.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/block_writer.h"

#define HEADER_OFFSET VPC_FOOTER_SIZE
#define TABLE_OFFSET  (HEADER_OFFSET + VPC_HEADER_SIZE)
#define BITMAP_SIZE   VPC_SECTOR
#define DATA_ALIGN    4096u /* the bitmap right before: no page of data holds anything else */
#define EPOCH         UINT64_C(946684800) /* 2000-01-01 */

const struct option_def vpc_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"subformat", OPTION_STR,
     "Type of virtual hard disk format. Supported formats are {dynamic (default) | fixed} ", NULL},
    {"force_size", OPTION_BOOL,
     "Force disk size calculation to use the actual size specified, rather than using the nearest "
     "CHS-based calculation",
     NULL},
    {NULL, 0, NULL, NULL},
};

struct vpc_writer {
    struct block_writer blocks; /* first: the core's pointer is to it */
    struct vpc_footer footer;
    uint32_t entries; /* of the block table */
};

static struct vpc_writer *writer_of(const struct writer *w)
{
    return (struct vpc_writer *)w;
}

static void vpc_writer_free(struct writer *w)
{
    if (w)
        block_writer_release(&writer_of(w)->blocks);
    free(w);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int parse_subformat(const struct options *o, uint32_t *type, struct err *e)
{
    const char *name = options_str(o, "subformat", "dynamic");
    *type = !strcmp(name, "fixed") ? VPC_FIXED : VPC_DYNAMIC;
    if (*type == VPC_FIXED || !strcmp(name, "dynamic"))
        return 0;
    return err_set(e, EINVAL, "Parameter 'subformat' does not accept value '%s'", name);
}

/* Without force_size, a size that the geometry can express: readers may go by either. */
static int set_size(struct vpc_footer *f, uint64_t size, bool force, struct err *e)
{
    uint64_t sectors = num_div_up(size, VPC_SECTOR);
    if (sectors > VPC_SECTORS_MAX)
        return err_set(e, EFBIG, "Disk size is too large, max size is 2040 GiB");
    f->geometry = force ? VPC_GEOMETRY_MAX : vpc_geometry_holding(sectors);
    if (!vpc_geometry_is_max(f->geometry))
        sectors = vpc_geometry_sectors(f->geometry);
    f->size = f->original_size = sectors * VPC_SECTOR;
    return 0;
}

static int fill_footer(struct vpc_footer *f, const struct writer_params *p, struct err *e)
{
    bool force = options_bool(p->options, "force_size", false);
    if (parse_subformat(p->options, &f->type, e) || set_size(f, p->size, force, e))
        return -1;
    f->data_offset = f->type == VPC_FIXED ? VPC_NOWHERE : HEADER_OFFSET;
    f->time = (uint32_t)(p->time > EPOCH ? p->time - EPOCH : 0);
    memcpy(f->creator, force ? "qem2" : "qemu", sizeof f->creator);
    uuid_make(p->random, f->uuid);
    return 0;
}

/* The table fills whole sectors: what is behind its entries is absent too. */
static void fill_writer(struct vpc_writer *w, struct file *file)
{
    w->entries = (uint32_t)num_div_up(w->footer.size, VPC_BLOCK);
    uint64_t table = num_up((uint64_t)w->entries * 4, VPC_SECTOR);
    w->blocks.base = BITMAP_SIZE;
    w->blocks.layout = (struct layout){
        .unit = layout_unit(VPC_BLOCK),
        .block = VPC_BLOCK,
        .lead = BITMAP_SIZE,
        .align = DATA_ALIGN,
        .begin = TABLE_OFFSET + table,
    };
    w->blocks.table_params = (struct front_table_params){
        .format = &vpc_table_format,
        .offset = {TABLE_OFFSET},
        .copies = 1,
        .entries = table / 4,
        .fill = VPC_ABSENT,
    };
    if (w->footer.type == VPC_FIXED)
        block_writer_in_place(&w->blocks, file, 0);
    else
        block_writer_placed(&w->blocks, file);
}

static int vpc_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    enum file_prealloc mode;
    AUTO_FREE struct vpc_writer *w = mem_new(1, sizeof *w, e);
    if (!w || file_create_prealloc(p->options, &mode, e) || fill_footer(&w->footer, p, e))
        return -1;
    fill_writer(w, p->file);
    if (writer_begins(p) && w->footer.type == VPC_FIXED &&
        file_create_reserve(p->file, w->footer.size + VPC_FOOTER_SIZE, mode, e))
        return -1;
    *out = &MEM_TAKE(w)->blocks.writer;
    return 0;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* All sectors of a block that is there are in use, also those that are holes of the file. */
static int vpc_publish(struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                       const struct placing *placed, struct pages *pages, struct err *e)
{
    uint8_t bitmap[BITMAP_SIZE];
    memset(bitmap, 0xff, sizeof bitmap);
    for (size_t i = 0; i < placed->n_meta; i++)
        if (writer_put(w->data_file, pages, placed->meta[i].host - sizeof bitmap, bitmap,
                       sizeof bitmap, e))
            return -1;
    return block_writer_publish(w, chunk, need, n, placed, pages, e);
}

/* ---- the end --------------------------------------------------------------------------------- */

static int put_header(struct vpc_writer *w, struct pages *pages, struct err *e)
{
    const struct vpc_header h = {
        .table_offset = TABLE_OFFSET,
        .entries = w->entries,
        .block_size = VPC_BLOCK,
    };
    uint8_t buf[VPC_HEADER_SIZE];
    vpc_header_store(&h, buf);
    return writer_put(w->blocks.writer.data_file, pages, HEADER_OFFSET, buf, sizeof buf, e);
}

/* The footer makes it an image, and its copy at the front, which comes last, one that is probed. */
static int vpc_finish(struct writer *base, struct cursor *c, struct pages *pages, struct err *e)
{
    struct vpc_writer *w = writer_of(base);
    struct file *f = base->data_file;
    const bool fixed = w->footer.type == VPC_FIXED;
    uint64_t end = fixed ? w->footer.size : c->end;
    uint8_t buf[VPC_FOOTER_SIZE];
    if (!fixed && (put_header(w, pages, e) || block_writer_tables(&w->blocks, pages, e)))
        return -1;
    if ((file_is_regular(f) && file_truncate(f, end, e)) || file_sync(f, e))
        return -1;
    vpc_footer_store(&w->footer, buf);
    if (file_write(f, buf, sizeof buf, end, e))
        return -1;
    return fixed ? 0 : file_write(f, buf, sizeof buf, 0, e);
}

const struct writer_ops vpc_writer = {
    .open = vpc_writer_open,
    .free = vpc_writer_free,
    .begin = block_writer_begin,
    .place = block_writer_place,
    .publish = vpc_publish,
    .finish = vpc_finish,
};
