/*
 * How many ranks can rank 0 feed? The coordinator is the real one, and so is its wire; each of the
 * other processes pretends to be many ranks of many workers, which only wait for as long as chunks
 * take. So a few processes ask of rank 0 what a thousand hosts would.
 *
 *   mpirun -n 4 bench_feed [-n RANKS] [-t WORKERS] [-c CHUNK_MIB] [-g GB_S] [-d DEPTH] [-s SECONDS]
 *       [-v SPREAD] [-f FORMAT]
 *
 * RANKS ranks of WORKERS workers, each rank moving GB_S gigabytes a second if it never waits for
 * rank 0. Printed: the units a second that this asks for and what came of it, how long rank 0 took
 * for a unit (CPU time of its thread, in microseconds) and how much of its time it worked.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "mpi/coordinator.h"
#include "mpi/launcher.h"
#include "mpi/module.h"
#include "mpi/parcel.h"
#include "mpi/pulse.h"
#include "tests/bench/null_placer.h"

#define CLUSTER    (64 * KIB)
#define HEAD       24 /* of a chunk's report */
#define WORDS_MAX  4096
#define DEPTH_MAX  16
#define WARM       2.0
#define PLAY_SHIFT 16 /* of the number of a pretended rank, above that of a worker */

struct settings {
    unsigned ranks, workers, chunk, depth;
    double rate, seconds, spread;
    const char *format; /* that is placed; NULL: none */
};

static struct settings set = {1000, 32, 4, 4, 1.0, 10, 0.2, NULL};
static const struct wire_ops *wire; /* the real one */
static unsigned processes;
static uint64_t sent, received; /* by rank 0, messages of the wire */
static unsigned each;           /* pretended ranks of a process */

/* A worker's time for a chunk. */
static double chunk_seconds(void)
{
    return set.workers * (double)(set.chunk * MIB) / (set.rate * 1e9);
}

/* -- rank 0: a wire that leads to pretended ranks ------------------------------------------------
 */

static int play_send(unsigned to, const struct wire_head *h, const void *bytes, struct err *e)
{
    struct wire_head w = *h;
    sent++;
    w.worker |= (to - 1) % each << PLAY_SHIFT;
    return wire->send(1 + (to - 1) / each, &w, bytes, e);
}

static int play_poll(bool *got, unsigned *from, struct wire_head *h, const void **bytes,
                     struct err *e)
{
    if (wire->poll(got, from, h, bytes, e) < 0)
        return -1;
    if (*got) {
        received++;
        *from = 1 + (*from - 1) * each + (h->worker >> PLAY_SHIFT);
        h->worker &= (1u << PLAY_SHIFT) - 1;
    }
    return 0;
}

static int play_start(unsigned *rank, unsigned *size, struct err *e)
{
    (void)e;
    *rank = 0;
    *size = 1 + set.ranks;
    return 0;
}

static const struct wire_ops play = {
    .name = "pretended", .start = play_start, .send = play_send, .poll = play_poll};

/* -- rank 0: the job --------------------------------------------------------------------------- */

/* A moment of the run. */
struct mark {
    double wall, cpu;
    uint64_t collected, sent, received;
};

struct feed_job {
    uint64_t next;
    uint64_t collected;
    struct mark first, last; /* what is between them counts */
    double start;
    unsigned looks;
    bool over;
    struct placer *placer; /* NULL: nothing is placed */
    struct cursor at;
};

static enum unit_next feed_next(void *ctx, uint64_t *unit, struct err *e)
{
    struct feed_job *j = ctx;
    (void)e;
    *unit = j->next++;
    return UNIT_THERE;
}

static enum unit_place feed_place(void *ctx, uint64_t unit, const struct blob *need,
                                  struct blob *grant, struct err *e)
{
    struct feed_job *j = ctx;
    const need_t *needs = (const need_t *)((const char *)need->data + HEAD);
    if (j->placer &&
        placer_place(j->placer, unit, needs, (need->len - HEAD) / sizeof *needs, &j->at, e) < 0)
        return PLACE_FAILED;
    *grant = (struct blob){&j->at, sizeof j->at};
    return PLACE_GO_ON;
}

