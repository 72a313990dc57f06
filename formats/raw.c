/*
 * raw: the guest's bytes as they are, or a window of them.
 *
 * The last sector may be cut short in the file: its rest reads as zeros. What the file does not
 * store is a hole of the file, shown as zeros that have a place.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/edit.h"
#include "formats/format.h"
#include "formats/safety.h"
#include "formats/writer.h"

#define RAW_SECTOR 512u
#define RAW_CHUNK  (1 * MIB) /* what is read is still in the core's own cache when it is written */

struct raw {
    uint64_t offset; /* of guest byte 0 in the file */
};

/* ---- reading --------------------------------------------------------------------------------- */

static int raw_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)head;
    (void)n;
    (void)filename;
    return 1;
}

static int raw_open(struct image *img, struct err *e)
{
    AUTO_FREE struct raw *s = mem_new(1, sizeof *s, e);
    if (!s || image_window(img->spec, img->file, &s->offset, &img->size, e))
        return -1;
    img->state = MEM_TAKE(s);
    return 0;
}

static void raw_close(struct image *img)
{
    free(img->state);
    img->state = NULL;
}

static int raw_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                   struct err *e)
{
    const struct raw *s = img->state;
    bool hole;
    out->file = img->file;
    out->host = s->offset + guest;
    out->has_host = true;
    if (file_span(img->file, out->host, length, &hole, &out->length, e))
        return -1;
    out->kind = hole ? EXTENT_ZERO : EXTENT_DATA;
    return 0;
}

static int raw_info(struct image *img, struct format_info *out, struct err *e)
{
    (void)e;
    const char *protocol = file_protocol(img->file);
    out->has_dirty = !strcmp(protocol, "file") || !strcmp(protocol, "host_device");
    return 0;
}

/* ---- create options -------------------------------------------------------------------------- */

static const struct option_def raw_create_options[] = {
    {"size", OPTION_SIZE, "Virtual disk size", NULL},
    {NULL, 0, NULL, NULL},
};

const struct option_def file_create_options[] = {
    {"extent_size_hint", OPTION_SIZE, "Extent size hint for the image file, 0 to disable", NULL},
    {"nocow", OPTION_BOOL, "Turn off copy-on-write (valid only on btrfs)", NULL},
    {"preallocation", OPTION_STR, "Preallocation mode (allowed values: off, falloc, full)", NULL},
    {NULL, 0, NULL, NULL},
};

int file_create_prealloc(const struct options *o, enum file_prealloc *out, struct err *e)
{
    const char *mode = options_str(o, "preallocation", "off");
    *out = FILE_PREALLOC_OFF;
    if (!strcmp(mode, "off"))
        return 0;
    if (!strcmp(mode, "metadata"))
        return err_set(e, ENOTSUP, "Unsupported preallocation mode: metadata");
    *out = !strcmp(mode, "full") ? FILE_PREALLOC_FULL : FILE_PREALLOC_FALLOC;
    if (!strcmp(mode, "full") || !strcmp(mode, "falloc"))
        return 0;
    return err_set(e, EINVAL, "invalid parameter value: %s", mode);
}

