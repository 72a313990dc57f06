/*
 * An open image: a format driver's view of a file, and its backing chain.
 *
 *   spec ──▶ image_open ──▶ probe ──▶ driver->open ──▶ backing (gate) ──▶ image
 *                                                                          │ map, read
 * Opened images are read by many threads at once: after opening, a driver changes nothing but its
 * own locked caches.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "image/extent.h"
#include "io/file.h"

struct format;
struct secrets;    /* --object secret,...: image/secret.h */
struct check_sink; /* formats/format.h */

/* What is asked of images that somebody else has made: --safe, --max-size. */
struct safety_rules {
    bool on;           /* make the checks of formats/safety.h; open no file that an image names */
    uint64_t max_size; /* of the guest disk; 0 = any. Counts without `on` too */
    /* borrowed; a list that gets each check: {"check", "passed", "reason"}. NULL: not told */
    json_t *told;
};

/* How to open. Zero-initialised = read-only with the chain, locks, writeback. */
struct image_flags {
    bool write;
    bool no_backing;  /* do not open the backing chain (info) */
    bool no_io;       /* only metadata is asked for: no secret needed, no data file content */
    bool force_share; /* -U */
    bool check;       /* open what a check may open: corrupt flag, missing refcount table */
    bool forget;      /* drop page cache behind */
    bool unfinished;  /* its further files may have no more than their temporary names yet */
    struct file_cache cache;
    struct secrets *secrets; /* borrowed; may be NULL */
    /* where a repair that opening for writing implies says what it does; borrowed; NULL: nowhere */
    const struct check_sink *repairs;
    /* of what lies below, borrowed while the image is opened; NULL: as `cache` says */
    const struct file_cache *backing_cache;
    uint64_t metadata_budget; /* bytes that this image's own caches may take; 0 = default */
    const char *driver;       /* -f: format by name, NULL = as the spec says, else probe */
    struct safety_rules safety;
    struct opening *opening; /* borrowed, as long as the image; NULL: opened for this rank alone */
};

struct image {
    const struct format *format;
    bool probed;       /* the format was guessed */
    char *name;        /* as the user (or the overlay) gave it: for messages and info */
    json_t *spec;      /* the whole of its options, owned: {"driver":..,"file":{..}} */
    struct file *file; /* the protocol below, owned */
    struct image_flags flags;

    /* set by the driver's open */
    uint64_t size;         /* guest bytes; as info shows it (raw: length rounded up to 512) */
    uint32_t cluster_size; /* what info shows as cluster_size, 0 = not shown */
    bool encrypted;
    uint32_t largest_block; /* most bytes of one encoded block, decoded: what a reader must hold */
    char *backing_name;     /* as stored, owned; NULL = none */
    char *backing_format;   /* as stored, owned; NULL = none given */
    void *state;            /* the driver's own, freed by its close; NULL: nothing is open */

    /* What lies below is about to be something else (rebase): a range that reads as zeros only
     * because nothing lies below must be made to say so. For edit_ops.zero. */
    bool backing_changes;

    struct image *backing; /* owned; NULL if none or not opened */
    unsigned chain_length; /* this image and all below it */
};

/* ---- specs: what the user typed ------------------------------------------------------------- */

/* From a file name: a path, "file:path", "json:{...}", "nbd://...", ... New reference. The error
 * text begins with "Could not open 'name': ". */
json_t *image_spec_from_name(const char *name, struct err *e);
/* From --image-opts text: "driver=qcow2,file.filename=x" (first key may be left out: file). The
 * error text begins with "Could not open 'text': ". */
json_t *image_spec_from_opts(const char *text, struct err *e);
/* The name to show for a spec: the plain file name where the options reduce to it, else a
 * "json:{...}" text. free() it. */
char *image_spec_name(const json_t *spec, struct err *e);

/* ---- opening -------------------------------------------------------------------------------- */

/* Open with its backing chain. `name` is what messages show ("Could not open 'name': ..."). `spec`
 * is borrowed. */
int image_open(const json_t *spec, const char *name, const struct image_flags *flags,
               struct image **out, struct err *e);

/* image_open without the words "Could not open 'name': " before its errors. */
int image_open_plain(const json_t *spec, const char *name, const struct image_flags *flags,
                     struct image **out, struct err *e);

