#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/nbd.h"

#define PIECE    (256 * KIB) /* of a large request: the server works on several at once */
#define ZERO_MAX GIB
#define TRIES    10 /* of a batch, where the server may come back */

enum kind { READ, WRITE, ZERO, FLUSH };

struct command {
    uint64_t off;
    size_t len;
    uint8_t *buf;
    size_t index; /* of the request that it is part of */
    struct export_call *call;
};

struct batch {
    enum kind kind;
    uint32_t flags;
    struct command *commands;
    size_t n;
};

/* ---- running --------------------------------------------------------------------------------- */

static int answered(void *data, int *error)
{
    const struct command *c = data;
    export_answered(c->call, c->index, *error);
    return 1; /* libnbd may forget it */
}

static int64_t put(struct nbd_handle *h, const struct batch *b, struct command *c)
{
    nbd_completion_callback done = {.callback = answered, .user_data = c};
    switch (b->kind) {
    case READ:
        return nbd_aio_pread(h, c->buf, c->len, c->off, done, b->flags);
    case WRITE:
        return nbd_aio_pwrite(h, c->buf, c->len, c->off, done, b->flags);
    case ZERO:
        return nbd_aio_zero(h, c->len, c->off, done, b->flags);
    default:
        return nbd_aio_flush(h, done, b->flags);
    }
}

/* All commands on one connection. *lost: it is no more. */
static int run_once(struct export *f, const struct batch *b, size_t *failed, bool *lost,
                    struct err *e)
{
    struct export_call call;
    struct export_conn *c = export_take(f, e);
    *lost = false;
    if (!c)
        return -1;
    export_call_init(&call);
    export_enter(c);
    for (size_t i = 0; i < b->n; i++) {
        struct command *m = &b->commands[i];
        m->call = &call;
        call.left++;
        if (put(c->h, b, m) < 0)
            export_refused(c, &call, m->index);
    }
    export_leave(c, &call);
    *lost = c->lost;
    export_give(f, c);
    int r = export_outcome(f, &call, e);
    if (r && failed)
        *failed = call.failed == SIZE_MAX ? b->commands[0].index : call.failed;
    export_call_release(&call);
    return r;
}

static int run(struct export *f, const struct batch *b, size_t *failed, struct err *e)
{
    bool lost;
    if (failed)
        *failed = b->n ? b->commands[0].index : 0;
    for (int i = 1; run_once(f, b, failed, &lost, e); i++) {
        if (!lost || !f->spec.reconnect || i == TRIES)
            return -1;
        err_clear(e);
    }
    return 0;
}

/* ---- cutting --------------------------------------------------------------------------------- */

static size_t piece_max(const struct export *f)
{
    return num_max(num_down(num_min(PIECE, f->maximum), f->minimum), f->minimum);
}

static size_t pieces_of(const struct file_io *io, size_t n, size_t most)
{
    size_t pieces = 0;
    for (size_t i = 0; i < n; i++)
        pieces += num_div_up(io[i].len, most);
    return pieces;
}

static int run_io(struct export *f, enum kind kind, const struct file_io *io, size_t n,
                  size_t *failed, struct err *e)
{
    size_t most = piece_max(f), at = 0, room = pieces_of(io, n, most);
    AUTO_FREE struct command *commands = mem_new(room, sizeof *commands, e);
    if (!commands)
        return -1;
    for (size_t i = 0; i < n; i++) {
        for (size_t done = 0, len; done < io[i].len; done += len) {
            len = num_min(most, io[i].len - done);
            commands[at++] = (struct command){.off = io[i].off + done,
                                              .len = len,
                                              .buf = (uint8_t *)io[i].buf + done,
                                              .index = i};
        }
    }
    bool through = kind == WRITE && f->file.opt.cache.writethrough;
    struct batch b = {.kind = kind, .commands = commands, .n = at};
    b.flags = through && f->fua ? LIBNBD_CMD_FLAG_FUA : 0;
    if (run(f, &b, failed, e))
        return -1;
    return through && !f->fua ? export_sync(&f->file, e) : 0;
}

/* ---- requests off the server's blocks -------------------------------------------------------- */

static bool is_aligned(const struct export *f, const struct file_io *io)
{
    return io->off % f->minimum == 0 && (io->len % f->minimum == 0 || io->off + io->len == f->size);
}

static bool all_aligned(const struct export *f, const struct file_io *io, size_t n)
{
    for (size_t i = 0; f->minimum > 1 && i < n; i++)
        if (!is_aligned(f, &io[i]))
            return false;
    return true;
}

static int read_widened(struct export *f, const struct file_io *io, struct err *e)
{
    uint64_t from = num_down(io->off, f->minimum);
    uint64_t to = num_min(num_up(io->off + io->len, f->minimum), f->size);
    AUTO_FREE uint8_t *bounce = mem_io(to - from, e);
    if (!bounce)
        return -1;
    const struct file_io wide = {bounce, to - from, from};
    if (run_io(f, READ, &wide, 1, NULL, e))
        return -1;
    memcpy(io->buf, bounce + (io->off - from), io->len);
    return 0;
}

/* Part of one block. */
static int write_part(struct export *f, const struct file_io *io, struct err *e)
{
    uint64_t from = num_down(io->off, f->minimum);
    struct file_io block = {.off = from, .len = num_min(f->minimum, f->size - from)};
    AUTO_FREE uint8_t *bounce = block.buf = mem_io(block.len, e);
    if (!bounce)
        return -1;
    pthread_mutex_lock(&f->rmw);
    int r = run_io(f, READ, &block, 1, NULL, e);
    if (!r) {
        memcpy(bounce + (io->off - from), io->buf, io->len);
        r = run_io(f, WRITE, &block, 1, NULL, e);
    }
    pthread_mutex_unlock(&f->rmw);
    return r;
}

