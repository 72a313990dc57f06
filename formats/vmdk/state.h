/*
 * An open vmdk image: what the files of this folder that read share. Nothing in it changes after
 * opening but the pool's tables and their caches, which lock for themselves.
 *
 *   open.c        which of the kinds of file it is; the driver
 *   descriptor.c  the text
 *   extents.c     the files that a descriptor names
 *   hosted.c      "KDMV": hosted sparse extents, streams
 *   server.c      "COWD" and seSparse extents
 *   map.c         guest offset -> extent; pool.c: the tables behind it
 *   edit.c        changing what is there; packing.c: encoded grains in it
 *   info.c check.c
 */
#ifndef FORMATS_VMDK_STATE_H
#define FORMATS_VMDK_STATE_H

#include <pthread.h>

#include "formats/format.h"
#include "formats/table.h"
#include "formats/vmdk/vmdk.h"

#define VMDK_COWD_MAGIC 0x44574f43u /* "COWD" */

/* Where the tables of a sparse extent stand, in bytes of its file. */
struct vmdk_grid {
    uint64_t first_offset; /* grain directory */
    uint64_t first_entries;
    uint64_t copy_offset;   /* redundant grain directory; 0 = none */
    uint64_t gtes;          /* entries of a grain table */
    uint64_t tables_offset; /* seSparse: entries of the directory count tables from here */
    uint64_t grains_offset; /* seSparse: entries of the tables count grains from here */
};

struct vmdk_extent {
    uint64_t start, size; /* guest bytes */
    struct file *file;
    bool own_file;       /* closed with the image; else it is the image's own */
    const char *word;    /* as info shows its type; "" for an image of one file */
    uint32_t grain;      /* bytes; 0 = flat */
    uint64_t host;       /* flat: where it begins in the file */
    bool wide;           /* seSparse: 8-byte entries */
    bool zero_grain;     /* an entry of 1 is a grain of zeros */
    bool packed;         /* grains are encoded ... */
    bool markers;        /* ... with a marker in front */
    uint16_t lead_in;    /* packed: bytes of a grain in front of its zlib stream */
    uint32_t packed_max; /* ... and the most bytes that are read of the stream */
    uint32_t free_at;    /* COWD: where its header says from which sector on the file is free */
    struct vmdk_grid grid;

    /* pool.c */
    struct table *table; /* NULL: not open now */
    unsigned holders;
    uint64_t used; /* the pool's clock when it was last held */
};

/* The tables of an image with many sparse extents: not all of them are held in memory. */
struct vmdk_pool {
    pthread_mutex_t lock;
    bool keeps_all; /* few enough: all open, no lock is taken */
    size_t n_open;
    uint64_t n_bytes; /* of the open ones' directories */
    uint64_t clock;
    uint64_t budget; /* bytes for the caches of one table */
};

struct vmdk {
    struct image *image; /* borrowed */
    struct vmdk_descriptor desc;
    uint64_t desc_at; /* where its text begins in the image's file */
    struct vmdk_extent *extents;
    size_t n;
    struct vmdk_pool pool;
    struct vmdk_edit *edit; /* owned; between edit_ops begin and end */
};

static inline struct vmdk *vmdk_of(const struct image *img)
{
    return img->state;
}

/* ---- descriptor.c ---------------------------------------------------------------------------- */

/* "version=1" behind comments and lines of spaces: do these bytes begin a descriptor file? */
bool vmdk_descriptor_probe(const char *text, size_t n);
/* "FLAT", "SPARSE" ... */
const char *vmdk_extent_word(enum vmdk_extent_type type);

/* ---- extents --------------------------------------------------------------------------------- */

/* extents.c: all that the descriptor names, in order, one behind the other. */
int vmdk_extents_open(struct vmdk *v, struct err *e);
/* Give the extent its place behind those before it. */
int vmdk_extent_append(struct vmdk *v, const struct vmdk_extent *x, struct err *e);

/* The header at the head of x->file, and all that follows from it; x->size too. Errors are those of
 * this one file. */
int vmdk_hosted_open(struct vmdk_extent *x, bool write, struct err *e);
int vmdk_cowd_open(struct vmdk_extent *x, struct err *e);
int vmdk_sesparse_open(struct vmdk_extent *x, struct err *e);
/* Geometry that all have in common: directory entries for `sectors` of the guest. */
int vmdk_geometry_set(struct vmdk_extent *x, uint64_t sectors, uint64_t grain, uint64_t gtes,
                      struct err *e);
/* The header of a hosted sparse extent: the footer's where the header says so. */
int vmdk_hosted_header(struct file *f, struct vmdk_sparse *out, struct err *e);

/* ---- map.c, pool.c --------------------------------------------------------------------------- */

int vmdk_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out, struct err *e);
/* The extent in which guest byte `guest` lies. */
struct vmdk_extent *vmdk_extent_at(struct vmdk *v, uint64_t guest);
/* The same for one extent, from its own begin; what it leaves to a parent is a HOLE unasked. */
int vmdk_extent_map(struct vmdk *v, struct vmdk_extent *x, uint64_t at, uint64_t length,
                    struct extent *out, struct err *e);
int vmdk_table_open(const struct vmdk *v, struct vmdk_extent *x, struct table **out,
                    struct err *e); /* map.c */

int vmdk_pool_open(struct vmdk *v, struct err *e);
void vmdk_pool_close(struct vmdk *v);
struct table *vmdk_pool_get(struct vmdk *v, struct vmdk_extent *x, struct err *e);
void vmdk_pool_put(struct vmdk *v, struct vmdk_extent *x);

/* ---- edit.c ---------------------------------------------------------------------------------- */

struct edit_ops;
extern const struct edit_ops vmdk_edit;
struct edit_packing;
struct edit_place;
extern const struct edit_packing vmdk_packing; /* packing.c */
/* edit_packing.place: behind all that is in the file. */
int vmdk_place_packed(struct image *img, uint64_t guest, uint32_t len, struct edit_place *out,
                      struct err *e);
void vmdk_edit_free(struct vmdk *v);

/* ---- info.c, check.c ------------------------------------------------------------------------- */

/* Have all extents one kind and one size of grains? */
bool vmdk_is_uniform(const struct vmdk *v);
int vmdk_info(struct image *img, struct format_info *out, struct err *e);
void vmdk_status(struct image *img, struct format_status *out);
struct file *vmdk_further(const struct image *img, size_t i);
int vmdk_check(struct image *img, enum check_fix fix, const struct check_sink *sink,
               struct check_result *out, struct err *e);

#endif
