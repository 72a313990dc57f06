/*
 * vhdx, as [MS-VHDX] describes it: what its parts share.
 *
 *   identifier │ header, header │ regions, regions │ log │ BAT │ metadata │ blocks …
 *   0            64K     128K     192K     256K      1M      where the region table says
 *
 *   guid.c       identifiers                  metadata.c  the disk's parameters
 *   header.c     which header counts          locator.c   where the parent is
 *   region.c     where BAT and metadata are   map.c       BAT and sector bitmaps
 *   log.c        what the log says            check.c     is the BAT sound
 *   overlay.c    ... seen as if it was done   options.c   create options
 *   replay.c     ... done                     writer.c    a fresh image
 *   journal.c    ... written                  edit.c      changing one that is there
 */
#ifndef FORMATS_VHDX_VHDX_H
#define FORMATS_VHDX_VHDX_H

#include <stdatomic.h>

#include "base/num.h"
#include "formats/format.h"
#include "formats/table.h"

#define VHDX_ALIGN (1 * MIB) /* of the log, of regions, of blocks */

/* ---- identifiers: guid.c --------------------------------------------------------------------- */

struct vhdx_guid {
    uint8_t byte[16]; /* as on disk */
};

extern const struct vhdx_guid vhdx_guid_none; /* all zero: no log */

struct vhdx_guid vhdx_guid_load(const uint8_t *p);
bool vhdx_guid_equal(const struct vhdx_guid *a, const struct vhdx_guid *b);
/* From random bytes, in the form of RFC 4122, version 4. */
struct vhdx_guid vhdx_guid_make(const uint8_t *random);
/* One of its own. */
int vhdx_guid_new(struct vhdx_guid *out, struct err *e);
/* "{83ed0ec3-24c8-49a6-a959-5e4bd1288015}", braces or not. false: it is none. */
bool vhdx_guid_parse(const char *text, struct vhdx_guid *out);

/* ---- headers: header.c ----------------------------------------------------------------------- */

#define VHDX_SIGNATURE   "vhdxfile"
#define VHDX_HEADER_SIZE 4096u
#define VHDX_HEADERS     2u

struct vhdx_header {
    uint64_t sequence;
    struct vhdx_guid file_write, data_write;
    struct vhdx_guid log; /* of the entries that count; none: nothing is to be replayed */
    uint16_t log_version, version;
    uint32_t log_length;
    uint64_t log_offset;
};

uint64_t vhdx_header_place(unsigned copy);
/* false: signature or checksum is wrong. */
bool vhdx_header_load(const uint8_t buf[VHDX_HEADER_SIZE], struct vhdx_header *out);
void vhdx_header_store(const struct vhdx_header *h, uint8_t buf[VHDX_HEADER_SIZE]);
/* The header that counts; *copy is its number. */
int vhdx_header_read(struct file *f, struct vhdx_header *out, unsigned *copy, struct err *e);
/* Make `h` the contents of both headers, one after the other and each synced, the one that does not
 * count first: at any time one of them is good. */
int vhdx_header_update(struct file *f, struct vhdx_header *h, unsigned copy, struct err *e);

/* ---- regions: region.c ----------------------------------------------------------------------- */

#define VHDX_REGION_TABLE_SIZE (64 * KIB)
#define VHDX_REGION_TABLES     2u

/* A range of the file that holds no blocks. */
struct vhdx_range {
    uint64_t start, end;
};

struct vhdx_regions {
    struct vhdx_range bat, metadata;
    struct vhdx_range *all;    /* the log, then the regions as they stand in the table */
    struct vhdx_range *sorted; /* the same by place; they do not overlap */
    size_t n;
};

uint64_t vhdx_region_place(unsigned copy);
int vhdx_regions_read(struct file *f, const struct vhdx_header *h, struct vhdx_regions *out,
                      struct err *e);
void vhdx_regions_release(struct vhdx_regions *r);
/* A table of the regions BAT and metadata alone. */
void vhdx_regions_store(const struct vhdx_regions *r, uint8_t buf[VHDX_REGION_TABLE_SIZE]);
/* Does [start, end) touch one of them? */
bool vhdx_regions_touch(const struct vhdx_regions *r, uint64_t start, uint64_t end);

/* ---- metadata: metadata.c, locator.c --------------------------------------------------------- */

/* "metadata table", then the items; what we write fits into a page of items. */
#define VHDX_METADATA_TABLE_SIZE (64 * KIB)
#define VHDX_METADATA_SIZE       (VHDX_METADATA_TABLE_SIZE + 4 * KIB)

#define VHDX_BLOCK_MAX (256 * MIB)
#define VHDX_SIZE_MAX  (64 * TIB)

struct vhdx_metadata {
    uint32_t block_size;
    bool leave_allocated; /* a fixed disk */
    bool has_parent;
    uint64_t size;
    struct vhdx_guid disk_id; /* "page 83 data" */
    uint32_t logical_sector, physical_sector;
    uint64_t locator_offset; /* in the file; of the parent locator, if has_parent */
    uint32_t locator_length;
};

int vhdx_metadata_read(struct file *f, const struct vhdx_range *region, struct vhdx_metadata *out,
                       struct err *e);
