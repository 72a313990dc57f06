#include "flow/underway.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

void underway_release(struct underway *u)
{
    free(u->all);
    *u = (struct underway){0};
}

/* Back to the front, if that is worth its while, else longer. */
static int make_room(struct underway *u, struct err *e)
{
    size_t n = underway_count(u);
    if (u->first < n || n == 0) {
        size_t room = u->room ? 2 * u->room : 64;
        struct underway_chunk *grown = mem_grow(u->all, room, sizeof *grown, e);
        if (!grown)
            return -1;
        u->all = grown;
        u->room = room;
        return 0;
    }
    memmove(u->all, u->all + u->first, n * sizeof *u->all);
    u->first = 0;
    u->end = n;
    return 0;
}

struct underway_chunk *underway_add(struct underway *u, uint64_t chunk, struct err *e)
{
    if (u->first == u->end)
        u->first = u->end = 0;
    if (u->end == u->room && make_room(u, e) < 0)
        return NULL;
    struct underway_chunk *c = &u->all[u->end++];
    *c = (struct underway_chunk){.chunk = chunk};
    return c;
}

bool underway_take(struct underway *u, uint64_t chunk, struct underway_chunk *out)
{
    size_t low = u->first, high = u->end;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (u->all[mid].chunk < chunk)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == u->end || u->all[low].chunk != chunk || u->all[low].gone)
        return false;
    *out = u->all[low];
    u->all[low].gone = true;
    while (u->first < u->end && u->all[u->first].gone)
        u->first++;
    return true;
}
