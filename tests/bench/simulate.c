/*
 * How a conversion would scale to thousands of ranks: a simulation, event by event, of rank 0's
 * main thread, the relays, the workers and the order of chunks, driven by measured costs.
 *
 *   bench_simulate [-n RANKS] [-t WORKERS] [-d DEPTH] [-c MIB,MIB...] [-k MS] [-g GB_S] [-S GB_S]
 *                  [-u US] [-b US] [-m US] [-l US] [-z US] [-v SPREAD] [-P] [-o FILE.svg]
 *
 *   -n  ranks: 1, 2, 4 and so on to this (4096)         -t  workers of a rank (32)
 *   -d  chunks that a worker may hold (4)               -c  chunk sizes, a curve each (1,4,16)
 *   -k  a worker's milliseconds of CPU for a MiB (2.5: raw to qcow2 -c; 0.6 without -c)
 *   -g  what a rank's storage gives it (1 GB/s)         -S  what all have together (no limit)
 *   -u  rank 0's time for a chunk's messages (0.8)      -b  and for each of its clusters (0.022)
 *   -m  rank 0's time for a message of the wire (1.0: shared memory; some 4 over TCP)
 *   -l  a message's way (20)                            -z  the longest nap of who waits (1000)
 *   -v  how much chunks differ, 0 to 1 (0.2)            -P  each message by itself, no parcels
 *
 * What it assumes:
 * - A rank's workers share what its storage gives, ranks what all have; nothing else slows them.
 *   A chunk takes CPU time or storage time, whichever is longer, half before its place is known
 *   and half after.
 * - Rank 0's main thread has a core of its own; rank 0's workers count as another rank's.
 * - The network carries any number of messages at once.
 * - All chunks have data; only the time between beginning and end is looked at.
 * One rank is 100 %, so 80 % of 1,000 ranks do what 800 would do that nobody disturbed.
 *
 * The costs are from bench_ceiling, bench_feed (-u, -m) and bench_placing (-b).
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "mpi/pace.h"
#include "mpi/parcel.h"
#include "tests/bench/curves.h"

#define CLUSTER    (64 * KIB)
#define WINDOW_MAX 262144 /* as in mpi/frontier.c */
/* Bytes of messages: the head of each, a chunk's report without its words, the cursor. */
#define HEAD   sizeof(struct wire_head)
#define REPORT 24
#define CURSOR 48
/* Chunks that are done in a run: for each worker, and at least. */
#define UNITS_EACH  30
#define UNITS_LEAST 20000

static struct {
    unsigned ranks, workers, depth, n_sizes;
    double size[CURVES_MAX]; /* MiB */
    double cpu, storage, all;
    double unit, cluster, message, way, nap, spread;
    bool alone;
    const char *svg;
} set = {.ranks = 4096,
         .workers = 32,
         .depth = 4,
         .n_sizes = 3,
         .size = {1, 4, 16},
         .cpu = 2.5,
         .storage = 1,
         .all = INFINITY,
         .unit = 0.8,
         .cluster = 0.022,
         .message = 1.0,
         .way = 20,
         .nap = 1000,
         .spread = 0.2};

static void *grown(void *p, size_t n, size_t size)
{
    void *more = realloc(p, n * size);
    if (!more) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return more;
}

static double random_part(void)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / (1 << 24);
}

/* -- messages ---------------------------------------------------------------------------------- */

enum kind { WORK, GRANT, NEED, DONE };

struct msg {
    uint32_t unit;
    uint16_t worker;
    uint16_t kind;
};

/* Messages of one rank, or for one. */
struct list {
    struct msg *msg;
    unsigned n, room;
};

static void list_add(struct list *l, struct msg m)
{
    if (l->n == l->room) {
        l->room = l->room ? 2 * l->room : 4;
        l->msg = grown(l->msg, l->room, sizeof *l->msg);
    }
    l->msg[l->n++] = m;
}

/* -- what happens, in order of time ------------------------------------------------------------ */

enum what { ROUND, UP, DOWN, FLUSH, READY };

struct event {
    double time;
    enum what what;
    uint32_t rank;
    uint32_t worker;
    struct list list;
};

static struct event *heap;
static size_t n_heap, heap_room;

