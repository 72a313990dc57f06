#include "flow/convert_hash.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* Where two chunks share an entry, one may be read back by the rank that wrote it. */
#define WROTE_MAX ((uint64_t)1 << 24)

/* ---- in the pass ----------------------------------------------------------------------------- */

/* The memory is touched only where there are chunks. */
static int remember_writers(struct convert_hash *h, uint64_t chunks, struct err *e)
{
    h->n_wrote = num_max(num_min(chunks, WROTE_MAX), 1);
    h->wrote = mem_new(h->n_wrote, sizeof *h->wrote, e);
    return h->wrote ? 0 : -1;
}

int convert_hash_begin(struct convert_hash *h, const struct convert_options *o, uint64_t size,
                       uint64_t chunk_size, bool first, struct err *e)
{
    h->on = true;
    if (blkhash_init(&h->blkhash, &o->hash, size, e) < 0)
        return -1;
    if (first && o->verify && remember_writers(h, num_div_up(size, chunk_size), e) < 0)
        return -1;
    return first ? blkhash_order_new(&h->blkhash, &h->order, e) : 0;
}

void convert_hash_release(struct convert_hash *h)
{
    blkhash_order_free(h->order);
    free(h->wrote);
}

int convert_hash_chunk(const struct convert_hash *h, struct chunk *c, struct err *e)
{
    static const char pad[8];
    if (blkhash_chunk(&h->blkhash, c, e) < 0)
        return -1;
    size_t n = num_up(c->n_message, sizeof pad) - c->n_message;
    void *to = chunk_message_add(c, n, e);
    if (!to)
        return -1;
    memcpy(to, pad, n);
    return 0;
}

int convert_hash_take(struct convert_hash *h, uint64_t chunk, uint64_t guest, unsigned rank,
                      const void *bytes, size_t len, struct err *e)
{
    if (h->wrote)
        h->wrote[chunk % h->n_wrote] = (uint16_t)num_min(rank + 1, UINT16_MAX);
    return blkhash_order_chunk(h->order, guest, bytes, len, e);
}

int convert_hash_end(struct convert_hash *h, uint8_t *hash, struct err *e)
{
    return blkhash_order_end(h->order, hash, e);
}
