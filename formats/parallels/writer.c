#include "formats/parallels/parallels.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/block_writer.h"

#define CLUSTER_DEFAULT MIB

const struct option_def parallels_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {"cluster_size", OPTION_SIZE, "Parallels image cluster size", "1048576"},
    {NULL, 0, NULL, NULL},
};

struct parallels_writer {
    struct block_writer blocks; /* first: the core's pointer is to it */
    struct parallels_header header;
    struct table_format format;
};

static struct parallels_writer *writer_of(const struct writer *w)
{
    return (struct parallels_writer *)w;
}

static void parallels_writer_free(struct writer *w)
{
    if (w)
        block_writer_release(&writer_of(w)->blocks);
    free(w);
}

/* ---- opening --------------------------------------------------------------------------------- */

static int too_large(struct err *e)
{
    return err_set(e, E2BIG, "Image size is too large for this cluster size");
}

/* No larger than what can be read again. */
static int fill_header(struct parallels_header *h, const struct options *o, uint64_t size,
                       struct err *e)
{
    uint64_t cluster =
        num_div_up(options_size(o, "cluster_size", CLUSTER_DEFAULT), PARALLELS_SECTOR);
    if (!cluster)
        return too_large(e);
    if (cluster > PARALLELS_CLUSTER_MAX)
        return err_set(e, EINVAL, "Cluster size is too large");
    h->cluster = (uint32_t)cluster;
    h->sectors = num_div_up(size, PARALLELS_SECTOR);
    uint64_t entries = num_div_up(h->sectors, cluster);
    if (entries > PARALLELS_ENTRIES_MAX || h->sectors > INT64_MAX / PARALLELS_SECTOR)
        return too_large(e);
    h->entries = (uint32_t)entries;
    h->data_offset = (uint32_t)(parallels_data_begin(h) / PARALLELS_SECTOR);
    return 0;
}

static void fill_writer(struct parallels_writer *w, struct file *file)
{
    const struct parallels_header *h = &w->header;
    uint64_t cluster = parallels_cluster_bytes(h);
    w->format = parallels_table_format(h);
    w->blocks.layout = (struct layout){
        .unit = layout_unit(cluster),
        .block = cluster,
        .align = cluster,
        .begin = parallels_data_begin(h),
    };
    w->blocks.table_params = (struct front_table_params){
        .format = &w->format,
        .offset = {PARALLELS_HEADER_SIZE},
        .copies = 1,
        .entries = h->entries,
        .fill = 0,
    };
    block_writer_placed(&w->blocks, file);
}

static int parallels_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    enum file_prealloc mode;
    AUTO_FREE struct parallels_writer *w = mem_new(1, sizeof *w, e);
    if (!w || file_create_prealloc(p->options, &mode, e) ||
        fill_header(&w->header, p->options, p->size, e))
        return -1;
    fill_writer(w, p->file);
    *out = &MEM_TAKE(w)->blocks.writer;
    return 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The header comes last: without its magic the file is no image. */
static int parallels_finish(struct writer *base, struct cursor *c, struct pages *pages,
                            struct err *e)
{
    struct parallels_writer *w = writer_of(base);
    struct file *f = base->data_file;
    uint8_t buf[PARALLELS_HEADER_SIZE];
    if (block_writer_tables(&w->blocks, pages, e) ||
        (file_size(f) != c->end && file_truncate(f, c->end, e)) || file_sync(f, e))
        return -1;
    parallels_header_store(&w->header, buf);
    return file_write(f, buf, sizeof buf, 0, e);
}

const struct writer_ops parallels_writer = {
    .open = parallels_writer_open,
    .free = parallels_writer_free,
    .begin = block_writer_begin,
    .place = block_writer_place,
    .publish = block_writer_publish,
    .finish = parallels_finish,
};