/* image_spec_from_name + image_open. */
int image_open_name(const char *name, const struct image_flags *flags, struct image **out,
                    struct err *e);

/* The image in a file that is open already, without what is below it: what the file lies in is of
 * no interest (memory, in tests). `options`: the spec but for the file, or NULL. Takes the file,
 * also on failure. */
int image_open_take_file(struct file *f, const json_t *options, const struct image_flags *flags,
                         struct image **out, struct err *e);

/* Close it and its chain; reports late write errors. NULL is fine. Gone in any case. */
int image_close(struct image *img, struct err *e);
void image_cleanup(struct image **img); /* for AUTO() */

/* Full name of the backing file of `img`: relative names resolve against the folder of img's file,
 * or of its name for an image that is not there yet (spec NULL). free() it. NULL with the error
 * set. */
char *image_backing_path(const struct image *img, struct err *e);

/* Does any file of the chain stand on another machine? */
bool image_is_remote(const struct image *img);

/* What info shows as "file format": the format's name, or the protocol's where the spec asked for
 * no format (driver=file). Borrowed. */
const char *image_format_name(const struct image *img);

/* ---- for format drivers: further files ------------------------------------------------------ */

/* Open a file whose name was found inside `img` (data file, extent): a plain local path, relative
 * names resolve beside img. Opened as img's own file is (write, cache mode, lock). */
int image_open_member(const struct image *img, const char *name, struct file **out, struct err *e);
/* The same for an image whose output is not committed (flags.unfinished), by a whole path: what
 * stands under its temporary name counts first. Nothing is locked: whoever writes it holds it. */
int image_open_unfinished(const struct image *img, const char *path, struct file **out,
                          struct err *e);
/* Open the node under `key` of img's spec ("data-file"), given by the user. */
int image_open_child(const struct image *img, const char *key, struct file **out, struct err *e);
/* The window that a raw node's "offset" and "size" give on `file`; without them all of it, rounded
 * up to 512. */
int image_window(const json_t *node, const struct file *file, uint64_t *offset, uint64_t *size,
                 struct err *e);

/* Read internal snapshot `name` (id first, then name; or "snapshot.id=..,snapshot.name=..") instead
 * of the active state. Before any map or read. */
int image_load_snapshot(struct image *img, const char *param, struct err *e);
/* Is it well formed? */
int image_snapshot_check(const char *param, struct err *e);

/* ---- where things are: image/map.c ---------------------------------------------------------- */

/* The extent of this image alone at `guest`, at most `length` long, as long as the driver can
 * cheaply tell (a hole of 8 TiB is one answer). guest + length <= img->size, length > 0. */
int image_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
              struct err *e);

/* The same through the backing chain: HOLE only where no image of the chain holds anything (or
 * depth reached `stop_depth`: images at that depth and deeper are not asked; pass UINT_MAX). A
 * backing image that is shorter reads as zeros behind its end (ZERO with past_end, depth of that
 * backing's parent; qemu-img map shows it as not present). */
int image_map_chain(struct image *img, uint64_t guest, uint64_t length, unsigned stop_depth,
                    struct extent *out, struct err *e);

/* Refine DATA extents by the holes of the file below: sets file_hole and shortens the extent so
 * that it is all hole or all data. Cheap no-op where the file has no holes to speak of. */
int image_refine(struct extent *x, struct err *e);

/* ---- reading: image/read.c ------------------------------------------------------------------ */

/* One thread's scratch for reading: decoder, packed buffer, last decoded block. */
struct image_reader;
struct image_reader *image_reader_new(struct err *e);
void image_reader_free(struct image_reader *r);
/* Forget the last decoded block: due when an image that was read has changed or was closed. */
void image_reader_forget(struct image_reader *r);

/* Read the bytes of extents that were mapped (any kind; HOLE and ZERO are zero-filled) into buf,
 * where extents[i] goes to buf + (extents[i].guest - extents[0].guest). Requests to one file go out
 * as one batch; PACKED blocks that stand close together are read with one request and decoded.
 * *bad (may be NULL) = guest offset of the first byte that could not be read. */
int image_read_extents(struct image_reader *r, const struct extent *extents, size_t n, void *buf,
                       uint64_t *bad, struct err *e);

/* Map and read a range of the chain. guest + len <= img->size. */
int image_read(struct image_reader *r, struct image *img, uint64_t guest, size_t len, void *buf,
               struct err *e);

#endif
