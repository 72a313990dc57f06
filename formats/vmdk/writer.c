/* vmdk_writer: which of the writers it is. Each has operations of its own. */
#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/create.h"

#define FILE_TEXT_MAX (MIB - 1) /* of a descriptor that is a file of its own */

/* Before anything is written: what would come out could be read. */
static int check_descriptor(const struct writer_params *p, const struct vmdk_create *c,
                            struct err *e)
{
    bool own = vmdk_is_flat(c) || vmdk_is_split(c);
    size_t len;
    if (vmdk_is_split(c) && num_div_up(c->size, VMDK_SPLIT_SIZE) > VMDK_EXTENT_LINES_MAX)
        return err_set(e, EFBIG, "The image size is too large for this subformat");
    AUTO_FREE char *text = vmdk_descriptor_text(c, p->path, &len, e);
    if (!text)
        return -1;
    return len > (own ? FILE_TEXT_MAX : VMDK_DESC_MAX)
               ? err_set(e, EINVAL, "The descriptor of the image is too long")
               : 0;
}

static int vmdk_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    struct vmdk_create c;
    if (vmdk_create_parse(p, &c, e) || check_descriptor(p, &c, e))
        return -1;
    if (p->first && c.parent_name && vmdk_parent_cid(p->path, c.parent_name, &c.parent_cid, e))
        return -1;
    switch (c.subformat) {
    case VMDK_MONOLITHIC_FLAT:
    case VMDK_SPLIT_FLAT:
        return vmdk_flat_open(p, &c, out, e);
    case VMDK_STREAM_OPTIMIZED:
        return vmdk_stream_open(p, &c, out, e);
    default:
        return vmdk_sparse_open(p, &c, out, e);
    }
}

const struct writer_ops vmdk_writer = {.open = vmdk_writer_open};
