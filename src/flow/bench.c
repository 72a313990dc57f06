#include "flow/bench.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/bench_turn.h"
#include "image/edit_crowd.h"

#define THREADS_MOST 1024u
#define WAITED       50e-6 /* seconds of a request that must have slept */

struct bench;

struct bench_thread {
    struct bench *b;
    unsigned number;
    pthread_t thread;
    struct mover mover;          /* writing */
    struct image_reader *reader; /* reading */
    void *buf;
    struct err err;
};

/* What the threads share. */
struct bench {
    const struct bench_options *o;
    struct edit *edit; /* writing */
    struct edit_crowd *crowd;
    void *pattern;

    pthread_mutex_t lock; /* for all below */
    struct bench_turns turns;
    bool over;       /* one failed */
    unsigned failed; /* the thread whose request it was */
    unsigned running, most;
    struct bench_thread **threads;

    pthread_rwlock_t drain; /* requests read, a flush writes; only where a flush drains */
};

/* ---- a request ------------------------------------------------------------------------------- */

static bool turn_take(struct bench *b, struct bench_turn *t)
{
    pthread_mutex_lock(&b->lock);
    bool more = !b->over && bench_turns_take(&b->turns, t);
    pthread_mutex_unlock(&b->lock);
    return more;
}

static void fail(struct bench_thread *w)
{
    struct bench *b = w->b;
    pthread_mutex_lock(&b->lock);
    if (!b->over) {
        b->over = true;
        b->failed = w->number;
    }
    pthread_mutex_unlock(&b->lock);
}

static int transfer(struct bench_thread *w, uint64_t guest)
{
    const struct bench_options *o = w->b->o;
    if (bench_turn_check(o, guest, &w->err))
        return -1;
    if (o->write)
        return edit_crowd_write(w->b->crowd, w->number, &w->mover, guest, w->b->pattern, o->size,
                                &w->err);
    return image_read(w->reader, o->image, guest, o->size, w->buf, &w->err);
}

static int flush(struct bench_thread *w)
{
    struct bench *b = w->b;
    if (b->o->drain)
        pthread_rwlock_wrlock(&b->drain);
    int status = edit_crowd_flush(b->crowd, &w->err);
    if (b->o->drain)
        pthread_rwlock_unlock(&b->drain);
    return status;
}

static int request(struct bench_thread *w, const struct bench_turn *t)
{
    struct bench *b = w->b;
    bool drains = b->o->flush_interval && b->o->drain;
    if (t->flush && flush(w))
        return -1;
    if (drains)
        pthread_rwlock_rdlock(&b->drain);
    int status = transfer(w, t->guest);
    if (drains)
        pthread_rwlock_unlock(&b->drain);
    return status;
}

/* ---- threads --------------------------------------------------------------------------------- */

static void grow(struct bench *b);

static void *thread_main(void *arg)
{
    struct bench_thread *w = arg;
    struct bench_turn t;
    while (turn_take(w->b, &t)) {
        double begun = bench_now();
        if (request(w, &t)) {
            fail(w);
            break;
        }
        if (bench_now() - begun > WAITED)
            grow(w->b);
    }
    return NULL;
}

static void thread_free(struct bench_thread *w)
{
    mover_release(&w->mover);
    image_reader_free(w->reader);
    free(w->buf);
    free(w);
}

static struct bench_thread *thread_new(struct bench *b, struct err *e)
{
    const struct bench_options *o = b->o;
    struct bench_thread *w = mem_new(1, sizeof *w, e);
    if (!w)
        return NULL;
    w->b = b;
    int status = 0;
    if (o->write) {
        status = mover_init(&w->mover, o->image, e);
    } else {
        w->reader = image_reader_new(e);
        w->buf = w->reader ? mem_io(bench_buffer_size(o), e) : NULL;
        status = w->buf ? 0 : -1;
    }
    if (!status)
        return w;
    thread_free(w);
    return NULL;
}

static int start(struct bench *b, struct err *e)
{
    struct bench_thread *w = thread_new(b, e);
    if (!w)
        return -1;
    w->number = b->running;
    int no = pthread_create(&w->thread, NULL, thread_main, w);
    if (no) {
        thread_free(w);
        return err_errno(e, no, "Could not start a thread");
    }
    b->threads[b->running++] = w;
    return 0;
}

/* One thread more; where there is no room for it, those that are there go on. */
static void grow(struct bench *b)
{
    pthread_mutex_lock(&b->lock);
    if (b->running < b->most && !b->over && b->turns.given < b->o->count) {
        AUTO_FREE struct err *ignored = calloc(1, sizeof *ignored);
        if (ignored && start(b, ignored))
            b->most = b->running;
    }
    pthread_mutex_unlock(&b->lock);
}

static unsigned cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    return (unsigned)CPU_COUNT(&set);
}

static int start_first(struct bench *b, struct err *e)
{
    unsigned first = (unsigned)num_min(b->most, cpus());
    int status = 0;
    pthread_mutex_lock(&b->lock);
    while (!status && b->running < first)
        status = start(b, e);
    b->over = status != 0;
    b->failed = b->most; /* nobody yet */
    pthread_mutex_unlock(&b->lock);
    return status;
}

/* Threads that are joined may have started further ones. */
static void join(struct bench *b)
{
    for (unsigned i = 0;; i++) {
        pthread_mutex_lock(&b->lock);
        struct bench_thread *w = i < b->running ? b->threads[i] : NULL;
        pthread_mutex_unlock(&b->lock);
        if (!w)
            return;
        pthread_join(w->thread, NULL);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int begin_writing(struct bench *b, struct err *e)
{
    const struct bench_options *o = b->o;
    b->pattern = mem_io(bench_buffer_size(o), e);
    if (!b->pattern || edit_begin(o->image, &b->edit, e))
        return -1;
    memset(b->pattern, o->pattern, bench_buffer_size(o));
    return edit_crowd_new(b->edit, b->most, &b->crowd, e);
}

static int run(struct bench *b, double *seconds, struct err *e)
{
    double begun = bench_now();
    int status = start_first(b, e);
    join(b);
    *seconds = bench_now() - begun;
    if (!status && b->over) {
        *e = b->threads[b->failed]->err;
        status = -1;
    }
    return status;
}

static void release(struct bench *b)
{
    for (unsigned i = 0; i < b->running; i++)
        thread_free(b->threads[i]);
    free(b->threads);
    free(b->pattern);
    edit_crowd_free(b->crowd);
    edit_cleanup(&b->edit);
    pthread_mutex_destroy(&b->lock);
    pthread_rwlock_destroy(&b->drain);
}

/* A flush that waits must not starve behind requests that keep coming. */
static void drain_init(pthread_rwlock_t *drain)
{
    pthread_rwlockattr_t attr;
    pthread_rwlockattr_init(&attr);
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(drain, &attr);
    pthread_rwlockattr_destroy(&attr);
}

int bench_run(const struct bench_options *o, double *seconds, struct err *e)
{
    if (bench_queue_can(o))
        return bench_queue_run(o, seconds, e);
    AUTO(release)
    struct bench b = {.o = o, .turns = bench_turns_of(o)};
    b.most = (unsigned)num_max(num_min(num_min(o->depth, o->count), THREADS_MOST), 1);
    pthread_mutex_init(&b.lock, NULL);
    drain_init(&b.drain);
    b.threads = mem_new(b.most, sizeof *b.threads, e);
    if (!b.threads || (o->write && begin_writing(&b, e)) || run(&b, seconds, e))
        return -1;
    return edit_end(MEM_TAKE(b.edit), e);
}
