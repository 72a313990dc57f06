#include "formats/writer.h"

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

int writer_member(const struct writer_params *p, const char *path, struct file **out, struct err *e)
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
