/* The source of a conversion: one image, or several joined end to end. */
#ifndef FLOW_SOURCE_H
#define FLOW_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "flow/convert.h"
#include "image/image.h"

struct source_part {
    struct image *image;
    const char *name;
    uint64_t start; /* where it begins in the whole */
    uint64_t from;  /* of the image: where the part begins, and its bytes; zeros behind them */
    uint64_t length;
    uint64_t size; /* the length rounded up to 512 */
};

struct source {
    struct source_part *parts;
    unsigned n;
    uint64_t size;
    struct opening *opening; /* what other ranks need not read again (io/opening.h) */
    bool by_map;             /* what the files below do not store of an extent is not asked for */
};

/* Rank 0, or a rank that works alone: opens every part (and the snapshot asked for). The error text
 * is whole. */
int source_open(const struct convert_options *o, struct source *out, struct err *e);
/* Another rank: the same, with the bytes of rank 0's opening. */
int source_join(const struct convert_options *o, const void *bytes, size_t len, struct source *out,
                struct err *e);
void source_close(struct source *s);
/* A source that is one open image, which stays the caller's; `part` lives as long. By the map
 * alone: a file that is open for writing cannot remember its holes, and to look for them at each of
 * many extents takes longer than to read them. */
struct source source_of_image(struct image *img, const char *name, struct source_part *part);

/* image_map_chain on the whole: never beyond the part that holds `guest`. The extent is refined by
 * the holes of the file below. */
int source_map(const struct source *s, uint64_t guest, uint64_t length, unsigned stop_depth,
               struct extent *out, struct err *e);

/* The largest encoded block of all images, decoded. */
uint64_t source_largest_block(const struct source *s);

/* Guest bytes that the map shows as data, for progress. */
int source_data_bytes(const struct source *s, uint64_t *bytes, struct err *e);
/* The same of the topmost images of a chain alone: those less deep than this. */
int source_own_bytes(const struct source *s, unsigned stop_depth, uint64_t *bytes, struct err *e);

#endif
