/*
 * What waits to be sent to other ranks: a parcel for each.
 */
#ifndef MPI_OUTBOX_H
#define MPI_OUTBOX_H

#include "mpi/parcel.h"

struct outbox_rank {
    struct parcel parcel;
    bool listed;
};

struct outbox {
    const struct wire_ops *wire;
    unsigned ranks;
    struct outbox_rank *to;
    unsigned *list; /* the ranks for which something may wait */
    unsigned n_list;
    unsigned pace; /* told with each parcel (pace.h) */
};

int outbox_init(struct outbox *o, const struct wire_ops *wire, unsigned ranks, struct err *e);
void outbox_release(struct outbox *o);

/* Goes with the next parcel to this rank; when that is full, that parcel goes now. */
int outbox_put(struct outbox *o, unsigned to, const struct wire_head *h, const void *bytes,
               struct err *e);

/* Goes now, after all that waits for this rank. */
int outbox_send(struct outbox *o, unsigned to, const struct wire_head *h, const void *bytes,
                struct err *e);

/* All that waits goes now. */
int outbox_flush(struct outbox *o, struct err *e);

#endif