/* The bytes of [off, off + len) before the first and behind the last whole block; what is between
 * goes to *inner. */
static void split(const struct export *f, const struct file_io *io, struct file_io *head,
                  struct file_io *inner, struct file_io *tail)
{
    uint64_t end = io->off + io->len;
    uint64_t up = num_min(num_up(io->off, f->minimum), end);
    uint64_t down = end == f->size ? end : num_max(num_down(end, f->minimum), up);
    uint8_t *buf = io->buf;
    *head = (struct file_io){buf, up - io->off, io->off};
    *inner = (struct file_io){buf + (up - io->off), down - up, up};
    *tail = (struct file_io){buf + (down - io->off), end - down, down};
}

static int write_split(struct export *f, const struct file_io *io, struct err *e)
{
    struct file_io head, inner, tail;
    split(f, io, &head, &inner, &tail);
    if (head.len && write_part(f, &head, e))
        return -1;
    if (inner.len && run_io(f, WRITE, &inner, 1, NULL, e))
        return -1;
    return tail.len ? write_part(f, &tail, e) : 0;
}

/* ---- members of struct file_ops -------------------------------------------------------------- */

int export_read_batch(struct file *file, const struct file_io *io, size_t n, size_t *failed,
                      struct err *e)
{
    struct export *f = export_of(file);
    for (size_t i = 0; i < n; i++) {
        if (num_inside(io[i].off, io[i].len, f->size))
            continue;
        if (failed)
            *failed = i;
        return file_fail(e, EIO);
    }
    if (all_aligned(f, io, n))
        return run_io(f, READ, io, n, failed, e);
    for (size_t i = 0; i < n; i++) {
        if (!(is_aligned(f, &io[i]) ? run_io(f, READ, &io[i], 1, NULL, e)
                                    : read_widened(f, &io[i], e)))
            continue;
        if (failed)
            *failed = i;
        return -1;
    }
    return 0;
}

int export_write_batch(struct file *file, const struct file_io *io, size_t n, size_t *failed,
                       struct err *e)
{
    struct export *f = export_of(file);
    for (size_t i = 0; i < n; i++) {
        if (num_inside(io[i].off, io[i].len, f->size))
            continue;
        if (failed)
            *failed = i;
        return file_fail(e, ENOSPC);
    }
    if (all_aligned(f, io, n))
        return run_io(f, WRITE, io, n, failed, e);
    for (size_t i = 0; i < n; i++) {
        if (!write_split(f, &io[i], e))
            continue;
        if (failed)
            *failed = i;
        return -1;
    }
    return 0;
}

static int zero_blocks(struct export *f, uint64_t off, uint64_t len, uint32_t flags, struct err *e)
{
    size_t n = num_div_up(len, ZERO_MAX);
    AUTO_FREE struct command *commands = mem_new(n, sizeof *commands, e);
    if (!commands)
        return -1;
    struct batch b = {.kind = ZERO, .flags = flags, .commands = commands, .n = n};
    bool through = f->file.opt.cache.writethrough;
    b.flags |= through && f->fua ? LIBNBD_CMD_FLAG_FUA : 0;
    for (size_t i = 0; i < n; i++)
        commands[i] = (struct command){.off = off + i * ZERO_MAX,
                                       .len = num_min(ZERO_MAX, len - i * ZERO_MAX)};
    if (run(f, &b, NULL, e))
        return -1;
    return through && !f->fua ? export_sync(&f->file, e) : 0;
}

/* Parts of blocks at both ends are written. *done stays false where the server cannot. */
static int zero_range(struct export *f, uint64_t off, uint64_t len, uint32_t flags, bool *done,
                      struct err *e)
{
    if (!num_inside(off, len, f->size))
        return file_fail(e, ENOSPC);
    AUTO_FREE uint8_t *zeros = mem_new(f->minimum, 1, e);
    if (!zeros)
        return -1;
    struct file_io head, inner, tail;
    split(f, &(struct file_io){zeros, len, off}, &head, &inner, &tail);
    head.buf = tail.buf = zeros;
    if ((head.len && write_part(f, &head, e)) || (tail.len && write_part(f, &tail, e)))
        return -1;
    if (!inner.len || !zero_blocks(f, inner.off, inner.len, flags, e))
        *done = true;
    else if (e->no != EOPNOTSUPP)
        return -1;
    else
        err_clear(e);
    return 0;
}

int export_zero(struct file *file, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                struct err *e)
{
    struct export *f = export_of(file);
    uint32_t flags = how == FILE_ZERO_KEEP ? LIBNBD_CMD_FLAG_NO_HOLE : 0;
    return f->zeroes ? zero_range(f, off, len, flags, done, e) : 0;
}

int export_zero_fast(struct file *file, uint64_t off, uint64_t len, bool *done, struct err *e)
{
    struct export *f = export_of(file);
    return f->zeroes_fast ? zero_range(f, off, len, LIBNBD_CMD_FLAG_FAST_ZERO, done, e) : 0;
}

int export_sync(struct file *file, struct err *e)
{
    struct export *f = export_of(file);
    struct command command = {0};
    const struct batch b = {.kind = FLUSH, .commands = &command, .n = 1};
    return f->flushes ? run(f, &b, NULL, e) : 0;
}
