/*
 * Writing a vmdk: what its writers share.
 *
 *   options.c          what was asked for
 *   descriptor_text.c  the descriptor, as text
 *   parent.c           the CID of the parent
 *   member.c           the extents of an image of several files
 *   sparse_tables.c    directories and tables of one sparse extent
 *   grain.c            an encoded grain with its marker
 *
 *   writer.c ──▶ sparse_writer.c   monolithicSparse, twoGbMaxExtentSparse
 *           ──▶ flat_writer.c     monolithicFlat, twoGbMaxExtentFlat
 *           ──▶ stream_writer.c   streamOptimized
 */
#ifndef FORMATS_VMDK_CREATE_H
#define FORMATS_VMDK_CREATE_H

#include "formats/table.h"
#include "formats/vmdk/vmdk.h"
#include "formats/writer.h"

#define VMDK_GRAIN_BYTES ((uint64_t)VMDK_GRAIN_DEFAULT * VMDK_SECTOR)
#define VMDK_GT_BYTES    (VMDK_GTES_PER_GT * 4u)
#define VMDK_GT_SPAN     (VMDK_GTES_PER_GT * VMDK_GRAIN_BYTES) /* guest bytes of a grain table */
#define VMDK_SECTORS_MAX ((uint64_t)UINT32_MAX) /* entries of 32 bits: what they can point to */

/* ---- options.c ------------------------------------------------------------------------------- */

enum vmdk_subformat {
    VMDK_MONOLITHIC_SPARSE,
    VMDK_MONOLITHIC_FLAT,
    VMDK_SPLIT_SPARSE,
    VMDK_SPLIT_FLAT,
    VMDK_STREAM_OPTIMIZED,
};

/* Strings are the options'. */
struct vmdk_create {
    enum vmdk_subformat subformat;
    const char *create_type; /* the subformat's name */
    uint64_t size;           /* guest bytes, whole sectors */
    const char *adapter;
    const char *hw_version, *tools_version;
    const char *parent_name; /* parentFileNameHint, or NULL */
    uint32_t cid, parent_cid;
    bool zeroed_grain;
    enum file_prealloc prealloc; /* of flat extents */
};

/* All but parent_cid, checked. */
int vmdk_create_parse(const struct writer_params *p, struct vmdk_create *out, struct err *e);

static inline bool vmdk_is_flat(const struct vmdk_create *c)
{
    return c->subformat == VMDK_MONOLITHIC_FLAT || c->subformat == VMDK_SPLIT_FLAT;
}

static inline bool vmdk_is_split(const struct vmdk_create *c)
{
    return c->subformat == VMDK_SPLIT_SPARSE || c->subformat == VMDK_SPLIT_FLAT;
}

/* ---- parent.c -------------------------------------------------------------------------------- */

/* The CID of the image that will be the parent of the one at `path`. */
int vmdk_parent_cid(const char *path, const char *parent_name, uint32_t *cid, struct err *e);

/* ---- member.c -------------------------------------------------------------------------------- */

/* The extents of an image: one, or one for each 2 GiB of a split image. */
struct vmdk_parts {
    uint64_t part; /* guest bytes of all but the last */
    uint64_t size; /* guest bytes in all */
    size_t n;      /* none for an empty image */
    bool members;  /* files beside the descriptor; else the one part is the image file */
    struct vmdk_part {
        struct file *file; /* the part's own if `members` */
        uint64_t size;     /* guest bytes */
    } * at;
};

int vmdk_parts_open(const struct writer_params *p, const struct vmdk_create *c,
                    struct vmdk_parts *out, struct err *e);
/* Errors of closing are late: they are to be synced before. */
void vmdk_parts_release(struct vmdk_parts *parts);
int vmdk_parts_sync(const struct vmdk_parts *parts, struct err *e);

/* The file name of extent `index` of an image at `path`, in the same folder: "disk-s001.vmdk". */
char *vmdk_part_name(const char *path, const struct vmdk_create *c, size_t index, struct err *e);

/* What follows the last slash. */
const char *vmdk_base_name(const char *path);

/* ---- descriptor_text.c ----------------------------------------------------------------------- */

/* As qemu-img writes it; *len without the NUL that ends it. free() it. */
char *vmdk_descriptor_text(const struct vmdk_create *c, const char *path, size_t *len,
                           struct err *e);
/* The descriptor of a single file, into its place there. */
int vmdk_descriptor_put(const struct vmdk_create *c, const char *path, struct file *f,
                        struct pages *pages, struct err *e);

/* ---- sparse_tables.c ------------------------------------------------------------------------- */

/* A sparse extent as it is laid out, in sectors:
 *
 *   header │ descriptor │ redundant directory, its tables │ directory, its tables │ grains ...
 */
struct vmdk_sparse_layout {
    uint64_t sectors; /* of the guest */
    uint64_t tables;  /* grain tables */
    uint64_t gd_sectors;
    uint64_t rgd, gd;  /* where the directories begin */
    uint64_t overhead; /* where grains begin */
};

int vmdk_sparse_plan(uint64_t sectors, struct vmdk_sparse_layout *out, struct err *e);

struct vmdk_sparse_tables; /* of one extent that is written */

/* The layout and the file are borrowed. */
int vmdk_sparse_tables_new(const struct vmdk_sparse_layout *l, struct file *f,
                           struct vmdk_sparse_tables **out, struct err *e);
void vmdk_sparse_tables_free(struct vmdk_sparse_tables *t); /* NULL is fine */
/* The entry of a grain of this extent: its sector, or 1 for a grain of zeros. Ascending. */
int vmdk_sparse_tables_set(struct vmdk_sparse_tables *t, uint64_t grain, uint32_t entry,
                           struct err *e);
/* Where other pieces in front of the grains go, so that no page is written twice. */
struct pages *vmdk_sparse_tables_pages(struct vmdk_sparse_tables *t);
/* Write all that is not written yet, directories too. */
int vmdk_sparse_tables_finish(struct vmdk_sparse_tables *t, struct err *e);

extern const struct table_format vmdk_grain_table;

/* ---- grain.c --------------------------------------------------------------------------------- */

/* Most bytes that an encoded grain takes in the file: marker, stream, padding. */
#define VMDK_PACKED_MAX (VMDK_GRAIN_BYTES + VMDK_SECTOR)

int vmdk_packer_new(int level, struct packer **out, struct err *e);
/* One that leaves every grain as it is. */
int vmdk_packer_none(struct packer **out, struct err *e);
void vmdk_packer_free(struct packer *p);
/* writer_ops.pack; always finds a way, if only by storing the grain as it is. */
int vmdk_pack(struct packer *p, uint64_t guest, const void *block, void *out, size_t cap,
              size_t *len, struct err *e);

/* ---- the writers ----------------------------------------------------------------------------- */

/* The head of each. */
struct vmdk_writer {
    struct writer w;
    struct vmdk_create create;
    struct file *file; /* of the image; borrowed */
    const char *path;  /* borrowed */
};

int vmdk_sparse_open(const struct writer_params *p, const struct vmdk_create *c,
                     struct writer **out, struct err *e);
int vmdk_flat_open(const struct writer_params *p, const struct vmdk_create *c, struct writer **out,
                   struct err *e);
int vmdk_stream_open(const struct writer_params *p, const struct vmdk_create *c,
                     struct writer **out, struct err *e);

/* The descriptor is a file of its own: write it, the last of all. */
int vmdk_descriptor_file(const struct vmdk_writer *w, struct err *e);

#endif
