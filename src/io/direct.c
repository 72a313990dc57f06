/*
 * O_DIRECT, with several requests in flight (libaio).
 *
 * Reads are widened to the alignment that the file asks for, through a bounce buffer where needed.
 * Writes go past the page cache in whole units (a page, or more where the file asks for more); what
 * is left at both ends goes through the page cache. So the file's length is always exact, and no
 * unit is ever written both ways by threads that write ranges beside each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/posix.h"

#define DEPTH     16
#define PIECE_MIN (256 * KIB)
#define PIECE_MAX MIB

/* ---- alignment ------------------------------------------------------------------------------- */

#ifdef STATX_DIOALIGN
/* Linux 6.1: false where the kernel does not say. *align = 0: no direct I/O on this file. */
static bool ask_statx(int fd, uint32_t *align)
{
    struct statx sx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) || !(sx.stx_mask & STATX_DIOALIGN))
        return false;
    *align = num_max(sx.stx_dio_mem_align, sx.stx_dio_offset_align);
    if (!sx.stx_dio_mem_align || !sx.stx_dio_offset_align)
        *align = 0;
    return true;
}
#else
static bool ask_statx(int fd, uint32_t *align)
{
    (void)fd;
    (void)align;
    return false;
}
#endif

static bool ask_device(int fd, uint32_t *align)
{
    int sector = 0;
    if (ioctl(fd, BLKSSZGET, &sector) || sector <= 0)
        return false;
    *align = (uint32_t)sector;
    return true;
}

/* Reading tells, but not from an empty file: there some file systems check nothing. */
static uint32_t probe(int fd, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(4096, e);
    if (!buf)
        return 0;
    if (pread(fd, buf, 512, 0) > 0)
        return 512;
    return pread(fd, buf, 4096, 0) >= 0 ? 4096 : 0;
}

/* 0: not usable */
static uint32_t find_alignment(const struct posix *p, int fd, struct err *e)
{
    uint32_t align = 0;
    bool told = p->is_block ? ask_device(fd, &align) : ask_statx(fd, &align);
    if (!told)
        align = probe(fd, e);
    if (!align || !num_is_pow2(align) || align > MIB)
        return 0;
    return num_max(align, 512);
}

