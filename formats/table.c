#include "formats/table.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/slices.h"

/* The first level of two stays in memory. */
#define FIRST_MAX_BYTES (UINT64_C(256) << 20)
/* A map looks into so many spans (of up to a slice each) before it answers with what it has. */
#define MAP_MAX_SPANS 128u
/* ... and at so many first-level entries of absent tables. */
#define FIRST_MAX_LOOK (UINT64_C(1) << 20)

struct table {
    struct table_params p;
    struct table_format f;
    uint64_t blocks;  /* of the guest */
    uint64_t n_first; /* first-level entries that we use; levels == 1: entries */
    uint64_t step;    /* from the entry of a plain block to that of the next in place; 0 = none */
    uint8_t *first;   /* levels == 2: as on disk */
    uint64_t first_from, first_to; /* of it: bytes that are to be written */
    struct slices *slices;
};

/* Entries that stand side by side in a held slice, or blocks without a table. */
struct span {
    const uint8_t *entries; /* NULL: all absent */
    uint64_t n;
};

/* Blocks of one kind, one after the other. */
struct run {
    struct table_entry entry; /* of the first block */
    uint64_t raw;             /* of the last block */
    uint64_t n;
};

/* ---- opening --------------------------------------------------------------------------------- */

static int params_check(const struct table_params *p, struct err *e)
{
    const struct table_format *f = p->format;
    if (!p->block_size || !f->place_scale || p->levels < 1 || p->levels > 2 ||
        (p->levels == 2 && (!p->table_entries || !p->table_scale)))
        return err_set(e, EINVAL, "Invalid block table geometry");
    if (p->first_offset % f->entry_size)
        return err_set(e, EINVAL, "Block table offset 0x%" PRIx64 " is not aligned",
                       p->first_offset);
    return 0;
}

/* Bytes of the file from which nothing may be read: its length, up to a whole unit. */
static uint64_t file_limit(const struct table_params *p)
{
    return num_up(file_size(p->file), p->tail ? p->tail : 1);
}

static int first_load(struct table *t, struct err *e)
{
    uint64_t bytes = t->n_first * t->f.entry_size;
    if (t->n_first > FIRST_MAX_BYTES / t->f.entry_size)
        return err_set(e, EFBIG, "First-level table is too large");
    if (!num_inside(t->p.first_offset, bytes, file_limit(&t->p)))
        return err_set(e, EIO,
                       "First-level table at offset 0x%" PRIx64 " reaches beyond the end of the "
                       "file",
                       t->p.first_offset);
    t->first = mem_io(bytes, e);
    if (!t->first)
        return -1;
    return file_read_padded(t->p.file, t->first, bytes, t->p.first_offset, NULL, e);
}

int table_open(const struct table_params *p, struct table **out, struct err *e)
{
    if (params_check(p, e))
        return -1;
    AUTO_FREE struct table *t = mem_new(1, sizeof *t, e);
    if (!t)
        return -1;
    t->p = *p;
    t->f = *p->format;
    t->p.format = &t->f;
    t->blocks = num_div_up(p->size, p->block_size);
    uint64_t need = p->levels == 2 ? num_div_up(t->blocks, p->table_entries) : t->blocks;
    t->n_first = num_min(need, p->first_entries);
    if (!p->lead && p->block_size % t->f.place_scale == 0)
        t->step = p->block_size / t->f.place_scale;
    if (slices_new(p->file, p->budget, p->tail, &t->slices, e) ||
        (p->levels == 2 && first_load(t, e))) {
        slices_free(t->slices);
        free(t->first);
        return -1;
    }
    *out = MEM_TAKE(t);
    return 0;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    slices_free(t->slices);
    free(t->first);
    free(t);
}

/* ---- where entries stand --------------------------------------------------------------------- */

/* One that another thread may be changing; it is aligned (params_check, first_host). */
static uint64_t entry_load(const struct table *t, const uint8_t *p)
{
    uint64_t v = 0;
    if (t->f.entry_size == 8) {
        v = __atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_ACQUIRE);
    } else {
        uint32_t word = __atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_ACQUIRE);
        memcpy(&v, &word, sizeof word);
    }
    return table_load(&t->f, &v);
}

