/*
 * What the reading walks (compare, map) share: images opened on every rank, a map that is refined
 * by the holes of the files below, the stop signal.
 */
#ifndef FLOW_WALK_H
#define FLOW_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "image/image.h"
#include "mpi/engine.h"

#define WALK_IMAGES 2u

/* One walk on one rank. The caller sets the first part. */
struct walk {
    unsigned n; /* images: 1 or 2 */
    const char *name[WALK_IMAGES];
    const json_t *spec[WALK_IMAGES]; /* borrowed */
    const char *driver[WALK_IMAGES]; /* format by name, or NULL */
    struct image_flags flags;        /* of all; driver is set from above */
    uint64_t chunk;                  /* guest bytes of a unit: rank 0's counts, the others get it */

    struct image *image[WALK_IMAGES];
    struct opening *opening;
};

/* Every rank calls it. Rank 0 opens first, so that an image that cannot be opened is reported once.
 * The images are released by walk_close, also after a failure. */
int walk_open(struct engine *g, struct walk *w, struct err *e);
void walk_close(struct walk *w);

/* A unit_job's least_workers: more than there are processors, where other machines are waited for.
 */
#define WALK_WAITING 32u
unsigned walk_least_workers(const struct walk *w);

/* A unit_job's tick: ends the run when a signal asked for it. */
int walk_tick(void *ctx, struct err *e);

/* "WHAT: Input/output error", as qemu-img has it: the text of errno `no` (or, without one, what the
 * image said). What the image said goes into the hint. `said` is not e's own text. Returns -1. */
int walk_fail(struct err *e, int no, const char *said, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- one thread's view of one image ---------------------------------------------------------- */

/* The last that a file told of itself: [from, to) is all hole or all data. */
struct view_told {
    struct file *file;
    uint64_t from, to;
    bool hole;
    uint64_t back; /* how far before an extent to look, for tables that run backwards */
};

#define VIEW_FILES 16u

struct view {
    struct image *image;               /* borrowed */
    struct view_told told[VIEW_FILES]; /* by depth in the chain: layers take turns */
};

struct view view_of(struct image *image);

/* image_map_chain, and DATA is all stored or all hole (file_hole). Behind the image's end all is
 * ZERO. length > 0. */
int view_map(struct view *v, uint64_t guest, uint64_t length, struct extent *out, struct err *e);

/* Set file_hole of a DATA extent; it is shortened so that it is all of one kind. Scattered extents
 * of one stretch of the file cost one question to the file. */
int view_refine(struct view *v, struct extent *x, struct err *e);

/* Looking for data: how far to ask the map next, when `got` of the `asked` bytes were empty. The
 * answer of a long run of data costs as much as the run is long, and only its beginning is of use;
 * one of a hole is cheap, and of use as a whole. `least`: a chunk. */
static inline uint64_t walk_window(uint64_t asked, uint64_t got, uint64_t least)
{
    if (got < asked)
        return least;
    return asked < INT64_MAX / 8 ? 8 * asked : INT64_MAX;
}

static inline bool walk_is_zero(const struct extent *x)
{
    return x->kind == EXTENT_HOLE || x->kind == EXTENT_ZERO || x->file_hole;
}

/* Are the bytes of both the same ones: at one place of one file, decoded the same way? */
bool walk_is_same_place(const struct extent *a, const struct extent *b);

/* Leave the first `n` bytes of an extent out. */
void walk_skip(struct extent *x, uint64_t n);

#endif
