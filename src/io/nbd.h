/*
 * Network block devices: what its parts share.
 *
 *   nbd_spec.c     which server
 *   export_connect.c  a connection that is ready: sockets, handshake
 *   nbd_pool.c     the connections of a file, and threads that wait on them
 *   nbd_request.c  batches of requests: cut to what the server takes, many in flight
 *   export_span.c     where the export has data
 *   nbd.c          the file
 */
#ifndef IO_NBD_H
#define IO_NBD_H

#include <libnbd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "io/file_ops.h"
#include "io/nbd_spec.h"

#define EXPORT_CONNECTIONS 8 /* of one file, at most */

/* ---- a connection ---------------------------------------------------------------------------- */

/* What a thread waits for: commands that it has put on a connection. */
struct export_call {
    unsigned left; /* commands without an answer */
    size_t failed; /* index of the first command that failed */
    int error;     /* its errno; 0 = none failed */
    pthread_cond_t ready;
    struct export_call *next; /* of those that wait on the connection */
};

/* One thread at a time waits for the socket, on behalf of all that have commands on it. libnbd's
 * handle is touched with the lock held only; the socket is waited for without it. */
struct export_conn {
    struct nbd_handle *h;
    pthread_mutex_t lock;
    int wake;                  /* eventfd: the one at the socket must look again */
    bool watched;              /* a thread waits for the socket ... */
    unsigned watched_for;      /* ... in these directions */
    struct export_call *calls; /* that wait for their turn at the socket */
    atomic_bool lost;          /* no command will be answered any more */
    unsigned users;            /* threads; under the pool's lock */
};

/* Connect and agree upon the export within `seconds`. `insist`: use all of them, in case that the
 * server comes only then. */
int export_connect(const struct nbd_spec *s, unsigned seconds, bool insist, struct nbd_handle **out,
                   struct err *e);

/* ---- a file ---------------------------------------------------------------------------------- */

/* What the server told of a range of the export: runs of one kind, each up to its end. */
struct export_run {
    uint64_t end;
    bool is_hole;
};

struct export_window {
    uint64_t start; /* the first run's */
    size_t n;
    struct export_run *runs;
    uint64_t used; /* when it was last of use */
};

#define EXPORT_WINDOWS 8

struct export_spans {
    pthread_mutex_t lock; /* of what is known */
    pthread_mutex_t ask;  /* held by the one who asks the server */
    struct export_window window[EXPORT_WINDOWS];
    uint64_t clock;
    uint64_t reach; /* bytes of the next question */
};

struct export
{
    struct file file;
    struct nbd_spec spec;
    uint64_t size;
    uint32_t minimum, maximum; /* bytes of a request: a multiple of, at most */
    bool extents, zeroes, zeroes_fast, flushes, fua, several;
    pthread_mutex_t lock;
    struct export_conn *conns[EXPORT_CONNECTIONS];
    unsigned n, most; /* connections: there are, there may be */
    bool growing;
    unsigned patience;   /* seconds for a further connection */
    pthread_mutex_t rmw; /* of blocks that are written in part */
    struct export_spans spans;
};

static inline struct export *export_of(const struct file *f)
{
    return (struct export *)(uintptr_t)f;
}

/* ---- nbd_pool.c ------------------------------------------------------------------------------ */

struct export_conn *export_conn_new(struct nbd_handle *h, struct err *e); /* takes h */
void export_conn_free(struct export_conn *c);

/* A connection for this thread; give it back. */
struct export_conn *export_take(struct export *f, struct err *e);
void export_give(struct export *f, struct export_conn *c);

void export_call_init(struct export_call *call);
void export_call_release(struct export_call *call);
/* Between these two, commands may be put on the handle. */
void export_enter(struct export_conn *c);
/* Waits until all commands of the call are answered. */
void export_leave(struct export_conn *c, struct export_call *call);
/* One command got its answer; from libnbd's callbacks. */
void export_answered(struct export_call *call, size_t index, int error);
/* One command that was counted could not be put on the handle. */
void export_refused(struct export_conn *c, struct export_call *call, size_t index);
/* The call's outcome as an error: 0 or -1. */
int export_outcome(const struct export *f, const struct export_call *call, struct err *e);

/* ---- nbd_request.c, export_span.c: members of struct file_ops -----------------------------------
 */

int export_read_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                      struct err *e);
int export_write_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                       struct err *e);
int export_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                struct err *e);
int export_zero_fast(struct file *f, uint64_t off, uint64_t len, bool *done, struct err *e);
int export_sync(struct file *f, struct err *e);

int export_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                struct err *e);
void export_spans_init(struct export_spans *s);
void export_spans_release(struct export_spans *s);

#endif
