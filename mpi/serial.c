#include "mpi/serial.h"

static int serial_commit(const struct unit_job *job, void *worker, uint64_t unit,
                         const struct blob *grant, struct err *e)
{
    struct blob done = {0};
    if (job->commit(worker, unit, 0, grant, &done, e) < 0)
        return -1;
    return job->collect ? job->collect(job->ctx, unit, &done, e) : 0;
}

static enum unit_place serial_unit(const struct unit_job *job, void *worker, uint64_t unit,
                                   struct err *e)
{
    struct blob need = {0}, grant = {0};
    if (job->prepare(worker, unit, 0, &need, e) < 0)
        return PLACE_FAILED;
    enum unit_place placed = job->place(job->ctx, unit, &need, &grant, e);
    if (placed == PLACE_GO_ON && job->commit && serial_commit(job, worker, unit, &grant, e) < 0)
        return PLACE_FAILED;
    return placed;
}

static int serial_checkpoint(const struct unit_job *job, struct err *e)
{
    if (!job->persist || !job->due(job->ctx))
        return 0;
    return job->persist(job->ctx, e) < 0 ? -1 : job->persisted(job->ctx, e);
}

static int serial_units(const struct unit_job *job, void *worker, struct err *e)
{
    for (;;) {
        uint64_t unit;
        if ((job->tick && job->tick(job->ctx, e) < 0) || serial_checkpoint(job, e) < 0)
            return -1;
        if (job->enough && job->enough(job->ctx))
            return 0;
        enum unit_next next = job->next(job->ctx, &unit, e);
        if (next != UNIT_THERE)
            return next == UNIT_NONE ? 0 : -1;
        enum unit_place placed = serial_unit(job, worker, unit, e);
        if (placed != PLACE_GO_ON)
            return placed == PLACE_STOP ? 0 : -1;
    }
}

int serial_run(const struct unit_job *job, struct err *e)
{
    void *worker = NULL;
    if (job->worker_new(job->ctx, 1, &worker, e) < 0)
        return -1;
    int r = serial_units(job, worker, e);
    job->worker_free(worker);
    return r == 0 && job->settle ? job->settle(job->ctx, e) : r;
}