static void event_add(struct event e)
{
    if (n_heap == heap_room) {
        heap_room = heap_room ? 2 * heap_room : 1024;
        heap = grown(heap, heap_room, sizeof *heap);
    }
    size_t i = n_heap++;
    for (; i && heap[(i - 1) / 2].time > e.time; i = (i - 1) / 2)
        heap[i] = heap[(i - 1) / 2];
    heap[i] = e;
}

static struct event event_next(void)
{
    struct event first = heap[0], last = heap[--n_heap];
    size_t i = 0;
    for (size_t k; (k = 2 * i + 1) < n_heap; i = k) {
        k += k + 1 < n_heap && heap[k + 1].time < heap[k].time;
        if (last.time <= heap[k].time)
            break;
        heap[i] = heap[k];
    }
    heap[i] = last;
    return first;
}

/* -- the state --------------------------------------------------------------------------------- */

#define DEPTH_MAX 16

struct worker {
    struct msg task[2 * DEPTH_MAX]; /* [0] is being done */
    unsigned n;
    bool began;
};

struct rank {
    struct worker *worker;
    struct list up;
    struct pace pace;
    unsigned asked;
    bool flushing; /* an event for it is on its way */
    struct list down;
    bool listed;
};

struct slot { /* of the frontier's ring */
    uint32_t rank;
    uint16_t worker;
    bool reported;
};

struct seat {
    uint32_t rank;
    uint16_t worker;
};

struct arrived {
    uint32_t rank;
    struct list list;
};

static struct {
    unsigned ranks;
    double chunk_time; /* a worker's, of a chunk */
    double unit_time;  /* rank 0's, of a chunk, without messages of the wire */
    double bytes[4];   /* of messages, by kind */
    uint32_t units, done;
    uint32_t head, next; /* the frontier: placed below, given below */
    uint32_t window;
    struct slot *ring;
    struct rank *rank;
    struct worker *worker;
    struct seat *seat; /* free ones: a ring */
    size_t n_seats, first_seat, free_seats;
    uint32_t *list; /* ranks that something waits for */
    unsigned n_list;
    struct arrived *in;
    unsigned n_in, in_room;
    struct pace pace;
    double slept_since; /* or from then on, while rank 0 is in a round */
    bool rounding;      /* one is on its way */
    /* what is watched: from a third of the chunks to five sixths */
    double first_time, last_time;
    double busy, wire;
} sim;

/* Naps grow with the time that nothing came. */
static double nap(double slept)
{
    double longest = set.nap * 1e-6;
    return random_part() * (slept < longest ? slept : longest);
}

/* From rank 0 until a relay has seen it. */
static double way(void)
{
    return set.way * 1e-6 + nap(1);
}

/* -- workers and relays ------------------------------------------------------------------------ */

/* Their first chunks are of all lengths, so that they do not go on in step. */
static void worker_begin(unsigned r, unsigned number, double t)
{
    struct worker *w = &sim.rank[r].worker[number];
    double times = w->began ? 1 + set.spread * (2 * random_part() - 1) : 2 * random_part();
    w->began = true;
    event_add((struct event){t + sim.chunk_time / 2 * times, READY, r, number, {0}});
}

static void worker_take(unsigned r, struct msg m, double t)
{
    struct worker *w = &sim.rank[r].worker[m.worker];
    unsigned at = w->n++;
    for (; m.kind == GRANT && at > 1 && w->task[at - 1].kind != GRANT; at--)
        w->task[at] = w->task[at - 1];
    w->task[at] = m;
    if (w->n == 1)
        worker_begin(r, m.worker, t);
}

static void relay_send(unsigned r, double t)
{
    struct rank *k = &sim.rank[r];
    if (!k->up.n)
        return;
    k->pace.sent = t;
    event_add((struct event){t + set.way * 1e-6, UP, r, 0, k->up});
    k->up = (struct list){0};
}

/* As post.c: at once, or when it is time, or when nothing would be added. */
static void relay_flush(unsigned r, double t)
{
    struct rank *k = &sim.rank[r];
    unsigned left = k->asked ? pace_left(&k->pace, t) : 0;
    if (set.alone || !left) {
        relay_send(r, t);
    } else if (!k->flushing) {
        k->flushing = true;
        event_add((struct event){t + left * 1e-6, FLUSH, r, 0, {0}});
    }
}

