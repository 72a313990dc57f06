#include "mpi/engine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/trace.h"
#include "mpi/coordinator.h"
#include "mpi/cpus.h"
#include "mpi/crowd.h"
#include "mpi/crowd_run.h"
#include "mpi/launcher.h"
#include "mpi/module.h"
#include "mpi/relay.h"
#include "mpi/serial.h"

struct engine {
    enum engine_kind kind;
    struct post post;
    bool posted;       /* post is to be released */
    unsigned *threads; /* of each rank */
    bool told;         /* --threads, as all ranks are told the same */
    unsigned *used;    /* of them, in the job that runs */
    unsigned workers;  /* sum */
    char host[POST_HOST];
};

bool engine_launched(void)
{
    return launcher_there();
}

unsigned engine_rank(const struct engine *g)
{
    return g->post.rank;
}

unsigned engine_size(const struct engine *g)
{
    return g->post.size;
}

unsigned engine_threads(const struct engine *g)
{
    return g->threads[g->post.rank];
}

unsigned engine_most_threads(const struct engine *g)
{
    unsigned most = 0;
    for (unsigned r = 0; r < g->post.size; r++)
        most = (unsigned)num_max(most, g->threads[r]);
    return most;
}

unsigned engine_workers(const struct engine *g)
{
    return g->workers;
}

unsigned engine_threads_of(const struct engine *g, unsigned rank)
{
    return g->threads[rank];
}

const char *engine_host(const struct engine *g, unsigned rank)
{
    if (rank == g->post.rank)
        return g->host;
    return g->post.host ? g->post.host[rank] : "";
}

const char *engine_name(const struct engine *g)
{
    static const char *const names[] = {"auto", "serial", "threads", "mpi"};
    return names[g->kind];
}

/* -- one rank knows, all learn ----------------------------------------------------------------- */

/* What a rank waits for: n messages of this kind. */
struct awaited {
    struct engine *g;
    enum message_kind kind;
    unsigned n;
    unsigned heard;
    int status;       /* -1: one of them reported a failure */
    unsigned worst;   /* the lowest rank that did */
    struct err *err;  /* its error */
    struct blob blob; /* SHARE's bytes */
};

static void awaited_failure(struct awaited *a, unsigned from, const struct wire_head *h,
                            const void *bytes)
{
    if (a->status < 0 && from >= a->worst)
        return;
    a->status = -1;
    a->worst = from;
    if (h->kind == MESSAGE_AGREE)
        error_unpack(a->err, bytes, h->len);
}

/* Without memory the blob stays NULL, which its taker reports. */
static void awaited_take(struct awaited *a, const struct wire_head *h, const void *bytes)
{
    a->blob.data = malloc(h->len ? h->len : 1);
    if (a->blob.data && h->len)
        memcpy(a->blob.data, bytes, h->len);
    a->blob.len = h->len;
}

static enum post_handled awaited_handle(void *ctx, unsigned from, const struct wire_head *h,
                                        const void *bytes, struct err *e)
{
    struct awaited *a = ctx;
    if (h->kind != a->kind)
        return post_unexpected(from, h, e);
    a->heard++;
    if (h->kind == MESSAGE_HELLO) {
        a->g->threads[from] = h->worker;
        post_name(&a->g->post, from, bytes, h->len);
    }
    if (h->slot)
        awaited_failure(a, from, h, bytes);
    else if (h->kind == MESSAGE_SHARE)
        awaited_take(a, h, bytes);
    return a->heard < a->n ? POST_GO_ON : POST_ENOUGH;
}

/* -1: the connection failed, or rank 0 has left. */
static int engine_await(struct engine *g, struct awaited *a, struct err *e)
{
    a->g = g;
    while (a->heard < a->n)
        if (post_receive(&g->post, awaited_handle, a, e) < 0)
            return -1;
    return 0;
}

/* Rank 0 hears all and tells them the outcome. */
static int agree_as_first(struct engine *g, int status, struct err *e)
{
    struct awaited a = {.kind = MESSAGE_AGREE, .n = g->post.size - 1, .status = status, .err = e};
    if (engine_await(g, &a, e) < 0)
        return -1;
    struct wire_head h = {.kind = MESSAGE_VERDICT, .slot = a.status < 0};
    return post_send_all(&g->post, &h, NULL, e) < 0 ? -1 : a.status;
}

