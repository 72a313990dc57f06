/* A part of a file as a file: what {"driver": "raw", "offset": ..., "size": ...} below another
 * format means. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "image/node.h"
#include "io/file_ops.h"

#define SECTOR 512u

struct window {
    struct file file;
    struct file *base; /* owned */
    uint64_t offset, size;
};

int image_window(const json_t *node, const struct file *file, uint64_t *offset, uint64_t *size,
                 struct err *e)
{
    uint64_t length = num_up(file_size(file), SECTOR);
    *offset = 0;
    if (node_size(node, "offset", offset, e))
        return -1;
    if (*offset > length)
        return err_set(e, EINVAL,
                       "Offset (%" PRIu64 ") cannot be greater than size of the containing file "
                       "(%" PRIu64 ")",
                       *offset, length);
    *size = num_up(length - *offset, SECTOR); /* of an odd offset: of what is behind it */
    if (!json_object_get(node, "size"))
        return 0;
    if (node_size(node, "size", size, e))
        return -1;
    if (*size > length - *offset)
        return err_set(e, EINVAL,
                       "The sum of offset (%" PRIu64 ") and size (%" PRIu64
                       ") has to be smaller or equal to the  actual size of the containing file "
                       "(%" PRIu64 ")",
                       *offset, *size, length);
    if (*size % SECTOR)
        return err_set(e, EINVAL, "Specified size is not multiple of %u", SECTOR);
    return 0;
}

static struct window *window_of(const struct file *f)
{
    return (struct window *)f;
}

static int window_close(struct file *f, struct err *e)
{
    AUTO_FREE struct window *w = window_of(f);
    return file_close(w->base, e);
}

static uint64_t window_size(const struct file *f)
{
    return window_of(f)->size;
}

static int64_t window_allocated(const struct file *f)
{
    return file_allocated(window_of(f)->base);
}

static int window_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                       struct err *e)
{
    const struct window *w = window_of(f);
    *got = 0;
    if (off >= w->size)
        return 0;
    len = num_min(len, w->size - off);
    return file_read_padded(w->base, buf, len, w->offset + off, got, e);
}

static int window_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e)
{
    const struct window *w = window_of(f);
    if (!num_inside(off, len, w->size))
        return err_set(e, ENOSPC, "%s", strerror(ENOSPC));
    return file_write(w->base, buf, len, w->offset + off, e);
}

static int window_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                       struct err *e)
{
    const struct window *w = window_of(f);
    *is_hole = true;
    *length = len;
    if (off >= w->size)
        return 0;
    return file_span(w->base, w->offset + off, num_min(len, w->size - off), is_hole, length, e);
}

static int window_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                       struct err *e)
{
    const struct window *w = window_of(f);
    *done = true;
    if (!num_inside(off, len, w->size))
        return err_set(e, ENOSPC, "%s", strerror(ENOSPC));
    return file_zero(w->base, w->offset + off, len, how, e);
}

static void window_discard(struct file *f, uint64_t off, uint64_t len)
{
    const struct window *w = window_of(f);
    if (num_inside(off, len, w->size))
        file_discard(w->base, w->offset + off, len);
}

static int window_sync(struct file *f, struct err *e)
{
    return file_sync(window_of(f)->base, e);
}

static void window_forget(struct file *f, uint64_t off, uint64_t len)
{
    const struct window *w = window_of(f);
    if (num_inside(off, len, w->size))
        file_forget(w->base, w->offset + off, len);
}

static int window_relock(struct file *f, enum file_lock lock, struct err *e)
{
    return file_relock(window_of(f)->base, lock, e);
}

static const struct file_ops window_ops = {
    .protocol = "raw",
    .close = window_close,
    .size = window_size,
    .allocated = window_allocated,
    .read = window_read,
    .write = window_write,
    .span = window_span,
    .zero = window_zero,
    .discard = window_discard,
    .sync = window_sync,
    .forget = window_forget,
    .relock = window_relock,
};

int window_open(struct file *base, uint64_t offset, uint64_t size, struct file **out, struct err *e)
{
    AUTO(file_cleanup) struct file *owned = base;
    AUTO_FREE struct window *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    *w = (struct window){.base = base, .offset = offset, .size = size};
    w->file.ops = &window_ops;
    w->file.opt = base->opt;
    w->file.remote = base->remote;
    w->file.alignment = offset % base->alignment ? 1 : base->alignment;
    w->file.name = mem_strdup(file_name(base), e);
    if (!w->file.name)
        return -1;
    MEM_TAKE(owned);
    *out = &MEM_TAKE(w)->file;
    return 0;
}
