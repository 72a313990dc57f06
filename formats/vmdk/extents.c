/* The extents that a descriptor names: their files, one behind the other. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/state.h"

int vmdk_extent_append(struct vmdk *v, const struct vmdk_extent *x, struct err *e)
{
    struct vmdk_extent *last = v->n ? &v->extents[v->n - 1] : NULL;
    uint64_t start = last ? last->start + last->size : 0, end;
    if (!num_add(start, x->size, &end) || end > INT64_MAX)
        return err_set(e, EFBIG, "Could not refresh total sector count: %s", strerror(EFBIG));
    v->extents[v->n] = *x;
    v->extents[v->n++].start = start;
    return 0;
}

/* ---- one extent ------------------------------------------------------------------------------ */

static int flat_open(struct vmdk_extent *x, const struct vmdk_extent_line *line, struct err *e)
{
    if (!num_mul(line->sectors, VMDK_SECTOR, &x->size) ||
        !num_mul(line->offset, VMDK_SECTOR, &x->host) || x->size > INT64_MAX ||
        x->host > INT64_MAX - x->size)
        return err_set(e, EFBIG, "Could not refresh total sector count: %s", strerror(EFBIG));
    return 0;
}

/* Hosted and server extents are told by what is in the file. */
static int sparse_open(struct vmdk_extent *x, bool write, struct err *e)
{
    uint8_t magic[4];
    if (file_read_padded(x->file, magic, sizeof magic, 0, NULL, e))
        return err_prefix(e, "Could not read header from file '%s': ", file_name(x->file));
    return le32_load(magic) == VMDK_COWD_MAGIC ? vmdk_cowd_open(x, e)
                                               : vmdk_hosted_open(x, write, e);
}

static int by_type(struct vmdk_extent *x, const struct vmdk_extent_line *line, bool write,
                   struct err *e)
{
    x->word = vmdk_extent_word(line->type);
    switch (line->type) {
    case VMDK_FLAT:
    case VMDK_VMFS:
        return flat_open(x, line, e);
    case VMDK_SESPARSE:
        if (write)
            return err_set(e, ENOTSUP, "No write support for seSparse images available");
        return vmdk_sesparse_open(x, e);
    default:
        return sparse_open(x, write, e);
    }
}

static int line_open(struct vmdk *v, const struct vmdk_extent_line *line, struct err *e)
{
    AUTO(file_cleanup) struct file *f = NULL;
    if (image_open_member(v->image, line->name, &f, e))
        return -1;
    struct vmdk_extent x = {.file = f, .own_file = true};
    if (by_type(&x, line, v->image->flags.write, e) || vmdk_extent_append(v, &x, e))
        return -1;
    f = NULL; /* the extent's now */
    return 0;
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool is_supported(const char *create_type)
{
    static const char *const types[] = {"monolithicFlat",       "vmfs",
                                        "vmfsSparse",           "seSparse",
                                        "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (!strcmp(create_type, types[i]))
            return true;
    return false;
}

int vmdk_extents_open(struct vmdk *v, struct err *e)
{
    if (!is_supported(v->desc.create_type))
        return err_set(e, ENOTSUP, "Unsupported image type '%s'", v->desc.create_type);
    v->extents = mem_new(v->desc.n_lines, sizeof *v->extents, e);
    if (!v->extents)
        return -1;
    for (size_t i = 0; i < v->desc.n_lines; i++)
        if (line_open(v, &v->desc.lines[i], e))
            return -1;
    return 0;
}
