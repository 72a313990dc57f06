/*
 * Changing the options that an image was made with (amend).
 *
 * What is asked for is checked as a whole before anything is written, and comes about by one last
 * write where the format has one place to say it; a stop at any write leaves the image as it was or
 * as it is to be, with leaks at worst.
 */
#ifndef FORMATS_AMEND_H
#define FORMATS_AMEND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "formats/options.h"

struct image;

struct amend_request {
    const struct options *options; /* of amend_ops.options; only what was given counts */
    bool force;                    /* also what loses data or keys for good */
    /* When all is checked, before the guest's disk gets larger: what is there already of
     * [from, to), which can be written by now (see edit_ops.reach), is to read as zeros. May be
     * NULL. */
    int (*zero)(struct image *img, uint64_t from, uint64_t to, struct err *e);
    /* percent done, ascending; may be NULL */
    void (*progress)(void *ctx, double percent);
    void *ctx;
};

struct amend_ops {
    const struct option_def *options; /* what -o takes */
    /* `img` was opened for writing and nothing of it is being changed. Passphrases are in the
     * secrets of its flags. */
    int (*run)(struct image *img, const struct amend_request *r, struct err *e);
};

static inline void amend_progress(const struct amend_request *r, double percent)
{
    if (r->progress)
        r->progress(r->ctx, percent);
}

#endif
