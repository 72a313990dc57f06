/* What the files of a conversion share: conversion.c sets it up and ends it, conversion_worker.c is
 * the workers' half of its units, conversion_order.c rank 0's. */
#ifndef FLOW_CONVERSION_INSIDE_H
#define FLOW_CONVERSION_INSIDE_H

#include "flow/conversion.h"
#include "flow/convert_hash.h"
#include "flow/partition.h"
#include "flow/place.h"
#include "flow/prove.h"
#include "flow/read.h"
#include "flow/resume.h"
#include "flow/squeeze.h"
#include "flow/target.h"
#include "flow/telling.h"
#include "flow/write.h"

struct conversion {
    const struct convert_options *o;
    struct convert_report *report;
    unsigned rank;
    uint64_t chunk_size;
    bool believes;    /* this machine may believe for a while that the final name is not there */
    unsigned workers; /* on all ranks: they share the rate limit */

    struct source source;
    struct target target;
    struct target_plan plan;
    struct blob told; /* rank 0: the plan and what it read of the source, for the others */
    struct read_rules read;
    struct convert_hash hash;
    struct squeeze_rules squeeze;
    struct write_rules write;
    struct proof *proof; /* in a pass */

    /* rank 0 */
    struct partition partition;
    struct placer *placer;
    struct cursor granted;
    struct resume *resume; /* NULL: without */
    struct telling telling;
};

/* What a worker tells of a chunk: this head, its hash, the needs, the sectors that could not be
 * read. */
struct chunk_report {
    uint64_t data; /* bytes of pieces that are data */
    uint32_t blocks;
    uint32_t salvaged;
    uint32_t hash; /* bytes */
    uint32_t rank;
};

/* Each fills its half of the job. */
void conversion_worker_job(struct conversion *c, struct unit_job *job);
void conversion_order_job(struct conversion *c, struct unit_job *job);

/* What earlier runs did below this chunk is taken into account. With resume. */
int conversion_feed_recorded(struct conversion *c, uint64_t below, struct err *e);

#endif
