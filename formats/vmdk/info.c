#include <string.h>

#include "base/num.h"
#include "base/tree.h"
#include "formats/vmdk/state.h"

bool vmdk_is_uniform(const struct vmdk *v)
{
    for (size_t i = 1; i < v->n; i++)
        if (v->extents[i].grain != v->extents[0].grain ||
            v->extents[i].packed != v->extents[0].packed)
            return false;
    return true;
}

/* All objects here are built in the key order in which info prints them. */

static json_t *extent_info(const struct vmdk_extent *x)
{
    json_t *o = json_object();
    if (x->packed)
        o = tree_set(o, "compressed", json_true());
    o = tree_set(o, "virtual-size", json_integer((json_int_t)x->size));
    o = tree_set(o, "filename", json_string_nocheck(file_name(x->file)));
    if (x->grain)
        o = tree_set(o, "cluster-size", json_integer(x->grain));
    return tree_set(o, "format", json_string(x->word));
}

static json_t *extents_info(const struct vmdk *v)
{
    json_t *list = json_array();
    for (size_t i = 0; i < v->n; i++)
        list = tree_append(list, extent_info(&v->extents[i]));
    return list;
}

int vmdk_info(struct image *img, struct format_info *out, struct err *e)
{
    const struct vmdk *v = vmdk_of(img);
    const char *type =
        img->largest_block ? "streamOptimized" : v->desc.create_type; /* as qemu-img */
    json_t *o = json_object();
    o = tree_set(o, "cid", json_integer(v->desc.cid));
    o = tree_set(o, "parent-cid", json_integer(v->desc.parent_cid));
    o = tree_set(o, "create-type", json_string_nocheck(type));
    o = tree_set(o, "extents", extents_info(v));
    out->specific = o;
    out->has_dirty = vmdk_is_uniform(v);
    return o ? 0 : err_nomem(e);
}

/* Flat extents let the holes of their files shine through, sparse ones do not. Of an image that has
 * both, only one can be told; the holes of files count more. */
void vmdk_status(struct image *img, struct format_status *out)
{
    const struct vmdk *v = vmdk_of(img);
    for (size_t i = 0; i < v->n; i++)
        out->shows_holes |= !v->extents[i].grain;
    out->reach = img->cluster_size;
}

struct file *vmdk_further(const struct image *img, size_t i)
{
    const struct vmdk *v = img->state;
    for (size_t k = 0; k < v->n; k++)
        if (v->extents[k].own_file && i-- == 0)
            return v->extents[k].file;
    return NULL;
}
