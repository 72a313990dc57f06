/* vhdx: a block table, with a log in front of all that changes metadata. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/vhdx.h"

static int vhdx_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return n >= 8 && !memcmp(head, VHDX_SIGNATURE, 8) ? 100 : 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int signature_check(const struct image *img, struct err *e)
{
    uint8_t head[8];
    if (file_read_padded(img->file, head, sizeof head, 0, NULL, e))
        return err_prefix(e, "Could not read VHDX header: ");
    if (vhdx_probe(head, sizeof head, NULL))
        return 0;
    return err_set(e, EINVAL, "Could not open '%s': %s", file_name(img->file), strerror(EINVAL));
}

/* Opened for writing, a log is replayed on disk; to be read, it is looked through. */
static int log_apply(struct image *img, struct vhdx *s, struct err *e)
{
    AUTO(vhdx_log_release) struct vhdx_log log = {0};
    s->file = img->file;
    if (vhdx_guid_equal(&s->header.log, &vhdx_guid_none))
        return 0;
    if (vhdx_log_read(img->file, &s->header, &log, e))
        return -1;
    if (!log.found)
        return 0;
    if (img->flags.write) {
        s->replayed = true;
        return vhdx_replay(img->file, &log, &s->header, s->header_copy, e);
    }
    if (vhdx_overlay_new(img->file, &log, &s->overlay, e))
        return -1;
    s->file = s->overlay;
    return 0;
}

static int bat_check(struct vhdx *s, struct err *e)
{
    const struct vhdx_range *bat = &s->regions.bat;
    s->ratio = vhdx_chunk_ratio(s->meta.logical_sector, s->meta.block_size);
    s->blocks = num_div_up(s->meta.size, s->meta.block_size);
    uint64_t bytes = vhdx_bat_entries(s->blocks, s->ratio, s->meta.has_parent) * 8;
    if (bytes > bat->end - bat->start)
        return err_set(e, EINVAL,
                       "VHDX BAT of %" PRIu64 " bytes is too small for a disk of %" PRIu64 " bytes",
                       bat->end - bat->start, s->meta.size);
    if (!num_inside(bat->start, bytes, s->file_size))
        return err_set(e, EINVAL, "VHDX BAT reaches beyond the end of the file");
    return 0;
}

static int parent_load(struct image *img, struct vhdx *s, struct err *e)
{
    const struct vhdx_metadata *m = &s->meta;
    AUTO_FREE uint8_t *item = m->has_parent ? mem_io(m->locator_length, e) : NULL;
    if (!m->has_parent)
        return 0;
    if (!item)
        return -1;
    if (file_read(s->file, item, m->locator_length, m->locator_offset, e))
        return err_prefix(e, "Could not read VHDX parent locator: ");
    if (vhdx_locator_load(item, m->locator_length, &s->parent, e))
        return -1;
    img->backing_name = mem_strdup(s->parent.name, e);
    img->backing_format = mem_strdup("vhdx", e);
    return img->backing_name && img->backing_format ? 0 : -1;
}

static int open_steps(struct image *img, struct vhdx *s, struct err *e)
{
    if (signature_check(img, e) || vhdx_header_read(img->file, &s->header, &s->header_copy, e) ||
        log_apply(img, s, e))
        return -1;
    s->data_write = s->header.data_write;
    s->file_size = file_size(s->file);
    if (vhdx_regions_read(s->file, &s->header, &s->regions, e) ||
        vhdx_metadata_read(s->file, &s->regions.metadata, &s->meta, e) || bat_check(s, e) ||
        parent_load(img, s, e))
        return -1;
    img->size = s->meta.size;
    img->cluster_size = s->meta.block_size;
    return vhdx_map_open(s, img->flags.metadata_budget, e);
}

static void vhdx_close(struct image *img)
{
    struct vhdx *s = vhdx_of(img);
    img->state = NULL;
    if (!s)
        return;
    vhdx_edit_free(s);
    vhdx_map_close(s);
    vhdx_regions_release(&s->regions);
    free(s->parent.name);
    file_cleanup(&s->overlay);
    free(s);
}

static int vhdx_open(struct image *img, struct err *e)
{
    struct vhdx *s = mem_new(1, sizeof *s, e);
    if (!s)
        return -1;
    img->state = s;
    if (!open_steps(img, s, e))
        return 0;
    vhdx_close(img);
    return -1;
}

static int vhdx_info(struct image *img, struct format_info *out, struct err *e)
{
    (void)e;
    out->has_dirty = true;
    out->dirty = vhdx_of(img)->overlay != NULL;
    return 0;
}

const struct format format_vhdx = {
    .name = "vhdx",
    .probe = vhdx_probe,
    .open = vhdx_open,
    .close = vhdx_close,
    .map = vhdx_map,
    .info = vhdx_info,
    .check = vhdx_check,
    .supports_backing = true,
    .create_options = vhdx_create_options,
    .writer = &vhdx_writer,
    .edit = &vhdx_edit,
};
