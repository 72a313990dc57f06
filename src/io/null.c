#include "io/null.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

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

/* A number, or digits with one of the suffixes k, M, G, T. */
static int parse_size(const json_t *v, uint64_t *size, struct err *e)
{
    if (!v)
        return 0;
    if (json_is_integer(v) && json_integer_value(v) >= 0) {
        *size = (uint64_t)json_integer_value(v);
        return 0;
    }
    const char *s = json_string_value(v), *units = "kMGT", *unit;
    char *end = NULL;
    errno = 0;
    unsigned long long n = s && *s >= '0' && *s <= '9' ? strtoull(s, &end, 10) : 0;
    bool ok = end && !errno;
    if (ok && *end) {
        unit = strchr(units, *end == 'K' ? 'k' : *end);
        ok = unit && !end[1] && num_mul(n, (uint64_t)1 << (10 * (unit - units + 1)), size);
    } else {
        *size = n;
    }
    if (!ok || *size > INT64_MAX)
        return err_set(e, EINVAL, "Parameter 'size' expects a non-negative number below 2^63");
    return 0;
}

int null_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e)
{
    uint64_t size = GIB;
    if (parse_size(json_object_get(spec, "size"), &size, e))
        return -1;
    AUTO_FREE struct null *n = mem_new(1, sizeof *n, e);
    if (!n)
        return -1;
    n->file = (struct file){.ops = &null_ops, .opt = *o, .alignment = 1, .regular = true};
    n->file.grows_zero = true;
    n->size = o->create == FILE_CREATE_NEW ? 0 : size;
    const json_t *zeroes = json_object_get(spec, "read-zeroes");
    const char *text = json_string_value(zeroes);
    n->read_zeroes = json_is_true(zeroes) || (text && !strcmp(text, "on"));
    n->file.name = mem_strdup("null-co://", e);
    if (!n->file.name)
        return -1;
    *out = &MEM_TAKE(n)->file;
    return 0;
}
