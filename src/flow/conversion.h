/*
 * One conversion, taken apart: what convert_run strings together (convert.c shows how), for those
 * who drive several at a time.
 *
 *   rank 0       begin ──▶ plan ╮                              ╭──▶ finish ──▶ passes ──▶ publish
 * ──▶ end other ranks            join ╯──▶ the job's units ... ──────╯    leave ──▶ passes
 * ──────────────▶ end
 *
 * A conversion belongs to one rank. What the job's callbacks promise of threads is in mpi/unit.h;
 * the rest is called by one thread at a time, not necessarily always the same.
 */
#ifndef FLOW_CONVERSION_H
#define FLOW_CONVERSION_H

#include <stdbool.h>

#include "base/err.h"
#include "flow/convert.h"
#include "mpi/engine.h"
#include "mpi/unit.h"

struct conversion;

/* Rank 0: everything that can be refused is refused before the first byte is read. Options and
 * report are borrowed until the end; the end is to be called also after a failure, if *out is
 * there. */
int conversion_begin(const struct convert_options *o, struct convert_report *r,
                     struct conversion **out, struct err *e);
/* What the others need to know; valid as long as the conversion. It is a secret: keys are made of
 * what it holds. */
struct blob conversion_plan(struct conversion *c);
/* Another rank: the same options, the plan's bytes (borrowed for the call). */
int conversion_join(const struct convert_options *o, struct convert_report *r, unsigned rank,
                    const struct blob *plan, struct conversion **out, struct err *e);

/* Another rank, for a pass over what is written alone (below). */
enum conversion_pass { CONVERSION_HASH, CONVERSION_VERIFY, CONVERSION_PASSES };
int conversion_attend(const struct convert_options *o, struct convert_report *r, unsigned rank,
                      const struct blob *plan, enum conversion_pass pass, struct conversion **out,
                      struct err *e);

/* There is nothing to do: an earlier run has finished it. */
bool conversion_is_finished(const struct conversion *c);
/* Rank 0 does it alone (an image with tables is written in place): by this, not by the job. */
bool conversion_is_alone(const struct conversion *c);
int conversion_run_alone(struct engine *g, struct conversion *c, struct err *e);

/* Ranks, and the threads of the rank that has most. */
struct conversion_crew {
    unsigned ranks, threads;
};
/* The units, within the memory of the options: depth, and how many workers a rank may run. */
void conversion_job(struct conversion *c, const struct conversion_crew *crew, struct unit_job *job);
/* Bytes of data that a worker holds which has one chunk. */
uint64_t conversion_worker_memory(const struct conversion *c);
/* What was reported of a unit, also one of a pass: guest bytes of data that it had. */
uint64_t conversion_data_of(const struct blob *need);
/* So many workers share the rate limit; before they begin. */
void conversion_share(struct conversion *c, unsigned workers);
/* With resume: as if a signal had come. What is out is done, finish ends in an error that says how
 * to go on. */
void conversion_stop(struct conversion *c);

/* All of it, from what was begun on one rank alone to the name. */
int conversion_run(struct engine *g, struct conversion *c, struct err *e);

/* Rank 0, when all ranks have settled: tables, header; without a name yet. */
int conversion_finish(struct conversion *c, struct err *e);
/* The other ranks then: what was written is closed. */
void conversion_leave(struct conversion *c);

/* ---- proving, after that, in this order ------------------------------------------------------ */

/* Is there such a pass to run? */
bool conversion_has_pass(const struct conversion *c, enum conversion_pass pass);
/* Every rank that takes part. It opens for all ranks of g; where ranks come by and by, each brings
 * an engine of its own. */
int conversion_pass_open(struct conversion *c, struct engine *g, enum conversion_pass pass,
                         struct err *e);
void conversion_pass_job(struct conversion *c, unsigned threads, struct unit_job *job);
/* Rank 0, when the units are through: is it right? */
int conversion_pass_end(struct conversion *c, struct err *e);
void conversion_pass_close(struct conversion *c);
/* Whatever has failed of the pass: the error says so, and what has been proved wrong is not to be
 * gone on with. Always -1. */
int conversion_pass_fail(struct conversion *c, enum conversion_pass pass, struct err *e);

/* ---------------------------------------------------------------------------------------------- */

/* Rank 0: the output gets its name. */
int conversion_publish(struct conversion *c, struct err *e);
/* Every rank: frees it. `status` is how it went; what was not published is removed, or kept to be
 * gone on with: the report tells (and may change the error of one that was stopped). */
void conversion_end(struct conversion *c, int status, struct err *e);

#endif
