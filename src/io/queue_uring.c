/*
 * Queues of io_uring: what the kernel has in its page cache is done while it is sent, the rest ends
 * later; one system call sends all that was added and waits.
 */
#include <errno.h>
#include <liburing.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/file_ops.h"
#include "io/queue_ops.h"

/* A request's length has 32 bits; the rest is sent when that has ended. */
#define REQUEST_MOST GIB

/* Only the thread that waits is to be disturbed by ends, and only when it waits: Linux 6.1. */
#if defined(IORING_SETUP_SINGLE_ISSUER) && defined(IORING_SETUP_DEFER_TASKRUN)
#define QUIET (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)
#else
#define QUIET 0
#endif

struct uring {
    struct io_uring ring;
    unsigned added; /* not given to the kernel yet */
    unsigned flying;
};

static void *uring_open(unsigned depth, struct err *e)
{
    struct uring *u = mem_new(1, sizeof *u, e);
    if (!u)
        return NULL;
    int no = -io_uring_queue_init(depth, &u->ring, QUIET);
    if (no)
        no = -io_uring_queue_init(depth, &u->ring, 0);
    if (!no)
        return u;
    free(u);
    err_set(e, no, "Unable to use io_uring: failed to init linux io_uring ring");
    return NULL;
}

/* The buffers are their owner's again only when the kernel has let go of them; closing the ring
 * alone does not wait for that. */
static void uring_close(void *state)
{
    struct uring *u = state;
    struct io_uring_cqe *cqe;
    while (u->flying) {
        int no = -io_uring_wait_cqe(&u->ring, &cqe);
        if (no && no != EINTR)
            break;
        if (!no) {
            io_uring_cqe_seen(&u->ring, cqe);
            u->flying--;
        }
    }
    io_uring_queue_exit(&u->ring);
    free(u);
}

/* There is an entry for each request that may be in flight. */
static void uring_add(void *state, struct queue_request *r)
{
    struct uring *u = state;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    unsigned len = (unsigned)num_min(r->io.len, REQUEST_MOST);
    if (r->write)
        io_uring_prep_write(sqe, r->fd, r->io.buf, len, r->io.off);
    else
        io_uring_prep_read(sqe, r->fd, r->io.buf, len, r->io.off);
    io_uring_sqe_set_data(sqe, r);
    u->added++;
}

/* Send all, wait for one. */
static int turn(struct uring *u, struct err *e)
{
    int n = io_uring_submit_and_wait(&u->ring, 1);
    bool later = n == -EAGAIN || n == -EBUSY; /* with something in flight there will be room */
    if (later && u->flying) {
        struct io_uring_cqe *cqe;
        n = io_uring_wait_cqe(&u->ring, &cqe);
    }
    if (n < 0)
        return n == -EINTR ? 0 : file_fail(e, -n);
    unsigned sent = later ? 0 : (unsigned)num_min((unsigned)n, u->added);
    u->added -= sent;
    u->flying += sent;
    return 0;
}

static int uring_wait(void *state, struct queue_request **r, long *result, struct err *e)
{
    struct uring *u = state;
    struct io_uring_cqe *cqe;
    while (io_uring_peek_cqe(&u->ring, &cqe))
        if (turn(u, e))
            return -1;
    *r = io_uring_cqe_get_data(cqe);
    *result = cqe->res;
    io_uring_cqe_seen(&u->ring, cqe);
    u->flying--;
    return 0;
}

const struct queue_ops queue_uring_ops = {
    .open = uring_open,
    .close = uring_close,
    .add = uring_add,
    .wait = uring_wait,
};
