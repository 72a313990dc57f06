/*
 * The target of a conversion: a fresh image that grows under a temporary name, or an existing one
 * (-n) that is written in place. Rank 0 begins and finishes it, the others join.
 */
#ifndef FLOW_TARGET_H
#define FLOW_TARGET_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/convert.h"
#include "formats/format.h"
#include "formats/writer.h"
#include "image/edit.h"
#include "io/output.h"
#include "io/pages.h"

/* What rank 0 decides and the others must know. Crosses ranks as it is. */
struct target_plan {
    uint64_t size;       /* guest bytes */
    uint64_t backed;     /* guest bytes that the target's backing image has; 0 = no backing */
    uint64_t shift;      /* place of guest byte 0 in an existing raw image */
    bool zeroed;         /* what was there was made zeros */
    bool alone;          /* an image with tables is written in place: by rank 0 */
    bool go_on;          /* an earlier run has begun it: random and time are as they were */
    bool finished;       /* it was finished by an earlier run: there is nothing to do */
    uint64_t chunk;      /* guest bytes of a unit, the same on all ranks */
    uint64_t inode;      /* of the file; 0: it is not known */
    uint32_t page;       /* bytes that one rank alone may write a part of (io/pages.h) */
    uint64_t time;       /* seconds since 1970 */
    uint8_t random[64];  /* for UUIDs and the like */
    char path[PATH_MAX]; /* the file to open */
};

struct target {
    const struct format *format;
    struct output *output; /* rank 0 and fresh */
    struct image *image;   /* rank 0 and existing */
    struct edit *edit;     /* rank 0 and existing, but raw: begun */
    struct file *own;      /* opened here by a rank that joined */
    struct file *file;     /* the image file */
    struct file *data;     /* where guest data goes */
    struct writer *writer; /* fresh */
    struct pages *pages;   /* rank 0, block targets */
    bool compress;         /* the user asked for encoded blocks */
    bool lasts;            /* stays where it is, unfinished, to be gone on with */
    bool fresh_zero;       /* unwritten parts of data read as zeros */
    uint64_t shift;        /* as in the plan */
    uint64_t chunk_size;
    uint32_t block_size; /* 0: in place */
};

/* Rank 0: fills the plan (size is set by the caller). The error text is whole. */
int target_begin(const struct convert_options *o, struct target *t, struct target_plan *plan,
                 struct err *e);
/* The other ranks. */
int target_join(const struct convert_options *o, const struct target_plan *plan, struct target *t,
                struct err *e);
/* Rank 0, when all data is written: tables, header; with o->verify synced, to be read back. */
int target_finish(const struct convert_options *o, struct target *t, struct cursor *c,
                  struct err *e);
/* Rank 0, after that: sync, final name. */
int target_publish(const struct convert_options *o, struct target *t, struct err *e);
/* Every rank, always: what target_publish did not take is removed (its name goes to removed, of
 * PATH_MAX bytes) unless it lasts, the rest is closed. */
void target_release(struct target *t, char *removed);

/* The protocol node at the bottom of the target's spec. */
const json_t *target_node(const struct convert_options *o);

/* Most bytes of an encoded block; 0: blocks are not encoded. */
uint32_t target_packed_max(const struct target *t);
/* Do chunks begin and end inside of pages, so that one rank must write them all? */
bool target_shares_pages(const struct target *t, uint32_t page);
/* What this rank wrote of the guest's data is on storage. */
int target_sync(struct target *t, struct err *e);

/* Random bytes and the time, drawn once for an image. MPI_IMG_SEED (a number) fixes them. */
int target_draw(uint8_t random[64], uint64_t *time, struct err *e);

#endif
