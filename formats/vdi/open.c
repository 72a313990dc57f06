#include "formats/vdi/vdi.h"

#include "base/mem.h"

static int vdi_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return n >= VDI_SIGNATURE_AT + 4 && le32_load(head + VDI_SIGNATURE_AT) == VDI_SIGNATURE ? 100
                                                                                            : 0;
}

static int open_table(struct image *img, struct vdi *v, struct err *e)
{
    const struct table_params p = {
        .format = &vdi_table_format,
        .file = img->file,
        .data_file = img->file,
        .size = v->header.size,
        .block_size = VDI_BLOCK,
        .levels = 1,
        .first_offset = v->header.map_offset,
        .first_entries = v->header.blocks,
        .base = v->header.data_offset,
        .budget = img->flags.metadata_budget,
    };
    if (table_open(&p, &v->table, e))
        return -1;
    v->edit.table = v->table;
    return 0;
}

static int vdi_open(struct image *img, struct err *e)
{
    uint8_t buf[VDI_HEADER_SIZE];
    AUTO_FREE struct vdi *v = mem_new(1, sizeof *v, e);
    if (!v || file_read_padded(img->file, buf, sizeof buf, 0, NULL, e) ||
        vdi_header_load(buf, &v->header, e) || open_table(img, v, e))
        return -1;
    img->size = v->header.size;
    img->cluster_size = VDI_BLOCK;
    img->state = MEM_TAKE(v);
    return 0;
}

static void vdi_close(struct image *img)
{
    struct vdi *v = img->state;
    if (v) {
        table_free(v->table);
        free(v->used);
    }
    free(v);
    img->state = NULL;
}

static int vdi_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                   struct err *e)
{
    const struct vdi *v = img->state;
    return table_map(v->table, guest, length, out, e);
}

static int vdi_info(struct image *img, struct format_info *out, struct err *e)
{
    (void)img;
    (void)e;
    out->has_dirty = true;
    return 0;
}

/* Of a static image, holes of the file show through. */
static void vdi_status(struct image *img, struct format_status *out)
{
    const struct vdi *v = img->state;
    out->shows_holes = v->header.type == VDI_STATIC;
    out->reach = VDI_BLOCK;
}

const struct format format_vdi = {
    .name = "vdi",
    .probe = vdi_probe,
    .open = vdi_open,
    .close = vdi_close,
    .map = vdi_map,
    .info = vdi_info,
    .check = vdi_check,
    .check_only = true,
    .status = vdi_status,
    .create_options = vdi_create_options,
    .writer = &vdi_writer,
    .edit = &vdi_edit,
};
