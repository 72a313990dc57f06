/* What a conversion tells while it runs: how far it is, and what could not be read. Rank 0. */
#ifndef FLOW_TELLING_H
#define FLOW_TELLING_H

#include "flow/chunk.h"
#include "flow/convert.h"

struct telling {
    const struct convert_options *o;
    struct convert_report *report;
    uint64_t size;         /* guest bytes of the source */
    uint64_t data_total;   /* of them data, for progress; 0 = count by guest size */
    uint64_t data_done;    /* in this pass */
    unsigned passes, pass; /* over all data: converting it, reading it back */
};

/* What follows is the next pass. */
void telling_next_pass(struct telling *t);

/* All up to `guest` is on its way; what came last had so many bytes of data. */
void telling_progress(struct telling *t, uint64_t guest, uint64_t data);
void telling_salvaged(const struct telling *t, const struct salvaged *lost);

#endif
