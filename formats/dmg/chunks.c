#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "formats/dmg/dmg.h"

/* 128 MiB: 1 TiB of disk in chunks of 256 KiB, the usual ones. Runs of zeros and of raw chunks
 * count once. */
#define CHUNKS_MAX (4u << 20)

/* Is `b` the rest of `a`? */
static bool chunk_joins(const struct dmg_chunk *a, const struct dmg_chunk *b)
{
    if (a->type != b->type || a->sector + a->sectors != b->sector)
        return false;
    return a->type == DMG_ZERO ||
           (a->type == DMG_RAW && a->host + a->sectors * DMG_SECTOR == b->host);
}

static int chunks_grow(struct dmg_chunks *c, struct err *e)
{
    if (c->n < c->cap)
        return 0;
    if (c->n >= CHUNKS_MAX)
        return err_set(e, EFBIG, "dmg file has more than %u chunks", CHUNKS_MAX);
    size_t cap = c->cap ? c->cap * 2 : 256;
    struct dmg_chunk *of = mem_grow(c->of, cap, sizeof *of, e);
    if (!of)
        return -1;
    c->of = of;
    c->cap = cap;
    return 0;
}

int dmg_chunks_add(struct dmg_chunks *c, const struct dmg_chunk *chunk, struct err *e)
{
    if (c->n && chunk_joins(&c->of[c->n - 1], chunk)) {
        c->of[c->n - 1].sectors += chunk->sectors;
        return 0;
    }
    if (chunks_grow(c, e))
        return -1;
    c->of[c->n++] = *chunk;
    return 0;
}

static int chunk_order(const void *a, const void *b)
{
    uint64_t x = ((const struct dmg_chunk *)a)->sector, y = ((const struct dmg_chunk *)b)->sector;
    return (x > y) - (x < y);
}

static bool chunks_in_order(const struct dmg_chunks *c)
{
    for (size_t i = 1; i < c->n; i++)
        if (c->of[i].sector < c->of[i - 1].sector)
            return false;
    return true;
}

/* The tables of a disk's parts may stand in any order. */
int dmg_chunks_finish(struct dmg_chunks *c, struct err *e)
{
    size_t n = 0;
    if (!chunks_in_order(c))
        qsort(c->of, c->n, sizeof *c->of, chunk_order);
    for (size_t i = 0; i < c->n; i++) {
        const struct dmg_chunk *last = n ? &c->of[n - 1] : NULL, *next = &c->of[i];
        if (last && next->sector < last->sector + last->sectors)
            return err_set(e, EINVAL, "chunks overlap at sector %llu of the dmg image",
                           (unsigned long long)next->sector);
        if (last && chunk_joins(last, next))
            c->of[n - 1].sectors += next->sectors;
        else
            c->of[n++] = *next;
    }
    c->n = n;
    return 0;
}

void dmg_chunks_release(struct dmg_chunks *c)
{
    free(c->of);
    *c = (struct dmg_chunks){0};
}

const struct dmg_chunk *dmg_chunks_find(const struct dmg_chunks *c, uint64_t sector)
{
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct dmg_chunk *chunk = &c->of[middle];
        if (sector < chunk->sector)
            high = middle;
        else if (sector - chunk->sector >= chunk->sectors)
            low = middle + 1;
        else
            return chunk;
    }
    return NULL;
}