static int raw_measure(const struct options *o, uint64_t size, struct image *src,
                       struct measure_result *out, struct err *e)
{
    (void)o;
    size = src ? src->size : size;
    if (size > INT64_MAX)
        return err_set(e, EFBIG, "File too large");
    out->required = out->fully_allocated = num_up(size, RAW_SECTOR);
    return 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

struct raw_writer {
    struct writer writer;
    uint64_t size; /* of the file: whole sectors */
};

/* Before any data comes: a lack of space shows early. A device keeps its size. */
int file_create_reserve(struct file *f, uint64_t size, enum file_prealloc mode, struct err *e)
{
    if (!file_is_regular(f) && mode != FILE_PREALLOC_OFF)
        return err_set(e, ENOTSUP, "Unsupported preallocation mode '%s'",
                       mode == FILE_PREALLOC_FULL ? "full" : "falloc");
    if (!file_is_regular(f))
        return file_truncate(f, size, e); /* says so if it is too small */
    if (mode != FILE_PREALLOC_OFF && size && file_preallocate(f, 0, size, mode, e))
        return -1;
    return file_size(f) == size ? 0 : file_truncate(f, size, e);
}

static int raw_writer_open(const struct writer_params *p, struct writer **out, struct err *e)
{
    enum file_prealloc mode;
    AUTO_FREE struct raw_writer *w = mem_new(1, sizeof *w, e);
    if (!w || file_create_prealloc(p->options, &mode, e))
        return -1;
    w->size = num_up(p->size, RAW_SECTOR);
    if (writer_begins(p) && file_create_reserve(p->file, w->size, mode, e))
        return -1;
    w->writer.chunk_size = RAW_CHUNK;
    w->writer.in_place = true;
    w->writer.data_file = p->file;
    *out = &MEM_TAKE(w)->writer;
    return 0;
}

static void raw_writer_free(struct writer *w)
{
    free(w);
}

static void raw_begin(const struct writer *w, struct cursor *c)
{
    (void)w;
    *c = (struct cursor){0};
}

/* O_DIRECT may have written beyond the end. */
static int raw_finish(struct writer *writer, struct cursor *c, struct pages *pages, struct err *e)
{
    const struct raw_writer *w = (const struct raw_writer *)writer;
    struct file *f = writer->data_file;
    (void)c;
    (void)pages;
    if (file_is_regular(f) && file_size(f) != w->size && file_truncate(f, w->size, e))
        return -1;
    return file_sync(f, e);
}

static const struct writer_ops raw_writer_ops = {
    .open = raw_writer_open,
    .free = raw_writer_free,
    .begin = raw_begin,
    .finish = raw_finish,
};

/* ---- changing what is there ------------------------------------------------------------------ */

static int raw_place(struct image *img, uint64_t guest, uint64_t length, struct edit_place *out,
                     struct err *e)
{
    const struct raw *s = img->state;
    (void)e;
    out->length = length;
    out->file = img->file;
    out->host = s->offset + guest;
    return 0;
}

static int raw_zero(struct image *img, uint64_t guest, uint64_t length, enum edit_zero how,
                    uint64_t *done, struct err *e)
{
    const struct raw *s = img->state;
    *done = length;
    return file_zero(img->file, s->offset + guest, length,
                     how == EDIT_ZERO_KEEP ? FILE_ZERO_KEEP : FILE_ZERO_UNMAP, e);
}

static int raw_discard(struct image *img, uint64_t guest, uint64_t length, struct err *e)
{
    uint64_t done;
    return raw_zero(img, guest, length, EDIT_ZERO_DROP, &done, e);
}

static int raw_flush(struct image *img, struct err *e)
{
    return file_sync(img->file, e);
}

/* Space first: when it runs out, the file is as long as before. */
static int reserve(struct file *f, uint64_t from, uint64_t to, enum file_prealloc how,
                   struct err *e)
{
    struct err ignored = ERR_INIT;
    if (!file_preallocate(f, from, to - from, how, e))
        return 0;
    file_truncate(f, from, &ignored);
    return -1;
}

static int raw_resize(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e)
{
    const struct raw *s = img->state;
    uint64_t old = file_size(img->file), end;
    enum file_prealloc how =
        prealloc == EDIT_PREALLOC_FULL ? FILE_PREALLOC_FULL : FILE_PREALLOC_FALLOC;
    if (prealloc == EDIT_PREALLOC_METADATA)
        return err_set(e, ENOTSUP, "Unsupported preallocation mode: metadata");
    if (json_object_get(img->spec, "size"))
        return err_set(e, ENOTSUP, "Cannot resize fixed-size raw disks");
    if (!num_add(s->offset, size, &end) || end > INT64_MAX)
        return err_set(e, EINVAL, "Disk size too large for the chosen offset");
    if (!file_is_regular(img->file))
        return end <= old ? 0 : err_set(e, EINVAL, "Cannot grow device files");
    if (end > old && prealloc != EDIT_PREALLOC_OFF ? reserve(img->file, old, end, how, e)
                                                   : file_truncate(img->file, end, e))
        return -1;
    img->size = num_up(size, RAW_SECTOR);
    return 0;
}

static const struct edit_ops raw_edit = {
    .place = raw_place,
    .zero = raw_zero,
    .discard = raw_discard,
    .flush = raw_flush,
    .resize = raw_resize,
};

static const char *const raw_runtime_options[] = {"offset", "size", NULL};

const struct format format_raw = {
    .name = "raw",
    .probe = raw_probe,
    .safety = partitions_safety,
    .runtime_options = raw_runtime_options,
    .open = raw_open,
    .close = raw_close,
    .map = raw_map,
    .info = raw_info,
    .create_options = raw_create_options,
    .measure = raw_measure,
    .writer = &raw_writer_ops,
    .edit = &raw_edit,
};
