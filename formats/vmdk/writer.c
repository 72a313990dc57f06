/* vmdk_writer: which of the writers it is. Each has operations of its own. */
#include "formats/vmdk/create.h"

static int vmdk_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    struct vmdk_create c;
    if (vmdk_create_parse(p, &c, e))
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
