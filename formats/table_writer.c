#include "formats/table_writer.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/writer.h"

struct table_writer {
    struct table_writer_params p;
    uint8_t *first;
    uint8_t *open; /* bytes of the open table */
    size_t open_size;
    bool is_open;
    uint64_t index, host; /* of the open table */
};

static void table_fill(const struct table_format *f, uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i += f->entry_size)
        table_store(f, at + i, f->absent);
}

int table_writer_new(const struct table_writer_params *p, struct table_writer **out, struct err *e)
{
    struct table_writer *t = mem_new(1, sizeof *t, e);
    if (!t)
        return -1;
    t->p = *p;
    t->open_size = p->table_entries * p->words * p->format->entry_size;
    t->first = mem_new(p->first_entries, p->format->entry_size, e);
    t->open = mem_new(t->open_size, 1, e);
    if (!t->first || !t->open) {
        table_writer_free(t);
        return -1;
    }
    table_fill(p->format, t->first, p->first_entries * p->format->entry_size);
    *out = t;
    return 0;
}

void table_writer_free(struct table_writer *t)
{
    if (!t)
        return;
    free(t->first);
    free(t->open);
    free(t);
}

int table_writer_close(struct table_writer *t, struct pages *pages, struct err *e)
{
    if (!t->is_open)
        return 0;
    t->is_open = false;
    return writer_put(t->p.file, pages, t->host, t->open, t->open_size, e);
}

int table_writer_place(struct table_writer *t, uint64_t index, uint64_t host, struct pages *pages,
                       struct err *e)
{
    if (index >= t->p.first_entries)
        return err_set(e, EINVAL, "Table %llu is none of this image", (unsigned long long)index);
    if (table_writer_close(t, pages, e))
        return -1;
    t->index = index;
    t->host = host;
    t->is_open = true;
    table_fill(t->p.format, t->open, t->open_size);
    table_store(t->p.format, t->first + index * t->p.format->entry_size,
                host / t->p.first_scale | t->p.first_used);
    return 0;
}

int table_writer_set(struct table_writer *t, uint64_t block, unsigned word, uint64_t raw,
                     struct err *e)
{
    uint64_t entry = block - t->index * t->p.table_entries;
    if (!t->is_open || entry >= t->p.table_entries)
        return err_set(e, EINVAL, "Block %llu has no open table", (unsigned long long)block);
    size_t at = entry * t->p.words + word;
    table_store(t->p.format, t->open + at * t->p.format->entry_size, raw);
    return 0;
}

const void *table_writer_first(const struct table_writer *t, size_t *len)
{
    *len = t->p.first_entries * t->p.format->entry_size;
    return t->first;
}
