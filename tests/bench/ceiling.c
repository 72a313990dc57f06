/*
 * The coordinator's own ceiling: a job that does nothing, on whatever ranks and threads it is
 * started. Its messages are as long as a conversion's of chunks of so many bytes: a word a cluster.
 *
 *   bench_ceiling [-e serial|threads|mpi] [-t THREADS] [-u UNITS] [-d DEPTH] [-c CHUNK_MIB] [-r
 * RUNS] mpirun -n 16 bench_ceiling -t 4 -u 200000
 *
 * A line a run, and one of the medians: units a second, then CPU time of rank 0 for a unit, of its
 * main thread and of all its threads but the workers, in microseconds. The CPU time is what counts:
 * here all ranks share some cores, elsewhere rank 0's main thread has one. From it follows what
 * rank 0 could feed: so many units a second, of CHUNK_MIB each.
 *
 * With a depth of 1 and few workers it is not the coordinator that is measured, but how quickly the
 * system wakes threads.
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/num.h"
#include "mpi/engine.h"

#define CLUSTER       (64 * KIB)
#define HEAD          24 /* of a chunk's report */
#define CURSOR        48
#define RUNS_MAX      99
#define MESSAGE_WORDS 4096

struct settings {
    struct engine_options engine;
    uint64_t units;
    unsigned depth;
    unsigned chunk; /* MiB */
    unsigned runs;
    unsigned sleep; /* microseconds of a unit */
    unsigned burn;  /* microseconds of CPU time that rank 0 has to do with it besides */
    bool one_step;
};

struct null_job {
    uint64_t units;
    uint64_t next;
    unsigned sleep;
    unsigned burn;
    uint64_t words; /* of a need */
    uint64_t at[CURSOR / sizeof(uint64_t)];
    uint64_t need[MESSAGE_WORDS];
    atomic_ullong workers_ns; /* CPU time of this rank's workers */
};

/* What one run showed, on rank 0. */
struct figures {
    double rate; /* units a second */
    double main; /* microseconds of CPU time a unit */
    double rank; /* the same, all threads but workers */
};

static double clock_seconds(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* -- the job ----------------------------------------------------------------------------------- */

static enum unit_next null_next(void *ctx, uint64_t *unit, struct err *e)
{
    struct null_job *j = ctx;
    (void)e;
    *unit = j->next++;
    return *unit < j->units ? UNIT_THERE : UNIT_NONE;
}

static void burn(unsigned us)
{
    double until = us ? clock_seconds(CLOCK_THREAD_CPUTIME_ID) + us / 1e6 : 0;
    while (us && clock_seconds(CLOCK_THREAD_CPUTIME_ID) < until)
        ;
}

static enum unit_place null_place(void *ctx, uint64_t unit, const struct blob *need,
                                  struct blob *grant, struct err *e)
{
    struct null_job *j = ctx;
    (void)unit, (void)e;
    burn(j->burn);
    j->at[0] += need->len;
    *grant = (struct blob){j->at, sizeof j->at};
    return PLACE_GO_ON;
}

static int null_collect(void *ctx, uint64_t unit, const struct blob *done, struct err *e)
{
    (void)ctx, (void)unit, (void)done, (void)e;
    return 0;
}

/* A worker is the job itself: it keeps nothing. */
static int null_worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    (void)depth, (void)e;
    *worker = ctx;
    return 0;
}

static void null_worker_free(void *worker)
{
    struct null_job *j = worker;
    atomic_fetch_add(&j->workers_ns,
                     (unsigned long long)(clock_seconds(CLOCK_THREAD_CPUTIME_ID) * 1e9));
}

static int null_prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need,
                        struct err *e)
{
    struct null_job *j = worker;
    (void)slot, (void)e;
    if (j->sleep) /* by the unit: half of it to one and a half */
        usleep(j->sleep / 2 + (unsigned)(unit * 2654435761u % (j->sleep + 1)));
    *need = (struct blob){j->need, j->words * sizeof j->need[0]};
    return 0;
}

/* A conversion that ends on whole pages sends its report's head back. */
static int null_commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                       struct blob *done, struct err *e)
{
    struct null_job *j = worker;
    (void)unit, (void)slot, (void)grant, (void)e;
    *done = (struct blob){j->need, HEAD};
    return 0;
}

/* -- runs -------------------------------------------------------------------------------------- */