static int feed_collect(void *ctx, uint64_t unit, const struct blob *done, struct err *e)
{
    struct feed_job *j = ctx;
    (void)done;
    j->collected++;
    return j->placer ? placer_done(j->placer, unit, NULL, 0, e) : 0;
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* All have work, and nobody has run out of it: the time after WARM seconds and before the end. */
static bool feed_enough(void *ctx)
{
    struct feed_job *j = ctx;
    if (++j->looks & 63)
        return j->over;
    double now = pulse_now();
    if (j->over || now - j->last.wall < 0.1)
        return j->over;
    j->last = (struct mark){now, cpu_seconds(), j->collected, sent, received};
    if (now - j->start < WARM)
        j->first = j->last;
    j->over = now - j->start > WARM + set.seconds;
    return j->over;
}

/* Nobody calls it here: that there is one makes units of two steps. */
static int feed_commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                       struct blob *done, struct err *e)
{
    (void)worker, (void)unit, (void)slot, (void)grant, (void)done, (void)e;
    return 0;
}

static void print(const struct feed_job *j, unsigned pace)
{
    double n = (double)(j->last.collected - j->first.collected);
    double wall = j->last.wall - j->first.wall, cpu = j->last.cpu - j->first.cpu;
    double asked = set.ranks * set.rate * 1e9 / (double)(set.chunk * MIB);
    printf("%u ranks of %u workers, %.2f GB/s a rank, chunks of %u MiB, depth %u: asked %.0f "
           "units/s, %s, did %.0f (%.0f %%), %.2f us and %.2f in, %.2f out a unit, busy %.0f %% -> "
           "%.0f GB/s; pace %u\n",
           set.ranks, set.workers, set.rate, set.chunk, set.depth, asked,
           set.format ? set.format : "nothing placed", n / wall, 100 * n / wall / asked,
           cpu / n * 1e6, (double)(j->last.received - j->first.received) / n,
           (double)(j->last.sent - j->first.sent) / n, 100 * cpu / wall,
           1e-9 * n / wall * (double)(set.chunk * MIB), pace);
}

static int feed(struct err *e)
{
    struct post post;
    AUTO_FREE unsigned *threads = mem_new(1 + set.ranks, sizeof *threads, e);
    if (!threads || post_init(&post, e) < 0 || post_connect(&post, &play, e) < 0)
        return -1;
    for (unsigned i = 0; i < set.ranks; i++)
        threads[1 + i] = set.workers;
    struct feed_job j = {0};
    struct writer *w;
    uint64_t size = set.chunk < 4 ? 4 * TIB - MIB : 64 * TIB;
    if (set.format && null_placer_new(set.format, "", size, false, &w, &j.placer, e) < 0)
        return -1;
    if (set.format && w->chunk_size != set.chunk * MIB)
        return err_set(e, 0, "Images of this format have no chunks of %u MiB", set.chunk);
    j.start = pulse_now();
    const struct unit_job job = {.ctx = &j,
                                 .depth = set.depth,
                                 .next = feed_next,
                                 .place = feed_place,
                                 .collect = feed_collect,
                                 .enough = feed_enough,
                                 .commit = feed_commit};
    int r = coordinator_run(&post, threads, &job, e);
    print(&j, post.pace.us);
    post_release(&post);
    return r;
}

/* -- the others -------------------------------------------------------------------------------- */

struct task {
    uint64_t unit;
    uint32_t slot;
    bool grant;
};

struct worker {
    struct task queue[2 * DEPTH_MAX]; /* a ring */
    unsigned first, n;
    double until; /* it is at the first task */
};

struct rank {
    struct worker *worker;
    struct parcel out;
    struct pace pace;
    unsigned open;
    bool ending;
};

/* Workers at a task, the one that is ready first on top. */
struct busy {
    struct worker *worker;
    unsigned rank, number;
};

static struct rank *ranks;
static struct busy *heap;
static unsigned n_heap, ended;
static need_t need[WORDS_MAX]; /* HEAD, then words */

static double ready(unsigned i)
{
    return heap[i].worker->until;
}

static void heap_swap(unsigned a, unsigned b)
{
    struct busy t = heap[a];
    heap[a] = heap[b];
    heap[b] = t;
}

