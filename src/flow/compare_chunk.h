/*
 * Compare one chunk of two images: what a worker of `compare` does.
 *
 *   map both ──▶ pieces: where either may hold data ──▶ read only those ──▶ memcmp, or all zero?
 *
 * Zeros on both sides, and one place of one file on both sides, are equal unread. The answer is the
 * first thing in guest order that a walk byte by byte would meet: a difference, another status
 * (strict), a failure.
 */
#ifndef FLOW_COMPARE_CHUNK_H
#define FLOW_COMPARE_CHUNK_H

#include "flow/compare.h"
#include "flow/status.h"

enum found_what { FOUND_NOTHING, FOUND_CONTENT, FOUND_STATUS, FOUND_NO_MAP, FOUND_NO_READ };

/* Crosses ranks by value. */
struct found {
    uint32_t what; /* enum found_what */
    uint32_t side; /* FOUND_NO_*: whose image */
    uint64_t offset;
    int32_t error;  /* FOUND_NO_*: errno or 0 */
    char text[508]; /* FOUND_NO_*: as the image said it */
};

struct comparer; /* one worker's: buffers, readers */

/* What is compared; shared by the threads of a rank. */
struct compared {
    struct image *image[2];
    struct status_rules *rules[2]; /* strict; else NULL */
};

/* `of` is borrowed. chunk: most bytes of one chunk. */
int comparer_new(const struct compared *of, uint64_t chunk, struct comparer **out, struct err *e);
void comparer_free(struct comparer *c); /* NULL is fine */

/* Compare [guest, guest + length) of both; the end of an image goes on as zeros. -1 only if memory
 * fails: what the images do is in *out. */
int comparer_run(struct comparer *c, uint64_t guest, uint64_t length, struct found *out,
                 struct err *e);

/* ---- rank 0: which parts need no comparing ----------------------------------------------------
 */

struct skipper {
    bool strict;
    uint64_t window; /* how far to ask the maps: far only where all is equal */
    struct view view[2];
    struct status_reader status[2]; /* strict */
};

struct skipper skipper_of(const struct compared *of);

/* The first offset in [guest, end) that must be looked at, or `end`. Never fails: what cannot be
 * mapped is looked at by a worker, who meets the failure in its order. */
uint64_t skipper_next(struct skipper *s, uint64_t guest, uint64_t end, struct err *e);

#endif