static int run(struct engine *g, const struct settings *s, struct figures *f, struct err *e)
{
    uint64_t clusters = s->chunk * (MIB / CLUSTER);
    static struct null_job j;
    memset(&j, 0, sizeof j);
    j.units = s->units;
    j.sleep = s->sleep;
    j.burn = s->burn;
    j.words = num_min(HEAD / 8 + num_div_up(clusters, 2), MESSAGE_WORDS);
    struct unit_job job = {.ctx = &j,
                           .depth = s->depth,
                           .next = null_next,
                           .place = null_place,
                           .collect = null_collect,
                           .worker_new = null_worker_new,
                           .worker_free = null_worker_free,
                           .prepare = null_prepare,
                           .commit = s->one_step ? NULL : null_commit};
    double wall = clock_seconds(CLOCK_MONOTONIC);
    double own = clock_seconds(CLOCK_THREAD_CPUTIME_ID);
    double all = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    int r = engine_run(g, &job, e);
    double n = (double)s->units;
    double workers = (double)atomic_load(&j.workers_ns) / 1e9;
    f->rate = n / (clock_seconds(CLOCK_MONOTONIC) - wall);
    f->main = (clock_seconds(CLOCK_THREAD_CPUTIME_ID) - own) / n * 1e6 - s->burn;
    f->rank = (clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - all - workers) / n * 1e6 - s->burn;
    return r;
}

static void print(const struct engine *g, const struct settings *s, const char *what,
                  const struct figures *f)
{
    printf("%s: %u ranks, %u workers, depth %u, %u MiB%s, %s: %.0f units/s; rank 0: %.2f us "
           "(%.2f)",
           engine_name(g), engine_size(g), engine_workers(g), s->depth, s->chunk,
           s->one_step ? ", one step" : "", what, f->rate, f->main, f->rank);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const struct figures *f, unsigned n, size_t member)
{
    double v[RUNS_MAX];
    for (unsigned i = 0; i < n; i++)
        memcpy(&v[i], (const char *)&f[i] + member, sizeof v[i]);
    qsort(v, n, sizeof v[0], ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void print_medians(const struct engine *g, const struct settings *s, const struct figures *f)
{
    struct figures m = {median(f, s->runs, offsetof(struct figures, rate)),
                        median(f, s->runs, offsetof(struct figures, main)),
                        median(f, s->runs, offsetof(struct figures, rank))};
    print(g, s, "median", &m);
    double busiest = m.main > m.rank ? m.main : m.rank;
    printf(" -> %.0f units/s, %.1f GB/s\n", 1e6 / busiest, s->chunk * 1.048576e6 / busiest / 1e3);
}

static int runs(struct engine *g, const struct settings *s, struct err *e)
{
    struct figures f[RUNS_MAX];
    bool prints = engine_rank(g) == 0;
    for (unsigned i = 0; i < s->runs; i++) {
        if (run(g, s, &f[i], e) < 0)
            return -1;
        if (prints) {
            print(g, s, "run", &f[i]);
            printf("\n");
            fflush(stdout);
        }
    }
    if (prints)
        print_medians(g, s, f);
    return 0;
}

static enum engine_kind kind_of(const char *name)
{
    static const char *const names[] = {"auto", "serial", "threads", "mpi"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum engine_kind)i;
    return ENGINE_AUTO;
}

static int settings_parse(struct settings *s, int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "e:t:u:d:c:r:w:b:1")) >= 0)
        switch (c) {
        case 'e':
            s->engine.kind = kind_of(optarg);
            break;
        case 't':
            s->engine.threads = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'u':
            s->units = strtoull(optarg, NULL, 10);
            break;
        case 'd':
            s->depth = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'c':
            s->chunk = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'r':
            s->runs = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'w':
            s->sleep = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'b':
            s->burn = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case '1':
            s->one_step = true;
            break;
        default:
            return -1;
        }
    bool right = optind == argc && s->units && s->depth && s->chunk && s->runs;
    return right && s->runs <= RUNS_MAX ? 0 : -1;
}

int main(int argc, char **argv)
{
    static struct err e;
    struct settings s = {.units = 200000, .depth = 4, .chunk = 1, .runs = 3};
    if (settings_parse(&s, argc, argv) < 0) {
        fprintf(stderr, "bench_ceiling [-e ENGINE] [-t THREADS] [-u UNITS] [-d DEPTH] [-c MIB] "
                        "[-r RUNS] [-w USEC] [-1]\n");
        return 2;
    }
    struct engine *g;
    if (engine_start(&s.engine, &g, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    int r = runs(g, &s, &e);
    if (r < 0 && engine_rank(g) == 0)
        fprintf(stderr, "%s\n", e.text);
    return engine_end(g, r < 0);
}
