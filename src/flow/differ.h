/*
 * What an overlay would show differently if other images lay below it.
 *
 *   differ_next    what the maps say, before a byte is read:
 *                    own      the overlay holds it: what lies below does not matter
 *                    zero     zeros on both sides
 *                    same     both sides have it at one place of one file
 *                    unlike   has to be read to be known
 *   differ_read    a chunk: what is unlike is read and compared; whole units that differ become
 *                  pieces of the chunk, with what the overlay shows now; the rest is left
 */
#ifndef FLOW_DIFFER_H
#define FLOW_DIFFER_H

#include "flow/chunk.h"
#include "flow/walk.h"

enum differ_kind { DIFFER_OWN, DIFFER_ZERO, DIFFER_SAME, DIFFER_UNLIKE };
enum differ_side { DIFFER_OLD, DIFFER_NEW, DIFFER_SIDES };

struct differ_part {
    enum differ_kind kind;
    uint64_t guest, length;
    struct extent side[DIFFER_SIDES]; /* not of DIFFER_OWN; both begin at `guest` */
};

/* The three images; borrowed. */
struct differ_images {
    struct image *top;
    struct image *below[DIFFER_SIDES]; /* NULL: nothing */
};

/* ---- the maps -------------------------------------------------------------------------------- */

/* One thread's. */
struct differ_map {
    struct image *top;
    struct view view[DIFFER_SIDES];

    uint64_t guest, end, window;
    struct extent own, at[DIFFER_SIDES]; /* what holds `guest`; length 0: not asked yet */
};

struct differ_map differ_map_of(const struct differ_images *images);

/* Go through [guest, end), inside the overlay, from now on. */
void differ_seek(struct differ_map *d, uint64_t guest, uint64_t end);

/* The next part; length 0: this was all. */
int differ_next(struct differ_map *d, struct differ_part *out, struct err *e);

/* ---- the bytes ------------------------------------------------------------------------------- */

struct differ; /* one thread's */

/* unit: what the overlay takes as a whole, a unit is its own or not; chunk: most bytes of one
 * chunk, whole units. */
int differ_new(const struct differ_images *images, uint64_t unit, uint64_t chunk,
               struct differ **out, struct err *e);
void differ_free(struct differ *d); /* NULL is fine */

int differ_read(struct differ *d, struct image_reader *r, struct chunk *c, uint64_t guest,
                uint32_t length, struct err *e);

#endif
