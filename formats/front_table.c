#include "formats/front_table.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/writer.h"

#define WINDOW_BYTES (64 * KIB)

struct front_table {
    struct front_table_params p;
    struct table_format f;
    uint64_t at;      /* entry on disk that the window begins with */
    uint64_t in;      /* entries of a full window */
    bool skips;       /* a window that nobody set is what a new file reads as: zeros */
    bool set;         /* something in the window is set */
    uint8_t *entries; /* the window */
};

/* ---- the window ------------------------------------------------------------------------------ */

static bool is_gap(const struct front_table *t, uint64_t entry)
{
    return t->p.gap_every && entry % (t->p.gap_every + 1) == t->p.gap_every;
}

static void window_fill(struct front_table *t)
{
    for (uint64_t i = 0; i < t->in; i++)
        table_store(&t->f, t->entries + i * t->f.entry_size, is_gap(t, t->at + i) ? 0 : t->p.fill);
}

static int window_write(struct front_table *t, struct pages *pages, struct err *e)
{
    uint64_t n = num_min(t->in, t->p.entries - t->at), size = t->f.entry_size;
    if (t->skips && !t->set) {
        t->at += n;
        return 0;
    }
    for (unsigned i = 0; i < t->p.copies; i++)
        if (writer_put(t->p.file, pages, t->p.offset[i] + t->at * size, t->entries, n * size, e))
            return -1;
    t->at += n;
    t->set = false;
    window_fill(t);
    return 0;
}

/* ---- public ---------------------------------------------------------------------------------- */

int front_table_new(const struct front_table_params *p, struct front_table **out, struct err *e)
{
    struct front_table *t = mem_new(1, sizeof *t, e);
    if (!t)
        return -1;
    t->p = *p;
    t->f = *p->format;
    t->in = WINDOW_BYTES / t->f.entry_size;
    t->skips = !p->fill && file_grows_zero(p->file);
    t->entries = mem_io(WINDOW_BYTES, e);
    if (!t->entries) {
        free(t);
        return -1;
    }
    window_fill(t);
    *out = t;
    return 0;
}

void front_table_free(struct front_table *t)
{
    if (t)
        free(t->entries);
    free(t);
}

int front_table_set(struct front_table *t, uint64_t index, uint64_t raw, struct pages *pages,
                    struct err *e)
{
    uint64_t entry = index + (t->p.gap_every ? index / t->p.gap_every : 0);
    if (entry >= t->p.entries || entry < t->at)
        return err_set(e, EINVAL, "Block %llu has no open table", (unsigned long long)index);
    while (entry >= t->at + t->in)
        if (window_write(t, pages, e))
            return -1;
    table_store(&t->f, t->entries + (entry - t->at) * t->f.entry_size, raw);
    t->set = true;
    return 0;
}

int front_table_finish(struct front_table *t, struct pages *pages, struct err *e)
{
    while (t->at < t->p.entries)
        if (window_write(t, pages, e))
            return -1;
    return 0;
}