static int agree_as_other(struct engine *g, int status, struct err *e)
{
    struct keep error = {0};
    if (status < 0)
        error_pack(&error, e);
    struct wire_head h = {.kind = MESSAGE_AGREE, .slot = status < 0, .len = (uint32_t)error.len};
    int sent = post_send(&g->post, 0, &h, error.data, e);
    keep_release(&error);
    struct awaited a = {.kind = MESSAGE_VERDICT, .n = 1};
    return sent < 0 || engine_await(g, &a, e) < 0 ? -1 : a.status;
}

int engine_agree(struct engine *g, int status, struct err *e)
{
    if (g->post.size == 1)
        return status;
    return g->post.rank == 0 ? agree_as_first(g, status, e) : agree_as_other(g, status, e);
}

static int share_as_first(struct engine *g, int status, const struct blob *b, struct err *e)
{
    if (status == 0 && b->len > MESSAGE_MAX)
        status = err_set(e, EFBIG, "Too much to tell the other ranks");
    struct wire_head h = {
        .kind = MESSAGE_SHARE, .slot = status < 0, .len = status < 0 ? 0 : (uint32_t)b->len};
    if (post_send_all(&g->post, &h, b->data, e) < 0 || status < 0)
        return -1;
    return engine_agree(g, 0, e);
}

static int share_as_other(struct engine *g, struct blob *b, struct err *e)
{
    struct awaited a = {.kind = MESSAGE_SHARE, .n = 1};
    if (engine_await(g, &a, e) < 0 || a.status < 0)
        return -1;
    if (engine_agree(g, a.blob.data ? 0 : err_nomem(e), e) < 0) {
        free(a.blob.data);
        return -1;
    }
    *b = a.blob;
    return 0;
}

int engine_share(struct engine *g, int status, struct blob *b, struct err *e)
{
    if (g->post.size == 1)
        return status;
    return g->post.rank == 0 ? share_as_first(g, status, b, e) : share_as_other(g, b, e);
}

/* -- start ------------------------------------------------------------------------------------- */

static int engine_start_wire(struct engine *g, struct err *e)
{
    struct launcher l;
    if (launcher_find(&l, e) < 0)
        return -1;
    const struct wire_ops *wire = module_load(&l, e);
    if (!wire && l.size == 1) { /* then it is no loss to run without MPI */
        err_clear(e);
        g->kind = ENGINE_THREADS;
        return 0;
    }
    if (!wire || post_connect(&g->post, wire, e) < 0 ||
        launcher_check(&l, wire->name, g->post.size, e) < 0)
        return -1;
    g->kind = ENGINE_MPI;
    return 0;
}

static int engine_hello(struct engine *g, unsigned threads, struct err *e)
{
    struct wire_head h = {
        .kind = MESSAGE_HELLO, .worker = threads, .len = (uint32_t)strlen(g->host)};
    return post_send(&g->post, 0, &h, g->host, e);
}

/* Every rank learns the number of threads of every rank. */
static int engine_count(struct engine *g, unsigned threads, struct err *e)
{
    g->threads[g->post.rank] = threads;
    if (g->post.size > 1 && g->post.rank != 0) {
        if (engine_hello(g, threads, e) < 0)
            return -1;
    } else if (g->post.size > 1) {
        struct awaited a = {.kind = MESSAGE_HELLO, .n = g->post.size - 1};
        if (engine_await(g, &a, e) < 0)
            return -1;
    }
    struct blob all = {g->threads, g->post.size * sizeof *g->threads};
    if (engine_share(g, 0, &all, e) < 0 || all.len != g->post.size * sizeof *g->threads)
        return -1;
    if (all.data != g->threads) {
        free(g->threads);
        g->threads = all.data;
    }
    for (unsigned r = 0; r < g->post.size; r++)
        g->workers += g->threads[r];
    return 0;
}

static int engine_set_up(struct engine *g, const struct engine_options *o, struct err *e)
{
    if (post_init(&g->post, e) < 0)
        return -1;
    g->posted = true;
    gethostname(g->host, sizeof g->host - 1);
    g->kind = o->kind;
    g->told = o->threads != 0;
    if (g->kind == ENGINE_AUTO)
        g->kind = engine_launched() ? ENGINE_MPI : ENGINE_THREADS;
    if (g->kind == ENGINE_MPI && engine_start_wire(g, e) < 0)
        return -1;
    unsigned threads = g->kind == ENGINE_SERIAL ? 1 : o->threads;
    unsigned share = 1;
    /* All ranks of a host count together, whatever they were told. */
    if (g->kind != ENGINE_SERIAL && cpus_share(g->post.wire, &share, e) < 0)
        return -1;
    g->threads = mem_new(g->post.size, sizeof *g->threads, e);
    g->used = mem_new(g->post.size, sizeof *g->used, e);
    return g->threads && g->used ? engine_count(g, threads ? threads : share, e) : -1;
}

