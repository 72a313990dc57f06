/* The extents of an image: its own file, or files beside the descriptor. */
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/create.h"

const char *vmdk_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *vmdk_part_name(const char *path, const struct vmdk_create *c, size_t index, struct err *e)
{
    const char *base = vmdk_base_name(path);
    const char *dot = strrchr(base, '.');
    const char *end = dot ? dot : base + strlen(base);
    int stem = (int)(end - path);
    if (c->subformat == VMDK_MONOLITHIC_FLAT)
        return mem_printf(e, "%.*s-flat%s", stem, path, end);
    return mem_printf(e, "%.*s-%c%03zu%s", stem, path, vmdk_is_flat(c) ? 'f' : 's', index + 1, end);
}

static int open_members(const struct writer_params *p, const struct vmdk_create *c,
                        struct vmdk_parts *parts, struct err *e)
{
    for (size_t i = 0; i < parts->n; i++) {
        AUTO_FREE char *name = vmdk_part_name(p->path, c, i, e);
        if (!name || writer_member(p, name, &parts->at[i].file, e))
            return -1;
    }
    return 0;
}

int vmdk_parts_open(const struct writer_params *p, const struct vmdk_create *c,
                    struct vmdk_parts *out, struct err *e)
{
    uint64_t part = vmdk_is_split(c) ? VMDK_SPLIT_SIZE : num_max(c->size, 1);
    bool members = vmdk_is_split(c) || vmdk_is_flat(c);
    *out = (struct vmdk_parts){.part = part, .size = c->size, .members = members};
    size_t n = members ? num_div_up(c->size, part) : 1;
    out->at = mem_new(n, sizeof *out->at, e);
    if (!out->at)
        return -1;
    out->n = n;
    for (size_t i = 0; i < n; i++)
        out->at[i].size = num_min(part, c->size - i * part);
    if (members)
        return open_members(p, c, out, e);
    out->at[0].file = p->file;
    return 0;
}

void vmdk_parts_release(struct vmdk_parts *parts)
{
    struct err late = ERR_INIT;
    for (size_t i = 0; parts->members && i < parts->n; i++)
        file_close(parts->at[i].file, &late);
    free(parts->at);
    *parts = (struct vmdk_parts){0};
}

int vmdk_parts_sync(const struct vmdk_parts *parts, struct err *e)
{
    for (size_t i = 0; i < parts->n; i++)
        if (file_sync(parts->at[i].file, e))
            return -1;
    return 0;
}
