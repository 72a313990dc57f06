/*
 * The tables of a sparse extent: grain tables in front, in one piece, twice; before each copy its
 * directory, which says where each table is. As all tables are there, that is arithmetic.
 */
#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/front_table.h"
#include "formats/vmdk/create.h"
#include "io/pages.h"

#define GD_BUFFER (64 * KIB)

const struct table_format vmdk_grain_table = {
    .entry_size = 4,
    .place_mask = UINT32_MAX,
    .place_scale = VMDK_SECTOR,
    .absent = 0,
    .has_zero = true,
    .zero = 1,
};

struct vmdk_sparse_tables {
    const struct vmdk_sparse_layout *l;
    struct file *file;
    struct pages *pages; /* the extent's own */
    struct front_table *grains;
};

/* ---- the layout ------------------------------------------------------------------------------ */

int vmdk_sparse_plan(uint64_t sectors, struct vmdk_sparse_layout *out, struct err *e)
{
    const uint64_t table = VMDK_GT_BYTES / VMDK_SECTOR;
    struct vmdk_sparse_layout l = {.sectors = sectors};
    l.tables = num_div_up(sectors, VMDK_GT_SPAN / VMDK_SECTOR);
    l.gd_sectors = num_div_up(l.tables * 4, VMDK_SECTOR);
    l.rgd = VMDK_DESC_OFFSET + VMDK_DESC_SIZE;
    l.gd = l.rgd + l.gd_sectors + l.tables * table;
    l.overhead = num_up(l.gd + l.gd_sectors + l.tables * table, VMDK_GRAIN_DEFAULT);
    if (l.overhead > VMDK_SECTORS_MAX)
        return err_set(e, EFBIG, "The image size is too large for file format 'vmdk'");
    *out = l;
    return 0;
}

/* ---- the tables ------------------------------------------------------------------------------ */

int vmdk_sparse_tables_new(const struct vmdk_sparse_layout *l, struct file *f,
                           struct vmdk_sparse_tables **out, struct err *e)
{
    struct vmdk_sparse_tables *t = mem_new(1, sizeof *t, e);
    if (!t)
        return -1;
    t->l = l;
    t->file = f;
    const struct front_table_params p = {
        .format = &vmdk_grain_table,
        .file = f,
        .offset = {(l->rgd + l->gd_sectors) * VMDK_SECTOR, (l->gd + l->gd_sectors) * VMDK_SECTOR},
        .copies = 2,
        .entries = l->tables * VMDK_GTES_PER_GT,
        .fill = vmdk_grain_table.absent,
    };
    if (pages_new(f, &t->pages, e) || front_table_new(&p, &t->grains, e)) {
        vmdk_sparse_tables_free(t);
        return -1;
    }
    *out = t;
    return 0;
}

void vmdk_sparse_tables_free(struct vmdk_sparse_tables *t)
{
    if (!t)
        return;
    front_table_free(t->grains);
    pages_free(t->pages);
    free(t);
}

int vmdk_sparse_tables_set(struct vmdk_sparse_tables *t, uint64_t grain, uint32_t entry,
                           struct err *e)
{
    return front_table_set(t->grains, grain, entry, t->pages, e);
}

struct pages *vmdk_sparse_tables_pages(struct vmdk_sparse_tables *t)
{
    return t->pages;
}

/* The directory at sector `at`, its tables right behind it. */
static int put_directory(struct vmdk_sparse_tables *t, uint64_t at, uint8_t *buf, struct err *e)
{
    const uint64_t first = at + t->l->gd_sectors, step = VMDK_GT_BYTES / VMDK_SECTOR;
    for (uint64_t i = 0; i < t->l->tables;) {
        uint64_t n = num_min(GD_BUFFER / 4, t->l->tables - i);
        for (uint64_t k = 0; k < n; k++)
            le32_store(buf + k * 4, (uint32_t)(first + (i + k) * step));
        if (writer_put(t->file, t->pages, at * VMDK_SECTOR + i * 4, buf, n * 4, e))
            return -1;
        i += n;
    }
    return 0;
}

int vmdk_sparse_tables_finish(struct vmdk_sparse_tables *t, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(GD_BUFFER, e);
    if (!buf || front_table_finish(t->grains, t->pages, e) || put_directory(t, t->l->rgd, buf, e) ||
        put_directory(t, t->l->gd, buf, e))
        return -1;
    return pages_flush(t->pages, e);
}
