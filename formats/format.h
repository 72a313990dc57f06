/*
 * What a format driver implements.
 *
 *   to be read    probe ──▶ open ──▶ map … map ──▶ close          (info, check as asked)
 *   to be made    options ──▶ writer (formats/writer.h): open ──▶ place/publish … ──▶ finish
 *
 * A driver never reads or writes guest data: it says where the data is, the core moves it. It reads
 * its own metadata through img->file. It sees formats/, image/{image,extent}.h, io/ and base/ only.
 */
#ifndef FORMATS_FORMAT_H
#define FORMATS_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "formats/bitmap.h"
#include "formats/options.h"
#include "image/image.h"

/* What `info` shows beyond struct image's own fields. Owned by the caller: json_decref each. */
struct format_info {
    bool has_dirty; /* dirty-flag is shown at all (raw, qcow2, vdi ...: yes; parallels: no) */
    bool dirty;
    json_t *snapshots; /* array in info's form and key order, or NULL */
    json_t *specific;  /* the "data" object of format-specific, in key order, or NULL */
};

struct format_status {
    bool shows_holes; /* DATA that the file below does not store is shown as zero */
    uint64_t reach;   /* an answer never crosses a multiple of so many guest bytes; 0 = no limit */
};

enum check_fix { CHECK_FIX_NONE = 0, CHECK_FIX_LEAKS = 1, CHECK_FIX_ERRORS = 2 };

struct check_result {
    uint64_t corruptions, leaks, check_errors;
    uint64_t corruptions_fixed, leaks_fixed;
    uint64_t image_end_offset; /* 0 = not known */
    uint64_t total_clusters, allocated_clusters, fragmented_clusters, compressed_clusters;
};

/* Where a check's lines go ("ERROR cluster 6 refcount=0 reference=1"): no newline, in order. */
struct check_sink {
    void (*line)(void *ctx, const char *text);
    /* the same with the program's name in front, where the original has it; NULL: a line too */
    void (*error)(void *ctx, const char *text);
    void *ctx;
    uint64_t memory; /* bytes the check may use for its own counters, maps and tables */
};

struct measure_result {
    uint64_t required, fully_allocated;
    bool has_bitmaps;
    uint64_t bitmaps;
};

struct writer_ops;
struct edit_ops;
struct amend_ops;
struct safety_check;

struct format {
    const char *name;

    /* Score 0 (no) to 100 (magic) for the first `n` bytes of a file; raw is 1. */
    int (*probe)(const uint8_t *head, size_t n, const char *filename);

    /* Runtime options it takes in a spec besides driver, file, backing (NULL-terminated names, a
     * trailing '.' stands for any dotted continuation); may be NULL. Others are refused. */
    const char *const *runtime_options;

    int (*open)(struct image *img, struct err *e);
    void (*close)(struct image *img);

    /* The extent at `guest`; out is zeroed, guest and image are set by the core. At most `length`
     * long; should skip: holes and contiguous runs as one extent, without reading data. Called by
     * many threads. */
    int (*map)(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
               struct err *e);

    int (*info)(struct image *img, struct format_info *out, struct err *e);
    /* NULL: "This image format does not support checks" */
    int (*check)(struct image *img, enum check_fix fix, const struct check_sink *sink,
                 struct check_result *out, struct err *e);
    bool check_only; /* check repairs nothing: with -r it is as good as none */
    /* NULL: no internal snapshots */
    int (*load_snapshot)(struct image *img, const char *id, const char *name, struct err *e);
    /* How qemu-img's block status of this image differs from its map (flow/status.c). NULL: what is
     * known there of the format by its name. */
    void (*status)(struct image *img, struct format_status *out);
    /* The i-th file beyond img->file (data file, extents); NULL: there are no more. NULL: none. */
    struct file *(*further)(const struct image *img, size_t i);

    /* Persistent bitmaps without their bits, in directory order. NULL: none. The list is the
     * caller's (bitmap_list_free). */
    int (*bitmap_list)(struct image *img, struct bitmap **out, size_t *n, struct err *e);
    /* Bytes [at, at + n) of one's bits, those behind the bitmap's end clear. *zero: all are clear,
     * and buf is as it was. */
    int (*bitmap_read)(struct image *img, struct bitmap *b, uint64_t at, size_t n, uint8_t *buf,
                       bool *zero, struct err *e);
    const struct bitmap_ops *bitmaps; /* changing them (formats/bitmap.h); NULL: cannot */

    bool named_only; /* --safe: read only where the user names it */
    bool supports_backing;
    bool supports_compression;
    const struct option_def *create_options; /* NULL: cannot be created */

    /* required and fully allocated size of a new image; src NULL: empty. NULL: not supported. */
    int (*measure)(const struct options *o, uint64_t size, struct image *src,
                   struct measure_result *out, struct err *e);

    const struct writer_ops *writer;   /* NULL: cannot be made */
    const struct edit_ops *edit;       /* formats/edit.h; NULL: what is there cannot be changed */
    const struct amend_ops *amend;     /* formats/amend.h; NULL: its options stay as they are */
    const struct safety_check *safety; /* formats/safety.h; NULL: those of all images suffice */
};

extern const struct format format_bochs;     /* bochs.c */
extern const struct format format_cloop;     /* cloop.c */
extern const struct format format_dmg;       /* dmg/open.c */
extern const struct format format_luks;      /* luks.c */
extern const struct format format_parallels; /* parallels/open.c */
extern const struct format format_qcow;      /* qcow/open.c */
extern const struct format format_qcow2;     /* qcow2/open.c */
extern const struct format format_qed;       /* qed/open.c */
extern const struct format format_raw;       /* raw.c */
extern const struct format format_vdi;       /* vdi/open.c */
extern const struct format format_vhdx;      /* vhdx/open.c */
extern const struct format format_vmdk;      /* vmdk/open.c */
extern const struct format format_vpc;       /* vpc/open.c */

/* What the protocol "file" takes besides a format's own options (raw.c). */
extern const struct option_def file_create_options[];
/* The protocol's preallocation; checks it. */
int file_create_prealloc(const struct options *o, enum file_prealloc *out, struct err *e);
/* For data that stands in place: give the new file its size, and its space, before data comes. */
int file_create_reserve(struct file *f, uint64_t size, enum file_prealloc mode, struct err *e);

/* formats/registry.c: the one list of formats; same-bytes tests and help are fed from it. */
extern const struct format *const format_all[]; /* NULL-terminated, sorted by name */
const struct format *format_find(const char *name);
/* The best score for these bytes; raw when nothing scores. */
const struct format *format_probe(const uint8_t *head, size_t n, const char *filename);

#endif
