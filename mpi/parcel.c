#include "mpi/parcel.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"

#define ALIGN 8
#define ROOM  256 /* at first: most ranks have little to say at a time */

void parcel_release(struct parcel *p)
{
    free(p->data);
    *p = (struct parcel){0};
}

static bool parcel_grow(struct parcel *p, size_t len)
{
    if (len <= p->room)
        return true;
    size_t room = num_max(p->room, ROOM);
    while (room < len)
        room *= 2;
    unsigned char *data = realloc(p->data, room);
    if (!data)
        return false;
    p->data = data;
    p->room = room;
    return true;
}

bool parcel_add(struct parcel *p, const struct wire_head *h, const void *bytes)
{
    size_t len = sizeof *h + num_up(h->len, ALIGN);
    if (len > PARCEL_MAX - p->len || !parcel_grow(p, p->len + len))
        return false;
    unsigned char *to = p->data + p->len;
    memcpy(to, h, sizeof *h);
    if (h->len)
        memcpy(to + sizeof *h, bytes, h->len);
    memset(to + sizeof *h + h->len, 0, len - sizeof *h - h->len);
    p->len += len;
    p->n++;
    return true;
}

int parcel_next(const void *data, size_t len, size_t *at, struct wire_head *h, const void **bytes)
{
    size_t left = len - *at;
    if (!left)
        return 0;
    const unsigned char *from = (const unsigned char *)data + *at;
    if (left < sizeof *h)
        return -1;
    memcpy(h, from, sizeof *h);
    size_t body = num_up((uint64_t)h->len, ALIGN);
    if (left - sizeof *h < body)
        return -1;
    *bytes = from + sizeof *h;
    *at += sizeof *h + body;
    return 1;
}
