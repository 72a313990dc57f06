#include "io/null.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "io/keys.h"

struct null {
    struct file file;
    _Atomic uint64_t size;
    bool read_zeroes;
};

static int null_close(struct file *f, struct err *e)
{
    (void)e;
    free(f);
    return 0;
}

static uint64_t null_size(const struct file *f)
{
    return ((const struct null *)f)->size;
}

static int64_t null_allocated(const struct file *f)
{
    (void)f;
    return 0;
}

static int null_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                     struct err *e)
{
    (void)e;
    uint64_t size = null_size(f);
    *got = off < size ? num_min(len, size - off) : 0;
    memset(buf, 0, *got);
    return 0;
}

static void null_grow(struct file *f, uint64_t end)
{
    struct null *n = (struct null *)f;
    uint64_t size = n->size;
    while (size < end && !atomic_compare_exchange_weak(&n->size, &size, end))
        ;
}

static int null_write(struct file *f, const void *buf, size_t len, uint64_t off, struct err *e)
{
    (void)buf;
    (void)e;
    null_grow(f, off + len);
    return 0;
}

static int null_span(struct file *f, uint64_t off, uint64_t len, bool *is_hole, uint64_t *length,
                     struct err *e)
{
    (void)e;
    uint64_t size = null_size(f);
    *is_hole = off >= size || ((struct null *)f)->read_zeroes;
    *length = off >= size ? len : num_min(len, size - off);
    return 0;
}

static int null_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how, bool *done,
                     struct err *e)
{
    (void)how;
    *done = true;
    return null_write(f, NULL, len, off, e);
}

static int null_truncate(struct file *f, uint64_t size, struct err *e)
{
    (void)e;
    ((struct null *)f)->size = size;
    return 0;
}

static int null_preallocate(struct file *f, uint64_t off, uint64_t len, struct err *e)
{
    return null_write(f, NULL, len, off, e);
}

static const struct file_ops null_ops = {
    .protocol = "null-co",
    .close = null_close,
    .size = null_size,
    .allocated = null_allocated,
    .read = null_read,
    .write = null_write,
    .span = null_span,
    .zero = null_zero,
    .truncate = null_truncate,
    .preallocate = null_preallocate,
};

int null_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e)
{
    uint64_t size = GIB;
    bool zeroes = false;
    if (keys_size(spec, "size", &size, e) || keys_bool(spec, "read-zeroes", &zeroes, e))
        return -1;
    if (size > INT64_MAX)
        return file_fail(e, EFBIG);
    AUTO_FREE struct null *n = mem_new(1, sizeof *n, e);
    if (!n)
        return -1;
    n->file = (struct file){.ops = &null_ops, .opt = *o, .alignment = 1, .regular = true};
    n->file.grows_zero = true;
    n->size = o->create == FILE_CREATE_NEW ? 0 : size;
    n->read_zeroes = zeroes;
    n->file.name = mem_strdup("null-co://", e);
    if (!n->file.name)
        return -1;
    *out = &MEM_TAKE(n)->file;
    TRACE(file_open, (*out)->name, (*out)->ops->protocol, o->write, file_size(*out));
    return 0;
}
