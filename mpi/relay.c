#include "mpi/relay.h"

#include "mpi/pulse.h"
#include "mpi/threads.h"

struct relay {
    struct post *post;
    const struct unit_job *job;
    struct team team;
    struct pulse pulse;
    unsigned gone; /* workers that have ended */
    bool crippled; /* one of them could not start */
    bool halted;   /* its job has been told to give up */
    bool stopped;  /* rank 0 has said that all units are done, or have failed */
    bool well;     /* with it: done */
    bool judged;   /* rank 0 has said how the run ended */
    int verdict;
};

static int relay_up(struct relay *r, const struct wire_head *h, const void *bytes, struct err *e)
{
    r->post->asked -= h->kind == MESSAGE_NEED || h->kind == MESSAGE_DONE || h->kind == MESSAGE_FAIL;
    r->gone += h->kind == MESSAGE_GONE;
    r->crippled |= h->kind == MESSAGE_BROKEN;
    /* After the stop, answers do not count, and the worker may have freed their bytes. But a worker
     * that could not start is a failure however late it comes. */
    bool counts = h->kind != MESSAGE_GONE && (!r->stopped || h->kind == MESSAGE_BROKEN);
    bool connected = !r->post->broken && !r->post->left;
    return counts && connected ? post_send(r->post, 0, h, bytes, e) : 0;
}

/* A worker that cannot be told fails the unit here. */
static int relay_down(struct relay *r, const struct wire_head *h, const void *bytes, struct err *e)
{
    if (!team_has(&r->team, h))
        return post_unexpected(0, h, e);
    if (team_post(&r->team, h, bytes) == 0) {
        r->post->asked += h->kind != MESSAGE_PERSIST;
        return 0;
    }
    struct wire_head fail = *h;
    fail.kind = MESSAGE_FAIL;
    fail.len = 0; /* out of memory */
    return post_send(r->post, 0, &fail, NULL, e);
}

static void relay_halt(struct relay *r)
{
    if (!r->halted && r->job->halt)
        r->job->halt(r->job->ctx);
    r->halted = true;
}

static enum post_handled relay_handle(void *ctx, unsigned from, const struct wire_head *h,
                                      const void *bytes, struct err *e)
{
    struct relay *r = ctx;
    if (from == r->post->rank)
        return relay_up(r, h, bytes, e) < 0 ? POST_FAILED : POST_GO_ON;
    switch (h->kind) {
    case MESSAGE_WORK:
    case MESSAGE_GRANT:
    case MESSAGE_PERSIST:
        return relay_down(r, h, bytes, e) < 0 ? POST_FAILED : POST_GO_ON;
    case MESSAGE_HALT:
        relay_halt(r);
        return POST_GO_ON;
    case MESSAGE_STOP:
        r->stopped = true;
        r->well = h->slot == 0;
        return POST_GO_ON;
    case MESSAGE_VERDICT:
        r->judged = true;
        r->verdict = h->slot ? -1 : 0;
        return POST_ENOUGH;
    default:
        return post_unexpected(from, h, e);
    }
}

static int relay_receive(struct relay *r, struct err *e)
{
    return post_receive(r->post, relay_handle, r, e);
}

/* The same, and rank 0 knows that this rank is there. Not after ENDED: rank 0 may have gone on. */
static int relay_receive_alive(struct relay *r, struct err *e)
{
    struct wire_head h = {.kind = MESSAGE_ALIVE};
    bool connected = !r->post->broken && !r->post->left;
    if (connected && pulse_due(&r->pulse) && post_send(r->post, 0, &h, NULL, e) < 0)
        return -1;
    return relay_receive(r, e);
}

/* `status` and *e say how this rank ended. */
static int relay_report(struct relay *r, int status, struct err *e)
{
    struct keep error = {0};
    if (status < 0)
        error_pack(&error, e);
    struct wire_head h = {.kind = MESSAGE_ENDED, .slot = status < 0, .len = (uint32_t)error.len};
    int sent = post_send(r->post, 0, &h, error.data, e);
    keep_release(&error);
    while (sent == 0 && !r->judged)
        sent = relay_receive(r, e);
    return sent < 0 ? -1 : r->verdict;
}

/* A rank whose workers cannot be set up says so in the first one's name. */
static int relay_start(struct relay *r, unsigned threads, struct err *e)
{
    if (team_start(&r->team, r->job, threads, &r->post->inbox, e) == 0)
        return 0;
    struct keep error = {0};
    error_pack(&error, e);
    struct wire_head h = {.kind = MESSAGE_BROKEN, .len = (uint32_t)error.len};
    int sent = post_send(r->post, 0, &h, error.data, e);
    keep_release(&error);
    return sent;
}

static int relay_work(struct relay *r, struct err *e)
{
    while (!r->stopped)
        if (relay_receive_alive(r, e) < 0)
            return -1;
    return 0;
}

static void relay_end(struct relay *r, struct err *e)
{
    r->stopped = true;
    if (!r->well)
        relay_halt(r);
    team_stop(&r->team);
    while (r->gone < r->team.started)
        relay_receive_alive(r, e);
    team_join(&r->team);
}

int relay_run(struct post *post, unsigned threads, const struct unit_job *job, struct err *e)
{
    struct relay r = {.post = post, .job = job};
    post->asked = 0;
    int connected = relay_start(&r, threads, e);
    if (connected == 0)
        connected = relay_work(&r, e);
    relay_end(&r, e);
    if (connected < 0 || post->broken)
        return -1;
    int settled = r.well && !r.crippled && job->settle ? job->settle(job->ctx, e) : 0;
    return relay_report(&r, settled, e);
}
