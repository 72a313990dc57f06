/*
 * One unit of `map`: the lines of a guest range, made by a worker, taken over by rank 0.
 *
 *   first   line 2 .. line n-1   last
 *   ─────   ──────────────────   ────
 *   may go  text, passed on as   may go on in the next unit
 *   on from it is
 *   before
 */
#ifndef FLOW_MAP_UNIT_H
#define FLOW_MAP_UNIT_H

#include "flow/map_text.h"
#include "flow/status.h"
#include "mpi/unit.h"

struct map_unit {
    struct status first, last; /* with one row: both that one */
    uint64_t rows;
    const char *text; /* of the rows between them; borrowed from the message */
    size_t text_len;
    bool failed; /* the map ended here, behind `last`: */
    int32_t error;
    const char *said;
};

/* One line of the output that is not the last: JSON with its comma, for people only if shown. */
int map_line(struct text *t, const struct status *row, bool json, struct err *e);

/* Map [guest, end) and put it, as a message, into `message`. */
int map_unit_make(struct status_reader *r, uint64_t guest, uint64_t end, bool json,
                  struct text *message, struct err *e);

/* The unit that a message holds; points into the message. */
int map_unit_parse(const struct blob *message, struct map_unit *out, struct err *e);

#endif