static void worker_ready(unsigned r, unsigned number, double t)
{
    struct worker *w = &sim.rank[r].worker[number];
    struct msg m = w->task[0];
    memmove(w->task, w->task + 1, --w->n * sizeof w->task[0]);
    if (w->n)
        worker_begin(r, number, t);
    m.kind = m.kind == GRANT ? DONE : NEED;
    sim.rank[r].asked--;
    list_add(&sim.rank[r].up, m);
    relay_flush(r, t);
}

static void relay_take(struct event *e)
{
    struct rank *k = &sim.rank[e->rank];
    k->pace.us = sim.pace.us;
    k->asked += e->list.n;
    for (unsigned i = 0; i < e->list.n; i++)
        worker_take(e->rank, e->list.msg[i], e->time);
    free(e->list.msg);
}

/* -- rank 0 ------------------------------------------------------------------------------------ */

static void round_at(double t)
{
    if (sim.rounding)
        return;
    sim.rounding = true;
    event_add((struct event){t, ROUND, 0, 0, {0}});
}

static void send_to(uint32_t rank, struct msg m)
{
    struct rank *k = &sim.rank[rank];
    if (!k->listed)
        sim.list[sim.n_list++] = rank;
    k->listed = true;
    list_add(&k->down, m);
}

static void seat_free(uint32_t rank, uint16_t worker)
{
    sim.seat[(sim.first_seat + sim.free_seats++) % sim.n_seats] = (struct seat){rank, worker};
}

static void count_done(double t)
{
    sim.done++;
    if (sim.done == sim.units / 3) {
        sim.first_time = t;
        sim.busy = sim.wire = 0;
    }
    if (sim.done == sim.units / 6 * 5)
        sim.last_time = t;
}

static void hear(const struct arrived *a, double t)
{
    for (unsigned i = 0; i < a->list.n; i++) {
        const struct msg *m = &a->list.msg[i];
        if (m->kind == NEED) {
            sim.ring[m->unit % sim.window].reported = true;
        } else {
            seat_free(a->rank, m->worker);
            count_done(t);
        }
    }
}

static void place_and_give(void)
{
    for (; sim.head < sim.next && sim.ring[sim.head % sim.window].reported; sim.head++) {
        const struct slot *s = &sim.ring[sim.head % sim.window];
        send_to(s->rank, (struct msg){sim.head, s->worker, GRANT});
    }
    while (sim.free_seats && sim.next < sim.units && sim.next - sim.head < sim.window) {
        struct seat s = sim.seat[sim.first_seat];
        sim.first_seat = (sim.first_seat + 1) % sim.n_seats;
        sim.free_seats--;
        sim.ring[sim.next % sim.window] = (struct slot){s.rank, s.worker, false};
        send_to(s.rank, (struct msg){sim.next++, s.worker, WORK});
    }
}

/* Rank 0's time for the messages of the wire that these are. Within a rank there are none. */
static double wire_time(const struct list *l)
{
    double bytes = 0;
    for (unsigned i = 0; i < l->n; i++)
        bytes += sim.bytes[l->msg[i].kind];
    double n = set.alone ? l->n : ceil(bytes / PARCEL_MAX);
    sim.wire += n;
    return sim.ranks > 1 ? n * set.message * 1e-6 : 0;
}

static double take_in(double t)
{
    double cost = 0;
    for (unsigned i = 0; i < sim.n_in; i++) {
        struct arrived *a = &sim.in[i];
        cost += wire_time(&a->list) + a->list.n * sim.unit_time / 2;
        hear(a, t);
        free(a->list.msg);
    }
    sim.n_in = 0;
    return cost;
}

static double send_out(double t)
{
    double cost = 0;
    for (unsigned i = 0; i < sim.n_list; i++) {
        struct rank *k = &sim.rank[sim.list[i]];
        cost += wire_time(&k->down);
        event_add((struct event){t + cost + way(), DOWN, sim.list[i], 0, k->down});
        k->down = (struct list){0};
        k->listed = false;
    }
    sim.n_list = 0;
    sim.pace.sent = t;
    return cost;
}

