#include "formats/block_writer.h"

#include "base/num.h"
#include "io/pages.h"

#define CHUNK_IN_PLACE MIB /* what is read is still in the core's own cache when it is written */

static struct block_writer *writer_of(const struct writer *w)
{
    return (struct block_writer *)w; /* w is its first member */
}

void block_writer_placed(struct block_writer *w, struct file *file)
{
    w->table_params.file = file;
    w->writer.data_file = file;
    w->writer.block_size = w->layout.unit;
    w->writer.chunk_size = layout_chunk(w->layout.unit);
}

void block_writer_in_place(struct block_writer *w, struct file *file, uint64_t data_offset)
{
    w->table_params.file = file;
    w->writer.data_file = file;
    w->writer.in_place = true;
    w->writer.data_offset = data_offset;
    w->writer.chunk_size = CHUNK_IN_PLACE;
}

void block_writer_release(struct block_writer *w)
{
    front_table_free(w->table);
}

/* ---- placing --------------------------------------------------------------------------------- */

void block_writer_begin(const struct writer *w, struct cursor *c)
{
    layout_begin(&writer_of(w)->layout, c);
}

int block_writer_place(const struct writer *w, uint64_t chunk, const need_t *need, size_t n,
                       struct cursor *c, struct placing *out, struct err *e)
{
    uint64_t first = chunk * (w->chunk_size / w->block_size);
    return layout_place(&writer_of(w)->layout, first, need, n, c, out, e);
}

/* ---- the table: rank 0 ----------------------------------------------------------------------- */

static int need_table(struct block_writer *w, struct err *e)
{
    return w->table ? 0 : front_table_new(&w->table_params, &w->table, e);
}

static int set_entry(struct block_writer *w, uint64_t block, uint64_t host, struct pages *pages,
                     struct err *e)
{
    w->blocks++;
    return front_table_set(w->table, block, table_encode(w->table_params.format, host, w->base),
                           pages, e);
}

int block_writer_publish(struct writer *base, uint64_t chunk, const need_t *need, size_t n,
                         const struct placing *placed, struct pages *pages, struct err *e)
{
    struct block_writer *w = writer_of(base);
    (void)chunk;
    (void)need;
    (void)n;
    if (need_table(w, e))
        return -1;
    for (size_t i = 0; i < placed->n_meta; i++) {
        const struct place_meta *m = &placed->meta[i];
        if (m->kind == PLACE_BLOCK && set_entry(w, m->index, m->host, pages, e))
            return -1;
    }
    return 0;
}

int block_writer_fill(struct block_writer *w, uint64_t blocks, uint64_t host, struct pages *pages,
                      struct err *e)
{
    if (need_table(w, e))
        return -1;
    for (uint64_t i = 0; i < blocks; i++)
        if (set_entry(w, i, host + i * w->layout.block, pages, e))
            return -1;
    return 0;
}

int block_writer_tables(struct block_writer *w, struct pages *pages, struct err *e)
{
    if (need_table(w, e) || front_table_finish(w->table, pages, e))
        return -1;
    return pages_flush(pages, e);
}
