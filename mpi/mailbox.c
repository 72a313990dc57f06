#include "mpi/mailbox.h"

#include <errno.h>
#include <time.h>

static void list_init(struct mailbox_list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_append(struct mailbox_list *l, struct message *msg)
{
    msg->next = NULL;
    *l->last = msg;
    l->last = &msg->next;
}

static struct message *list_pop(struct mailbox_list *l)
{
    struct message *msg = l->first;
    if (!msg)
        return NULL;
    l->first = msg->next;
    if (!l->first)
        l->last = &l->first;
    return msg;
}

/* The monotonic clock, so that a change of the date does not stop progress. */
static int cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int no = pthread_condattr_init(&attr);
    if (no)
        return no;
    no = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (!no)
        no = pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
    return no;
}

int mailbox_init(struct mailbox *m, struct err *e)
{
    list_init(&m->urgent);
    list_init(&m->normal);
    m->asleep = false;
    int no = cond_init(&m->filled);
    if (no)
        return err_errno(e, no, "Could not start the engine");
    no = pthread_mutex_init(&m->lock, NULL);
    if (no) {
        pthread_cond_destroy(&m->filled);
        return err_errno(e, no, "Could not start the engine");
    }
    return 0;
}

void mailbox_release(struct mailbox *m)
{
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->filled);
}

void mailbox_post(struct mailbox *m, struct message *msg, bool urgent)
{
    pthread_mutex_lock(&m->lock);
    list_append(urgent ? &m->urgent : &m->normal, msg);
    bool wake = m->asleep;
    m->asleep = false;
    pthread_mutex_unlock(&m->lock);
    if (wake)
        pthread_cond_signal(&m->filled);
}

static bool mailbox_empty(const struct mailbox *m)
{
    return !m->urgent.first && !m->normal.first;
}

struct message *mailbox_take(struct mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    while (mailbox_empty(m)) {
        m->asleep = true;
        pthread_cond_wait(&m->filled, &m->lock);
    }
    m->asleep = false;
    struct message *msg = list_pop(m->urgent.first ? &m->urgent : &m->normal);
    pthread_mutex_unlock(&m->lock);
    return msg;
}

static struct timespec deadline_in(unsigned us)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += us / 1000000;
    t.tv_nsec += (long)(us % 1000000) * 1000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

/* Called and left with the lock held. */
static void mailbox_wait(struct mailbox *m, unsigned us)
{
    struct timespec until = deadline_in(us);
    while (mailbox_empty(m)) {
        m->asleep = true;
        if (pthread_cond_timedwait(&m->filled, &m->lock, &until) == ETIMEDOUT)
            break;
    }
    m->asleep = false;
}

struct message *mailbox_take_all(struct mailbox *m, unsigned us)
{
    pthread_mutex_lock(&m->lock);
    if (us && mailbox_empty(m))
        mailbox_wait(m, us);
    struct message *all = m->normal.first;
    if (m->urgent.first) {
        *m->urgent.last = all;
        all = m->urgent.first;
    }
    list_init(&m->urgent);
    list_init(&m->normal);
    pthread_mutex_unlock(&m->lock);
    return all;
}
