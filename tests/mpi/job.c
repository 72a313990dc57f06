/*
 * Runs on several ranks, started by mpirun. One process does many jobs one after the other, since
 * starting MPI takes longer than they do.
 *
 *   job jobs      jobs that end well and jobs that fail anywhere, share, agree: 0 if all was right
 *   job idle      ranks that wait use little CPU: 0 if so
 *   job exit N    every rank ends with N
 *   job name      print the engine's name
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/num.h"
#include "tests/mpi/trial.h"

static struct err err;
static struct trial trial;
static struct engine *g;
static unsigned bad;

static bool on_rank_0(void)
{
    return engine_rank(g) == 0;
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
    struct unit_job job = trial_job(&trial);
    err_clear(&err);
    int r = engine_run(g, &job, &err);
    check(trial_clean(&trial, g, r), "not clean", name);
    check(err.set == (r < 0 && (on_rank_0() || trial.fail_settle)), "error set or not", name);
    return r;
}

/* -- jobs that end well ------------------------------------------------------------------------ */

static void complete(const char *name)
{
    check(run(name) == 0, on_rank_0() ? err.text : "failed", name);
    check(trial.settled == 1, "not settled once", name);
    check(!on_rank_0() || trial_complete(&trial), "not complete", name);
}

static void jobs_complete(void)
{
    for (unsigned seed = 0; seed < 4; seed++) {
        trial_init(&trial, 1500, seed);
        trial.depth = 1 + seed;
        complete("plain");
        trial_init(&trial, 500, seed);
        trial.sleep_us = 300;
        complete("with sleeps");
        trial_init(&trial, 1500, seed);
        trial.one_step = true;
        complete("one step");
        trial_init(&trial, 200, seed);
        trial.window = 1 + seed;
        trial.depth = 3;
        complete("small window");
        trial_init(&trial, 200, seed);
        trial.max_workers = 1;
        complete("one worker a rank");
        trial_init(&trial, seed, seed);
        complete("few units");
        trial_init(&trial, 500, seed);
        trial.ranks = engine_size(g);
        trial.rank = engine_rank(g);
        trial.depth = 1 + seed;
        trial.sleep_us = 100 * seed;
        trial.one_step = seed % 2;
        complete("units that avoid a rank");
        trial_init(&trial, 800, seed);
        trial.checkpoint_every = 1 + 4 * seed;
        trial.least_persists = 2; /* then the first was made on all ranks */
        trial.sleep_us = 100;
        trial.one_step = seed % 2;
        complete("checkpoints");
        check(atomic_load(&trial.persists) > 0, "nothing was kept here", "checkpoints");
        trial_init(&trial, 1500, seed);
        trial.checkpoint_every = 3;
        trial.enough_at = 30 * seed;
        trial.sleep_us = 100;
        check(run("enough") == 0, on_rank_0() ? err.text : "failed", "enough");
        check(!on_rank_0() || trial_complete_so_far(&trial), "not complete", "enough");
        check(trial.settled == 1, "not settled once", "enough");
        trial_init(&trial, 300, seed);
        trial.stop_at = 100;
        while (!trial_has(&trial, trial.stop_at))
            trial.stop_at++;
        trial.fail_prepare = trial.stop_at + 1;
        trial.one_step = seed % 2;
        complete("stop");
    }
}

/* With work for all, all have some. */
static void jobs_are_spread(void)
{
    trial_init(&trial, 4 * engine_workers(g), 3);
    trial.depth = 4;
    trial.sleep_us = 2000;
    complete("spread");
    check(atomic_load(&trial.prepared) > 0, "no unit came here", "spread");
}

/* -- jobs that fail ---------------------------------------------------------------------------- */

static void failure(const char *name, const char *text, uint64_t unit)
{
    char expected[64];
    snprintf(expected, sizeof expected, "%s %lu", text, (unsigned long)unit);
    check(run(name) < 0, "did not fail", name);
    check(!on_rank_0() || strcmp(err.text, expected) == 0, err.text, name);
    check(!on_rank_0() || err.no == 5, "errno", name);
    check(!on_rank_0() || strncmp(err.hint, "hint of", 7) == 0, "hint", name);
}

static uint64_t first_from(uint64_t unit)
{
    while (!trial_has(&trial, unit))
        unit++;
    return unit;
}

static void jobs_fail_at_a_unit(void)
{
    for (unsigned i = 0; i < 10; i++) {
        trial_init(&trial, 300, 1);
        trial.sleep_us = i * 30;
        trial.depth = 1 + i % 3;
        uint64_t a = first_from(40 * i / 2), b = first_from(a + 1), c = first_from(b + 1);
        struct trial base = trial;
        trial.fail_prepare = a;
        failure("prepare", "prepare", a);
        trial = base;
        trial.fail_commit = a;
        trial.fail_prepare = b;
        failure("commit", "commit", a);
        trial = base;
        trial.fail_place = a;
        trial.fail_prepare = b;
        failure("place", "place", a);
        trial = base;
        trial.fail_collect = a;
        trial.fail_commit = b;
        trial.fail_place = c;
        failure("collect", "collect", a);
        trial = base;
        trial.fail_next = b;
        failure("next", "next", b);
    }
}

