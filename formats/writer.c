#include "formats/writer.h"

#include "base/mem.h"

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
