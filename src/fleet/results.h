/*
 * The results file: a line of JSON for each image that has ended, and for the run as a whole; each
 * is appended as one write, and the last one of a target counts. What a stopped run has torn off at
 * the end is not read, and is cut off before more is appended.
 *
 * Rank 0, one thread.
 */
#ifndef FLEET_RESULTS_H
#define FLEET_RESULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/err.h"
#include "fleet/manifest.h"

/* ---- reading --------------------------------------------------------------------------------- */

struct results_count {
    size_t done;    /* items that need not be done again */
    size_t failed;  /* items whose last record is a failure or a stop */
    size_t changed; /* items that were done, but of another source or request, or target */
};

/* Which items of the manifest need not be done again: their last record is one of success, of the
 * same request, and source and target are as they were then. `skip` has room for each item. A file
 * that is not there is as good as an empty one. */
int results_done(const char *path, const struct manifest *m, bool *skip,
                 struct results_count *count, struct err *e);

/* ---- writing --------------------------------------------------------------------------------- */

struct results;

/* Open the file to append; it is made if it is not there. It is locked against another fleet, and
 * refused if what stands in it are no results. */
int results_open(const char *path, struct results **out, struct err *e);

/* Append a record; on storage within some seconds, as long as records come or results_tick is
 * called. */
int results_add(struct results *r, const json_t *record, struct err *e);
/* The same of an image: what it was made of is added, by which results_done knows it. */
int results_add_image(struct results *r, const struct manifest_item *item, const json_t *record,
                      struct err *e);
/* Time for a sync? */
int results_tick(struct results *r, struct err *e);

/* All is on storage, and the lock is gone. Frees r, also on failure; NULL is fine. */
int results_close(struct results *r, struct err *e);
void results_cleanup(struct results **r);

#endif
