#include "io/file.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "io/file_ops.h"
#include "io/opening.h"

/* Zeros for files that cannot make holes. Static memory costs nothing until it is read. */
static uint8_t zeros[1 << 20] __attribute__((aligned(4096)));

static const struct {
    const char *name;
    struct file_cache cache;
} cache_modes[] = {
    {"none", {.direct = true}},
    {"off", {.direct = true}},
    {"directsync", {.direct = true, .writethrough = true}},
    {"writeback", {.direct = false}},
    {"writethrough", {.writethrough = true}},
    {"unsafe", {.no_flush = true}},
};

int file_cache_parse(const char *name, struct file_cache *out)
{
    for (size_t i = 0; i < ARRAY_LEN(cache_modes); i++) {
        if (!strcmp(name, cache_modes[i].name)) {
            *out = cache_modes[i].cache;
            return 0;
        }
    }
    return -1;
}

/* ---- closing --------------------------------------------------------------------------------- */

int file_close(struct file *f, struct err *e)
{
    if (!f)
        return 0;
    TRACE(file_close, f->name);
    AUTO_FREE char *name = f->name;
    return f->ops->close(f, e);
}

void file_cleanup(struct file **f)
{
    struct err ignored = ERR_INIT;
    file_close(*f, &ignored);
    *f = NULL;
}

/* ---- what it is ------------------------------------------------------------------------------ */

const char *file_name(const struct file *f)
{
    return f->name;
}

const char *file_protocol(const struct file *f)
{
    return f->ops->protocol;
}

uint64_t file_size(const struct file *f)
{
    return f->ops->size(f);
}

bool file_is_regular(const struct file *f)
{
    return f->regular;
}

int64_t file_allocated(const struct file *f)
{
    return f->ops->allocated ? f->ops->allocated(f) : -1;
}

uint32_t file_alignment(const struct file *f)
{
    return f->alignment ? f->alignment : 1;
}

bool file_is_remote(const struct file *f)
{
    return f->remote;
}

bool file_is_same(const struct file *a, const struct file *b)
{
    return a == b || (a->inode && a->inode == b->inode && a->device == b->device);
}

void file_mark(const struct file *f, struct file_mark *out)
{
    *out = (struct file_mark){
        .size = file_size(f),
        .inode = f->inode,
        .modified = f->ops->modified ? f->ops->modified(f) : -1,
    };
}

bool file_grows_zero(const struct file *f)
{
    return f->grows_zero;
}

/* ---- moving bytes ---------------------------------------------------------------------------- */

/* Offsets are signed 64 bits to the kernel. */
static int check_range(uint64_t off, uint64_t len, struct err *e)
{
    return num_inside(off, len, INT64_MAX) ? 0 : file_fail(e, EINVAL);
}

static int check_write(const struct file *f, uint64_t off, uint64_t len, struct err *e)
{
    if (!f->opt.write)
        return file_fail(e, EBADF);
    return num_inside(off, len, INT64_MAX) ? 0 : file_fail(e, EFBIG);
}

static int read_some(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                     struct err *e)
{
    struct opening *o = f->opt.opening;
    if (o && opening_answers(o, f, buf, len, off, got))
        return 0;
    if (f->ops->read(f, buf, len, off, got, e))
        return -1;
    if (o)
        opening_note(o, f, buf, len, off, *got);
    return 0;
}

int file_read(struct file *f, void *buf, size_t len, uint64_t off, struct err *e)
{
    size_t got = 0;
    TRACE(file_read, f->name, off, (uint64_t)len);
    if (check_range(off, len, e))
        return -1;
    if (len && read_some(f, buf, len, off, &got, e))
        return -1;
    return got == len ? 0 : file_fail(e, EIO);
}

int file_read_padded(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                     struct err *e)
{
    size_t n = 0;
    TRACE(file_read, f->name, off, (uint64_t)len);
    if (check_range(off, len, e))
        return -1;
    if (len && read_some(f, buf, len, off, &n, e))
        return -1;
    if (n < len) /* of nothing, buf may be nowhere */
        memset((uint8_t *)buf + n, 0, len - n);
    if (got)
        *got = n;
    return 0;
}

int file_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e)
{
    TRACE(file_write, f->name, off, (uint64_t)len);
    if (check_write(f, off, len, e))
        return -1;
    return len ? f->ops->write(f, buf, len, off, e) : 0;
}

static int batch_failed(size_t i, size_t *failed)
{
    if (failed)
        *failed = i;
    return -1;
}

int file_read_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                    struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (f->ops->read_batch ? check_range(io[i].off, io[i].len, e)
                               : file_read(f, io[i].buf, io[i].len, io[i].off, e))
            return batch_failed(i, failed);
    }
    for (size_t i = 0; f->ops->read_batch && i < n; i++)
        TRACE(file_read, f->name, io[i].off, (uint64_t)io[i].len);
    return f->ops->read_batch && n ? f->ops->read_batch(f, io, n, failed, e) : 0;
}

