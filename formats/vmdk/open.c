#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/state.h"

#define TEXT_MAX       (MIB - 1) /* of a descriptor */
#define DESC_AT        ((uint64_t)VMDK_DESC_OFFSET * VMDK_SECTOR)
#define EMBEDDED_LEAST (20u * VMDK_SECTOR)

static int vmdk_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    bool known =
        n >= 4 && (le32_load(head) == VMDK_SPARSE_MAGIC || le32_load(head) == VMDK_COWD_MAGIC);
    return known || vmdk_descriptor_probe((const char *)head, n) ? 100 : 0;
}

/* ---- the descriptor's text ------------------------------------------------------------------- */

/* `len` bytes at `at`, and a NUL. What lies behind the end of the file is NUL too. */
static char *text_read(struct file *f, uint64_t at, size_t len, struct err *e)
{
    AUTO_FREE char *text = mem_new(len + 1, 1, e);
    if (!text || file_read_padded(f, text, len, at, NULL, e))
        return NULL;
    return MEM_TAKE(text);
}

/* Of a descriptor file. */
static char *file_text(struct file *f, struct err *e)
{
    uint64_t size = file_size(f);
    if (!size) {
        err_set(e, EINVAL, "File is too small, not a valid image");
        return NULL;
    }
    if (size <= TEXT_MAX)
        return text_read(f, 0, size, e);
    /* of a disk that was taken for a vmdk the first bytes tell as much */
    AUTO_FREE char *text = text_read(f, 0, TEXT_MAX, e);
    if (!text)
        return NULL;
    if (vmdk_descriptor_probe(text, TEXT_MAX))
        err_set(e, EFBIG, "The image descriptor is too large: %" PRIu64 " bytes", size);
    else
        err_set(e, EINVAL, "invalid VMDK image descriptor");
    return NULL;
}

/* Inside a sparse file: always at the second sector, whatever the header says, as in qemu-img. */
static char *embedded_text(struct file *f, const struct vmdk_sparse *h, struct err *e)
{
    uint64_t size = num_min(h->desc_size, MIB / VMDK_SECTOR) * VMDK_SECTOR;
    size = num_min(num_max(size, EMBEDDED_LEAST), TEXT_MAX);
    AUTO_FREE char *text = text_read(f, DESC_AT, size, e);
    if (!text)
        return NULL;
    if (*text)
        return MEM_TAKE(text);
    err_set(e, EINVAL,
            "The file is an extent without a descriptor: what is to be opened is the "
            "descriptor file that names it");
    return NULL;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* One file that is descriptor and extent. */
static int open_single(struct vmdk *v, struct err *e)
{
    struct vmdk_extent x = {.file = v->image->file, .word = ""};
    v->extents = mem_new(1, sizeof *v->extents, e);
    if (!v->extents || vmdk_hosted_open(&x, v->image->flags.write, e))
        return -1;
    return vmdk_extent_append(v, &x, e);
}

/* An empty disk, or the descriptor of extents in other files. */
static bool names_extents(const struct vmdk_sparse *h, const char *text)
{
    return !h->capacity && !strstr(text, "createType=\"monolithicSparse\"") &&
           !strstr(text, "createType=\"streamOptimized\"");
}

static int open_hosted(struct vmdk *v, struct err *e)
{
    struct vmdk_sparse h;
    if (vmdk_hosted_header(v->image->file, &h, e))
        return -1;
    AUTO_FREE char *text = embedded_text(v->image->file, &h, e);
    v->desc_at = DESC_AT;
    if (!text)
        return -1;
    bool outside = names_extents(&h, text);
    if (vmdk_descriptor_parse(text, outside, &v->desc, e))
        return -1;
    return outside ? vmdk_extents_open(v, e) : open_single(v, e);
}

static int open_descriptor(struct vmdk *v, struct err *e)
{
    AUTO_FREE char *text = file_text(v->image->file, e);
    if (!text || vmdk_descriptor_parse(text, true, &v->desc, e))
        return -1;
    return vmdk_extents_open(v, e);
}

static int image_fill(struct vmdk *v, struct err *e)
{
    struct image *img = v->image;
    const struct vmdk_extent *last = v->n ? &v->extents[v->n - 1] : NULL;
    img->size = last ? last->start + last->size : 0;
    img->cluster_size = vmdk_is_uniform(v) && last ? last->grain : 0;
    for (size_t i = 0; i < v->n; i++)
        if (v->extents[i].packed)
            img->largest_block = (uint32_t)num_max(img->largest_block, v->extents[i].grain);
    if (!v->desc.parent_hint || !*v->desc.parent_hint)
        return 0;
    img->backing_name = mem_strdup(v->desc.parent_hint, e);
    img->backing_format = mem_strdup("vmdk", e);
    return img->backing_name && img->backing_format ? 0 : -1;
}

static int open_steps(struct vmdk *v, struct err *e)
{
    uint8_t magic[4];
    if (file_read_padded(v->image->file, magic, sizeof magic, 0, NULL, e))
        return err_prefix(e, "Could not read header from file '%s': ", file_name(v->image->file));
    if (le32_load(magic) == VMDK_COWD_MAGIC)
        return err_set(e, EINVAL,
                       "The file is an extent without a descriptor: what is to be "
                       "opened is the descriptor file that names it");
    int r = le32_load(magic) == VMDK_SPARSE_MAGIC ? open_hosted(v, e) : open_descriptor(v, e);
    return r || image_fill(v, e) || vmdk_pool_open(v, e) ? -1 : 0;
}

static void vmdk_close(struct image *img)
{
    struct vmdk *v = vmdk_of(img);
    img->state = NULL;
    if (!v)
        return;
    vmdk_edit_free(v);
    vmdk_pool_close(v);
    for (size_t i = 0; i < v->n; i++)
        if (v->extents[i].own_file)
            file_cleanup(&v->extents[i].file);
    free(v->extents);
    vmdk_descriptor_release(&v->desc);
    pthread_mutex_destroy(&v->pool.lock);
    free(v);
}

static int vmdk_open(struct image *img, struct err *e)
{
    struct vmdk *v = mem_new(1, sizeof *v, e);
    if (!v)
        return -1;
    v->image = img;
    pthread_mutex_init(&v->pool.lock, NULL);
    img->state = v;
    if (!open_steps(v, e))
        return 0;
    vmdk_close(img);
    return -1;
}

const struct format format_vmdk = {
    .name = "vmdk",
    .probe = vmdk_probe,
    .safety = vmdk_safety,
    .open = vmdk_open,
    .close = vmdk_close,
    .map = vmdk_map,
    .info = vmdk_info,
    .check = vmdk_check,
    .check_only = true,
    .status = vmdk_status,
    .further = vmdk_further,
    .supports_backing = true,
    .supports_compression = true,
    .create_options = vmdk_create_options,
    .writer = &vmdk_writer,
    .edit = &vmdk_edit,
};
