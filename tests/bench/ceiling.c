/*
 * The coordinator's own ceiling: a job that does nothing, in units per second. At a chunk size of
 * S bytes, more than ceiling * S bytes per second cannot be converted. With a small depth it is
 * not the coordinator that is measured, but how quickly the system wakes threads.
 *
 *   bench_coordinator [serial|threads|mpi|auto] [threads] [units] [depth]
 *   mpirun -n 4 bench_coordinator auto 1 1000000 16
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "mpi/engine.h"

struct null_job {
    uint64_t units;
    uint64_t next;
    uint64_t at;
    uint64_t need; /* every worker's need is this same number */
};

static enum unit_next null_next(void *ctx, uint64_t *unit, struct err *e)
{
    struct null_job *j = ctx;
    (void)e;
    *unit = j->next++;
    return *unit < j->units ? UNIT_THERE : UNIT_NONE;
}

static enum unit_place null_place(void *ctx, uint64_t unit, const struct blob *need,
                                  struct blob *grant, struct err *e)
{
    struct null_job *j = ctx;
    (void)unit, (void)need, (void)e;
    j->at += j->need;
    *grant = (struct blob){&j->at, sizeof j->at};
    return PLACE_GO_ON;
}

static int null_worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    (void)depth, (void)e;
    *worker = ctx;
    return 0;
}

static void null_worker_free(void *worker)
{
    (void)worker;
}

static int null_prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need,
                        struct err *e)
{
    struct null_job *j = worker;
    (void)unit, (void)slot, (void)e;
    *need = (struct blob){&j->need, sizeof j->need};
    return 0;
}

static int null_commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                       struct blob *done, struct err *e)
{
    (void)worker, (void)unit, (void)slot, (void)grant, (void)e;
    *done = (struct blob){0};
    return 0;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int run(struct engine *g, const char *what, uint64_t units, unsigned depth, bool one_step,
               struct err *e)
{
    struct null_job j = {.units = units, .need = 1};
    struct unit_job job = {.ctx = &j,
                           .depth = depth,
                           .next = null_next,
                           .place = null_place,
                           .worker_new = null_worker_new,
                           .worker_free = null_worker_free,
                           .prepare = null_prepare,
                           .commit = one_step ? NULL : null_commit};
    double start = seconds();
    int r = engine_run(g, &job, e);
    if (r == 0 && engine_rank(g) == 0)
        printf("%s: %u ranks, %u workers, depth %u, %s: %.0f units/s\n", engine_name(g),
               engine_size(g), engine_workers(g), depth, what, (double)units / (seconds() - start));
    return r;
}

static enum engine_kind kind_of(const char *name)
{
    static const char *const names[] = {"auto", "serial", "threads", "mpi"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum engine_kind)i;
    return ENGINE_AUTO;
}

int main(int argc, char **argv)
{
    static struct err e;
    struct engine_options o = {
        .kind = argc > 1 ? kind_of(argv[1]) : ENGINE_AUTO,
        .threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 0,
    };
    uint64_t units = argc > 3 ? strtoull(argv[3], NULL, 10) : 1000000;
    unsigned depth = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 16;
    struct engine *g;
    if (engine_start(&o, &g, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    int r = run(g, "two steps", units, depth, false, &e);
    if (r == 0)
        r = run(g, "one step", units, depth, true, &e);
    if (r < 0 && engine_rank(g) == 0)
        fprintf(stderr, "%s\n", e.text);
    return engine_end(g, r < 0);
}
