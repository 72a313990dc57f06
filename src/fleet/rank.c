#include "fleet/rank.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/signals.h"
#include "fleet/hand.h"
#include "fleet/opened.h"

#define DEPTH        4u        /* as conversions have it where there are ranks */
#define SIGNAL_SECS  1.0       /* in which rank 0 would have told of it */
#define WORKER_LEAST (8 * MIB) /* of the memory, a worker */

/* --memory is for all workers together: where it is little, there are fewer of them. */
static void fit_memory(struct fleet_rank *r, unsigned threads)
{
    r->memory = r->common.memory;
    if (!r->memory)
        r->memory = num_max(CONVERT_MEMORY_DEFAULT, threads * WORKER_LEAST);
    r->threads = (unsigned)num_min(threads, num_max(r->memory / WORKER_LEAST, 1));
    r->share = r->memory / 2 / r->threads;
}

int fleet_rank_init(struct fleet_rank *r, const struct engine *g,
                    const struct request_common *common, double time_limit, struct err *e)
{
    *r = (struct fleet_rank){.rank = engine_rank(g),
                             .ranks = engine_size(g),
                             .depth = DEPTH,
                             .common = *common,
                             .deadline = deadline_from_now(time_limit)};
    fit_memory(r, engine_most_threads(g));
    if (pthread_mutex_init(&r->large, NULL) || pthread_mutex_init(&r->lock, NULL) ||
        pthread_cond_init(&r->changed, NULL))
        return err_nomem(e);
    return 0;
}

void fleet_rank_release(struct fleet_rank *r)
{
    opened_release(r);
    pthread_mutex_destroy(&r->large);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->changed);
}

bool fleet_rank_knows_better(struct fleet_rank *r)
{
    if (!signals_stop() || r->rank == 0 || r->halted > 0)
        return false;
    double now = clock_now();
    if (r->signalled == 0)
        r->signalled = now;
    return now > r->signalled + SIGNAL_SECS;
}

static void halt(void *ctx)
{
    struct fleet_rank *r = ctx;
    r->halted = clock_now();
}

void fleet_rank_job(struct fleet_rank *r, struct unit_job *job)
{
    *job = (struct unit_job){.ctx = r, .depth = r->depth, .max_workers = r->threads, .halt = halt};
    hand_job(job);
}
