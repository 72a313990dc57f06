#include "fleet/heap.h"

#include "base/mem.h"

int heap_init(struct heap *h, const uint64_t *key, size_t room, struct err *e)
{
    *h = (struct heap){.key = key};
    h->thing = mem_new(room, sizeof *h->thing, e);
    return h->thing ? 0 : -1;
}

void heap_release(struct heap *h)
{
    free(h->thing);
}

/* Of equal ones the first comes first: what is done is then in the order of the manifest. */
static bool is_before(const struct heap *h, size_t a, size_t b)
{
    return h->key[a] != h->key[b] ? h->key[a] > h->key[b] : a < b;
}

void heap_put(struct heap *h, size_t thing)
{
    size_t i = h->n++;
    for (size_t up; i > 0 && is_before(h, thing, h->thing[up = (i - 1) / 2]); i = up)
        h->thing[i] = h->thing[up];
    h->thing[i] = thing;
}

/* The hole at the top sinks until `last` fits in. */
static void sink(struct heap *h, size_t last)
{
    size_t i = 0;
    for (size_t down; (down = 2 * i + 1) < h->n; i = down) {
        if (down + 1 < h->n && is_before(h, h->thing[down + 1], h->thing[down]))
            down++;
        if (is_before(h, last, h->thing[down]))
            break;
        h->thing[i] = h->thing[down];
    }
    h->thing[i] = last;
}

bool heap_take(struct heap *h, size_t *thing)
{
    if (h->n == 0)
        return false;
    *thing = h->thing[0];
    h->n--;
    if (h->n)
        sink(h, h->thing[h->n]);
    return true;
}