/* Host of second-level table `index`; 0 = absent. */
static int first_host(const struct table *t, uint64_t index, uint64_t *host, struct err *e)
{
    uint64_t raw = entry_load(t, t->first + index * t->f.entry_size);
    *host = 0;
    if (raw == t->f.absent)
        return 0;
    if (t->p.decode_first)
        return t->p.decode_first(t->p.ctx, index, raw, host, e);
    if (!num_mul(raw & t->p.table_mask, t->p.table_scale, host) || *host % t->f.entry_size)
        return err_set(e, EIO, "Invalid first-level table entry 0x%" PRIx64 " (index %" PRIu64 ")",
                       raw, index);
    return 0;
}

/* Blocks of the tables that are absent from table `index` on; at least 1 table. */
static uint64_t absent_blocks(const struct table *t, uint64_t index, uint64_t want)
{
    uint64_t per = t->p.table_entries, n = per;
    uint64_t last = index + FIRST_MAX_LOOK;
    while (n < want && ++index < t->n_first && index < last &&
           entry_load(t, t->first + index * t->f.entry_size) == t->f.absent)
        n += per;
    return index >= t->n_first ? UINT64_MAX : n;
}

/* Where the entry of `block` stands and how many follow it there (0: absent, *n blocks of it). */
static int entry_locate(const struct table *t, uint64_t block, uint64_t max, uint64_t *at,
                        uint64_t *n, struct err *e)
{
    *at = 0;
    *n = max;
    if (t->p.levels == 1) {
        uint64_t gap = t->p.gap_every;
        if (block >= t->n_first)
            return 0;
        *at = t->p.first_offset + (block + (gap ? block / gap : 0)) * t->f.entry_size;
        *n = num_min(t->n_first - block, gap ? gap - block % gap : max);
        return 0;
    }
    uint64_t index = block / t->p.table_entries, in = block % t->p.table_entries, host;
    if (index >= t->n_first)
        return 0;
    if (first_host(t, index, &host, e))
        return -1;
    *n = host ? t->p.table_entries - in : absent_blocks(t, index, in + max) - in;
    if (host && !num_add(host, in * t->f.entry_size, at))
        return err_set(e, EIO, "Table offset 0x%" PRIx64 " is out of range", host);
    return 0;
}

/* The entries from `block` on, at most `max`; `hold` keeps their slice. */
static int span_at(struct table *t, uint64_t block, uint64_t max, struct slice *hold,
                   struct span *out, struct err *e)
{
    uint64_t at, n;
    *out = (struct span){0};
    if (entry_locate(t, block, max, &at, &n, e))
        return -1;
    out->n = num_min(n, max);
    if (!at)
        return 0;
    if (slices_move(t->slices, at, hold, e))
        return -1;
    uint64_t room = at - hold->offset < hold->valid ? hold->valid - (at - hold->offset) : 0;
    if (room < t->f.entry_size)
        return err_set(e, EIO,
                       "Table entry of block %" PRIu64 " at offset 0x%" PRIx64
                       " lies beyond the end of the file",
                       block, at);
    out->entries = hold->data + (at - hold->offset);
    out->n = num_min(out->n, room / t->f.entry_size);
    return 0;
}

/* ---- what they say --------------------------------------------------------------------------- */

static int place_decode(const struct table *t, uint64_t raw, struct table_entry *out, struct err *e)
{
    if (num_mul(raw & t->f.place_mask, t->f.place_scale, &out->host) &&
        num_add(out->host, t->p.base + t->p.lead, &out->host) && out->host <= INT64_MAX)
        return 0;
    return err_set(e, EIO, "Block table entry 0x%" PRIx64 " is out of range", raw);
}

static int entry_decode(const struct table *t, uint64_t block, uint64_t raw,
                        struct table_entry *out, struct err *e)
{
    *out = (struct table_entry){.kind = EXTENT_HOLE};
    if (t->p.decode)
        return t->p.decode(t->p.ctx, block, raw, out, e);
    if (raw == t->f.absent)
        return 0;
    if (t->f.has_zero && !t->f.zero_is_bit && raw == t->f.zero) {
        out->kind = EXTENT_ZERO;
        return 0;
    }
    if (t->f.packed && (raw & t->f.packed))
        return err_set(e, ENOTSUP, "Block %" PRIu64 " is encoded in an unknown way", block);
    bool zero = t->f.has_zero && t->f.zero_is_bit && (raw & t->f.zero);
    out->kind = zero ? EXTENT_ZERO : EXTENT_DATA;
    out->has_host = !zero || (raw & t->f.place_mask);
    return out->has_host ? place_decode(t, raw, out, e) : 0;
}

