#include "formats/layout.h"

#include <errno.h>

#include "base/num.h"

#define UNIT_MAX (64 * KIB)
#define CHUNK    MIB

uint32_t layout_unit(uint64_t block)
{
    uint64_t power = block & (~block + 1);
    return (uint32_t)num_min(power, UNIT_MAX);
}

uint64_t layout_chunk(uint32_t unit)
{
    return num_max(num_down(CHUNK, unit), unit);
}

void layout_begin(const struct layout *l, struct cursor *c)
{
    *c = (struct cursor){.end = l->begin};
}

/* ---- one piece of the file ------------------------------------------------------------------- */

static int take(struct cursor *c, uint64_t lead, uint64_t align, uint64_t len, uint64_t *host,
                struct err *e)
{
    uint64_t at = c->end, end;
    if (num_add(at, lead, &at) && num_add(at, align - 1, &at) &&
        num_add(at - at % align, len, &end) && end <= INT64_MAX) {
        *host = at - at % align;
        c->end = end;
        return 0;
    }
    return err_set(e, EFBIG, "File too large");
}

static int open_table(const struct layout *l, uint64_t block, struct cursor *c, struct placing *out,
                      struct err *e)
{
    uint64_t host = 0, index = l->table_blocks ? block / l->table_blocks : 0;
    if (!l->table_blocks || c->tables == index + 1)
        return 0;
    if (take(c, 0, l->align, l->table_bytes, &host, e))
        return -1;
    c->tables = index + 1;
    return placing_add_meta(out, PLACE_TABLE, index, host, e);
}

static int open_block(const struct layout *l, uint64_t block, struct cursor *c, struct placing *out,
                      struct err *e)
{
    if (c->block == block + 1)
        return 0;
    if (take(c, l->lead, l->align, l->block, &c->block_host, e))
        return -1;
    c->block = block + 1;
    return placing_add_meta(out, PLACE_BLOCK, block, c->block_host, e);
}

/* ---- a chunk --------------------------------------------------------------------------------- */

/* All tables first: what lies in a table is told after it. */
static int place_tables(const struct layout *l, uint64_t first, const need_t *need, size_t n,
                        struct cursor *c, struct placing *out, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (need[i] != NEED_HOLE && open_table(l, (first + i) * l->unit / l->block, c, out, e))
            return -1;
    return 0;
}

static int place_packed(const struct layout *l, const need_t *need, size_t n, struct cursor *c,
                        struct placing *out, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (need_is_packed(need[i]) &&
            take(c, 0, l->packed_align, need_packed_len(need[i]), &out->host[i], e))
            return -1;
    return 0;
}

static int place_plain(const struct layout *l, uint64_t first, const need_t *need, size_t n,
                       struct cursor *c, struct placing *out, struct err *e)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t guest = (first + i) * l->unit;
        if (need[i] != NEED_PLAIN && need[i] != NEED_RESERVED)
            continue;
        if (open_block(l, guest / l->block, c, out, e))
            return -1;
        out->host[i] = c->block_host + guest % l->block;
    }
    return 0;
}

int layout_place(const struct layout *l, uint64_t first_unit, const need_t *need, size_t n,
                 struct cursor *c, struct placing *out, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        out->host[i] = PLACE_NONE;
    if (l->table_blocks && place_tables(l, first_unit, need, n, c, out, e))
        return -1;
    if (l->packed_align && place_packed(l, need, n, c, out, e))
        return -1;
    return place_plain(l, first_unit, need, n, c, out, e);
}