/* Take what is there, see to it, send what there is to say; then again, or sleep. */
static void round_do(double t)
{
    double slept = t - sim.slept_since;
    pace_watch(&sim.pace, t, slept > 0 ? slept : 0);
    double cost = take_in(t);
    place_and_give();
    unsigned left = sim.n_list ? pace_left(&sim.pace, t) : 0;
    if (sim.n_list && (set.alone || !left))
        cost += send_out(t + cost);
    sim.busy += cost;
    sim.rounding = false;
    sim.slept_since = t + cost;
    if (sim.n_list)
        round_at(t + cost + left * 1e-6);
}

static void hear_of(struct event *e)
{
    if (sim.n_in == sim.in_room) {
        sim.in_room = sim.in_room ? 2 * sim.in_room : 64;
        sim.in = grown(sim.in, sim.in_room, sizeof *sim.in);
    }
    sim.in[sim.n_in++] = (struct arrived){e->rank, e->list};
    /* it sleeps: until the nap ends; it works: when it is done with that */
    double t = sim.slept_since;
    round_at(e->time > t ? e->time + nap(e->time - t) : t);
}

/* -- one run ----------------------------------------------------------------------------------- */

static void sim_begin(unsigned ranks, double mib)
{
    double fair = set.storage < set.all / ranks ? set.storage : set.all / ranks;
    double storage = set.workers * mib * (double)MIB / (fair * 1e9);
    double cpu = set.cpu * 1e-3 * mib;
    double clusters = mib * (double)MIB / CLUSTER;
    memset(&sim, 0, sizeof sim);
    n_heap = 0;
    sim.ranks = ranks;
    sim.chunk_time = cpu > storage ? cpu : storage;
    sim.unit_time = (set.unit + set.cluster * clusters) * 1e-6;
    sim.bytes[WORK] = HEAD;
    sim.bytes[GRANT] = HEAD + CURSOR;
    sim.bytes[NEED] = HEAD + REPORT + 4 * clusters;
    sim.bytes[DONE] = HEAD;
    size_t workers = (size_t)ranks * set.workers;
    sim.n_seats = workers * set.depth;
    sim.window = (uint32_t)num_min(4 * sim.n_seats, WINDOW_MAX);
    sim.units = (uint32_t)num_max(workers * UNITS_EACH, UNITS_LEAST);
    sim.rank = grown(NULL, ranks, sizeof *sim.rank);
    memset(sim.rank, 0, ranks * sizeof *sim.rank);
    sim.worker = grown(NULL, workers, sizeof *sim.worker);
    memset(sim.worker, 0, workers * sizeof *sim.worker);
    for (unsigned r = 0; r < ranks; r++)
        sim.rank[r].worker = sim.worker + (size_t)r * set.workers;
    sim.seat = grown(NULL, sim.n_seats, sizeof *sim.seat);
    sim.ring = grown(NULL, sim.window, sizeof *sim.ring);
    sim.list = grown(NULL, ranks, sizeof *sim.list);
    for (unsigned d = 0; d < set.depth; d++)
        for (unsigned w = 0; w < set.workers; w++)
            for (unsigned r = 0; r < ranks; r++)
                seat_free(r, (uint16_t)w);
    round_at(0);
}

static void sim_end(void)
{
    for (unsigned r = 0; r < sim.ranks; r++) {
        free(sim.rank[r].up.msg);
        free(sim.rank[r].down.msg);
    }
    free(sim.rank);
    free(sim.worker);
    free(sim.seat);
    free(sim.ring);
    free(sim.list);
    free(sim.in);
}

struct outcome {
    double rate; /* bytes a second */
    double busy; /* rank 0, of its time */
    double wire; /* messages of the wire that it took and sent, a chunk */
};

static struct outcome simulate(unsigned ranks, double mib)
{
    sim_begin(ranks, mib);
    while (sim.done < sim.units && n_heap) {
        struct event e = event_next();
        switch (e.what) {
        case ROUND:
            round_do(e.time);
            break;
        case UP:
            hear_of(&e);
            break;
        case DOWN:
            relay_take(&e);
            break;
        case FLUSH:
            sim.rank[e.rank].flushing = false;
            relay_flush(e.rank, e.time);
            break;
        case READY:
            worker_ready(e.rank, e.worker, e.time);
            break;
        }
        if (sim.last_time > 0)
            break;
    }
    double time = sim.last_time - sim.first_time, n = (sim.units / 6 * 5 - sim.units / 3);
    struct outcome o = {n * mib * (double)MIB / time, fmin(sim.busy / time, 1), sim.wire / n};
    while (n_heap)
        free(event_next().list.msg);
    sim_end();
    return o;
}

