/* The descriptor: words that say what the extents are and what the disk looks like. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/vmdk/create.h"

#define SECTORS_PER_TRACK 63u

static void put_head(FILE *f, const struct vmdk_create *c)
{
    fprintf(f,
            "# Disk DescriptorFile\n"
            "version=1\n"
            "CID=%08" PRIx32 "\n"
            "parentCID=%08" PRIx32 "\n"
            "createType=\"%s\"\n",
            c->cid, c->parent_cid, c->create_type);
    if (c->parent_name)
        fprintf(f, "parentFileNameHint=\"%s\"\n", c->parent_name);
}

static void put_extent(FILE *f, const struct vmdk_create *c, uint64_t size, const char *name)
{
    fprintf(f, "RW %" PRIu64 " %s \"%s\"%s\n", size / VMDK_SECTOR,
            vmdk_is_flat(c) ? "FLAT" : "SPARSE", name, vmdk_is_flat(c) ? " 0" : "");
}

/* A single file is its own only extent, also when it is empty. */
static int put_extents(FILE *f, const struct vmdk_create *c, const char *path, struct err *e)
{
    fprintf(f, "\n# Extent description\n");
    if (!vmdk_is_flat(c) && !vmdk_is_split(c))
        put_extent(f, c, c->size, vmdk_base_name(path));
    else
        for (uint64_t i = 0, at = 0; at < c->size; i++) {
            uint64_t n = vmdk_is_split(c) ? num_min(c->size - at, VMDK_SPLIT_SIZE) : c->size;
            AUTO_FREE char *name = vmdk_part_name(path, c, i, e);
            if (!name)
                return -1;
            put_extent(f, c, n, vmdk_base_name(name));
            at += n;
        }
    return 0;
}

static void put_disk(FILE *f, const struct vmdk_create *c)
{
    unsigned heads = strcmp(c->adapter, "ide") == 0 ? 16 : 255;
    fprintf(f,
            "\n# The Disk Data Base\n"
            "#DDB\n"
            "\n"
            "ddb.virtualHWVersion = \"%s\"\n"
            "ddb.geometry.cylinders = \"%" PRIu64 "\"\n"
            "ddb.geometry.heads = \"%u\"\n"
            "ddb.geometry.sectors = \"%u\"\n"
            "ddb.adapterType = \"%s\"\n"
            "ddb.toolsVersion = \"%s\"\n",
            c->hw_version, c->size / VMDK_SECTOR / (SECTORS_PER_TRACK * heads), heads,
            SECTORS_PER_TRACK, c->adapter, c->tools_version);
}

char *vmdk_descriptor_text(const struct vmdk_create *c, const char *path, size_t *len,
                           struct err *e)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, len);
    if (!f) {
        err_nomem(e);
        return NULL;
    }
    put_head(f, c);
    int status = put_extents(f, c, path, e);
    put_disk(f, c);
    bool failed = ferror(f);
    if (fclose(f) || failed)
        status = err_nomem(e);
    if (status == 0)
        return text;
    free(text);
    return NULL;
}

int vmdk_descriptor_put(const struct vmdk_create *c, const char *path, struct file *f,
                        struct pages *pages, struct err *e)
{
    size_t len;
    AUTO_FREE char *text = vmdk_descriptor_text(c, path, &len, e);
    if (!text)
        return -1;
    return writer_put(f, pages, (uint64_t)VMDK_DESC_OFFSET * VMDK_SECTOR, text, len, e);
}

int vmdk_descriptor_file(const struct vmdk_writer *w, struct err *e)
{
    size_t len;
    AUTO_FREE char *text = vmdk_descriptor_text(&w->create, w->path, &len, e);
    if (!text || file_write(w->file, text, len, 0, e) ||
        (file_size(w->file) != len && file_truncate(w->file, len, e)))
        return -1;
    return file_sync(w->file, e);
}