static void heap_push(struct busy b)
{
    unsigned i = n_heap++;
    heap[i] = b;
    for (; i && ready(i) < ready((i - 1) / 2); i = (i - 1) / 2)
        heap_swap(i, (i - 1) / 2);
}

static void heap_pop(void)
{
    heap[0] = heap[--n_heap];
    for (unsigned i = 0, k; (k = 2 * i + 1) < n_heap; i = k) {
        k += k + 1 < n_heap && ready(k + 1) < ready(k);
        if (ready(i) <= ready(k))
            return;
        heap_swap(i, k);
    }
}

/* A unit's two steps take as long; its chunks differ. */
static void worker_begin(unsigned r, unsigned number, double now)
{
    struct worker *w = &ranks[r].worker[number];
    const struct task *t = &w->queue[w->first];
    double part = (double)((uint32_t)(t->unit * 2654435761u) % 1000) / 1000;
    w->until = now + chunk_seconds() / 2 * (1 + set.spread * (2 * part - 1));
    heap_push((struct busy){w, r, number});
}

/* Grants before new work, as the real ones do, but what has been begun goes on. */
static void worker_add(unsigned r, unsigned number, struct task t, double now)
{
    struct worker *w = &ranks[r].worker[number];
    unsigned at = w->n++;
    unsigned ring = ARRAY_LEN(w->queue);
    w->queue[(w->first + at) % ring] = t;
    for (; t.grant && at > 1 && !w->queue[(w->first + at - 1) % ring].grant; at--) {
        w->queue[(w->first + at) % ring] = w->queue[(w->first + at - 1) % ring];
        w->queue[(w->first + at - 1) % ring] = t;
    }
    if (w->n == 1)
        worker_begin(r, number, now);
}

static int rank_flush(unsigned r, double now, struct err *e)
{
    struct rank *k = &ranks[r];
    struct wire_head h = {.kind = MESSAGE_PARCEL, .worker = r << PLAY_SHIFT};
    if (!k->out.n || (k->open && pace_left(&k->pace, now)))
        return 0;
    h.len = (uint32_t)k->out.len;
    k->pace.sent = now;
    if (wire->send(0, &h, k->out.data, e) < 0)
        return -1;
    k->out.len = 0;
    k->out.n = 0;
    return 0;
}

static int rank_answer(unsigned r, unsigned number, const struct task *t, double now, struct err *e)
{
    struct rank *k = &ranks[r];
    struct wire_head h = {.kind = t->grant ? MESSAGE_DONE : MESSAGE_NEED,
                          .worker = number,
                          .unit = t->unit,
                          .slot = t->slot};
    h.len = (uint32_t)(t->grant ? HEAD : HEAD + set.chunk * (MIB / CLUSTER) * 4);
    k->open--;
    if (parcel_add(&k->out, &h, need)) /* a rank that is alone would send it now */
        return k->pace.us ? 0 : rank_flush(r, now, e);
    double pace = k->pace.sent;
    k->pace.sent = 0;
    if (rank_flush(r, now, e) < 0)
        return -1;
    k->pace.sent = pace;
    return parcel_add(&k->out, &h, need) ? 0 : err_set(e, 0, "A message that is too long");
}

static int rank_end(unsigned r, struct err *e)
{
    struct wire_head h = {.kind = MESSAGE_ENDED, .worker = r << PLAY_SHIFT};
    ranks[r].ending = true;
    return wire->send(0, &h, NULL, e);
}

static int rank_take(unsigned r, const struct wire_head *h, double now, struct err *e)
{
    bool grant = h->kind == MESSAGE_GRANT;
    if (h->kind == MESSAGE_STOP)
        return rank_end(r, e);
    if (h->kind == MESSAGE_VERDICT) {
        ended++;
        return 0;
    }
    ranks[r].open++;
    worker_add(r, h->worker, (struct task){h->unit, h->slot, grant}, now);
    return 0;
}

static int rank_unpack(unsigned r, const struct wire_head *parcel, const void *bytes, double now,
                       struct err *e)
{
    struct wire_head h;
    const void *body;
    size_t at = 0;
    while (parcel_next(bytes, parcel->len, &at, &h, &body) > 0)
        if (rank_take(r, &h, now, e) < 0)
            return -1;
    return 0;
}

