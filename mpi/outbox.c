#include "mpi/outbox.h"

#include <stdlib.h>

#include "base/mem.h"

int outbox_init(struct outbox *o, const struct wire_ops *wire, unsigned ranks, struct err *e)
{
    *o = (struct outbox){.wire = wire, .ranks = ranks};
    o->to = mem_new(ranks, sizeof *o->to, e);
    o->list = mem_new(ranks, sizeof *o->list, e);
    return o->to && o->list ? 0 : -1;
}

void outbox_release(struct outbox *o)
{
    for (unsigned i = 0; o->to && i < o->ranks; i++)
        parcel_release(&o->to[i].parcel);
    free(o->to);
    free(o->list);
    *o = (struct outbox){0};
}

/* A message that is alone goes as it is, if there is no pace to tell. */
static int parcel_send(struct outbox *o, unsigned to, struct err *e)
{
    struct parcel *p = &o->to[to].parcel;
    struct wire_head h = {.kind = MESSAGE_PARCEL, .unit = o->pace, .len = (uint32_t)p->len};
    const void *bytes = p->data;
    size_t at = 0;
    if (!p->n)
        return 0;
    if (p->n == 1 && !o->pace)
        parcel_next(p->data, p->len, &at, &h, &bytes);
    p->len = 0;
    p->n = 0;
    return o->wire->send(to, &h, bytes, e);
}

int outbox_send(struct outbox *o, unsigned to, const struct wire_head *h, const void *bytes,
                struct err *e)
{
    return parcel_send(o, to, e) < 0 ? -1 : o->wire->send(to, h, bytes, e);
}

int outbox_put(struct outbox *o, unsigned to, const struct wire_head *h, const void *bytes,
               struct err *e)
{
    struct outbox_rank *r = &o->to[to];
    if (!parcel_add(&r->parcel, h, bytes)) {
        if (parcel_send(o, to, e) < 0)
            return -1;
        if (!parcel_add(&r->parcel, h, bytes))
            return o->wire->send(to, h, bytes, e);
    }
    if (!r->listed)
        o->list[o->n_list++] = to;
    r->listed = true;
    return 0;
}

int outbox_flush(struct outbox *o, struct err *e)
{
    while (o->n_list) {
        unsigned to = o->list[--o->n_list];
        o->to[to].listed = false;
        if (parcel_send(o, to, e) < 0)
            return -1;
    }
    return 0;
}
