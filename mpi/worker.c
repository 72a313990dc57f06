#include "mpi/worker.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/trace.h"

int worker_init(struct worker *w, const struct unit_job *job, unsigned index, struct mailbox *out,
                struct err *e)
{
    unsigned depth = job->depth ? job->depth : 1;
    AUTO_FREE struct worker_slot *slot = mem_new(depth, sizeof *slot, e);
    if (!slot || mailbox_init(&w->in, e) < 0)
        return -1;
    w->job = job;
    w->index = index;
    w->depth = depth;
    w->out = out;
    w->slot = MEM_TAKE(slot);
    return 0;
}

void worker_release(struct worker *w)
{
    for (unsigned i = 0; i < w->depth; i++) {
        keep_release(&w->slot[i].grant);
        keep_release(&w->slot[i].error);
    }
    free(w->slot);
    keep_release(&w->error);
    mailbox_release(&w->in);
}

int worker_post(struct worker *w, const struct wire_head *h, const void *bytes)
{
    struct worker_slot *s = &w->slot[h->slot];
    if (keep_copy(&s->grant, bytes, h->len) < 0)
        return -1;
    s->down.head = *h;
    s->down.bytes = s->grant.data;
    /* Grants before new work: they free memory. */
    mailbox_post(&w->in, &s->down, h->kind == MESSAGE_GRANT);
    return 0;
}

void worker_stop(struct worker *w)
{
    w->stop.head = (struct wire_head){.kind = MESSAGE_STOP};
    mailbox_post(&w->in, &w->stop, true);
}

void worker_post_broken(struct worker *w, const struct err *e)
{
    error_pack(&w->error, e);
    w->fault.head = (struct wire_head){
        .kind = MESSAGE_BROKEN, .worker = w->index, .len = (uint32_t)w->error.len};
    w->fault.bytes = w->error.data;
    mailbox_post(w->out, &w->fault, false);
}

static void worker_answer(struct worker *w, const struct message *m, enum message_kind kind,
                          const struct blob *b)
{
    struct message *up = &w->slot[m->head.slot].up;
    up->head = m->head;
    up->head.kind = kind;
    up->head.len = (uint32_t)b->len;
    up->bytes = b->data;
    mailbox_post(w->out, up, false);
}

static void worker_answer_fail(struct worker *w, const struct message *m)
{
    struct keep *error = &w->slot[m->head.slot].error;
    error_pack(error, &w->err);
    worker_answer(w, m, MESSAGE_FAIL, &(struct blob){error->data, error->len});
}

static int blob_check(const struct blob *b, struct err *e)
{
    return b->len <= MESSAGE_MAX ? 0 : err_set(e, 0, "A unit's message is too long");
}

static int worker_brief(struct worker *w, const struct message *m)
{
    const struct blob brief = {(void *)m->bytes, m->head.len};
    const struct unit_job *job = w->job;
    return job->brief ? job->brief(w->state, m->head.unit, m->head.slot, &brief, &w->err) : 0;
}

static void worker_prepare(struct worker *w, const struct message *m)
{
    struct blob need = {0};
    TRACE(unit_prepare, m->head.unit, w->index, m->head.slot);
    if (worker_brief(w, m) < 0 ||
        w->job->prepare(w->state, m->head.unit, m->head.slot, &need, &w->err) < 0 ||
        blob_check(&need, &w->err) < 0)
        worker_answer_fail(w, m);
    else
        worker_answer(w, m, MESSAGE_NEED, &need);
}

static void worker_commit(struct worker *w, const struct message *m)
{
    const struct blob grant = {(void *)m->bytes, m->head.len};
    struct blob done = {0};
    TRACE(unit_commit, m->head.unit, w->index, m->head.slot);
    if (w->job->commit(w->state, m->head.unit, m->head.slot, &grant, &done, &w->err) < 0 ||
        blob_check(&done, &w->err) < 0)
        worker_answer_fail(w, m);
    else
        worker_answer(w, m, MESSAGE_DONE, &done);
}

static void worker_gone(struct worker *w)
{
    w->gone.head = (struct wire_head){.kind = MESSAGE_GONE, .worker = w->index};
    mailbox_post(w->out, &w->gone, false);
}

static void keeper_persist(struct worker *w, const struct message *m)
{
    struct message *up = &w->slot[0].up;
    struct keep *error = &w->slot[0].error;
    bool failed = w->job->persist(w->job->ctx, &w->err) < 0;
    error->len = 0;
    if (failed)
        error_pack(error, &w->err);
    up->head = m->head;
    up->head.kind = MESSAGE_PERSISTED;
    up->head.slot = failed;
    up->head.len = (uint32_t)error->len;
    up->bytes = error->data;
    mailbox_post(w->out, up, false);
}

static void keeper_run(struct worker *w)
{
    const struct message *m;
    while ((m = mailbox_take(&w->in))->head.kind != MESSAGE_STOP)
        keeper_persist(w, m);
    worker_gone(w);
}

void worker_run(struct worker *w)
{
    if (w->keeper) {
        keeper_run(w);
        return;
    }
    const struct unit_job *job = w->job;
    w->broken = job->worker_new(job->ctx, w->depth, &w->state, &w->err) < 0;
    if (w->broken)
        worker_post_broken(w, &w->err);
    const struct message *m;
    while ((m = mailbox_take(&w->in))->head.kind != MESSAGE_STOP) {
        if (w->broken)
            continue;
        if (m->head.kind == MESSAGE_GRANT)
            worker_commit(w, m);
        else
            worker_prepare(w, m);
    }
    if (!w->broken)
        job->worker_free(w->state);
    worker_gone(w);
}
