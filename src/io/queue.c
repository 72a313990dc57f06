#include "io/queue.h"

#include <errno.h>
#include <libaio.h>
#include <string.h>

#include "base/mem.h"
#include "base/trace.h"
#include "io/posix.h"

struct request {
    struct iocb cb;
    void *tag;
    size_t len;
    struct request *next_free;
};

struct file_queue {
    io_context_t context;
    unsigned depth;
    struct request *requests, *free;
    struct iocb **added; /* not given to the kernel yet */
    unsigned n_added, flying;
    struct io_event *ended; /* not taken yet */
    unsigned n_ended, taken;
};

void file_queue_free(struct file_queue *q)
{
    if (!q)
        return;
    if (q->context)
        io_destroy(q->context);
    free(q->requests);
    free(q->added);
    free(q->ended);
    free(q);
}

static int fill(struct file_queue *q, unsigned depth, struct err *e)
{
    q->requests = mem_new(depth, sizeof *q->requests, e);
    q->added = mem_new(depth, sizeof(struct iocb *), e);
    q->ended = mem_new(depth, sizeof *q->ended, e);
    if (!q->requests || !q->added || !q->ended)
        return -1;
    int no = -io_setup((int)depth, &q->context);
    if (no)
        return file_fail(e, no);
    q->depth = depth;
    for (unsigned i = 0; i < depth; i++) {
        q->requests[i].next_free = q->free;
        q->free = &q->requests[i];
    }
    return 0;
}

struct file_queue *file_queue_new(unsigned depth, struct err *e)
{
    struct file_queue *q = mem_new(1, sizeof *q, e);
    if (!q || !fill(q, depth, e))
        return q;
    file_queue_free(q);
    return NULL;
}

bool file_queue_takes(const struct file *f)
{
    bool is_posix =
        strcmp(file_protocol(f), "file") == 0 || strcmp(file_protocol(f), "host_device") == 0;
    const struct posix *p = (const struct posix *)f;
    return is_posix && p->direct_fd >= 0 && !p->direct_off && !f->opt.cache.writethrough;
}

bool file_queue_fits(const struct file *f, bool write, const struct file_io *io)
{
    if (!file_queue_takes(f))
        return false;
    uint64_t unit = write ? ((const struct posix *)f)->direct_unit : f->alignment;
    return io->len && io->off % unit == 0 && io->len % unit == 0 &&
           (uintptr_t)io->buf % f->alignment == 0;
}

void file_queue_add(struct file_queue *q, struct file *f, bool write, const struct file_io *io,
                    void *tag)
{
    struct request *r = q->free;
    int fd = posix_of(f)->direct_fd;
    q->free = r->next_free;
    if (write)
        TRACE(file_write, f->name, io->off, (uint64_t)io->len);
    else
        TRACE(file_read, f->name, io->off, (uint64_t)io->len);
    if (write)
        io_prep_pwrite(&r->cb, fd, io->buf, io->len, (long long)io->off);
    else
        io_prep_pread(&r->cb, fd, io->buf, io->len, (long long)io->off);
    r->cb.data = r;
    r->tag = tag;
    r->len = io->len;
    q->added[q->n_added++] = &r->cb;
}

static int submit(struct file_queue *q, struct err *e)
{
    while (q->n_added) {
        int n = io_submit(q->context, q->n_added, q->added);
        if (n == -EINTR)
            continue;
        if (n <= 0) /* with something in flight there will be room later */
            return n == -EAGAIN && q->flying ? 0 : file_fail(e, n ? -n : EIO);
        q->flying += (unsigned)n;
        q->n_added -= (unsigned)n;
        memmove(q->added, q->added + n, q->n_added * sizeof q->added[0]);
    }
    return 0;
}

int file_queue_wait(struct file_queue *q, void **tag, int *no, struct err *e)
{
    while (q->taken == q->n_ended) {
        if (submit(q, e))
            return -1;
        int n = io_getevents(q->context, 1, q->depth, q->ended, NULL);
        if (n < 0 && n != -EINTR)
            return file_fail(e, -n);
        q->n_ended = n > 0 ? (unsigned)n : 0;
        q->taken = 0;
    }
    const struct io_event *ev = &q->ended[q->taken++];
    struct request *r = ev->data;
    long res = (long)ev->res;
    *tag = r->tag;
    *no = res < 0 ? (int)-res : (size_t)res < r->len ? EIO : 0;
    r->next_free = q->free;
    q->free = r;
    q->flying--;
    return 0;
}
