/*
 * Changing an image as a whole: what is new is written beside what is there, then one write of the
 * header switches over. Until then the storage holds the old state, after it the new one; in
 * between and after a stop there are at most leaks. ("Snapshots"; resizing)
 *
 *     begin ──▶ refer, forget, take … set what the header is to say ──▶ commit
 */
#ifndef FORMATS_QCOW2_SWITCH_H
#define FORMATS_QCOW2_SWITCH_H

#include "formats/qcow2/batch.h"
#include "formats/qcow2/counts.h"

struct qcow2_switch {
    struct qcow2 *q;
    struct qcow2_counts *counts; /* in shadow */
    struct qcow2_header header;  /* the new one: begin takes a copy, commit writes it */
    uint64_t file_size;          /* as it was */
    uint8_t *table;              /* one L2 table, for the walks */
    struct qcow2_batch batch;    /* what the tables refer to */
    bool whole_head;             /* extensions and names change too: the first cluster is written */
    bool committed;
};

int qcow2_switch_begin(struct qcow2 *q, struct qcow2_switch *s, struct err *e);
/* For what follows a change that storage has already: the counts are not in shadow, there is
 * nothing to commit. */
int qcow2_switch_begin_done(struct qcow2 *q, struct qcow2_switch *s, struct err *e);
/* After commit, or instead of it: then all is as it was. */
void qcow2_switch_end(struct qcow2_switch *s);

/* Write `bytes` to clusters of their own; *host = where. */
int qcow2_switch_put(struct qcow2_switch *s, const void *buf, uint64_t bytes, uint64_t *host,
                     struct err *e);
/* The clusters of a table that the new state does without. */
int qcow2_switch_forget(struct qcow2_switch *s, uint64_t host, uint64_t bytes, struct err *e);

/* One reference more (step 1) or less (-1) to each L2 table of an L1 table and to all that these
 * refer to. */
int qcow2_switch_refer(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, int step,
                       struct err *e);
/* One reference more to each L2 table of an L1 table that is to be the active one, and to all that
 * these refer to, since a snapshot refers to it too: nothing is flagged "copied" then. L2 tables
 * with flags get a copy; `both`: the snapshot is made now and gets the same. */
int qcow2_switch_share(struct qcow2_switch *s, uint64_t *l1, uint64_t n, bool both, struct err *e);
/* Make the "copied" flags of an L1 table that is to be the active one say what the counts say: L2
 * tables that change get a copy, of which l1 then says the place. */
int qcow2_switch_flags(struct qcow2_switch *s, uint64_t *l1, uint64_t n, struct err *e);

/* The L2 table of an L1 entry into s->table; *host 0: there is none. */
int qcow2_switch_table(struct qcow2_switch *s, uint64_t index, uint64_t entry, uint64_t *host,
                       struct err *e);
static inline uint8_t *qcow2_switch_entry(const struct qcow2_switch *s, uint64_t i)
{
    return s->table + i * qcow2_entry_size(s->q);
}
/* How many bytes of the image an L2 entry refers to, 0 = none, from *host on. */
uint64_t qcow2_switch_refers(const struct qcow2 *q, uint64_t word, uint64_t *host);
/* An L2 table changed: it gets a new place, *host; the old one has a reference less. */
int qcow2_switch_move(struct qcow2_switch *s, uint64_t *host, const uint8_t *table, struct err *e);
/* References that the batch has room for at least: those of one table. */
size_t qcow2_switch_batch_least(const struct qcow2 *q);

/* Write `n` L1 entries to a place of their own. */
int qcow2_switch_put_l1(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, uint64_t *host,
                        struct err *e);

/* The active L1 table is to be this one, in a place of its own. */
int qcow2_switch_active(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, struct err *e);
/* In the L2 table of an L1 entry that is to be active, forget all entries from `first` on. */
int qcow2_switch_cut(struct qcow2_switch *s, uint64_t *l1_entry, uint64_t first, struct err *e);

/* Counts (of another width, if the header is to say so), sync, header, sync; then what is free is
 * given back, and q says what the header says. */
int qcow2_switch_commit(struct qcow2_switch *s, struct err *e);

/* After a commit: cut off the end of the file that nothing refers to any more (resize.c). */
int qcow2_file_cut(struct qcow2_switch *s, struct err *e);
/* After a commit: what was read at opening is read again. */
int qcow2_reload(struct image *img, struct err *e);

#endif
