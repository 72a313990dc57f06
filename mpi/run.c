#include "mpi/run.h"

#include "base/trace.h"

/* -- errors ------------------------------------------------------------------------------------ */

void run_fail(struct run *r, uint64_t at)
{
    r->closed = true;
    if (r->failed && at >= r->failed_at)
        return;
    r->failed = true;
    r->failed_at = at;
    *r->err = r->scratch;
    TRACE(unit_failed, at, r->err->text);
}

void run_fail_packed(struct run *r, uint64_t at, const void *bytes, size_t len)
{
    error_unpack(&r->scratch, bytes, len);
    run_fail(r, at);
}

/* -- what goes out ----------------------------------------------------------------------------- */

static int run_post(struct run *r, unsigned rank, const struct wire_head *h, const void *bytes,
                    struct err *e)
{
    if (rank != r->post->rank)
        return post_send(r->post, rank, h, bytes, e);
    return team_post(&r->team, h, bytes) < 0 ? err_nomem(e) : 0;
}

int run_send(struct run *r, const struct seat *s, enum message_kind kind, const struct blob *b,
             struct err *e)
{
    if (b->len > MESSAGE_MAX)
        return err_set(e, 0, "A unit's message is too long");
    struct wire_head h = {.kind = kind,
                          .worker = s->worker,
                          .unit = s->unit,
                          .slot = s->slot,
                          .len = (uint32_t)b->len};
    return run_post(r, s->rank, &h, b->data, e);
}

int run_send_head(struct run *r, unsigned rank, const struct wire_head *h, struct err *e)
{
    return run_post(r, rank, h, NULL, e);
}

/* Tell all other ranks; if that fails they cannot be helped. */
static void run_tell(struct run *r, enum message_kind kind)
{
    struct wire_head h = {.kind = kind, .slot = r->failed};
    if (post_send_all(r->post, &h, NULL, &r->scratch) < 0)
        run_fail(r, 0);
}

static void run_halt_here(struct run *r)
{
    if (!r->halted && r->work->halt)
        r->work->halt(r->work->ctx);
    r->halted = true;
}

void run_halt(struct run *r)
{
    run_tell(r, MESSAGE_HALT);
    run_halt_here(r);
}

/* -- what comes in ----------------------------------------------------------------------------- */

static enum post_handled seat_answered(struct run *r, unsigned from, const struct wire_head *h,
                                       const void *bytes, struct err *e)
{
    if (r->ending)
        return POST_GO_ON; /* too late to count; and the worker may have freed the bytes */
    struct seat *s = seats_find(&r->seats, from, h);
    if (!s)
        return post_unexpected(from, h, e);
    r->ops->answered(r->ctx, s, h->kind == MESSAGE_FAIL, bytes, h->len);
    return POST_GO_ON;
}

static enum post_handled run_handle_one(struct run *r, unsigned from, const struct wire_head *h,
                                        const void *bytes, struct err *e)
{
    switch (h->kind) {
    case MESSAGE_NEED:
    case MESSAGE_FAIL:
    case MESSAGE_DONE:
        return seat_answered(r, from, h, bytes, e);
    case MESSAGE_BROKEN:
        run_fail_packed(r, 0, bytes, h->len);
        return POST_GO_ON;
    case MESSAGE_ALIVE:
        return POST_GO_ON;
    case MESSAGE_GONE:
        r->gone++;
        return POST_GO_ON;
    case MESSAGE_ENDED:
        r->ended++;
        pulse_over(&r->watch, from);
        if (h->slot) /* in settle, the last step: the lowest rank wins */
            run_fail_packed(r, from, bytes, h->len);
        return POST_GO_ON;
    default:
        return r->ops->other ? r->ops->other(r->ctx, from, h, bytes, e)
                             : post_unexpected(from, h, e);
    }
}

static enum post_handled run_handle(void *ctx, unsigned from, const struct wire_head *h,
                                    const void *bytes, struct err *e)
{
    struct run *r = ctx;
    pulse_heard(&r->watch, from);
    enum post_handled handled = run_handle_one(r, from, h, bytes, e);
    r->ops->look(r->ctx);
    return handled;
}

/* A run that went well ends with ranks that settle, in silence. */
static void run_watch(struct run *r)
{
    bool watched = r->post->size > 1 && !r->post->broken && (!r->ending || r->failed);
    unsigned missing = watched ? pulse_missing(&r->watch, pulse_now()) : 0;
    if (!missing)
        return;
    post_lose(r->post, missing, r->watch.limit, &r->scratch);
    r->failed = false; /* without this rank no other error could be told */
    run_fail(r, 0);
}

void run_receive(struct run *r)
{
    if (post_receive(r->post, run_handle, r, &r->post_err) < 0) {
        r->scratch = r->post_err;
        run_fail(r, 0);
    }
    run_watch(r);
    r->ops->look(r->ctx);
}

/* -- beginning and end ------------------------------------------------------------------------- */

void run_start(struct run *r, struct post *post, const unsigned *threads,
               const struct unit_job *work, struct err *e)
{
    unsigned depth = work->depth ? work->depth : 1;
    r->post = post;
    r->work = work;
    r->err = e;
    if (pulse_watch_init(&r->watch, post->size, &r->scratch) < 0 ||
        team_start(&r->team, work, threads[0], &post->inbox, &r->scratch) < 0 ||
        seats_init(&r->seats, post->size, threads, depth, &r->scratch) < 0)
        run_fail(r, 0);
}

int run_end(struct run *r)
{
    const struct unit_job *work = r->work;
    r->ending = true;
    run_tell(r, MESSAGE_STOP);
    if (r->failed)
        run_halt_here(r);
    team_stop(&r->team);
    while (r->gone < r->team.started)
        run_receive(r);
    team_join(&r->team);
    if (!r->failed && work->settle && work->settle(work->ctx, &r->scratch) < 0)
        run_fail(r, 0);
    while (r->ended < r->post->size - 1 && !r->post->broken)
        run_receive(r);
    run_tell(r, MESSAGE_VERDICT);
    pulse_watch_release(&r->watch);
    seats_release(&r->seats);
    return r->failed ? -1 : 0;
}
