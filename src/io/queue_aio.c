/* Queues of libaio. */
#include <errno.h>
#include <libaio.h>
#include <string.h>

#include "base/mem.h"
#include "io/file_ops.h"
#include "io/queue_ops.h"

struct aio {
    io_context_t context;
    unsigned depth;
    struct iocb *blocks; /* of the requests, by their number */
    struct iocb **added; /* not given to the kernel yet */
    unsigned n_added, flying;
    struct io_event *ended; /* not taken yet */
    unsigned n_ended, taken;
};

static void aio_close(void *state)
{
    struct aio *a = state;
    if (a->context)
        io_destroy(a->context);
    free(a->blocks);
    free(a->added);
    free(a->ended);
    free(a);
}

static int fill(struct aio *a, unsigned depth, struct err *e)
{
    a->depth = depth;
    a->blocks = mem_new(depth, sizeof *a->blocks, e);
    a->added = mem_new(depth, sizeof(struct iocb *), e);
    a->ended = mem_new(depth, sizeof *a->ended, e);
    if (!a->blocks || !a->added || !a->ended)
        return -1;
    int no = -io_setup((int)depth, &a->context);
    return no ? file_fail(e, no) : 0;
}

static void *aio_open(unsigned depth, struct err *e)
{
    struct aio *a = mem_new(1, sizeof *a, e);
    if (!a || !fill(a, depth, e))
        return a;
    aio_close(a);
    return NULL;
}

static void aio_add(void *state, struct queue_request *r)
{
    struct aio *a = state;
    struct iocb *cb = &a->blocks[r->number];
    if (r->write)
        io_prep_pwrite(cb, r->fd, r->io.buf, r->io.len, (long long)r->io.off);
    else
        io_prep_pread(cb, r->fd, r->io.buf, r->io.len, (long long)r->io.off);
    cb->data = r;
    a->added[a->n_added++] = cb;
}

static int submit(struct aio *a, struct err *e)
{
    while (a->n_added) {
        int n = io_submit(a->context, a->n_added, a->added);
        if (n == -EINTR)
            continue;
        if (n <= 0) /* with something in flight there will be room later */
            return n == -EAGAIN && a->flying ? 0 : file_fail(e, n ? -n : EIO);
        a->flying += (unsigned)n;
        a->n_added -= (unsigned)n;
        memmove(a->added, a->added + n, a->n_added * sizeof a->added[0]);
    }
    return 0;
}

static int aio_wait(void *state, struct queue_request **r, long *result, struct err *e)
{
    struct aio *a = state;
    while (a->taken == a->n_ended) {
        if (submit(a, e))
            return -1;
        int n = io_getevents(a->context, 1, a->depth, a->ended, NULL);
        if (n < 0 && n != -EINTR)
            return file_fail(e, -n);
        a->n_ended = n > 0 ? (unsigned)n : 0;
        a->taken = 0;
    }
    const struct io_event *ev = &a->ended[a->taken++];
    *r = ev->data;
    *result = (long)ev->res;
    a->flying--;
    return 0;
}

const struct queue_ops queue_aio_ops = {
    .open = aio_open,
    .close = aio_close,
    .add = aio_add,
    .wait = aio_wait,
};
