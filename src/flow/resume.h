/*
 * Resume: a conversion that is stopped, by whatever, goes on where it was.
 *
 *   begin ──▶ is there a journal of the same conversion? then what it drew (identifiers, time) is
 *     │       drawn again, and its unfinished output is opened as it is
 *   ready ──▶ the journal is open, for reading what was done and for writing on
 *     │
 *   has, feed     chunks that are recorded are not handed out; the placer is fed what they need and
 *     │           their edges, in the order of chunks, so all others go where they would have gone
 *   placed, done  a chunk's record is made of what it needed and of its edges
 *     │
 *   due ──▶ every rank syncs ──▶ persisted: now the records are written
 *     │
 *   write, stop   what was done since is written too; the output and the journal stay
 *
 * Tables are not recorded: the placer fills them again. Rank 0.
 */
#ifndef FLOW_RESUME_H
#define FLOW_RESUME_H

#include "flow/convert_hash.h"
#include "flow/journal.h"
#include "flow/place.h"
#include "flow/source.h"
#include "flow/target.h"
#include "flow/telling.h"

struct resume;

/* Before the target is begun. Sets the plan's go_on, or finished, and what it draws then. */
int resume_begin(const struct convert_options *o, const struct source *s, struct target_plan *plan,
                 struct resume **out, struct err *e);
/* The target is begun; it stays where it is from now on. */
int resume_ready(struct resume *r, struct target *t, const struct target_plan *plan, struct err *e);
void resume_free(struct resume *r); /* NULL is fine */

/* Is this chunk recorded? Asked in ascending order. */
bool resume_has(struct resume *r, uint64_t chunk);
/* Who must hear of a chunk that is not done again. */
struct resume_heard {
    struct placer *placer; /* NULL: there are no places */
    struct convert_hash *hash;
    struct telling *telling;
};
/* Tell of all recorded chunks below this one. */
int resume_feed(struct resume *r, uint64_t below, const struct resume_heard *by, struct err *e);

/* A chunk is placed: `granted` is what it was given, NULL without places (then it is done). */
int resume_placed(struct resume *r, const struct journal_record *placed,
                  const struct cursor *granted, struct err *e);
int resume_done(struct resume *r, uint64_t chunk, const void *edges, size_t len, struct err *e);

/* For the engine (mpi/unit.h). */
bool resume_due(struct resume *r);
int resume_persisted(struct resume *r, struct err *e);
/* A signal came, or the time is nearly over. */
bool resume_enough(struct resume *r);

/* All that was done is on storage: record it. */
int resume_write(struct resume *r, struct err *e);
/* From now on resume_enough says so. */
void resume_set_stopped(struct resume *r);
/* Did resume_enough say so? */
bool resume_is_stopped(const struct resume *r);
/* Always -1: the error says how to go on. */
int resume_stop(struct err *e);
/* The output has its name, or is not to be gone on with. */
void resume_finished(struct resume *r);

#endif