static bool is_same_file(int a, int b)
{
    struct stat x, y;
    return !fstat(a, &x) && !fstat(b, &y) && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool is_memory(int fd)
{
    struct statfs s;
    return !fstatfs(fd, &s) && (uint32_t)s.f_type == TMPFS_MAGIC;
}

void direct_open(struct posix *p, int flags)
{
    struct err ignored = ERR_INIT;
    if (!(p->file.regular || p->is_block) || (p->file.regular && is_memory(p->fd)))
        return;
    int fd = open(p->file.name, flags | O_DIRECT);
    uint32_t align = 0;
    if (fd >= 0 && is_same_file(fd, p->fd))
        align = find_alignment(p, fd, &ignored);
    if (!align) {
        if (fd >= 0)
            close(fd);
        return;
    }
    p->direct_fd = fd;
    p->file.alignment = align;
    p->direct_unit = num_max(align, sysconf(_SC_PAGESIZE));
}

/* ---- contexts: one a batch, kept for the next -------------------------------------------------
 */

/* To end a context takes the kernel milliseconds, so they stay for the life of the process. */
static struct {
    pthread_mutex_t lock;
    size_t n;
    io_context_t spare[64];
} contexts = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* NULL where the kernel has none to give: then one request after the other. */
static io_context_t context_take(void)
{
    io_context_t c = NULL;
    pthread_mutex_lock(&contexts.lock);
    if (contexts.n)
        c = contexts.spare[--contexts.n];
    pthread_mutex_unlock(&contexts.lock);
    if (!c && io_setup(DEPTH, &c))
        c = NULL;
    return c;
}

static void context_give(io_context_t *c)
{
    pthread_mutex_lock(&contexts.lock);
    if (*c && contexts.n < ARRAY_LEN(contexts.spare)) {
        contexts.spare[contexts.n++] = *c;
        *c = NULL;
    }
    pthread_mutex_unlock(&contexts.lock);
    if (*c)
        io_destroy(*c);
}

/* ---- a batch --------------------------------------------------------------------------------- */

struct piece {
    struct iocb cb;
    struct piece *next_free;
    size_t index;        /* request of the batch */
    uint64_t off, len;   /* what was asked for */
    uint64_t from, span; /* what is transferred: the same, or widened */
    uint8_t *buf;        /* where off is in the caller's memory */
    uint8_t *at;         /* where `from` is in memory: in buf, or a bounce buffer */
    bool bounced;
};

struct batch {
    struct posix *p;
    bool write;
    const struct file_io *io;
    size_t n;
    /* the next piece */
    size_t index;
    uint64_t done; /* of request `index` */
    uint64_t step;
    /* how it went */
    bool failed;
    size_t failed_index;
    uint64_t failed_off;
    int failed_no;
    uint64_t end; /* reads of one request may end early: here, the first byte that is not there */
    /* in flight */
    struct piece *free;
    struct iocb *ready[DEPTH]; /* not yet submitted */
    size_t ready_n, flying;
    struct piece pieces[DEPTH];
};

/* The part of a request that goes past the page cache: of a write, none once the file system has
 * refused; the rest of the batch is then "ends". */
static void request_core(const struct batch *b, const struct file_io *io, uint64_t *from,
                         uint64_t *to)
{
    *from = io->off;
    *to = io->off + io->len;
    if (b->write) {
        uint64_t unit = b->p->direct_unit;
        *from = b->p->direct_off ? *to : num_min(num_up(*from, unit), *to);
        *to = num_max(num_down(*to, unit), *from);
    }
}

/* Set off, len, buf of the next piece; false when there is none. */
static bool batch_next(struct batch *b, struct piece *c)
{
    uint64_t from, to;
    for (; b->index < b->n; b->index++, b->done = 0) {
        const struct file_io *io = &b->io[b->index];
        request_core(b, io, &from, &to);
        c->off = from + b->done;
        if (c->off >= to)
            continue;
        c->index = b->index;
        c->len = num_min(to, num_down(c->off + b->step, b->p->direct_unit)) - c->off;
        c->buf = (uint8_t *)io->buf + (c->off - io->off);
        b->done += c->len;
        return true;
    }
    return false;
}

static void batch_fail(struct batch *b, const struct piece *c, int no)
{
    if (b->failed &&
        (b->failed_index < c->index || (b->failed_index == c->index && b->failed_off <= c->off)))
        return;
    b->failed = true;
    b->failed_index = c->index;
    b->failed_off = c->off;
    b->failed_no = no;
}

static bool piece_prepare(struct batch *b, struct piece *c, struct err *e)
{
    uint64_t align = b->p->file.alignment;
    c->from = num_down(c->off, align);
    c->span = num_up(c->off + c->len, align) - c->from;
    c->bounced = c->span != c->len || (uintptr_t)c->buf % align;
    c->at = c->bounced ? mem_io(c->span, e) : c->buf;
    if (!c->at) {
        batch_fail(b, c, ENOMEM);
        return false;
    }
    if (c->bounced && b->write)
        memcpy(c->at, c->buf, c->len);
    if (b->write)
        io_prep_pwrite(&c->cb, b->p->direct_fd, c->at, c->span, c->from);
    else
        io_prep_pread(&c->cb, b->p->direct_fd, c->at, c->span, c->from);
    return true;
}

/* What direct I/O did not do is done through the page cache: the end of the file in the middle of
 * a sector, or a file system that took O_DIRECT at open only. */
static int piece_rest(struct batch *b, struct piece *c, uint64_t moved, struct err *e)
{
    uint64_t past = c->off - c->from; /* widened by this at the front */
    uint64_t have = moved > past ? num_min(moved - past, c->len) : 0;
    size_t got = 0;
    if (c->bounced && !b->write)
        memcpy(c->buf, c->at + past, have);
    if (have == c->len)
        return 0;
    if (b->write)
        return buffered_write(b->p->fd, c->buf + have, c->len - have, c->off + have, e);
    if (buffered_read(b->p->fd, c->buf + have, c->len - have, c->off + have, &got, e))
        return -1;
    if (have + got < c->len) {
        b->end = num_min(b->end, c->off + have + got);
        if (b->n > 1)
            batch_fail(b, c, EIO);
    }
    return 0;
}

/* res: bytes, or -errno */
static void piece_done(struct batch *b, struct piece *c, long res, struct err *e)
{
    if (res == -EINVAL || res == -EOPNOTSUPP) {
        b->p->direct_off = true;
        res = 0;
    }
    if (res < 0)
        batch_fail(b, c, (int)-res);
    else if (piece_rest(b, c, (uint64_t)res, e))
        batch_fail(b, c, e->no);
    if (c->bounced)
        free(c->at);
    c->next_free = b->free;
    b->free = c;
}

/* Without a context, or where it does not take the request. */
static void piece_run(struct batch *b, struct piece *c, struct err *e)
{
    int fd = b->p->direct_fd;
    ssize_t r = b->write ? TEMP_FAILURE_RETRY(pwrite(fd, c->at, c->span, c->from))
                         : TEMP_FAILURE_RETRY(pread(fd, c->at, c->span, c->from));
    piece_done(b, c, r < 0 ? -errno : r, e);
}

static void batch_fill(struct batch *b, struct err *e)
{
    while (b->free && !b->failed) {
        struct piece *c = b->free;
        if (!batch_next(b, c) || !piece_prepare(b, c, e))
            return;
        b->free = c->next_free;
        c->cb.data = c;
        b->ready[b->ready_n++] = &c->cb;
    }
}

static void batch_submit(struct batch *b, io_context_t ctx, struct err *e)
{
    if (!b->ready_n)
        return;
    bool alone = b->ready_n + b->flying == 1;
    int n = ctx && !alone ? io_submit(ctx, (long)b->ready_n, b->ready) : -EAGAIN;
    if (n <= 0 && b->flying)
        return; /* no room now: wait for one */
    struct piece *first = b->ready[0]->data;
    size_t taken = n > 0 ? (size_t)n : 1;
    b->ready_n -= taken;
    memmove(b->ready, b->ready + taken, b->ready_n * sizeof b->ready[0]);
    if (n > 0)
        b->flying += taken;
    else
        piece_run(b, first, e);
}

static void batch_reap(struct batch *b, io_context_t ctx, struct err *e)
{
    struct io_event ev[DEPTH];
    int n = b->flying ? io_getevents(ctx, 1, DEPTH, ev, NULL) : 0;
    for (int i = 0; i < n; i++) {
        b->flying--;
        piece_done(b, ev[i].data, (long)ev[i].res, e);
    }
}

static void batch_start(struct batch *b)
{
    uint64_t total = 0;
    for (size_t i = 0; i < b->n; i++)
        total += b->io[i].len;
    /* several in flight, but none small */
    uint64_t step = num_min(num_max(num_up(total / 8, PIECE_MIN), PIECE_MIN), PIECE_MAX);
    b->step = num_max(step, b->p->direct_unit);
    for (size_t i = DEPTH; i-- > 0;) {
        b->pieces[i].next_free = b->free;
        b->free = &b->pieces[i];
    }
}

static void batch_run(struct batch *b, struct err *e)
{
    AUTO(context_give) io_context_t ctx = context_take();
    batch_start(b);
    do {
        batch_fill(b, e);
        batch_submit(b, ctx, e);
        batch_reap(b, ctx, e);
    } while (b->ready_n || b->flying || (!b->failed && b->index < b->n));
}

/* The ends of writes that fill no unit. */
static int write_ends(struct posix *p, const struct file_io *io, uint64_t from, uint64_t to,
                      struct err *e)
{
    const uint8_t *buf = io->buf;
    uint64_t end = io->off + io->len;
    if (from > io->off && buffered_write(p->fd, buf, from - io->off, io->off, e))
        return -1;
    return end > to ? buffered_write(p->fd, buf + (to - io->off), end - to, to, e) : 0;
}

static int batch_ends(struct batch *b, size_t *failed, struct err *e)
{
    uint64_t from, to;
    for (size_t i = 0; b->write && i < b->n; i++) {
        request_core(b, &b->io[i], &from, &to);
        if (write_ends(b->p, &b->io[i], from, to, e)) {
            *failed = i;
            return -1;
        }
    }
    return 0;
}

static int batch_finish(struct batch *b, size_t *failed, struct err *e)
{
    if (b->failed) {
        *failed = b->failed_index;
        return file_fail(e, b->failed_no);
    }
    if (batch_ends(b, failed, e))
        return -1;
    return b->write && b->p->file.opt.cache.writethrough ? posix_sync(&b->p->file, e) : 0;
}

static int run(struct file *f, bool write, const struct file_io *io, size_t n, size_t *failed,
               uint64_t *end, struct err *e)
{
    struct batch b = {.p = posix_of(f), .write = write, .io = io, .n = n, .end = UINT64_MAX};
    size_t index = 0;
    batch_run(&b, e);
    int r = batch_finish(&b, &index, e);
    if (r && failed)
        *failed = index;
    if (end)
        *end = b.end;
    return r;
}

/* ---- members of struct file_ops -------------------------------------------------------------- */

int direct_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got, struct err *e)
{
    struct file_io io = {.buf = buf, .len = len, .off = off};
    uint64_t end;
    if (posix_of(f)->direct_off)
        return buffered_read(posix_of(f)->fd, buf, len, off, got, e);
    if (run(f, false, &io, 1, NULL, &end, e))
        return -1;
    *got = num_min(len, end > off ? end - off : 0);
    return 0;
}

int direct_read_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                      struct err *e)
{
    if (n > 1 && !posix_of(f)->direct_off)
        return run(f, false, io, n, failed, NULL, e);
    for (size_t i = 0; i < n; i++) {
        if (failed)
            *failed = i;
        if (file_read(f, io[i].buf, io[i].len, io[i].off, e))
            return -1;
    }
    return 0;
}

int direct_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e)
{
    struct file_io io = {.buf = (void *)(uintptr_t)buf, .len = len, .off = off};
    return run(f, true, &io, 1, NULL, NULL, e);
}

int direct_write_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                       struct err *e)
{
    return run(f, true, io, n, failed, NULL, e);
}
