#include "io/fault.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

struct fault_file {
    struct file file;
    struct file *below;
    struct fault *faults;
    size_t n;
    _Atomic uint64_t counts[FAULT_OPS];
};

static struct fault_file *fault_of(const struct file *f)
{
    return (struct fault_file *)(uintptr_t)f;
}

/* Count one operation; the fault that hits it, or NULL. */
static const struct fault *strike(struct file *f, enum fault_op op)
{
    struct fault_file *w = fault_of(f);
    uint64_t count = atomic_fetch_add(&w->counts[op], 1) + 1;
    for (size_t i = 0; i < w->n; i++) {
        const struct fault *t = &w->faults[i];
        if (t->op == op && (t->nth == count || (t->and_after && t->nth < count)))
            return t;
    }
    return NULL;
}

static int fault_close(struct file *f, struct err *e)
{
    struct fault_file *w = fault_of(f);
    const struct fault *t = strike(f, FAULT_CLOSE);
    int r = file_close(w->below, e);
    if (t)
        r = file_fail(e, t->no);
    free(w->faults);
    free(w);
    return r;
}

static uint64_t fault_size(const struct file *f)
{
    return file_size(fault_of(f)->below);
}

static int64_t fault_allocated(const struct file *f)
{
    return file_allocated(fault_of(f)->below);
}

static int fault_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                      struct err *e)
{
    const struct fault *t = strike(f, FAULT_READ);
    if (t)
        return file_fail(e, t->no);
    return file_read_padded(fault_of(f)->below, buf, len, off, got, e);
}

static int fault_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e)
{
    struct file *below = fault_of(f)->below;
    const struct fault *t = strike(f, FAULT_WRITE);
    if (t && file_write(below, buf, num_min(len, t->partial), off, e))
        return -1;
    return t ? file_fail(e, t->no) : file_write(below, buf, len, off, e);
}

static int fault_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                      struct err *e)
{
    const struct fault *t = strike(f, FAULT_SPAN);
    if (t)
        return file_fail(e, t->no);
    return file_span(fault_of(f)->below, off, len, is_hole, length, e);
}

static int fault_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                      struct err *e)
{
    const struct fault *t = strike(f, FAULT_ZERO);
    *done = true;
    return t ? file_fail(e, t->no) : file_zero(fault_of(f)->below, off, len, how, e);
}

/* A discard cannot fail; on a disk that is gone it does nothing. */
static void fault_discard(struct file *f, uint64_t off, uint64_t len)
{
    if (!strike(f, FAULT_DISCARD))
        file_discard(fault_of(f)->below, off, len);
}

static int fault_truncate(struct file *f, uint64_t size, struct err *e)
{
    const struct fault *t = strike(f, FAULT_TRUNCATE);
    return t ? file_fail(e, t->no) : file_truncate(fault_of(f)->below, size, e);
}

static int fault_preallocate(struct file *f, uint64_t off, uint64_t len, struct err *e)
{
    const struct fault *t = strike(f, FAULT_PREALLOCATE);
    if (t)
        return file_fail(e, t->no);
    return file_preallocate(fault_of(f)->below, off, len, FILE_PREALLOC_FALLOC, e);
}

static int fault_copy(struct file *src, uint64_t src_off, struct file *dst, uint64_t dst_off,
                      uint64_t len, uint64_t *copied, struct err *e)
{
    const struct fault *t = strike(dst, FAULT_COPY);
    if (t)
        return file_fail(e, t->no);
    return file_copy(fault_of(src)->below, src_off, fault_of(dst)->below, dst_off, len, copied, e);
}

static int fault_hint(struct file *f, enum file_hint hint, uint32_t value)
{
    return file_hint(fault_of(f)->below, hint, value);
}

static int fault_sync(struct file *f, struct err *e)
{
    const struct fault *t = strike(f, FAULT_SYNC);
    return t ? file_fail(e, t->no) : file_sync(fault_of(f)->below, e);
}

static void fault_forget(struct file *f, uint64_t off, uint64_t len)
{
    file_forget(fault_of(f)->below, off, len);
}

static int fault_relock(struct file *f, enum file_lock lock, struct err *e)
{
    const struct fault *t = strike(f, FAULT_RELOCK);
    return t ? file_fail(e, t->no) : file_relock(fault_of(f)->below, lock, e);
}

static const struct file_ops fault_ops = {
    .protocol = "fault",
    .close = fault_close,
    .size = fault_size,
    .allocated = fault_allocated,
    .read = fault_read,
    .write = fault_write,
    .span = fault_span,
    .zero = fault_zero,
    .discard = fault_discard,
    .truncate = fault_truncate,
    .preallocate = fault_preallocate,
    .hint = fault_hint,
    .copy = fault_copy,
    .sync = fault_sync,
    .forget = fault_forget,
    .relock = fault_relock,
};

int fault_new(struct file *below, const struct fault *faults, size_t n, struct file **out,
              struct err *e)
{
    AUTO_FREE struct fault_file *w = mem_new(1, sizeof *w, e);
    AUTO_FREE struct fault *copy = mem_new(n, sizeof *copy, e);
    AUTO_FREE char *name = mem_strdup(below->name, e);
    if (!w || !copy || !name)
        return -1;
    if (n)
        memcpy(copy, faults, n * sizeof *copy);
    w->file = *below;
    w->file.ops = &fault_ops;
    w->file.name = MEM_TAKE(name);
    w->below = below;
    w->faults = MEM_TAKE(copy);
    w->n = n;
    *out = &MEM_TAKE(w)->file;
    return 0;
}

uint64_t fault_count(struct file *f, enum fault_op op)
{
    return fault_of(f)->counts[op];
}