/* Does an entry after `run` say the same, in the place that follows? */
static bool run_takes(const struct table *t, const struct run *run, const struct table_entry *x)
{
    const struct table_entry *first = &run->entry;
    if (x->kind != first->kind || x->has_host != first->has_host || x->kind == EXTENT_PACKED)
        return false;
    return !x->has_host || x->host == first->host + run->n * t->p.block_size;
}

/* The raw entry that continues `run` for certain: most entries need no decoding. */
static bool run_expects(const struct table *t, const struct run *run, uint64_t raw)
{
    if (run->entry.kind == EXTENT_DATA)
        return t->step && raw == run->raw + t->step && !((raw ^ run->raw) & ~t->f.place_mask);
    return raw == run->raw && !run->entry.has_host && run->entry.kind != EXTENT_PACKED;
}

/* How many entries from the beginning of the span go on as expected. */
static uint64_t run_streak(const struct table *t, const struct run *run, const struct span *s)
{
    struct run at = *run;
    uint64_t n = 0;
    for (; n < s->n; n++) {
        uint64_t raw = entry_load(t, s->entries + n * t->f.entry_size);
        if (!run_expects(t, &at, raw))
            break;
        at.raw = raw;
    }
    return n;
}

/* How many of a streak of `n` entries the driver takes: places only ascend in it, so where one is
 * refused (behind the end of the file), the later ones are too. */
static uint64_t streak_taken(const struct table *t, const struct run *run, uint64_t block,
                             uint64_t n, struct err *e)
{
    uint64_t good = 0, bad = n + 1;
    struct table_entry x;
    if (!t->p.decode || run->entry.kind != EXTENT_DATA)
        return n;
    for (uint64_t i = n; good + 1 < bad; i = good + (bad - good) / 2) {
        x = (struct table_entry){.kind = EXTENT_HOLE};
        if (t->p.decode(t->p.ctx, block + i - 1, run->raw + i * t->step, &x, e)) {
            err_clear(e);
            bad = i;
        } else {
            good = i;
        }
    }
    return good;
}

/* Extend `run` by the entries of a span; true if all of it joined. */
static bool run_join(const struct table *t, struct run *run, uint64_t block, struct span s,
                     struct err *e)
{
    if (!s.entries) {
        bool hole = run->entry.kind == EXTENT_HOLE && !run->entry.has_host;
        run->n += hole ? s.n : 0;
        return hole;
    }
    while (s.n) {
        uint64_t n = run_streak(t, run, &s), taken = n ? streak_taken(t, run, block, n, e) : 0;
        struct table_entry x;
        run->raw += run->entry.kind == EXTENT_DATA ? taken * t->step : 0;
        run->n += taken;
        if (taken < n)
            return false;
        block += n;
        s.entries += n * t->f.entry_size;
        s.n -= n;
        if (!s.n)
            return true;
        uint64_t raw = entry_load(t, s.entries);
        if (entry_decode(t, block, raw, &x, e)) {
            err_clear(e); /* it is told when somebody asks for that block */
            return false;
        }
        if (!run_takes(t, run, &x))
            return false;
        run->raw = raw;
        run->n++;
        block++;
        s.entries += t->f.entry_size;
        s.n--;
    }
    return true;
}

static int run_begin(struct table *t, uint64_t block, uint64_t max, struct slice *hold,
                     struct run *run, struct err *e)
{
    struct span s;
    if (span_at(t, block, max, hold, &s, e))
        return -1;
    *run = (struct run){.raw = t->f.absent, .n = s.n};
    if (!s.entries)
        return 0; /* HOLE */
    run->raw = entry_load(t, s.entries);
    run->n = 1;
    if (entry_decode(t, block, run->raw, &run->entry, e))
        return -1;
    if (run->entry.kind == EXTENT_PACKED)
        return 0;
    s.entries += t->f.entry_size;
    s.n--;
    run_join(t, run, block + 1, s, e);
    return 0;
}

