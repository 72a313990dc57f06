#include "io/nbd.h"
#include "io/remote.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

#define PATIENCE      60 /* seconds that a first connection may take: some servers log in elsewhere */
#define PATIENCE_MORE 1          /* a further one: it is only for speed */
#define MAXIMUM       (32 * MIB) /* bytes of a request that every server takes */
#define MINIMUM_MAX   MIB

/* ---- members of struct file_ops -------------------------------------------------------------- */

static void export_free(struct export *f)
{
    for (unsigned i = 0; i < f->n; i++)
        export_conn_free(f->conns[i]);
    export_spans_release(&f->spans);
    pthread_mutex_destroy(&f->lock);
    pthread_mutex_destroy(&f->rmw);
    nbd_spec_release(&f->spec);
    free(f);
}

static int export_close(struct file *file, struct err *e)
{
    (void)e;
    export_free(export_of(file));
    return 0;
}

static uint64_t export_size(const struct file *file)
{
    return export_of(file)->size;
}

static int export_read(struct file *file, void *buf, size_t len, uint64_t off, size_t *got,
                       struct err *e)
{
    uint64_t size = export_size(file);
    *got = off < size ? num_min(len, size - off) : 0;
    const struct file_io io = {buf, *got, off};
    return *got ? export_read_batch(file, &io, 1, NULL, e) : 0;
}

static int export_write(struct file *file, const void *buf, size_t len, uint64_t off, struct err *e)
{
    const struct file_io io = {(void *)(uintptr_t)buf, len, off};
    return export_write_batch(file, &io, 1, NULL, e);
}

static int export_truncate(struct file *file, uint64_t size, struct err *e)
{
    return size <= export_size(file) ? 0 : err_set(e, EINVAL, "Cannot grow NBD nodes");
}

static int export_preallocate(struct file *file, uint64_t off, uint64_t len, struct err *e)
{
    return export_truncate(file, off + len, e);
}

static const struct file_ops export_ops = {
    .protocol = "nbd",
    .close = export_close,
    .size = export_size,
    .read = export_read,
    .write = export_write,
    .read_batch = export_read_batch,
    .write_batch = export_write_batch,
    .span = export_span,
    .zero = export_zero,
    .zero_fast = export_zero_fast,
    .truncate = export_truncate,
    .preallocate = export_preallocate,
    .sync = export_sync,
};

/* ---- opening --------------------------------------------------------------------------------- */

/* What the server will be asked block by block. */
static int learn_blocks(struct export *f, struct nbd_handle *h, struct err *e)
{
    int64_t minimum = nbd_get_block_size(h, LIBNBD_SIZE_MINIMUM);
    int64_t maximum = nbd_get_block_size(h, LIBNBD_SIZE_MAXIMUM);
    f->minimum = minimum > 0 ? (uint32_t)num_min((uint64_t)minimum, UINT32_MAX) : 1;
    f->maximum = maximum > 0 ? (uint32_t)num_min((uint64_t)maximum, MAXIMUM) : MAXIMUM;
    if (!num_is_pow2(f->minimum) || f->minimum > MINIMUM_MAX)
        return err_set(e, EINVAL, "server advertised minimum block size %u", f->minimum);
    f->maximum = (uint32_t)num_max(num_down(f->maximum, f->minimum), f->minimum);
    return 0;
}

static int learn(struct export *f, struct nbd_handle *h, struct err *e)
{
    int64_t size = nbd_get_size(h);
    if (size < 0)
        return err_set(e, EFBIG, "Server has reported a size that is too large");
    f->size = (uint64_t)size;
    f->extents = nbd_can_meta_context(h, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
    f->zeroes = nbd_can_zero(h) > 0;
    f->zeroes_fast = nbd_can_fast_zero(h) > 0;
    f->flushes = nbd_can_flush(h) > 0;
    f->fua = nbd_can_fua(h) > 0;
    f->most = nbd_can_multi_conn(h) > 0 ? EXPORT_CONNECTIONS : 1;
    if (f->file.opt.write && nbd_is_read_only(h) > 0)
        return err_set(e, EACCES, "Could not open image: Permission denied");
    if (learn_blocks(f, h, e))
        return -1;
    f->file.alignment = f->minimum;
    return 0;
}

static int connect_first(struct export *f, struct err *e)
{
    struct nbd_handle *h;
    uint64_t timeout = num_min(f->spec.open_timeout, UINT32_MAX);
    if (export_connect(&f->spec, timeout ? (unsigned)timeout : PATIENCE, timeout != 0, &h, e))
        return -1;
    if (learn(f, h, e)) {
        nbd_close(h);
        return -1;
    }
    f->conns[0] = export_conn_new(h, e);
    f->n = f->conns[0] != NULL;
    return f->n ? 0 : -1;
}

static struct export *export_new(const struct file_options *o, struct err *e)
{
    struct export *f = mem_new(1, sizeof *f, e);
    if (!f)
        return NULL;
    f->file = (struct file){.ops = &export_ops, .opt = *o, .alignment = 1, .remote = true};
    f->patience = PATIENCE_MORE;
    pthread_mutex_init(&f->lock, NULL);
    pthread_mutex_init(&f->rmw, NULL);
    export_spans_init(&f->spans);
    return f;
}

int nbd_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e)
{
    struct export *f = export_new(o, e);
    if (!f)
        return -1;
    if (nbd_spec_parse(spec, &f->spec, e) || connect_first(f, e)) {
        export_free(f);
        return -1;
    }
    f->file.name = f->spec.name; /* file_close frees it */
    f->spec.name = NULL;
    *out = &f->file;
    return 0;
}