static int others_poll(bool *any, double now, struct err *e)
{
    for (bool got = true; got;) {
        struct wire_head h;
        const void *bytes;
        unsigned from;
        if (wire->poll(&got, &from, &h, &bytes, e) < 0)
            return -1;
        if (!got)
            return 0;
        *any = true;
        unsigned r = h.worker >> PLAY_SHIFT;
        h.worker &= (1u << PLAY_SHIFT) - 1;
        if (h.kind == MESSAGE_PARCEL || message_of_unit(h.kind))
            ranks[r].pace.us = h.kind == MESSAGE_PARCEL ? (unsigned)h.unit : 0;
        int taken =
            h.kind == MESSAGE_PARCEL ? rank_unpack(r, &h, bytes, now, e) : rank_take(r, &h, now, e);
        if (taken < 0)
            return -1;
    }
    return 0;
}

static int others_answer(double now, struct err *e)
{
    while (n_heap && ready(0) <= now) {
        struct busy b = heap[0];
        struct task t = b.worker->queue[b.worker->first];
        heap_pop();
        b.worker->first = (b.worker->first + 1) % ARRAY_LEN(b.worker->queue);
        if (--b.worker->n)
            worker_begin(b.rank, b.number, now);
        if (!ranks[b.rank].ending && rank_answer(b.rank, b.number, &t, now, e) < 0)
            return -1;
    }
    for (unsigned r = 0; r < each; r++)
        if (rank_flush(r, now, e) < 0)
            return -1;
    return 0;
}

static int others(struct err *e)
{
    for (unsigned i = 0; i < WORDS_MAX; i++)
        need[i] = NEED_PLAIN;
    ranks = mem_new(each, sizeof *ranks, e);
    heap = mem_new((size_t)each * set.workers, sizeof *heap, e);
    if (!ranks || !heap)
        return -1;
    for (unsigned r = 0; r < each; r++) {
        ranks[r].worker = mem_new(set.workers, sizeof *ranks[r].worker, e);
        if (!ranks[r].worker)
            return -1;
    }
    while (ended < each) {
        bool any = false;
        if (others_poll(&any, pulse_now(), e) < 0 || others_answer(pulse_now(), e) < 0)
            return -1;
        if (!any)
            usleep(100);
    }
    return 0;
}

/* ---------------------------------------------------------------------------------------------- */

static int settings_parse(int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "n:t:c:g:d:s:v:f:")) >= 0) {
        double v = strtod(optarg ? optarg : "", NULL);
        switch (c) {
        case 'n':
            set.ranks = (unsigned)v;
            break;
        case 't':
            set.workers = (unsigned)v;
            break;
        case 'c':
            set.chunk = (unsigned)v;
            break;
        case 'g':
            set.rate = v;
            break;
        case 'd':
            set.depth = (unsigned)v;
            break;
        case 'f':
            set.format = optarg;
            break;
        case 'v':
            set.spread = v;
            break;
        case 's':
            set.seconds = v;
            break;
        default:
            return -1;
        }
    }
    bool right = set.ranks && set.workers && set.chunk && set.depth && set.rate > 0;
    return right && set.depth <= DEPTH_MAX && set.chunk <= 32 && optind == argc ? 0 : -1;
}

static int run(struct err *e)
{
    struct launcher l;
    unsigned rank;
    if (!launcher_there())
        return err_set(e, 0, "Start it with mpirun, on two ranks or more");
    if (launcher_find(&l, e) < 0)
        return -1;
    wire = module_load(&l, e);
    if (!wire || wire->start(&rank, &processes, e) < 0)
        return -1;
    if (processes < 2)
        return err_set(e, 0, "Start it on two ranks or more");
    each = (unsigned)num_div_up(set.ranks, processes - 1);
    set.ranks = each * (processes - 1);
    int r = rank ? others(e) : feed(e);
    if (r == 0)
        wire->end();
    return r;
}

int main(int argc, char **argv)
{
    static struct err e;
    if (settings_parse(argc, argv) < 0) {
        fprintf(stderr, "bench_feed [-n RANKS] [-t WORKERS] [-c CHUNK_MIB] [-g GB_S] [-d DEPTH] "
                        "[-s SECONDS] [-v SPREAD] [-f FORMAT]\n");
        return 2;
    }
    if (run(&e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    return 0;
}
