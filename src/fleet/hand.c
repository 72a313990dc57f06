#include "fleet/hand.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "fleet/opened.h"
#include "fleet/task.h"
#include "fleet/whole.h"

/* What it has in one of its slots. */
struct grip {
    struct task task;
    unsigned char *bytes; /* that the task points into */
    size_t room;
    struct opened *opened; /* CHUNK */
    void *worker;
    char *text; /* the answer of WHOLE */
};

struct hand {
    struct fleet_rank *rank;
    unsigned index; /* on this rank */
    struct engine *serial;
    unsigned depth;
    struct grip grip[];
};

static void worker_free(void *worker)
{
    struct hand *h = worker;
    opened_let_go(h->rank, h->index);
    for (unsigned i = 0; i < h->depth; i++) {
        if (h->grip[i].bytes)
            explicit_bzero(h->grip[i].bytes, h->grip[i].room);
        free(h->grip[i].bytes);
        free(h->grip[i].text);
    }
    if (h->serial)
        engine_end(h->serial, 0);
    free(h);
}

static int worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    struct fleet_rank *r = ctx;
    const struct engine_options serial = {.kind = ENGINE_SERIAL};
    struct hand *h = mem_new(1, sizeof *h + depth * sizeof h->grip[0], e);
    if (!h)
        return -1;
    h->rank = r;
    h->depth = depth;
    h->index = r->hands++;
    if (engine_start(&serial, &h->serial, e) < 0) {
        worker_free(h);
        return -1;
    }
    *worker = h;
    return 0;
}

/* The message does not stay: it is copied. */
static int brief(void *worker, uint64_t unit, unsigned slot, const struct blob *b, struct err *e)
{
    struct grip *g = &((struct hand *)worker)->grip[slot];
    (void)unit;
    if (b->len > g->room) {
        unsigned char *grown = mem_grow(g->bytes, b->len, 1, e);
        if (!grown)
            return -1;
        g->bytes = grown;
        g->room = b->len;
    }
    memcpy(g->bytes, b->data, b->len);
    return task_unpack(&g->task, &(struct blob){g->bytes, b->len}, e);
}

static int do_whole(struct hand *h, struct grip *g, struct blob *need, struct err *e)
{
    json_t *record = json_loadb(g->task.record, g->task.n_record, 0, NULL);
    free(g->text);
    g->text = NULL;
    if (!record)
        return err_set(e, EPROTO, "A record that is no JSON");
    opened_let_go(h->rank, h->index);
    json_t *result = whole_run(h->rank, h->serial, record, g->task.rate, e);
    g->text = result ? json_dumps(result, JSON_COMPACT) : NULL;
    json_decref(result);
    json_decref(record);
    if (!g->text)
        return err_nomem(e);
    *need = (struct blob){g->text, strlen(g->text)};
    return 0;
}

static int do_chunk(struct hand *h, struct grip *g, struct blob *need, struct err *e)
{
    const struct task *t = &g->task;
    if (fleet_rank_knows_better(h->rank))
        return err_set(e, EINTR, "Stopped by a signal");
    if (opened_enter(h->rank, h->serial, t, h->index, &g->opened, &g->worker, e) < 0)
        return -1;
    return g->opened->job.prepare(g->worker, t->chunk, t->slot, need, e);
}

static int prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e)
{
    struct hand *h = worker;
    struct grip *g = &h->grip[slot];
    (void)unit;
    switch ((enum task_kind)g->task.kind) {
    case TASK_WHOLE:
        return do_whole(h, g, need, e);
    case TASK_CHUNK:
        return do_chunk(h, g, need, e);
    case TASK_SYNC:
        return opened_sync(h->rank, &g->task, e);
    case TASK_BEGIN:
        return opened_begin(h->rank, &g->task, e);
    case TASK_NEXT:
        return opened_next(h->rank, h->serial, &g->task, e);
    case TASK_END:
        return opened_end(h->rank, &g->task, e);
    case TASK_KINDS:
        break;
    }
    return err_set(e, EPROTO, "A task of kind %u", g->task.kind);
}

/* Only chunks of images with places are granted anything. */
static int commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                  struct blob *done, struct err *e)
{
    struct grip *g = &((struct hand *)worker)->grip[slot];
    (void)unit;
    return g->opened->job.commit(g->worker, g->task.chunk, g->task.slot, grant, done, e);
}

void hand_job(struct unit_job *job)
{
    job->worker_new = worker_new;
    job->worker_free = worker_free;
    job->brief = brief;
    job->prepare = prepare;
    job->commit = commit;
}
