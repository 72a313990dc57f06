/*
 * vmdk: what reading and writing share.
 *
 *   monolithicSparse, streamOptimized   one file: header, descriptor, tables, grains
 *   monolithicFlat, twoGbMaxExtent*,    a descriptor (a text file) that names its extents: plain
 *   vmfs, vmfsSparse, seSparse          files, or files with a header and tables of their own
 *
 * "Virtual Disk Format 5.0" is the public description; names of fields and limits follow it. All
 * numbers on disk are little endian and count sectors; those here too unless they say bytes.
 */
#ifndef FORMATS_VMDK_VMDK_H
#define FORMATS_VMDK_VMDK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/options.h"
#include "formats/safety.h"

#define VMDK_SECTOR 512u

/* ---- the header of a sparse extent: sparse_header.c ------------------------------------------ */

#define VMDK_SPARSE_HEADER   512u        /* bytes */
#define VMDK_SPARSE_MAGIC    0x564d444bu /* "KDMV" */
#define VMDK_VERSION_MAX     3u        /* 1; 2: zeroed grains; 3: changed-block tracking, streams */
#define VMDK_FLAG_NEWLINE    (1u << 0) /* the bytes that show a damaged transfer are there */
#define VMDK_FLAG_RGD        (1u << 1) /* there is a redundant grain directory */
#define VMDK_FLAG_ZERO_GRAIN (1u << 2) /* a table entry of 1 is a grain of zeros */
#define VMDK_FLAG_COMPRESSED (1u << 16)
#define VMDK_FLAG_MARKERS    (1u << 17)
#define VMDK_GD_AT_END       UINT64_MAX /* gd_offset: the header is repeated in the footer */
#define VMDK_GTES_PER_GT     512u       /* entries of a grain table; qemu and VMware use no other */
#define VMDK_DEFLATE         1u

struct vmdk_sparse {
    uint32_t version;
    uint32_t flags;
    uint64_t capacity;    /* sectors of the guest */
    uint64_t grain;       /* sectors of a grain */
    uint64_t desc_offset; /* of the embedded descriptor; 0 = none */
    uint64_t desc_size;
    uint32_t gtes;       /* entries of a grain table */
    uint64_t rgd_offset; /* redundant grain directory */
    uint64_t gd_offset;
    uint64_t overhead; /* metadata before the first grain */
    bool unclean;
    bool newlines_ok;     /* load: the four bytes that a text transfer would spoil are right */
    uint16_t compression; /* 0 or VMDK_DEFLATE */
};

/* -1: not this magic, or shorter than a header. No limits are checked: that is for the reader. */
int vmdk_sparse_load(const uint8_t *buf, size_t n, struct vmdk_sparse *out);
/* All VMDK_SPARSE_HEADER bytes. */
void vmdk_sparse_store(const struct vmdk_sparse *h, uint8_t *buf);

/* ---- markers of a stream --------------------------------------------------------------------- */

/* In front of an encoded grain: LBA of its first sector, bytes of its zlib stream; the whole is
 * filled up to a sector. A metadata marker takes a sector of its own: sectors that follow, a size
 * of 0, the type. */
#define VMDK_MARKER_HEAD 12u /* bytes in front of the zlib stream */
#define VMDK_MARKER_LBA  0   /* 8 bytes */
#define VMDK_MARKER_SIZE 8   /* 4 bytes */
#define VMDK_MARKER_TYPE 12  /* 4 bytes, metadata markers only */

enum vmdk_marker {
    VMDK_MARKER_EOS = 0, /* end of the stream */
    VMDK_MARKER_GT = 1,
    VMDK_MARKER_GD = 2,
    VMDK_MARKER_FOOTER = 3
};

/* ---- the descriptor -------------------------------------------------------------------------- */

#define VMDK_NO_PARENT        0xffffffffu             /* parentCID without a parent */
#define VMDK_DESC_OFFSET      1u                      /* sectors: where a sparse file has it ... */
#define VMDK_DESC_SIZE        20u                     /* ... and how long it is there */
#define VMDK_DESC_MAX         (20u * VMDK_SECTOR - 1) /* bytes of text that readers look at (qemu) */
#define VMDK_SPLIT_SIZE       (UINT64_C(2) << 30)     /* bytes of a twoGbMaxExtent extent */
#define VMDK_GRAIN_DEFAULT    128u                    /* sectors */
#define VMDK_EXTENT_LINES_MAX 16384u

enum vmdk_extent_type {
    VMDK_FLAT,
    VMDK_VMFS,
    VMDK_SPARSE,
    VMDK_VMFSSPARSE,
    VMDK_SESPARSE,
};

/* "RW 4192256 SPARSE "disk-s001.vmdk"" */
struct vmdk_extent_line {
    uint64_t sectors;
    enum vmdk_extent_type type;
    char *name;      /* owned */
    uint64_t offset; /* sectors into a FLAT file */
};

struct vmdk_descriptor {
    uint32_t cid, parent_cid;
    size_t cid_at;       /* where in the text the CID stands ... */
    unsigned cid_digits; /* ... and how long it is there */
    char *create_type;   /* owned */
    char *parent_hint;   /* parentFileNameHint, owned; NULL = none */
    struct vmdk_extent_line *lines;
    size_t n_lines;
};

/* descriptor.c: `text` ends with a NUL. `with_extents`: the extent lines count (a descriptor file),
 * else they are not looked at. */
int vmdk_descriptor_parse(const char *text, bool with_extents, struct vmdk_descriptor *out,
                          struct err *e);
void vmdk_descriptor_release(struct vmdk_descriptor *d);

/* ---- writing: writer.c, options.c ------------------------------------------------------------ */

struct writer_ops;
extern const struct writer_ops vmdk_writer;
extern const struct option_def vmdk_create_options[];
extern const struct safety_check vmdk_safety[]; /* safety.c */

#endif
