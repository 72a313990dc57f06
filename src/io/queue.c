#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/trace.h"
#include "io/posix.h"
#include "io/queue_ops.h"

struct file_queue {
    enum file_queue_kind kind;
    const struct queue_ops *ops;
    void *state;
    struct queue_request *requests, *free;
};

#ifdef HAVE_LIBURING
#define URING_OPS (&queue_uring_ops)
#else
#define URING_OPS NULL
#endif

static const struct queue_ops *const kinds[] = {
    [FILE_QUEUE_NATIVE] = &queue_aio_ops,
    [FILE_QUEUE_URING] = URING_OPS,
};

bool file_queue_known(enum file_queue_kind kind)
{
    return kinds[kind] != NULL;
}

/* ---- the queue ------------------------------------------------------------------------------- */

void file_queue_free(struct file_queue *q)
{
    if (!q)
        return;
    if (q->state)
        q->ops->close(q->state);
    free(q->requests);
    free(q);
}

static int fill(struct file_queue *q, unsigned depth, struct err *e)
{
    q->requests = mem_new(depth, sizeof *q->requests, e);
    q->state = q->requests ? q->ops->open(depth, e) : NULL;
    if (!q->state)
        return -1;
    for (unsigned i = 0; i < depth; i++) {
        q->requests[i].number = i;
        q->requests[i].next_free = q->free;
        q->free = &q->requests[i];
    }
    return 0;
}

struct file_queue *file_queue_new(enum file_queue_kind kind, unsigned depth, struct err *e)
{
    struct file_queue *q = mem_new(1, sizeof *q, e);
    if (!q)
        return NULL;
    q->kind = kind;
    q->ops = kinds[kind];
    if (!fill(q, depth, e))
        return q;
    file_queue_free(q);
    return NULL;
}

/* ---- which requests -------------------------------------------------------------------------- */

static bool is_direct(const struct file *f)
{
    const struct posix *p = (const struct posix *)f;
    return p->direct_fd >= 0 && !p->direct_off;
}

/* Where each write is followed by a sync, threads wait for several syncs at once; a queue would
 * wait for one after the other. */
bool file_queue_takes(enum file_queue_kind kind, const struct file *f)
{
    bool is_posix =
        strcmp(file_protocol(f), "file") == 0 || strcmp(file_protocol(f), "host_device") == 0;
    if (!is_posix || !file_queue_known(kind) || (f->opt.cache.writethrough && f->opt.write))
        return false;
    return kind == FILE_QUEUE_URING || is_direct(f);
}

bool file_queue_fits(const struct file_queue *q, const struct file *f, bool write,
                     const struct file_io *io)
{
    if (!io->len || !file_queue_takes(q->kind, f))
        return false;
    if (!is_direct(f))
        return true;
    uint64_t unit = write ? ((const struct posix *)f)->direct_unit : f->alignment;
    return io->off % unit == 0 && io->len % unit == 0 && (uintptr_t)io->buf % f->alignment == 0;
}

/* ---- requests -------------------------------------------------------------------------------- */

void file_queue_add(struct file_queue *q, struct file *f, bool write, const struct file_io *io,
                    void *tag)
{
    struct queue_request *r = q->free;
    q->free = r->next_free;
    if (write)
        TRACE(file_write, f->name, io->off, (uint64_t)io->len);
    else
        TRACE(file_read, f->name, io->off, (uint64_t)io->len);
    r->fd = is_direct(f) ? posix_of(f)->direct_fd : posix_of(f)->fd;
    r->alignment = is_direct(f) ? f->alignment : 1;
    r->write = write;
    r->io = *io;
    r->tag = tag;
    q->ops->add(q->state, r);
}

/* A part of a request was done, or nothing was yet: what is left of it is to be sent again. */
static bool goes_on(struct queue_request *r, long result)
{
    if (result == -EINTR || result == -EAGAIN)
        return true;
    if (result <= 0 || (size_t)result >= r->io.len || result % r->alignment)
        return false;
    r->io.buf = (char *)r->io.buf + result;
    r->io.len -= (size_t)result;
    r->io.off += (uint64_t)result;
    return true;
}

int file_queue_wait(struct file_queue *q, void **tag, int *no, struct err *e)
{
    struct queue_request *r;
    long result;
    if (q->ops->wait(q->state, &r, &result, e))
        return -1;
    while (goes_on(r, result)) {
        q->ops->add(q->state, r);
        if (q->ops->wait(q->state, &r, &result, e))
            return -1;
    }
    *tag = r->tag;
    *no = result < 0 ? (int)-result : (size_t)result < r->io.len ? EIO : 0;
    r->next_free = q->free;
    q->free = r;
    return 0;
}
