#include "formats/tree_writer.h"

#include <errno.h>

#include "base/num.h"
#include "io/pages.h"

static struct tree_writer *tree_of(const struct writer *w)
{
    return (struct tree_writer *)w; /* w is its first member */
}

void tree_writer_init(struct tree_writer *w, const struct table_format *format, struct file *file)
{
    const struct layout *l = &w->layout;
    w->table_params.format = format;
    w->table_params.words = 1;
    w->table_params.table_entries = l->table_blocks;
    w->table_params.first_scale = 1;
    w->table_params.file = file;
    w->writer.block_size = l->unit;
    w->writer.chunk_size = layout_chunk(l->unit);
    w->writer.data_file = file;
}

void tree_writer_release(struct tree_writer *w)
{
    table_writer_free(w->tables);
    w->tables = NULL;
}

/* ---- placing --------------------------------------------------------------------------------- */

static uint64_t first_unit(const struct writer *w, uint64_t chunk)
{
    return chunk * (w->chunk_size / w->block_size);
}

void tree_writer_begin(const struct writer *w, struct cursor *c)
{
    layout_begin(&tree_of(w)->layout, c);
}

int tree_writer_place(const struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                      struct cursor *c, struct placing *out, struct err *e)
{
    return layout_place(&tree_of(w)->layout, first_unit(w, chunk), need, n, c, out, e);
}

/* ---- tables: rank 0 -------------------------------------------------------------------------- */

static int need_tables(struct tree_writer *w, struct err *e)
{
    return w->tables ? 0 : table_writer_new(&w->table_params, &w->tables, e);
}

/* The block's table, which an earlier block may have opened; *at goes through the placing. */
static int open_table(struct tree_writer *w, uint64_t block, const struct placing *placed,
                      size_t *at, struct pages *pages, struct err *e)
{
    uint64_t index = block / w->layout.table_blocks;
    if (w->open == index + 1)
        return 0;
    while (*at < placed->n_meta) {
        const struct place_meta *m = &placed->meta[(*at)++];
        if (m->kind != PLACE_TABLE || m->index != index)
            continue;
        w->open = index + 1;
        return table_writer_place(w->tables, index, m->host, pages, e);
    }
    return err_set(e, EINVAL, "Table %llu has no place", (unsigned long long)index);
}

static uint64_t entry_of(const struct tree_writer *w, need_t need, uint64_t host)
{
    const struct table_format *f = w->table_params.format;
    if (need == NEED_ZERO)
        return f->zero;
    if (need_is_packed(need))
        return f->packed | (uint64_t)need_packed_len(need) << w->packed_shift | host;
    return table_encode(f, host, 0);
}

int tree_writer_publish(struct writer *base, uint64_t chunk, const need_t *need, size_t n,
                        const struct placing *placed, struct pages *pages, struct err *e)
{
    struct tree_writer *w = tree_of(base);
    const struct layout *l = &w->layout;
    uint64_t first = first_unit(base, chunk);
    size_t at = 0;
    if (need_tables(w, e))
        return -1;
    for (size_t i = 0; i < n; i++) {
        uint64_t guest = (first + i) * l->unit, block = guest / l->block;
        uint64_t host = placed->host[i] - guest % l->block; /* of the block */
        if (need[i] == NEED_HOLE)
            continue;
        if (open_table(w, block, placed, &at, pages, e) ||
            table_writer_set(w->tables, block, 0, entry_of(w, need[i], host), e))
            return -1;
    }
    return 0;
}

/* A block that is not written to its end makes the file shorter than its tables say. */
int tree_writer_tables(struct tree_writer *w, const struct cursor *c, struct pages *pages,
                       struct err *e)
{
    struct file *f = w->table_params.file;
    size_t len;
    if (need_tables(w, e) || table_writer_close(w->tables, pages, e))
        return -1;
    const void *first = table_writer_first(w->tables, &len);
    if (writer_put(f, pages, w->first_offset, first, len, e) || pages_flush(pages, e) ||
        (file_is_regular(f) && file_truncate(f, c->end, e)))
        return -1;
    return file_sync(f, e);
}
