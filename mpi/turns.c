#include "mpi/turns.h"

#include <stdlib.h>

#include "base/mem.h"

static bool ring_empty(const struct turn *head)
{
    return head->next == head;
}

static void ring_append(struct turn *head, struct turn *w)
{
    w->prev = head->prev;
    w->next = head;
    head->prev->next = w;
    head->prev = w;
}

/* All of `from` come before all of `to`. */
static void ring_move(struct turn *from, struct turn *to)
{
    if (ring_empty(from))
        return;
    from->prev->next = to->next;
    to->next->prev = from->prev;
    to->next = from->next;
    from->next->prev = to;
    from->next = from->prev = from;
}

int turns_init(struct turns *t, unsigned depth, struct err *e)
{
    *t = (struct turns){.depth = depth};
    t->ready = mem_new((size_t)depth * 2, sizeof *t->ready, e);
    if (!t->ready)
        return -1;
    t->aside = t->ready + depth;
    for (unsigned i = 0; i < depth * 2; i++)
        t->ready[i].next = t->ready[i].prev = &t->ready[i];
    return 0;
}

void turns_release(struct turns *t)
{
    free(t->ready);
}

void turns_remove(struct turn *w)
{
    if (!w->next)
        return;
    w->prev->next = w->next;
    w->next->prev = w->prev;
    w->next = w->prev = NULL;
}

void turns_add(struct turns *t, struct turn *w, unsigned held)
{
    turns_remove(w);
    w->held = held;
    ring_append(&t->ready[held], w);
}

struct turn *turns_first(const struct turns *t)
{
    for (unsigned i = 0; i < t->depth; i++)
        if (!ring_empty(&t->ready[i]))
            return t->ready[i].next;
    return NULL;
}

void turns_set_aside(struct turns *t, struct turn *w)
{
    turns_remove(w);
    ring_append(&t->aside[w->held], w);
}

void turns_set_all_aside(struct turns *t)
{
    for (unsigned i = 0; i < t->depth; i++)
        ring_move(&t->ready[i], &t->aside[i]);
}

void turns_recall(struct turns *t)
{
    for (unsigned i = 0; i < t->depth; i++)
        ring_move(&t->aside[i], &t->ready[i]);
}
