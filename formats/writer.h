/*
 * Writing a fresh image.
 *
 *   prepare (worker)                       place (rank 0, in chunk order)       commit (worker)
 *   read, zero-detect, pack a chunk ──▶ need[] ──▶ place ──▶ publish tables      place again ──▶
 * write cursor ──────────────────────────▶ own span
 *
 * A chunk is a fixed guest range; a block (cluster, grain) is the format's unit of allocation. What
 * a chunk needs is one word a block. `place` is a pure function of (writer's parameters, cursor,
 * chunk, need): rank 0 runs it to advance the cursor and fill tables, the worker runs it with the
 * cursor that it is sent to learn where its own blocks go. So the bytes of an image depend on
 * nothing else.
 *
 * Every rank opens a writer with the same parameters. Only rank 0 calls publish and finish.
 */
#ifndef FORMATS_WRITER_H
#define FORMATS_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/bitmap.h"
#include "formats/options.h"
#include "io/file.h"

/* ---- need: one word a block ----------------------------------------------------------------- */

typedef uint32_t need_t;
#define NEED_HOLE     ((need_t)0)       /* not allocated: reads from the backing image, or zeros */
#define NEED_ZERO     ((need_t)1)       /* must read as zeros (over a backing image) */
#define NEED_PLAIN    ((need_t)2)       /* a whole block, as it is */
#define NEED_RESERVED ((need_t)3)       /* allocated, nothing written: preallocation */
#define NEED_PACKED   ((need_t)1 << 31) /* | length of the encoded block in bytes */

static inline bool need_is_packed(need_t n)
{
    return n & NEED_PACKED;
}
static inline uint32_t need_packed_len(need_t n)
{
    return n & ~NEED_PACKED;
}

/* ---- place ----------------------------------------------------------------------------------- */

/* All state that order decides. A format uses the fields it needs; it crosses ranks as it is. */
struct cursor {
    uint64_t block;       /* the last block with a place: its index + 1 (formats/layout.h) ... */
    uint64_t block_host;  /* ... and where its data begins */
    uint64_t end;         /* first free byte of the file, on a block boundary */
    uint64_t packed;      /* where the next encoded block may go ... */
    uint64_t packed_left; /* ... and the bytes free there (the rest of its block) */
    uint64_t packed_refs; /* encoded blocks that touch that block already */
    uint64_t tables;      /* second-level tables that have a place: index of the last one + 1 */
    uint64_t refs;        /* refcount blocks that have a place */
};

#define PLACE_NONE UINT64_MAX

/* A piece of metadata that a chunk's placing made room for. */
struct place_meta {
    enum { PLACE_TABLE, PLACE_REFS, PLACE_BLOCK } kind;
    uint64_t index;
    uint64_t host;
};

/* What place answers. Arrays belong to the caller; meta grows (free meta at the end). */
struct placing {
    uint64_t *host; /* a block: host offset of its data, or PLACE_NONE */
    struct place_meta *meta;
    size_t n_meta, cap_meta;
};
int placing_add_meta(struct placing *p, int kind, uint64_t index, uint64_t host, struct err *e);
void placing_release(struct placing *p); /* frees meta; host is the caller's */

/* ---- pages: what several chunks share ----------------------------------------------------------
 */

/* Rank 0 writes metadata, and all bytes of pages that hold more than one chunk's data, through
 * this: io/pages.c gathers pieces into whole pages, so that no two ranks ever write one page. */
struct pages;

/* Metadata for [off, off+len): its whole pages go straight to the file, its ends through `pages`.
 * Zero pages are left out where the new file reads as zeros anyway. */
int writer_put(struct file *f, struct pages *pages, uint64_t off, const void *buf, size_t len,
               struct err *e);

/* ---- further files ----------------------------------------------------------------------------
 */

struct crypt;
struct output;
struct secrets;
struct writer_params;

/* A file that belongs to the image beside params.file (a data file, an extent), under its final
 * name `path`, opened for writing; close it with file_close. Rank 0 creates it, the others open
 * what it made. Like the image itself it grows under a temporary name and gets its own when all is
 * done. */
int writer_member(const struct writer_params *p, const char *path, struct file **out,
                  struct err *e);

/* Where a chunk's blocks go, for images of several files. */
struct writer_part {
    struct file *file;
    uint64_t
        guest; /* guest offset of the file's first byte of data; chunks do not straddle files */
};

/* ---- the writer ------------------------------------------------------------------------------ */