static void engine_free(struct engine *g)
{
    if (!g)
        return;
    if (g->posted)
        post_release(&g->post);
    free(g->threads);
    free(g->used);
    free(g);
}

int engine_start(const struct engine_options *o, struct engine **out, struct err *e)
{
    struct engine *g = mem_new(1, sizeof *g, e);
    if (g && engine_set_up(g, o, e) == 0) {
        *out = g;
        return 0;
    }
    /* A rank that started MPI and ends without ending it makes the launcher end all others. */
    engine_free(g);
    return -1;
}

/* -- run and end ------------------------------------------------------------------------------- */

static unsigned used_threads(const struct engine *g, unsigned r, const struct unit_job *job)
{
    unsigned n = g->threads[r];
    if (r && job->first_only)
        return 0;
    if (!g->told)
        n = (unsigned)num_max(n, job->least_workers);
    return job->max_workers ? (unsigned)num_min(n, job->max_workers) : n;
}

unsigned engine_used(const struct engine *g, const struct unit_job *job)
{
    unsigned n = 0;
    for (unsigned r = 0; r < g->post.size; r++)
        n += used_threads(g, r, job);
    return g->kind == ENGINE_SERIAL ? 1 : n;
}

static const unsigned *used_of_all(struct engine *g, const struct unit_job *job)
{
    for (unsigned r = 0; r < g->post.size; r++)
        g->used[r] = used_threads(g, r, job);
    return g->used;
}

int engine_run(struct engine *g, const struct unit_job *job, struct err *e)
{
    TRACE(engine_run, g->post.rank, g->post.size, used_threads(g, g->post.rank, job));
    if (g->kind == ENGINE_SERIAL)
        return serial_run(job, e);
    if (g->post.rank != 0)
        return relay_run(&g->post, used_threads(g, g->post.rank, job), job, e);
    return coordinator_run(&g->post, used_of_all(g, job), job, e);
}

int engine_crowd(struct engine *g, const struct crowd_job *job, struct err *e)
{
    struct unit_job work = *job->work;
    struct crowd_job crowd = *job;
    work.persist = NULL; /* else ranks would have keepers */
    crowd.work = &work;
    TRACE(engine_run, g->post.rank, g->post.size, used_threads(g, g->post.rank, &work));
    if (g->kind == ENGINE_SERIAL)
        return serial_crowd(&crowd, e);
    if (g->post.rank != 0)
        return relay_run(&g->post, used_threads(g, g->post.rank, &work), &work, e);
    return crowd_run(&g->post, used_of_all(g, &work), &crowd, e);
}

/* Whatever still comes is of no interest: rank 0's last word is awaited. */
static enum post_handled exit_ignore(void *ctx, unsigned from, const struct wire_head *h,
                                     const void *bytes, struct err *e)
{
    (void)ctx, (void)from, (void)h, (void)bytes, (void)e;
    return POST_GO_ON;
}

/* Rank 0 says its exit code, the others take it. */
static void engine_say_end(struct engine *g, int *exit_code)
{
    struct err e = ERR_INIT;
    struct post *p = &g->post;
    struct wire_head h = {.kind = MESSAGE_EXIT, .slot = (uint32_t)*exit_code};
    if (p->rank == 0) {
        post_send_all(p, &h, NULL, &e);
        return;
    }
    while (!p->left && !p->broken)
        post_receive(p, exit_ignore, NULL, &e);
    if (p->left)
        *exit_code = p->exit_code;
    else if (*exit_code == 0)
        *exit_code = 1;
}

bool engine_is_broken(const struct engine *g)
{
    return g->post.broken;
}

int engine_end(struct engine *g, int exit_code)
{
    engine_say_end(g, &exit_code);
    /* With a broken wire, MPI is not ended: the launcher then ends all other ranks. */
    if (g->post.wire && !g->post.broken)
        g->post.wire->end();
    engine_free(g);
    return exit_code;
}
