/*
 * Sparse extents: grains behind tables, in one file or in one for each 2 GiB.
 *
 * Parts come in ascending order, so rank 0 has the tables of one part open at a time. In each part
 * grains are placed anew behind its tables: the cursor says in which part it stands.
 */
#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/layout.h"
#include "formats/vmdk/create.h"

struct sparse_writer {
    struct vmdk_writer v;
    struct vmdk_parts parts;
    struct vmdk_sparse_layout layout; /* of all parts but the last */
    struct vmdk_sparse_layout last;
    /* rank 0 */
    uint64_t *end;                     /* of each part's file */
    struct vmdk_sparse_tables *tables; /* of part `open` */
    size_t open;
};

static struct sparse_writer *sparse_of(const struct writer *w)
{
    return (struct sparse_writer *)w; /* w is the first member of its first member */
}

static const struct vmdk_sparse_layout *layout_of(const struct sparse_writer *w, size_t part)
{
    return part + 1 == w->parts.n ? &w->last : &w->layout;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static size_t part_of(const struct sparse_writer *w, uint64_t chunk)
{
    return chunk * w->v.w.chunk_size / w->parts.part;
}

static int sparse_part(const struct writer *base, uint64_t chunk, struct writer_part *out,
                       struct err *e)
{
    const struct sparse_writer *w = sparse_of(base);
    size_t i = part_of(w, chunk);
    (void)e;
    *out = (struct writer_part){.file = w->parts.at[i].file, .guest = i * w->parts.part};
    return 0;
}

static int sparse_sync(struct writer *w, struct err *e)
{
    return vmdk_parts_sync(&sparse_of(w)->parts, e);
}

/* ---- placing --------------------------------------------------------------------------------- */

static void enter_part(const struct sparse_writer *w, size_t part, struct cursor *c)
{
    const struct layout l = {.begin = layout_of(w, part)->overhead * VMDK_SECTOR};
    layout_begin(&l, c);
    c->tables = part + 1;
}

static void sparse_begin(const struct writer *base, struct cursor *c)
{
    const struct sparse_writer *w = sparse_of(base);
    *c = (struct cursor){0};
    if (w->parts.n)
        enter_part(w, 0, c);
}

static int sparse_place(const struct writer *base, uint64_t chunk, const need_t *need, size_t n,
                        struct cursor *c, struct placing *out, struct err *e)
{
    const struct sparse_writer *w = sparse_of(base);
    const struct layout l = {
        .unit = VMDK_GRAIN_BYTES, .block = VMDK_GRAIN_BYTES, .align = VMDK_GRAIN_BYTES};
    size_t part = part_of(w, chunk);
    if (c->tables != part + 1)
        enter_part(w, part, c);
    if (layout_place(&l, chunk * (base->chunk_size / base->block_size), need, n, c, out, e))
        return -1;
    if (c->end / VMDK_SECTOR > VMDK_SECTORS_MAX)
        return err_set(e, EFBIG, "A vmdk file cannot hold more than 2 TiB of data");
    return 0;
}

/* ---- tables: rank 0 -------------------------------------------------------------------------- */

/* The descriptor of a single file may share a page with its tables. */
static int put_part(struct sparse_writer *w, struct err *e)
{
    if (!w->parts.members && vmdk_descriptor_put(&w->v.create, w->v.path, w->v.file,
                                                 vmdk_sparse_tables_pages(w->tables), e))
        return -1;
    return vmdk_sparse_tables_finish(w->tables, e);
}

static int close_part(struct sparse_writer *w, struct err *e)
{
    int status = put_part(w, e);
    vmdk_sparse_tables_free(w->tables);
    w->tables = NULL;
    w->open++;
    return status;
}

/* Parts without data have tables too. */
static int open_part(struct sparse_writer *w, size_t part, struct err *e)
{
    for (;;) {
        if (!w->tables &&
            vmdk_sparse_tables_new(layout_of(w, w->open), w->parts.at[w->open].file, &w->tables, e))
            return -1;
        if (w->open == part)
            return 0;
        if (close_part(w, e))
            return -1;
    }
}

static int sparse_publish(struct writer *base, uint64_t chunk, const need_t *need, size_t n,
                          const struct placing *placed, struct pages *pages, struct err *e)
{
    struct sparse_writer *w = sparse_of(base);
    size_t part = part_of(w, chunk);
    uint64_t first = (chunk * base->chunk_size - part * w->parts.part) / VMDK_GRAIN_BYTES;
    (void)pages; /* those of the tables are the part's own */
    if (open_part(w, part, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint64_t host = placed->host[i];
        uint32_t entry = need[i] == NEED_ZERO ? (uint32_t)vmdk_grain_table.zero : 0;
        if (host != PLACE_NONE) {
            entry = (uint32_t)table_encode(&vmdk_grain_table, host, 0);
            w->end[part] = host + VMDK_GRAIN_BYTES;
        }
        if (entry && vmdk_sparse_tables_set(w->tables, first + i, entry, e))
            return -1;
    }
    return 0;
}

/* ---- the end: rank 0 ------------------------------------------------------------------------- */

static int part_header(const struct sparse_writer *w, size_t part, struct err *e)
{
    const struct vmdk_sparse_layout *l = layout_of(w, part);
    bool zeroed = w->v.create.zeroed_grain;
    uint8_t buf[VMDK_SPARSE_HEADER];
    struct vmdk_sparse h = {
        .version = zeroed ? 2 : 1,
        .flags = VMDK_FLAG_NEWLINE | VMDK_FLAG_RGD | (zeroed ? VMDK_FLAG_ZERO_GRAIN : 0),
        .capacity = l->sectors,
        .grain = VMDK_GRAIN_DEFAULT,
        .desc_offset = w->parts.members ? 0 : VMDK_DESC_OFFSET,
        .desc_size = w->parts.members ? 0 : VMDK_DESC_SIZE,
        .gtes = VMDK_GTES_PER_GT,
        .rgd_offset = l->rgd,
        .gd_offset = l->gd,
        .overhead = l->overhead,
    };
    vmdk_sparse_store(&h, buf);
    return file_write(w->parts.at[part].file, buf, sizeof buf, 0, e);
}

/* O_DIRECT may have made it longer; without grains it is shorter than it should be. */
static int part_length(const struct sparse_writer *w, size_t part, struct err *e)
{
    struct file *f = w->parts.at[part].file;
    uint64_t end = num_max(w->end[part], layout_of(w, part)->overhead * VMDK_SECTOR);
    return file_size(f) == end ? 0 : file_truncate(f, end, e);
}

static int finish_parts(struct sparse_writer *w, struct err *e)
{
    if (w->parts.n && (open_part(w, w->parts.n - 1, e) || close_part(w, e)))
        return -1;
    for (size_t i = 0; i < w->parts.n; i++)
        if (part_length(w, i, e))
            return -1;
    if (vmdk_parts_sync(&w->parts, e))
        return -1;
    for (size_t i = 0; i < w->parts.n; i++)
        if (part_header(w, i, e))
            return -1;
    return vmdk_parts_sync(&w->parts, e);
}

static int sparse_finish(struct writer *base, struct cursor *c, struct pages *pages, struct err *e)
{
    struct sparse_writer *w = sparse_of(base);
    (void)c;
    (void)pages;
    if (finish_parts(w, e))
        return -1;
    return w->parts.members ? vmdk_descriptor_file(&w->v, e) : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void sparse_free(struct writer *base)
{
    if (!base)
        return;
    struct sparse_writer *w = sparse_of(base);
    vmdk_sparse_tables_free(w->tables);
    vmdk_parts_release(&w->parts);
    free(w->end);
    free(w);
}

static void sparse_cleanup(struct sparse_writer **w)
{
    sparse_free(*w ? &(*w)->v.w : NULL);
}

/* Asked for or not, grains stand as they are: as qemu-img has it. */
static int sparse_packer_new(const struct writer *w, struct packer **out, struct err *e)
{
    (void)w;
    (void)e;
    *out = NULL;
    return 0;
}

static void sparse_packer_free(struct packer *p)
{
    (void)p;
}

#define SPARSE_OPS                                                                                 \
    .free = sparse_free, .begin = sparse_begin, .place = sparse_place, .publish = sparse_publish,  \
    .finish = sparse_finish, .packer_new = sparse_packer_new, .packer_free = sparse_packer_free

static const struct writer_ops sparse_ops = {SPARSE_OPS};
static const struct writer_ops split_ops = {SPARSE_OPS, .part = sparse_part, .sync = sparse_sync};

int vmdk_sparse_open(const struct writer_params *p, const struct vmdk_create *c,
                     struct writer **out, struct err *e)
{
    AUTO(sparse_cleanup) struct sparse_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    w->v = (struct vmdk_writer){
        .w = {.ops = vmdk_is_split(c) ? &split_ops : &sparse_ops,
              .block_size = VMDK_GRAIN_BYTES,
              .chunk_size = layout_chunk(VMDK_GRAIN_BYTES),
              .data_file = vmdk_is_split(c) ? NULL : p->file,
              .zero_flag = c->zeroed_grain},
        .create = *c,
        .file = p->file,
        .path = p->path,
    };
    if (vmdk_parts_open(p, c, &w->parts, e))
        return -1;
    uint64_t last = w->parts.n ? w->parts.at[w->parts.n - 1].size : 0;
    w->end = mem_new(w->parts.n, sizeof *w->end, e);
    if (!w->end || vmdk_sparse_plan(w->parts.part / VMDK_SECTOR, &w->layout, e) ||
        vmdk_sparse_plan(last / VMDK_SECTOR, &w->last, e))
        return -1;
    *out = &MEM_TAKE(w)->v.w;
    return 0;
}