int file_write_batch(struct file *f, const struct file_io *io, size_t n, size_t *failed,
                     struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        if (f->ops->write_batch ? check_write(f, io[i].off, io[i].len, e)
                                : file_write(f, io[i].buf, io[i].len, io[i].off, e))
            return batch_failed(i, failed);
    }
    for (size_t i = 0; f->ops->write_batch && i < n; i++)
        TRACE(file_write, f->name, io[i].off, (uint64_t)io[i].len);
    return f->ops->write_batch && n ? f->ops->write_batch(f, io, n, failed, e) : 0;
}

/* ---- extents, zeros, space ------------------------------------------------------------------- */

static int span_all_data(const struct file *f, uint64_t off, uint64_t len, bool *is_hole,
                         uint64_t *length)
{
    uint64_t size = file_size(f);
    *is_hole = off >= size;
    *length = *is_hole ? len : num_min(len, size - off);
    return 0;
}

int file_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
              struct err *e)
{
    if (len == 0 || off > INT64_MAX)
        return file_fail(e, EINVAL);
    len = num_min(len, INT64_MAX - off + 1);
    if (!f->ops->span)
        return span_all_data(f, off, len, is_hole, length);
    if (f->ops->span(f, off, len, is_hole, length, e))
        return -1;
    TRACE(file_span, f->name, off, *length, *is_hole);
    return 0;
}

static int write_zeros(struct file *f, uint64_t off, uint64_t len, struct err *e)
{
    /* the first step ends on a boundary, so that the others are aligned */
    while (len) {
        size_t n = num_min(len, sizeof zeros - off % sizeof zeros);
        if (f->ops->write(f, zeros, n, off, e))
            return -1;
        off += n;
        len -= n;
    }
    return 0;
}

int file_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, struct err *e)
{
    bool done = false;
    TRACE(file_zero, f->name, off, len, how == FILE_ZERO_KEEP);
    if (check_write(f, off, len, e))
        return -1;
    if (len == 0)
        return 0;
    if (f->ops->zero && f->ops->zero(f, off, len, how, &done, e))
        return -1;
    return done ? 0 : write_zeros(f, off, len, e);
}

int file_zero_fast(struct file *f, uint64_t off, uint64_t len, bool *done, struct err *e)
{
    *done = false;
    if (check_write(f, off, len, e))
        return -1;
    return len && f->ops->zero_fast ? f->ops->zero_fast(f, off, len, done, e) : 0;
}

void file_discard(struct file *f, uint64_t off, uint64_t len)
{
    if (f->opt.write && f->ops->discard && num_inside(off, len, INT64_MAX) && len)
        f->ops->discard(f, off, len);
}

int file_truncate(struct file *f, uint64_t size, struct err *e)
{
    TRACE(file_truncate, f->name, size);
    if (check_write(f, size, 0, e))
        return -1;
    return f->ops->truncate ? f->ops->truncate(f, size, e) : file_fail(e, ENOTSUP);
}

int file_preallocate(struct file *f, uint64_t off, uint64_t len, enum file_prealloc how,
                     struct err *e)
{
    TRACE(file_preallocate, f->name, off, len, how == FILE_PREALLOC_FULL);
    if (check_write(f, off, len, e))
        return -1;
    if (how == FILE_PREALLOC_OFF)
        return file_size(f) < off + len ? file_truncate(f, off + len, e) : 0;
    if (len == 0)
        return 0;
    if (how == FILE_PREALLOC_FALLOC && f->ops->preallocate)
        return f->ops->preallocate(f, off, len, e);
    return write_zeros(f, off, len, e);
}

int file_hint(struct file *f, enum file_hint hint, uint32_t value)
{
    return f->ops->hint ? f->ops->hint(f, hint, value) : EOPNOTSUPP;
}

int file_copy(struct file *src, uint64_t src_off, struct file *dst, uint64_t dst_off, uint64_t len,
              uint64_t *copied, struct err *e)
{
    *copied = 0;
    if (check_range(src_off, len, e) || check_write(dst, dst_off, len, e))
        return -1;
    if (len == 0 || !dst->ops->copy || dst->ops->copy != src->ops->copy)
        return 0;
    if (dst->ops->copy(src, src_off, dst, dst_off, len, copied, e))
        return -1;
    TRACE(file_copy, src->name, src_off, dst->name, dst_off, len, *copied);
    return 0;
}

int file_sync(struct file *f, struct err *e)
{
    if (!f->opt.write || !f->ops->sync)
        return 0;
    if (f->opt.cache.no_flush)
        return f->ops->hand_over ? f->ops->hand_over(f, e) : 0;
    TRACE(file_sync, f->name);
    return f->ops->sync(f, e);
}

void file_forget(struct file *f, uint64_t off, uint64_t len)
{
    if (f->opt.forget && f->ops->forget && num_inside(off, len, INT64_MAX) && len)
        f->ops->forget(f, off, len);
}

int file_relock(struct file *f, enum file_lock lock, struct err *e)
{
    return f->ops->relock ? f->ops->relock(f, lock, e) : 0;
}
