/* Flat extents: the guest's bytes as they are, in one file or in one for each 2 GiB. */
#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/create.h"

#define FLAT_CHUNK MIB /* divides the size of a part */

struct flat_writer {
    struct vmdk_writer v;
    struct vmdk_parts parts;
};

static struct flat_writer *flat_of(const struct writer *w)
{
    return (struct flat_writer *)w; /* w is the first member of its first member */
}

static void flat_free(struct writer *w)
{
    if (w)
        vmdk_parts_release(&flat_of(w)->parts);
    free(w);
}

static void flat_cleanup(struct flat_writer **w)
{
    flat_free(*w ? &(*w)->v.w : NULL);
}

/* ---- the extents ----------------------------------------------------------------------------- */

static int part_size(const struct vmdk_part *part, struct err *e)
{
    return file_size(part->file) == part->size ? 0 : file_truncate(part->file, part->size, e);
}

/* Before any data comes: a lack of space shows early. */
static int reserve(const struct flat_writer *w, struct err *e)
{
    enum file_prealloc how = w->v.create.prealloc;
    for (size_t i = 0; i < w->parts.n; i++) {
        const struct vmdk_part *part = &w->parts.at[i];
        if (how != FILE_PREALLOC_OFF && file_preallocate(part->file, 0, part->size, how, e))
            return -1;
        if (part_size(part, e))
            return -1;
    }
    return 0;
}

static int flat_part(const struct writer *w, uint64_t chunk, struct writer_part *out, struct err *e)
{
    const struct vmdk_parts *parts = &flat_of(w)->parts;
    uint64_t i = chunk * FLAT_CHUNK / parts->part;
    (void)e;
    *out = (struct writer_part){.file = parts->at[i].file, .guest = i * parts->part};
    return 0;
}

static int flat_sync(struct writer *w, struct err *e)
{
    return vmdk_parts_sync(&flat_of(w)->parts, e);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void flat_begin(const struct writer *w, struct cursor *c)
{
    (void)w;
    *c = (struct cursor){0};
}

/* O_DIRECT may have written beyond the end of a part. The descriptor makes it an image. */
static int flat_finish(struct writer *writer, struct cursor *c, struct pages *pages, struct err *e)
{
    struct flat_writer *w = flat_of(writer);
    (void)c;
    (void)pages;
    for (size_t i = 0; i < w->parts.n; i++)
        if (part_size(&w->parts.at[i], e))
            return -1;
    return flat_sync(writer, e) ? -1 : vmdk_descriptor_file(&w->v, e);
}

static const struct writer_ops flat_ops = {
    .free = flat_free,
    .part = flat_part,
    .sync = flat_sync,
    .begin = flat_begin,
    .finish = flat_finish,
};

int vmdk_flat_open(const struct writer_params *p, const struct vmdk_create *c, struct writer **out,
                   struct err *e)
{
    AUTO(flat_cleanup) struct flat_writer *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    w->v = (struct vmdk_writer){
        .w = {.ops = &flat_ops, .chunk_size = FLAT_CHUNK, .in_place = true},
        .create = *c,
        .file = p->file,
        .path = p->path,
    };
    if (vmdk_parts_open(p, c, &w->parts, e) || (p->first && reserve(w, e)))
        return -1;
    *out = &MEM_TAKE(w)->v.w;
    return 0;
}
