#include "image/edit_crowd.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/crypt.h"

#define FLUSH_PLACES                                                                               \
    65536u /* fresh places between flushes: tables are kept in memory till then                    \
            */

/* Guest bytes [from, to) whose fresh place a member has; empty: none. */
struct claim {
    uint64_t from, to;
    pthread_cond_t gone;
};

struct edit_crowd {
    struct edit *edit;
    struct image *img;
    uint64_t group;        /* guest bytes of what may move together */
    pthread_mutex_t lock;  /* for all below, and for the edit */
    unsigned fresh_places; /* since the last flush */
    unsigned claimed;
    unsigned members;
    struct claim claims[];
};

/* Spinning for a while is cheaper than sleeping: what is done under it is a few table look-ups. */
static void lock_init(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

int edit_crowd_new(struct edit *d, unsigned members, struct edit_crowd **out, struct err *e)
{
    struct edit_crowd *c = mem_new(1, sizeof *c + members * sizeof c->claims[0], e);
    if (!c)
        return -1;
    c->edit = d;
    c->img = edit_image(d);
    c->group = edit_group(d);
    c->members = members;
    lock_init(&c->lock);
    for (unsigned i = 0; i < members; i++)
        pthread_cond_init(&c->claims[i].gone, NULL);
    *out = c;
    return 0;
}

void edit_crowd_free(struct edit_crowd *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < c->members; i++)
        pthread_cond_destroy(&c->claims[i].gone);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- under the lock -------------------------------------------------------------------------- */

static struct claim *claim_within(struct edit_crowd *c, uint64_t from, uint64_t to)
{
    if (!c->claimed)
        return NULL;
    for (unsigned i = 0; i < c->members; i++)
        if (c->claims[i].from < to && from < c->claims[i].to)
            return &c->claims[i];
    return NULL;
}

/* Until nobody has a fresh place in [from, to) any more. */
static void wait_for_others(struct edit_crowd *c, uint64_t from, uint64_t to)
{
    struct claim *other;
    while ((other = claim_within(c, num_down_to(from, c->group), num_up_to(to, c->group))))
        pthread_cond_wait(&other->gone, &c->lock);
}

static int place(struct edit_crowd *c, unsigned member, uint64_t from, uint64_t to,
                 struct edit_place *p, struct err *e)
{
    wait_for_others(c, from, to);
    if (edit_place_part(c->edit, from, to - from, p, e))
        return -1;
    if (p->fresh) {
        c->claims[member].from = p->guest;
        c->claims[member].to = p->guest + p->length;
        c->claimed++;
    }
    return 0;
}

static int flush_now_and_then(struct edit_crowd *c, struct err *e)
{
    if (++c->fresh_places < FLUSH_PLACES && !c->img->flags.cache.writethrough)
        return 0;
    c->fresh_places = 0;
    return edit_flush(c->edit, e);
}

/* The claim ends whether the data came or not: those that wait find the units as they were. */
static int link_or_leave(struct edit_crowd *c, unsigned member, const struct edit_place *p,
                         bool written, struct err *e)
{
    int status = written ? edit_link(c->edit, p, e) : -1;
    if (!status)
        status = flush_now_and_then(c, e);
    c->claims[member].from = c->claims[member].to = 0;
    c->claimed--;
    pthread_cond_broadcast(&c->claims[member].gone);
    return status;
}

/* ---- public ---------------------------------------------------------------------------------- */

/* Bytes of [guest, guest + len) as one place takes them; *done = how many. */
static int write_once(struct edit_crowd *c, unsigned member, struct mover *m, uint64_t guest,
                      const uint8_t *buf, uint64_t len, uint64_t *done, struct err *e)
{
    struct edit_place p;
    pthread_mutex_lock(&c->lock);
    int status = place(c, member, guest, guest + len, &p, e);
    pthread_mutex_unlock(&c->lock);
    if (status)
        return -1;
    *done = num_min(p.guest + p.length - guest, len);
    if (p.fresh)
        image_reader_forget(m->reader);
    status = mover_write(m, &p, guest, buf, *done, e);
    if (!p.fresh)
        return status;
    pthread_mutex_lock(&c->lock);
    status = link_or_leave(c, member, &p, !status, e);
    pthread_mutex_unlock(&c->lock);
    return status;
}

/* Less than a sector of an encrypted image is put into what the sector reads. */
static int write_part(struct edit_crowd *c, uint64_t guest, const uint8_t *buf, size_t len,
                      struct err *e)
{
    pthread_mutex_lock(&c->lock);
    wait_for_others(c, guest, guest + len);
    int status = edit_write(c->edit, guest, buf, len, e);
    pthread_mutex_unlock(&c->lock);
    return status;
}

int edit_crowd_write(struct edit_crowd *c, unsigned member, struct mover *m, uint64_t guest,
                     const void *buf, size_t len, struct err *e)
{
    const uint8_t *from = buf;
    if (!num_inside(guest, len, c->img->size) ||
        (c->img->encrypted && (guest % CRYPT_SECTOR || len % CRYPT_SECTOR)))
        return write_part(c, guest, from, len, e);
    for (uint64_t done; len; guest += done, from += done, len -= done)
        if (write_once(c, member, m, guest, from, len, &done, e))
            return -1;
    return 0;
}

int edit_crowd_flush(struct edit_crowd *c, struct err *e)
{
    pthread_mutex_lock(&c->lock);
    int status = edit_flush(c->edit, e);
    c->fresh_places = 0;
    pthread_mutex_unlock(&c->lock);
    return status;
}