/* buf is zeroed. Without a parent locator. */
void vhdx_metadata_store(const struct vhdx_metadata *m, uint8_t buf[VHDX_METADATA_SIZE]);

struct vhdx_parent {
    char *name; /* owned; as a local name, relative names beside the image */
    struct vhdx_guid linkage[2];
    unsigned n_linkage; /* one of them is the parent's data_write */
};

/* From the bytes of a parent locator. */
int vhdx_locator_load(const uint8_t *item, uint32_t length, struct vhdx_parent *out, struct err *e);

/* ---- the log: log.c, overlay.c, replay.c ----------------------------------------------------- */

#define VHDX_LOG_SECTOR 4096u

/* What the log says about one range of the file: whole sectors. */
struct vhdx_patch {
    uint64_t start, end;
    uint64_t source;           /* where in the file the new sector stands; 0 = zeros */
    uint8_t lead[8], trail[4]; /* its first and last bytes stand elsewhere */
};

struct vhdx_log {
    struct vhdx_patch *patches; /* owned; in the order in which they were made */
    size_t n;
    bool found;    /* else the log was never begun: nothing is to be replayed */
    uint64_t last; /* the file is at least that long */
};

/* What is to be replayed. Only if h->log is set. */
int vhdx_log_read(struct file *f, const struct vhdx_header *h, struct vhdx_log *out, struct err *e);
void vhdx_log_release(struct vhdx_log *log);
/* The sector that a patch with a source puts in place. */
int vhdx_patch_read(struct file *f, const struct vhdx_patch *p, uint8_t buf[VHDX_LOG_SECTOR],
                    struct err *e);

/* The file as it will be when its log is replayed; read only. Borrows `base`, which must live
 * longer, and takes the patches. */
int vhdx_overlay_new(struct file *base, struct vhdx_log *log, struct file **out, struct err *e);

/* Replay the log for good: what it says, sync, then headers that have no log. */
int vhdx_replay(struct file *f, const struct vhdx_log *log, struct vhdx_header *h, unsigned copy,
                struct err *e);

/* ---- block allocation table: map.c, check.c -------------------------------------------------- */

#define VHDX_STATE(raw) ((unsigned)(raw)&7)
#define VHDX_PLACE(raw) ((raw) & ~UINT64_C(0xfffff))

enum vhdx_state {
    VHDX_NOT_PRESENT = 0,
    VHDX_UNDEFINED = 1,
    VHDX_ZERO = 2,
    VHDX_UNMAPPED = 3,
    VHDX_UNMAPPED_OLD = 5, /* of drafts of the specification */
    VHDX_PRESENT = 6,
    VHDX_PARTIAL = 7 /* the sector bitmap says which sectors are */
};

extern const struct table_format vhdx_bat_format;

/* Blocks of which one sector bitmap tells. */
static inline uint64_t vhdx_chunk_ratio(uint32_t sector, uint32_t block_size)
{
    return ((uint64_t)sector << 23) / block_size;
}

static inline uint64_t vhdx_bat_entries(uint64_t blocks, uint64_t ratio, bool has_parent)
{
    if (has_parent)
        return num_div_up(blocks, ratio) * (ratio + 1);
    return blocks ? blocks + (blocks - 1) / ratio : 0;
}

struct slices;
struct vhdx_edit;

struct vhdx {
    struct file *file;          /* the image's, or the overlay */
    struct file *overlay;       /* owned; NULL = the log was empty */
    _Atomic uint64_t file_size; /* grows while others map */
    struct vhdx_header header;
    unsigned header_copy;        /* which of the two on disk that is */
    struct vhdx_guid data_write; /* as it was opened: children know it by that */
    struct vhdx_regions regions;
    struct vhdx_metadata meta;
    struct vhdx_parent parent;
    uint64_t blocks, ratio;
    struct table *table;
    struct slices *bitmaps; /* sector bitmaps and their entries; has_parent */
    atomic_bool parent_ok;  /* its linkage was looked at */
    bool replayed;          /* on disk, and not told yet */
    struct vhdx_edit *edit; /* owned; between edit_ops begin and end */
};

static inline struct vhdx *vhdx_of(const struct image *img)
{
    return img->state;
}

int vhdx_map_open(struct vhdx *s, uint64_t budget, struct err *e);
void vhdx_map_close(struct vhdx *s);
int vhdx_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e);
/* Guest bytes of a block: the last one may be cut short. */
static inline uint64_t vhdx_block_bytes(const struct vhdx *s, uint64_t block)
{
    return num_min(s->meta.block_size, s->meta.size - block * s->meta.block_size);
}

int vhdx_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
               struct check_result *out, struct err *e);

/* ---- creating: options.c, writer.c ----------------------------------------------------------- */

struct vhdx_create {
    uint64_t size, log_size;
    uint32_t block_size;
    bool fixed;
    bool state_zero; /* blocks that hold nothing are marked as zeros */
};

extern const struct option_def vhdx_create_options[];
/* `size` is in whole sectors. */
int vhdx_create_parse(const struct options *o, uint64_t size, struct vhdx_create *out,
                      struct err *e);

extern const struct writer_ops vhdx_writer;

/* ---- changing: edit.c ------------------------------------------------------------------------ */

struct edit_ops;
extern const struct edit_ops vhdx_edit;
void vhdx_edit_free(struct vhdx *s);

#endif
