/*
 * Crowds on several ranks, started by mpirun.
 *
 *   crowd jobs        runs that end well and runs that fail anywhere: 0 if all was right
 *   crowd few         the same, as far as it makes sense on very many ranks
 *   crowd kill        the last rank is killed while units are out: not 0, and soon
 *   crowd stop        it falls silent: rank 0 says so, and does not wait for its own long unit
 *   crowd rate N      print how many units a second rank 0 can give out, with N in all
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/num.h"
#include "tests/mpi/crowd_trial.h"

static struct err err;
static struct crowd_trial trial;
static struct engine *g;
static unsigned bad;

static bool on_rank_0(void)
{
    return engine_rank(g) == 0;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(bool right, const char *what, const char *where)
{
    if (right)
        return;
    bad++;
    fprintf(stderr, "rank %u: %s: %s\n", engine_rank(g), where, what);
}

static int run(const char *name)
{
    bool clean = false;
    err_clear(&err);
    int r = crowd_trial_run(&trial, g, &clean, &err);
    check(clean, "not clean", name);
    check(err.set == (r < 0 && (on_rank_0() || trial.fail_settle)), "error set or not", name);
    return r;
}

/* -- runs that end well ------------------------------------------------------------------------ */

static void complete(const char *name)
{
    check(run(name) == 0, on_rank_0() ? err.text : "failed", name);
    check(trial.settled == 1, "not settled once", name);
    check(!on_rank_0() || crowd_trial_complete(&trial), "not complete", name);
}

static void runs_complete(unsigned seeds, uint64_t units)
{
    for (unsigned seed = 0; seed < seeds; seed++) {
        crowd_trial_init(&trial, g, units, seed);
        trial.depth = 1 + seed % 4;
        trial.grants = (enum crowd_grants)(seed % 3);
        trial.all_later = seed % 2;
        complete("all kinds");
        crowd_trial_init(&trial, g, units, seed);
        trial.grants = (enum crowd_grants)(seed % 3);
        trial.sleep_us = 1000;
        complete("with sleeps");
        crowd_trial_init(&trial, g, units, seed);
        trial.one_step = true;
        trial.max_workers = 1;
        complete("one step, one worker a rank");
        crowd_trial_init(&trial, g, seed, seed);
        complete("few units");
        crowd_trial_init(&trial, g, 30, seed);
        trial.chain = true;
        trial.manners = CROWD_PINNED | CROWD_FAILING;
        complete("a chain");
    }
}

/* Few units go to different ranks. */
static void runs_are_spread(void)
{
    crowd_trial_init(&trial, g, engine_size(g), 3);
    trial.manners = 0;
    trial.depth = 4;
    trial.sleep_us = 50000;
    complete("spread");
    check(atomic_load(&trial.prepared) == 1, "not one unit came here", "spread");
}

static void runs_end_early(void)
{
    double begin = now();
    crowd_trial_init(&trial, g, 500, 1);
    trial.manners = 0;
    trial.long_unit = 2 * engine_workers(g) - 1;
    trial.halt_after = 300;
    check(run("halt") == 0, on_rank_0() ? err.text : "failed", "halt");
    check(atomic_load(&trial.halts) == 1, "not halted once", "halt");
    check(trial.settled == 1, "not settled once", "halt");
    check(now() - begin < 30, "late", "halt");
}

/* -- runs that fail ---------------------------------------------------------------------------- */

static void failure(const char *name, const char *text)
{
    check(run(name) < 0, "did not fail", name);
    check(!on_rank_0() || strcmp(err.text, text) == 0, err.text, name);
}

static void runs_fail(void)
{
    crowd_trial_init(&trial, g, 300, 1);
    trial.fail_offer = 50;
    failure("offer", "offer 50");
    crowd_trial_init(&trial, g, 300, 1);
    trial.manners = 0;
    trial.long_unit = 2 * engine_workers(g) - 1;
    trial.fail_reported = 100;
    double begin = now();
    failure("reported", "reported 100");
    check(now() - begin < 30, "late", "reported");
    check(atomic_load(&trial.halts) == 1, "not halted once", "reported");
    crowd_trial_init(&trial, g, 300, 1);
    trial.fail_tick = 60;
    failure("tick", "tick 60");
}

static void runs_fail_on_a_rank(unsigned step)
{
    for (unsigned r = 0; r < engine_size(g); r += step) {
        char text[32];
        crowd_trial_init(&trial, g, 300, 1);
        trial.fail_worker_new = engine_rank(g) == r;
        failure("worker_new", "worker_new 0");
        crowd_trial_init(&trial, g, 50, 1);
        trial.fail_settle = engine_rank(g) >= r;
        snprintf(text, sizeof text, "settle %u", r);
        check(run("settle") < 0, "did not fail", "settle");
        check(!on_rank_0() || strcmp(err.text, text) == 0, err.text, "settle");
    }
}

static int verdict(void)
{
    int mine = bad ? err_set(&err, 0, "rank %u: %u bad", engine_rank(g), bad) : 0;
    int r = engine_agree(g, mine, &err);
    if (on_rank_0())
        printf("%u ranks, %u workers: %s\n", engine_size(g), engine_workers(g),
               r < 0 ? err.text : "all right");
    return r < 0;
}