static void jobs_fail_on_a_rank(void)
{
    for (unsigned r = 0; r < engine_size(g); r++) {
        trial_init(&trial, 300, 1);
        trial.fail_worker_new = engine_rank(g) == r;
        failure("worker_new", "worker_new", 0);
        trial_init(&trial, 100, 1);
        trial.fail_settle = engine_rank(g) >= r;
        check(run("settle") < 0, "did not fail", "settle");
        check(!on_rank_0() || strcmp(err.text, "settle 0") == 0, err.text, "settle");
    }
    trial_init(&trial, 300, 1);
    trial.fail_tick = on_rank_0();
    failure("tick", "tick", 0);
}

/* -- share and agree --------------------------------------------------------------------------- */

static void share_of(size_t len)
{
    unsigned char *bytes = malloc(len + 1);
    for (size_t i = 0; bytes && i < len; i++)
        bytes[i] = (unsigned char)(i * 7 + (i >> 8));
    struct blob b = on_rank_0() ? (struct blob){bytes, len} : (struct blob){0};
    check(bytes && engine_share(g, 0, &b, &err) == 0, "failed", "share");
    check(b.len == len && (len == 0 || memcmp(b.data, bytes, len) == 0), "bytes", "share");
    if (!on_rank_0())
        free(b.data);
    free(bytes);
}

static void shares(void)
{
    static const size_t lengths[] = {0, 1, 1000, 5000, 3000000};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++)
        share_of(lengths[i]);
    struct blob b = {0};
    err_clear(&err);
    if (on_rank_0())
        err_set(&err, 2, "rank 0 could not");
    check(engine_share(g, on_rank_0() ? -1 : 0, &b, &err) == -1, "did not fail", "share");
    check(!on_rank_0() || strcmp(err.text, "rank 0 could not") == 0, err.text, "share");
    check(b.data == NULL, "bytes in spite of failure", "share");
}

static void agreements(void)
{
    err_clear(&err);
    check(engine_agree(g, 0, &err) == 0, "failed", "agree");
    for (unsigned first = 0; first < engine_size(g); first++) {
        int status = 0;
        char expected[32];
        err_clear(&err);
        snprintf(expected, sizeof expected, "rank %u", first);
        if (engine_rank(g) >= first)
            status = err_set(&err, 3, "rank %u", engine_rank(g));
        check(engine_agree(g, status, &err) == -1, "did not fail", "agree");
        check(!on_rank_0() || strcmp(err.text, expected) == 0, err.text, "agree");
    }
}

static int jobs(void)
{
    check(engine_size(g) == 1 || strcmp(engine_name(g), "mpi") == 0, "name", "engine");
    check(engine_workers(g) >= engine_size(g), "workers", "engine");
    for (unsigned r = 0; r < engine_size(g); r++) {
        bool known = on_rank_0() || r == engine_rank(g);
        check(engine_threads_of(g, r) == 2, "threads of a rank", "engine");
        check((*engine_host(g, r) != '\0') == known, "host", "engine");
    }
    jobs_complete();
    jobs_are_spread();
    jobs_fail_at_a_unit();
    shares();
    jobs_fail_on_a_rank();
    agreements();
    jobs_complete();
    int mine = bad ? err_set(&err, 0, "rank %u: %u bad", engine_rank(g), bad) : 0;
    int r = engine_agree(g, mine, &err);
    if (on_rank_0())
        printf("%u ranks, %u workers: %s\n", engine_size(g), engine_workers(g),
               r < 0 ? err.text : "all right");
    return r < 0;
}

/* -- waiting ----------------------------------------------------------------------------------- */

static double cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* A rank does something alone for a second while the others wait for it; then the same in a job. */
static int idle(void)
{
    double start = cpu_seconds();
    if (on_rank_0())
        sleep(1);
    struct blob b = {0};
    engine_share(g, 0, &b, &err);
    if (!on_rank_0())
        free(b.data);
    trial_init(&trial, 50, 0);
    trial.sleep_us = 500000;
    complete("idle");
    double used = cpu_seconds() - start;
    char text[64];
    snprintf(text, sizeof text, "%.3f s of CPU in seconds of waiting", used);
    check(used < 0.25, text, "idle");
    if (engine_rank(g) == engine_size(g) - 1)
        printf("%s\n", text);
    return engine_agree(g, bad ? err_set(&err, 0, "not idle") : 0, &err) < 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "jobs";
    struct engine_options o = {.threads = strcmp(what, "threads") == 0 ? 0 : 2};
    if (engine_start(&o, &g, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 2;
    }
    int code = 0;
    if (strcmp(what, "jobs") == 0)
        code = jobs();
    else if (strcmp(what, "idle") == 0)
        code = idle();
    else if (strcmp(what, "exit") == 0 && argc > 2)
        code = on_rank_0() ? atoi(argv[2]) : 0;
    else if (on_rank_0())
        printf("%s %u %u\n", engine_name(g), engine_size(g), engine_workers(g));
    return engine_end(g, code);
}
