#include "formats/writer.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/zero.h"
#include "io/file_ops.h"
#include "io/output.h"
#include "io/pages.h"

int placing_add_meta(struct placing *p, int kind, uint64_t index, uint64_t host, struct err *e)
{
    if (p->n_meta == p->cap_meta) {
        size_t cap = p->cap_meta ? 2 * p->cap_meta : 8;
        struct place_meta *meta = mem_grow(p->meta, cap, sizeof *meta, e);
        if (!meta)
            return -1;
        p->meta = meta;
        p->cap_meta = cap;
    }
    p->meta[p->n_meta++] = (struct place_meta){.kind = kind, .index = index, .host = host};
    return 0;
}

void placing_release(struct placing *p)
{
    free(p->meta);
    p->meta = NULL;
    p->n_meta = p->cap_meta = 0;
}

/* ---- files ----------------------------------------------------------------------------------- */

#define EXTENT_SIZE_DEFAULT MIB

/* What cannot be had is told only to who has asked for it. */
static int set_extent_size(const struct writer_params *p, struct file *f, struct err *e)
{
    uint64_t size = options_size(p->options, "extent_size_hint", EXTENT_SIZE_DEFAULT);
    char text[128];
    if (size > UINT32_MAX)
        return err_set(e, EINVAL, "Extent size hint is too large");
    int no = size ? file_hint(f, FILE_HINT_EXTENT_SIZE, (uint32_t)size) : 0;
    if (!no || !p->warn || !options_given(p->options, "extent_size_hint"))
        return 0;
    snprintf(text, sizeof text, "Failed to set extent size hint: %s", strerror(no));
    p->warn(text);
    return 0;
}

/* Of a new file, while it is empty. */
static int set_hints(const struct writer_params *p, struct file *f, struct err *e)
{
    if (options_bool(p->options, "nocow", false))
        file_hint(f, FILE_HINT_NOCOW, 1); /* other file systems have nothing to turn off */
    return set_extent_size(p, f, e);
}

/* An image so large is for many ranks, and all of them ask rank 0 for chunks: it can give out some
 * 500,000 a second. */
#define LARGE_IMAGE (4 * TIB)
#define LARGE_CHUNK (4 * MIB)

static void enlarge_chunks(struct writer *w, uint64_t size)
{
    bool placed = !w->in_place && !w->ops->part; /* else whole parts are whole chunks */
    if (placed && size >= LARGE_IMAGE && w->chunk_size < LARGE_CHUNK)
        w->chunk_size = num_down_to(LARGE_CHUNK, w->chunk_size);
}

int writer_open(const struct writer_ops *ops, const struct writer_params *p, struct writer **out,
                struct err *e)
{
    if ((writer_begins(p) && set_hints(p, p->file, e)) || ops->open(p, out, e) < 0)
        return -1;
    if (!(*out)->ops)
        (*out)->ops = ops;
    enlarge_chunks(*out, p->size);
    return 0;
}

static int member_open(const struct writer_params *p, const char *path, struct file **out,
                       struct err *e)
{
    struct file_options o = {
        .write = true,
        .create = p->first ? FILE_CREATE_NEW : FILE_EXISTING,
        .lock = p->first ? FILE_LOCK_WRITER : FILE_LOCK_NONE,
        .cache = p->file->opt.cache,
        .forget = p->file->opt.forget,
    };
    return p->output  ? output_member(p->output, path, out, e)
           : p->first ? file_open_path(path, &o, out, e)
                      : output_member_join(path, &o, out, e);
}

int writer_member(const struct writer_params *p, const char *path, struct file **out, struct err *e)
{
    AUTO(file_cleanup) struct file *f = NULL;
    if (member_open(p, path, &f, e) || (p->first && set_hints(p, f, e)))
        return -1;
    *out = MEM_TAKE(f);
    return 0;
}

/* ---- metadata -------------------------------------------------------------------------------- */

/* Whole pages. */
static int put_whole(struct file *f, uint64_t off, const uint8_t *buf, size_t len, struct err *e)
{
    bool skip = file_grows_zero(f);
    while (len) {
        bool zero;
        size_t n = skip ? zero_run(buf, len, PAGES_SIZE, &zero) : len;
        if (!(skip && zero) && file_write(f, buf, n, off, e))
            return -1;
        off += n;
        buf += n;
        len -= n;
    }
    return 0;
}

int writer_put(struct file *f, struct pages *pages, uint64_t off, const void *buf, size_t len,
               struct err *e)
{
    const uint8_t *at = buf;
    uint64_t first = num_up(off, PAGES_SIZE);
    uint64_t last = num_down(off + len, PAGES_SIZE);
    if (first >= last)
        return len ? pages_put(pages, off, at, len, e) : 0;
    if (first > off && pages_put(pages, off, at, (size_t)(first - off), e))
        return -1;
    if (put_whole(f, first, at + (first - off), (size_t)(last - first), e))
        return -1;
    if (off + len == last)
        return 0;
    return pages_put(pages, last, at + (last - off), (size_t)(off + len - last), e);
}
