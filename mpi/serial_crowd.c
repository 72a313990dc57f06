#include "mpi/serial.h"

#include <errno.h>
#include <time.h>

/* Microseconds to the next offer, if there is nothing to do: who has sent it away waits for some
 * point in time, as nothing else happens here. */
#define NAP 10000

struct alone {
    const struct crowd_job *job;
    void *worker;
    uint64_t unit; /* that waits */
    bool waits;
    bool halted;
    struct err why; /* of the unit that failed */
};

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP * 1000L}, NULL);
}

static int alone_do(struct alone *a, uint64_t unit, const struct blob *brief, struct err *e)
{
    const struct unit_job *work = a->job->work;
    const struct crowd_seat seat = {0};
    struct blob need = {0};
    bool failed = (work->brief && work->brief(a->worker, unit, 0, brief, &a->why) < 0) ||
                  work->prepare(a->worker, unit, 0, &need, &a->why) < 0;
    if (failed)
        need = (struct blob){0};
    bool waits = false;
    if (a->job->reported(a->job->ctx, &seat, unit, &need, failed ? &a->why : NULL, &waits, e) < 0)
        return -1;
    a->unit = unit;
    a->waits = waits && !failed && work->commit && a->job->grant;
    return 0;
}

static int alone_commit(struct alone *a, const struct blob *grant, struct err *e)
{
    const struct unit_job *work = a->job->work;
    const struct crowd_seat seat = {0};
    struct blob done = {0};
    bool failed = work->commit(a->worker, a->unit, 0, grant, &done, &a->why) < 0;
    if (failed)
        done = (struct blob){0};
    return a->job->committed(a->job->ctx, &seat, a->unit, &done, failed ? &a->why : NULL, e);
}

static int alone_grant(struct alone *a, struct err *e)
{
    for (;;) {
        uint32_t id = 0;
        struct blob grant = {0};
        bool drop = false;
        if (!a->job->grant || !a->job->grant(a->job->ctx, &id, &grant, &drop))
            return 0;
        if (id != 0 || !a->waits)
            return err_set(e, EINVAL, "Seat %u has no unit that waits", id);
        a->waits = false;
        if (!drop && alone_commit(a, &grant, e) < 0)
            return -1;
    }
}

static int alone_look(struct alone *a, struct err *e)
{
    const struct crowd_job *job = a->job;
    if (job->tick && job->tick(job->ctx, e) < 0)
        return -1;
    if (a->halted || !job->halting || !job->halting(job->ctx))
        return 0;
    a->halted = true;
    if (job->work->halt)
        job->work->halt(job->work->ctx);
    return 0;
}

/* 0: go on, 1: that was all. */
static int alone_offer(struct alone *a, struct err *e)
{
    const struct crowd_seat seat = {0};
    struct blob brief = {0};
    uint64_t unit = 0;
    if (a->job->news)
        a->job->news(a->job->ctx); /* offered again it is anyway */
    switch (a->job->offer(a->job->ctx, &seat, &unit, &brief, e)) {
    case UNIT_THERE:
        return alone_do(a, unit, &brief, e);
    case UNIT_NONE:
        return 1;
    case UNIT_FAILED:
        return -1;
    default:
        nap();
        return 0;
    }
}

static int alone_work(struct alone *a, struct err *e)
{
    int r = 0;
    while (r == 0) {
        if (alone_look(a, e) < 0 || alone_grant(a, e) < 0)
            return -1;
        if (a->waits)
            nap();
        else
            r = alone_offer(a, e);
    }
    return r < 0 ? -1 : 0;
}

int serial_crowd(const struct crowd_job *job, struct err *e)
{
    const struct unit_job *work = job->work;
    struct alone a = {.job = job};
    if (work->worker_new(work->ctx, 1, &a.worker, e) < 0)
        return -1;
    int r = alone_work(&a, e);
    work->worker_free(a.worker);
    return r == 0 && work->settle ? work->settle(work->ctx, e) : r;
}
