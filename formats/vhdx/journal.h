/*
 * Writing metadata through the log, so that a stop at any write leaves all of an update or none.
 *
 *     entry ─sync─▶ headers name the log ─sync─▶ the sectors in place ─sync─▶ next entry …
 *     end: headers that have no log
 *
 * An entry is in the ring before the headers say so, and the one before it stays whole beside it:
 * whenever the headers name the log, a replay finds a good last entry, and that it does again what
 * is done already changes nothing.
 */
#ifndef FORMATS_VHDX_JOURNAL_H
#define FORMATS_VHDX_JOURNAL_H

#include "formats/vhdx/vhdx.h"

/* A sector of the file as it is to be. */
struct vhdx_sector {
    uint64_t offset;
    uint8_t *data; /* VHDX_LOG_SECTOR bytes */
};

struct vhdx_journal {
    uint32_t at; /* where in the ring the next entry begins */
    uint64_t sequence;
    struct vhdx_guid guid; /* of this run's entries; the header's too once the first is written */
};

/* Refuses a log that entries do not fit in. */
int vhdx_journal_begin(struct vhdx *s, struct vhdx_journal *j, struct err *e);
/* Sectors of regions. What they refer to is on storage. */
int vhdx_journal_write(struct vhdx *s, struct vhdx_journal *j, const struct vhdx_sector *sectors,
                       size_t n, struct err *e);
/* Nothing is to be replayed any more. */
int vhdx_journal_end(struct vhdx *s, struct err *e);

#endif
