#include "mpi/threads.h"

#include <signal.h>
#include <stdlib.h>

#include "base/mem.h"

/* Enough for two struct err and codecs that are frugal, small enough for 64 threads in little
 * address space. */
#define STACK_SIZE ((size_t)2 << 20)

static void *team_thread(void *arg)
{
    worker_run(arg);
    return NULL;
}

static int team_init(struct team *t, const struct unit_job *job, unsigned n, struct mailbox *out,
                     struct err *e)
{
    *t = (struct team){0};
    unsigned all = n + (job->persist != NULL);
    t->worker = mem_new(all, sizeof *t->worker, e);
    if (!t->worker)
        return -1;
    for (; t->n < all; t->n++) {
        if (worker_init(&t->worker[t->n], job, t->n, out, e) < 0)
            return -1;
        t->worker[t->n].keeper = t->n == n;
    }
    return 0;
}

/* Signals are the main thread's: it waits where they can be seen soon. */
static int team_spawn(struct worker *w, const pthread_attr_t *attr)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int no = pthread_create(&w->thread, attr, team_thread, w);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return no;
}

int team_start(struct team *t, const struct unit_job *job, unsigned n, struct mailbox *out,
               struct err *e)
{
    if (team_init(t, job, n, out, e) < 0)
        return -1;
    pthread_attr_t attr;
    int no = pthread_attr_init(&attr);
    if (no)
        return err_errno(e, no, "Could not start a thread");
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    for (; t->started < t->n; t->started++) {
        struct worker *w = &t->worker[t->started];
        no = team_spawn(w, &attr);
        if (no) {
            err_errno(&w->err, no, "Could not start a thread");
            worker_post_broken(w, &w->err);
            break;
        }
    }
    pthread_attr_destroy(&attr);
    return 0;
}

int team_post(struct team *t, const struct wire_head *h, const void *bytes)
{
    return worker_post(&t->worker[h->worker], h, bytes);
}

bool team_has(const struct team *t, const struct wire_head *h)
{
    return h->worker < t->n && h->slot < t->worker[h->worker].depth;
}

void team_stop(struct team *t)
{
    for (unsigned i = 0; i < t->n; i++)
        worker_stop(&t->worker[i]);
}

void team_join(struct team *t)
{
    for (unsigned i = 0; i < t->started; i++)
        pthread_join(t->worker[i].thread, NULL);
    for (unsigned i = 0; i < t->n; i++)
        worker_release(&t->worker[i]);
    free(t->worker);
    *t = (struct team){0};
}