static int jobs(void)
{
    runs_complete(6, 500);
    runs_are_spread();
    runs_end_early();
    runs_fail();
    runs_fail_on_a_rank(1);
    runs_complete(1, 500);
    return verdict();
}

static int few(void)
{
    runs_complete(2, 1500);
    runs_are_spread();
    runs_end_early();
    runs_fail_on_a_rank(63);
    runs_complete(1, 500);
    return verdict();
}

/* -- a rank that is lost ----------------------------------------------------------------------- */

static void *lose(void *arg)
{
    struct timespec second = {.tv_sec = 1};
    nanosleep(&second, NULL);
    raise(*(int *)arg);
    return NULL;
}

/* Every worker has units when it happens, rank 0's own a long one. */
static int lost(int signal_no)
{
    pthread_t thread;
    double begin = now();
    crowd_trial_init(&trial, g, 2000, 1);
    trial.manners = 0;
    trial.sleep_us = 100000;
    trial.long_unit = 0;
    if (engine_rank(g) == engine_size(g) - 1)
        pthread_create(&thread, NULL, lose, &signal_no);
    int r = run("lost");
    if (on_rank_0())
        fprintf(stderr, "%s after %.0f s\n", r < 0 ? err.text : "ended well", now() - begin);
    return 3;
}

/* -- how fast ---------------------------------------------------------------------------------- */

struct null_job {
    uint64_t units, next;
    uint64_t *waiting; /* seats, a ring of 1 << 16 */
    uint64_t head, tail;
    bool waits;
};

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
    *need = (struct blob){&j->units, sizeof j->units};
    return 0;
}

static int null_commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                       struct blob *done, struct err *e)
{
    (void)worker, (void)unit, (void)slot, (void)grant, (void)done, (void)e;
    return 0;
}

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
    *grant = (struct blob){&j->units, sizeof j->units};
    return PLACE_GO_ON;
}

static enum unit_next null_offer(void *ctx, const struct crowd_seat *s, uint64_t *unit,
                                 struct blob *brief, struct err *e)
{
    (void)s, (void)brief;
    return null_next(ctx, unit, e);
}

static int null_reported(void *ctx, const struct crowd_seat *s, uint64_t unit,
                         const struct blob *need, const struct err *why, bool *waits, struct err *e)
{
    struct null_job *j = ctx;
    (void)unit, (void)need, (void)why, (void)e;
    *waits = j->waits;
    if (j->waits)
        j->waiting[j->tail++ % (1 << 16)] = s->id;
    return 0;
}

static bool null_grant(void *ctx, uint32_t *seat, struct blob *grant, bool *drop)
{
    struct null_job *j = ctx;
    (void)drop;
    if (j->head == j->tail)
        return false;
    *seat = (uint32_t)j->waiting[j->head++ % (1 << 16)];
    *grant = (struct blob){&j->units, sizeof j->units};
    return true;
}

static int null_committed(void *ctx, const struct crowd_seat *s, uint64_t unit,
                          const struct blob *done, const struct err *why, struct err *e)
{
    (void)ctx, (void)s, (void)unit, (void)done, (void)why, (void)e;
    return 0;
}

static void rate_of(const char *what, bool crowd, bool one_step, uint64_t units)
{
    struct null_job j = {.units = units, .waits = !one_step};
    struct unit_job work = {.ctx = &j,
                            .depth = 16,
                            .next = null_next,
                            .place = null_place,
                            .worker_new = null_worker_new,
                            .worker_free = null_worker_free,
                            .prepare = null_prepare,
                            .commit = one_step ? NULL : null_commit};
    struct crowd_job job = {.work = &work,
                            .ctx = &j,
                            .offer = null_offer,
                            .reported = null_reported,
                            .grant = null_grant,
                            .committed = null_committed};
    j.waiting = calloc(1 << 16, sizeof *j.waiting);
    double begin = now();
    int r = !j.waiting ? -1 : crowd ? engine_crowd(g, &job, &err) : engine_run(g, &work, &err);
    if (on_rank_0())
        printf("%s: %u ranks, %u workers, %s: %.0f units/s%s\n", engine_name(g), engine_size(g),
               engine_workers(g), what, (double)units / (now() - begin), r < 0 ? ", FAILED" : "");
    free(j.waiting);
}

static int rate(uint64_t units)
{
    rate_of("ordered, two steps", false, false, units);
    rate_of("crowd, two steps  ", true, false, units);
    rate_of("ordered, one step ", false, true, units);
    rate_of("crowd, one step   ", true, true, units);
    return 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "jobs";
    struct engine_options o = {.threads = strcmp(what, "few") == 0 ? 1 : 2};
    if (engine_start(&o, &g, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    int code = 2;
    if (strcmp(what, "jobs") == 0)
        code = jobs();
    else if (strcmp(what, "few") == 0)
        code = few();
    else if (strcmp(what, "kill") == 0)
        code = lost(SIGKILL);
    else if (strcmp(what, "stop") == 0)
        code = lost(SIGSTOP);
    else if (strcmp(what, "rate") == 0)
        code = rate(argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000);
    return engine_end(g, code);
}