/* -- all of them ------------------------------------------------------------------------------- */

static int settings_parse(int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "n:t:d:c:k:g:S:u:b:m:l:z:v:Po:")) >= 0) {
        double v = optarg ? strtod(optarg, NULL) : 0;
        switch (c) {
        case 'n':
            set.ranks = (unsigned)v;
            break;
        case 't':
            set.workers = (unsigned)v;
            break;
        case 'd':
            set.depth = (unsigned)v;
            break;
        case 'c':
            set.n_sizes = 0;
            for (char *at = strtok(optarg, ","); at; at = strtok(NULL, ","))
                if (set.n_sizes < CURVES_MAX)
                    set.size[set.n_sizes++] = strtod(at, NULL);
            break;
        case 'k':
            set.cpu = v;
            break;
        case 'g':
            set.storage = v;
            break;
        case 'S':
            set.all = v;
            break;
        case 'u':
            set.unit = v;
            break;
        case 'b':
            set.cluster = v;
            break;
        case 'm':
            set.message = v;
            break;
        case 'l':
            set.way = v;
            break;
        case 'z':
            set.nap = v;
            break;
        case 'v':
            set.spread = v;
            break;
        case 'P':
            set.alone = true;
            break;
        case 'o':
            set.svg = optarg;
            break;
        default:
            return -1;
        }
    }
    bool right = set.ranks && set.workers && set.workers < 65536 && set.depth && set.n_sizes;
    return right && set.depth <= DEPTH_MAX && optind == argc ? 0 : -1;
}

static void print_head(void)
{
    printf("%u workers a rank, depth %u; a worker: %.2f ms of CPU a MiB; storage: %.2f GB/s a "
           "rank",
           set.workers, set.depth, set.cpu, set.storage);
    if (isfinite(set.all))
        printf(", %.0f GB/s in all", set.all);
    printf("\nrank 0: %.2f us a chunk + %.3f us a cluster, %.2f us a message%s; way %.0f us, naps "
           "to %.0f us; chunks differ by %.0f %%\n\n",
           set.unit, set.cluster, set.message, set.alone ? ", no parcels" : "", set.way, set.nap,
           100 * set.spread);
    printf("%6s %6s %10s %11s %6s %9s\n", "MiB", "ranks", "GB/s", "efficiency", "rank 0",
           "messages");
}

static void run_size(double mib, struct curve *curve)
{
    double one = 0;
    snprintf(curve->name, sizeof curve->name, "chunks of %g MiB", mib);
    for (unsigned ranks = 1; ranks <= set.ranks && curve->n < CURVE_POINTS; ranks *= 2) {
        struct outcome o = simulate(ranks, mib);
        one = ranks == 1 ? o.rate : one;
        double efficiency = o.rate / (ranks * one);
        printf("%6g %6u %10.2f %9.1f %% %4.0f %% %9.2f\n", mib, ranks, o.rate / 1e9,
               100 * efficiency, 100 * o.busy, o.wire);
        fflush(stdout);
        curve->x[curve->n] = ranks;
        curve->y[curve->n++] = efficiency;
    }
}

int main(int argc, char **argv)
{
    static struct curves all = {.title = "Efficiency by ranks, simulated from measured costs",
                                .x = "ranks",
                                .y = "efficiency"};
    if (settings_parse(argc, argv) < 0) {
        fprintf(stderr, "bench_simulate: the head of tests/bench/simulate.c says how\n");
        return 2;
    }
    print_head();
    for (unsigned i = 0; i < set.n_sizes; i++)
        run_size(set.size[i], &all.curve[all.n++]);
    snprintf(all.note, sizeof all.note,
             "%u workers a rank, %g GB/s a rank; rank 0: %g us a chunk + %g us a cluster, %g us a "
             "message",
             set.workers, set.storage, set.unit, set.cluster, set.message);
    free(heap);
    return set.svg && curves_draw(&all, set.svg) < 0 ? 1 : 0;
}