static void run_extend(struct table *t, uint64_t block, uint64_t max, struct slice *hold,
                       struct run *run, struct err *e)
{
    if (run->entry.kind == EXTENT_PACKED)
        return;
    for (unsigned i = 0; i < MAP_MAX_SPANS && run->n < max; i++) {
        struct span s;
        if (span_at(t, block + run->n, max - run->n, hold, &s, e)) {
            err_clear(e);
            return;
        }
        if (!run_join(t, run, block + run->n, s, e))
            return;
    }
}

static void run_to_extent(const struct table *t, const struct run *run, uint64_t in,
                          uint64_t length, struct extent *out)
{
    uint64_t covered;
    if (!num_mul(run->n, t->p.block_size, &covered))
        covered = UINT64_MAX;
    const struct table_entry *x = &run->entry;
    out->kind = x->kind;
    out->length = num_min(length, covered - in);
    out->has_host = x->has_host;
    out->tail = t->p.tail;
    if (x->kind == EXTENT_PACKED) {
        out->file = t->p.data_file;
        out->host = x->host;
        out->codec = x->codec;
        out->packed_len = x->packed_len;
        out->block_size = t->p.block_size;
        out->block_offset = (uint32_t)in;
    } else if (x->has_host) {
        out->file = t->p.data_file;
        out->host = x->host + in;
    }
}

int table_map(struct table *t, uint64_t guest, uint64_t length, struct extent *out, struct err *e)
{
    uint64_t block = guest / t->p.block_size, in = guest % t->p.block_size;
    uint64_t max = num_div_up(in + length, t->p.block_size);
    struct slice hold = {0};
    struct run run;
    int r = run_begin(t, block, max, &hold, &run, e);
    if (!r) {
        run_extend(t, block, max, &hold, &run, e);
        run_to_extent(t, &run, in, length, out);
    }
    slices_put(t->slices, &hold);
    return r;
}

int table_raw(struct table *t, uint64_t block, uint64_t *raw, struct err *e)
{
    struct slice hold = {0};
    struct span s;
    int r = span_at(t, block, 1, &hold, &s, e);
    if (!r)
        *raw = s.entries ? entry_load(t, s.entries) : t->f.absent;
    slices_put(t->slices, &hold);
    return r;
}

/* ---- changing entries ------------------------------------------------------------------------ */

const struct table_params *table_params_of(const struct table *t)
{
    return &t->p;
}

bool table_lacks(const struct table *t, uint64_t block)
{
    uint64_t index = block / num_max(t->p.table_entries, 1);
    return t->p.levels == 2 && index < t->n_first &&
           entry_load(t, t->first + index * t->f.entry_size) == t->f.absent;
}

static int no_room(uint64_t block, struct err *e)
{
    return err_set(e, EIO, "The tables have no entry for block %" PRIu64, block);
}

int table_set(struct table *t, uint64_t block, uint64_t raw, struct err *e)
{
    uint8_t entry[8];
    uint64_t at, n;
    if (entry_locate(t, block, 1, &at, &n, e))
        return -1;
    if (!at)
        return no_room(block, e);
    table_store(&t->f, entry, raw);
    return slices_store(t->slices, at, entry, t->f.entry_size, e);
}

int table_add(struct table *t, uint64_t block, uint64_t host, struct err *e)
{
    unsigned size = t->f.entry_size;
    uint8_t entry[8];
    uint64_t index = block / t->p.table_entries, at = index * size;
    if (index >= t->n_first)
        return no_room(block, e);
    slices_grown(t->slices, host, t->p.table_entries * size);
    table_store(&t->f, entry, host / t->p.table_scale);
    slice_entry_store(t->first + at, entry, size);
    bool clean = t->first_from == t->first_to;
    t->first_from = clean ? at : num_min(t->first_from, at);
    t->first_to = num_max(t->first_to, at + size);
    return 0;
}

uint64_t table_changed(const struct table *t)
{
    return slices_changed(t->slices) * (uint64_t)SLICES_SIZE + (t->first_to ? t->f.entry_size : 0);
}

int table_changes(struct table *t, slices_change_fn *see, void *ctx, struct err *e)
{
    return slices_changes(t->slices, see, ctx, e);
}

int table_write(struct table *t, struct err *e)
{
    if (slices_flush(t->slices, e))
        return -1;
    uint64_t from = t->first_from, n = t->first_to - from;
    if (n && file_write(t->p.file, t->first + from, n, t->p.first_offset + from, e))
        return -1;
    t->first_from = t->first_to = 0;
    return 0;
}
