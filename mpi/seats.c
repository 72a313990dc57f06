#include "mpi/seats.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"
#include "mpi/message.h"

static struct seat *seats_at(const struct seats *s, unsigned rank, unsigned worker, unsigned slot)
{
    return &s->seat[s->first[rank] + (size_t)worker * s->depth + slot];
}

int seats_init(struct seats *s, unsigned ranks, const unsigned *threads, unsigned depth,
               struct err *e)
{
    *s = (struct seats){.ranks = ranks, .threads = threads, .depth = depth};
    s->first = mem_new(ranks, sizeof *s->first, e);
    if (!s->first)
        return -1;
    for (unsigned r = 0; r < ranks; r++) {
        s->first[r] = s->n;
        s->n += (size_t)threads[r] * depth;
    }
    s->seat = mem_new(s->n, sizeof *s->seat, e);
    if (!s->seat)
        return -1;
    for (unsigned r = 0; r < ranks; r++)
        for (unsigned w = 0; w < threads[r]; w++)
            for (unsigned slot = 0; slot < depth; slot++)
                *seats_at(s, r, w, slot) = (struct seat){.rank = r, .worker = w, .slot = slot};
    return 0;
}

void seats_release(struct seats *s)
{
    free(s->seat);
    free(s->first);
}

static bool seat_expects(const struct seat *s, uint32_t kind)
{
    switch (kind) {
    case MESSAGE_NEED:
        return s->state == SEAT_WORKING;
    case MESSAGE_DONE:
        return s->state == SEAT_GRANTED;
    default: /* FAIL */
        return s->state == SEAT_WORKING || s->state == SEAT_GRANTED;
    }
}

struct seat *seats_find(const struct seats *s, unsigned from, const struct wire_head *h)
{
    if (!s->seat || h->worker >= s->threads[from] || h->slot >= s->depth)
        return NULL;
    struct seat *seat = seats_at(s, from, h->worker, h->slot);
    return seat_expects(seat, h->kind) && seat->unit == h->unit ? seat : NULL;
}

void seats_line_up(struct seats *s, void (*add)(void *ctx, struct seat *seat), void *ctx)
{
    unsigned most = 0;
    for (unsigned r = 0; r < s->ranks; r++)
        most = (unsigned)num_max(most, s->threads[r]);
    for (unsigned slot = 0; slot < s->depth; slot++)
        for (unsigned w = 0; w < most; w++)
            for (unsigned r = 0; r < s->ranks; r++)
                if (w < s->threads[r])
                    add(ctx, seats_at(s, r, w, slot));
}
