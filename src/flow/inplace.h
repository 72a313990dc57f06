/*
 * Chunks brought into an image that is there already (convert -n, commit, rebase): many threads
 * read, squeeze, fill and write; rank 0's main thread alone says where, and makes it part of the
 * image (formats/edit.h).
 *
 *     next ──▶ worker: read ──▶ rank 0: place ──▶ worker: fill, write ──▶ rank 0: link … flush
 *
 * A chunk is whole units of the image (edit_unit), so each unit is one chunk's alone: what a worker
 * has to fill a fresh unit with is what the image held before the run, whatever the others do. The
 * image is flushed every so many units, which bounds what of its tables has to be kept in memory.
 */
#ifndef FLOW_INPLACE_H
#define FLOW_INPLACE_H

#include <stdint.h>

#include "base/err.h"
#include "flow/chunk.h"
#include "image/edit.h"
#include "mpi/engine.h"

struct inplace_job {
    struct edit *edit;      /* begun; ended by the caller */
    struct image *image;    /* the same one: what fresh units are filled from */
    uint64_t size;          /* guest bytes that are gone through, from 0; at most the image's */
    uint64_t sparse_size;   /* zeros of data shorter than this stay data; 0 = all zeros are data */
    enum edit_zero zero;    /* what PIECE_ZERO and long zeros of data become */
    bool zeros_there;       /* the image is known to read as zeros: they need nothing */
    bool compress;          /* encode what the image can hold encoded (edit_packing) */
    int level;              /* 0 = default */
    uint64_t memory;        /* for the chunks of this process; 0 = 256 MiB */
    uint64_t rate_limit;    /* bytes a second; 0 = none */
    unsigned least_workers; /* as unit_job's */

    void *ctx;
    /* Rank 0: the next chunk (of inplace_chunk bytes) that has something to do, as unit_job.next.
     */
    enum unit_next (*next)(void *ctx, uint64_t *chunk, struct err *e);
    /* Worker: set c's pieces for [guest, guest + length): DATA (in c->buf), ZERO, and LEFT for what
     * the image keeps. read_chunk does it for a source. */
    int (*read)(void *ctx, struct image_reader *r, struct chunk *c, uint64_t guest, uint32_t length,
                struct err *e);
    /* Rank 0, in order: this chunk is on its way; for progress, salvage warnings. May be NULL. */
    void (*passed)(void *ctx, uint64_t chunk, uint64_t data_bytes);
    /* Before it, where read_chunk salvaged: these sectors could not be read. May be NULL. */
    void (*lost)(void *ctx, const struct salvaged *s, size_t n);
    /* Any thread: put the words that belong there before an error of writing. Returns -1. May be
     * NULL. */
    int (*fail_write)(void *ctx, uint64_t guest, struct err *e);
};

/* Guest bytes of a chunk of this image: a power of two, whole units, a MiB or more. */
uint64_t inplace_chunk(const struct edit *d);

/* Rank 0 and its threads do the work, other ranks return with it and look at no member of theirs.
 * All that was written is flushed
 * when this returns 0. After an error the image is as good as before: each chunk is done or not. */
int inplace_run(struct engine *g, const struct inplace_job *job, struct err *e);

#endif
