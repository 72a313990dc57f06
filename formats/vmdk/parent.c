/* A child knows its parent by the CID that the parent had when the child was made. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"
#include "formats/vmdk/create.h"

/* Where the descriptor of an image file stands: it is embedded, or the file itself. */
static void descriptor_range(const uint8_t *head, uint64_t *off, size_t *len)
{
    struct vmdk_sparse h;
    *off = 0;
    *len = VMDK_DESC_MAX;
    if (vmdk_sparse_load(head, VMDK_SPARSE_HEADER, &h))
        return;
    *off = num_min(h.desc_offset, INT64_MAX / VMDK_SECTOR / 2) * VMDK_SECTOR;
    *len = num_min(h.desc_size, VMDK_DESC_SIZE) * VMDK_SECTOR;
}

static int find_cid(const char *text, uint32_t *cid, struct err *e)
{
    const char *line = strstr(text, "\nCID=");
    char *end = NULL;
    unsigned long v = line ? strtoul(line + 5, &end, 16) : 0;
    if (!line || end == line + 5 || v > UINT32_MAX)
        return err_set(e, EINVAL, "The backing file has no CID");
    *cid = (uint32_t)v;
    return 0;
}

static int read_cid(struct image *img, uint32_t *cid, struct err *e)
{
    uint8_t head[VMDK_SPARSE_HEADER];
    uint64_t off;
    size_t len;
    if (strcmp(img->format->name, "vmdk") != 0)
        return err_set(e, EINVAL, "backing_file must be a vmdk image");
    if (file_read_padded(img->file, head, sizeof head, 0, NULL, e))
        return -1;
    descriptor_range(head, &off, &len);
    AUTO_FREE char *text = mem_new(len + 1, 1, e);
    if (!text || file_read_padded(img->file, text, len, off, NULL, e))
        return -1;
    return find_cid(text, cid, e);
}

int vmdk_parent_cid(const char *path, const char *parent_name, uint32_t *cid, struct err *e)
{
    struct image beside = {.name = (char *)path, .backing_name = (char *)parent_name};
    const struct image_flags flags = {
        .no_backing = true, .no_io = true, .force_share = true, .driver = "vmdk"};
    AUTO(image_cleanup) struct image *img = NULL;
    AUTO_FREE char *parent = image_backing_path(&beside, e);
    json_t *spec = parent ? image_spec_from_name(parent, e) : NULL;
    int status = spec ? image_open_plain(spec, parent, &flags, &img, e) : -1;
    json_decref(spec);
    return status ? -1 : read_cid(img, cid, e);
}