struct writer_params {
    const struct options *options; /* borrowed for the writer's life */
    uint64_t size;                 /* guest bytes as asked for; formats of whole sectors round up */
    const char *backing_name;      /* to be stored, or NULL */
    const char *backing_format;
    struct file *file;              /* the new file, empty, opened for writing; borrowed */
    const char *path;               /* its final name: data files and extents resolve beside it */
    struct output *output;          /* rank 0: what writer_member adds to; borrowed */
    const struct secrets *secrets;  /* borrowed; may be NULL */
    bool compress;                  /* blocks may come packed */
    int level;                      /* --compression-level; 0 = the codec's default */
    uint64_t memory;                /* bytes for tables in memory */
    bool first;                     /* rank 0: may create further files */
    bool go_on;                     /* rank 0: an earlier run has begun this file (writer_begins) */
    uint8_t random[64];             /* drawn once by rank 0: UUIDs, CIDs */
    uint64_t time;                  /* seconds since 1970, drawn once by rank 0 */
    void (*warn)(const char *text); /* rank 0; NULL: nobody listens */
};

struct writer {
    /* set by open */
    const struct writer_ops *ops; /* left NULL: those that opened it */
    uint32_t block_size;    /* unit of need[]: a block, or a part of one where blocks are large
                             * (formats/layout.h); 0 for formats that need no ticket */
    uint64_t chunk_size;    /* guest bytes of a chunk, a multiple of block_size; never depends on
                             * ranks,    threads or memory */
    bool in_place;          /* no ticket: guest offset + data_offset = offset in data_file */
    uint64_t data_offset;   /* in place: where guest byte 0 stands in data_file (or in its part) */
    struct file *data_file; /* where data goes: params.file, or an external data file */
    bool packs;             /* blocks come packed whether the user asked for it or not */
    uint32_t packed_max;    /* most bytes that pack() gives for a block; 0 = block_size */
    /* Data is encrypted before it is written: in place at its guest offset, else at its host offset
     * or, with crypt_by_guest, at its guest offset. NULL: it is not. */
    const struct crypt *crypt;
    bool crypt_by_guest;
    bool reserve;   /* preallocation: blocks without data are NEED_RESERVED, empty chunks too */
    bool zero_flag; /* NEED_ZERO can be stored; else zeros over a backing image are PLAIN */
};

struct packer; /* one worker's encoder */

struct writer_ops {
    int (*open)(const struct writer_params *p, struct writer **out, struct err *e);
    void (*free)(struct writer *w);

    /* Images whose data is spread over several files: where chunk `chunk` goes. Any thread. Then
     * data_file is not used, and sync below is needed. Absent: all in data_file. */
    int (*part)(const struct writer *w, uint64_t chunk, struct writer_part *out, struct err *e);
    /* Data that this rank wrote is on storage. Absent: data_file is synced. */
    int (*sync)(struct writer *w, struct err *e);

    /* Where chunk `chunk` begins to be placed: the state before the first chunk. */
    void (*begin)(const struct writer *w, struct cursor *c);
    /* Pure. need has chunk_size / block_size words (fewer in the last chunk). */
    int (*place)(const struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                 struct cursor *c, struct placing *out, struct err *e);
    /* Rank 0, in chunk order: take the chunk's entries into the tables; write out tables that no
     * later chunk can touch. Memory stays bounded whatever the image. */
    int (*publish)(struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                   const struct placing *placed, struct pages *pages, struct err *e);
    /* Rank 0, between the last publish and finish: a bitmap like `b` of image `from` with its bits
     * (NULL: all clear). NULL: cannot. takes_bitmaps: can this image have any? */
    bool (*takes_bitmaps)(const struct writer *w);
    int (*add_bitmap)(struct writer *w, struct cursor *c, struct image *from, struct bitmap *b,
                      struct pages *pages, struct err *e);
    /* Rank 0, after all data is on storage: the remaining tables, then a sync, then the header (the
     * file is no image before). */
    int (*finish)(struct writer *w, struct cursor *c, struct pages *pages, struct err *e);

    /* Encoders; absent: cannot compress. pack: one block of block_size bytes (zero padded) to out;
     * *len = 0 if it does not get smaller. */
    int (*packer_new)(const struct writer *w, struct packer **out, struct err *e);
    void (*packer_free)(struct packer *p);
    int (*pack)(struct packer *p, uint64_t guest, const void *block, void *out, size_t cap,
                size_t *len, struct err *e);
};

/* Is it for this open to give the file its space and length? Once, before any data. */
static inline bool writer_begins(const struct writer_params *p)
{
    return p->first && !p->go_on;
}

/* Open a format's writer: what everybody calls instead of ops->open. A format of several kinds of
 * image may set other operations than those that opened it. The new file gets its hints first. */
int writer_open(const struct writer_ops *ops, const struct writer_params *p, struct writer **out,
                struct err *e);

#endif
