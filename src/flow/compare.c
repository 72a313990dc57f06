#include "flow/compare.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/compare_chunk.h"
#include "flow/walk.h"

#define MEMORY_DEFAULT (256 * MIB)
#define CHUNK_MAX      (2 * MIB)
#define CHUNK_MIN      (64 * KIB)
#define DEPTH          2u /* the next chunk is there when one is done */

/* One comparison on one rank. */
struct compare {
    const struct compare_options *o;
    struct walk walk;
    struct compared compared;
    uint64_t common, total; /* guest bytes: of the smaller, of the larger image */

    /* rank 0 */
    const struct progress *progress;
    struct skipper skipper;
    uint64_t at; /* handed out, or known to be equal, up to here */
    struct found found;
};

/* ---- a worker -------------------------------------------------------------------------------- */

struct worker {
    const struct compare *c;
    struct comparer *comparer;
    struct found found[DEPTH];
};

static void worker_free(void *worker)
{
    struct worker *w = worker;
    if (w)
        comparer_free(w->comparer);
    free(w);
}

static int worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    const struct compare *c = ctx;
    AUTO_FREE struct worker *w = mem_new(1, sizeof *w, e);
    (void)depth; /* DEPTH */
    if (!w || comparer_new(&c->compared, c->walk.chunk, &w->comparer, e) < 0)
        return -1;
    w->c = c;
    *worker = MEM_TAKE(w);
    return 0;
}

static int prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e)
{
    struct worker *w = worker;
    struct found *found = &w->found[slot];
    uint64_t guest = unit * w->c->walk.chunk;
    uint64_t length = num_min(w->c->walk.chunk, w->c->total - guest);
    if (comparer_run(w->comparer, guest, length, found, e) < 0)
        return -1;
    *need = (struct blob){found, found->what == FOUND_NOTHING ? 0 : sizeof *found};
    return 0;
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

static enum unit_next next_unit(void *ctx, uint64_t *unit, struct err *e)
{
    struct compare *c = ctx;
    c->at = skipper_next(&c->skipper, c->at, c->total, e);
    if (c->at >= c->total)
        return UNIT_NONE;
    *unit = c->at / c->walk.chunk;
    c->at = num_min((*unit + 1) * c->walk.chunk, c->total);
    return UNIT_THERE;
}

static enum unit_place place(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e)
{
    struct compare *c = ctx;
    (void)grant;
    if (need->len == 0) {
        uint64_t done = num_min((unit + 1) * c->walk.chunk, c->total);
        progress_bytes(c->progress, done, c->total);
        return PLACE_GO_ON;
    }
    if (need->len != sizeof c->found)
        return (enum unit_place)err_set(e, EPROTO, "A finding of %zu bytes", need->len);
    memcpy(&c->found, need->data, sizeof c->found);
    return PLACE_STOP;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static uint64_t memory_half(const struct compare_options *o)
{
    return (o->memory ? o->memory : MEMORY_DEFAULT) / 2; /* the rest is for tables and maps */
}

/* A worker holds a chunk of each image. */
static uint64_t chunk_for(const struct engine *g, const struct compare_options *o)
{
    uint64_t chunk = CHUNK_MAX;
    while (chunk > CHUNK_MIN && 2 * chunk * engine_most_threads(g) > memory_half(o))
        chunk /= 2;
    return chunk;
}

static struct walk walk_for(const struct engine *g, const struct compare_options *o)
{
    return (struct walk){
        .n = 2,
        .name = {o->name[0], o->name[1]},
        .spec = {o->spec[0], o->spec[1]},
        .driver = {o->driver[0], o->driver[1]},
        .flags = {.force_share = o->force_share,
                  .safety = o->safety,
                  .cache = o->cache,
                  .secrets = o->secrets},
        .chunk = chunk_for(g, o),
    };
}

static int set_compared(struct compare *c, struct err *e)
{
    for (unsigned i = 0; i < 2; i++) {
        c->compared.image[i] = c->walk.image[i];
        if (c->o->strict && status_rules_new(c->walk.image[i], &c->compared.rules[i], e) < 0)
            return -1;
    }
    return 0;
}

static int run(struct engine *g, struct compare *c, struct err *e)
{
    uint64_t fit = num_max(memory_half(c->o) / (2 * c->walk.chunk), 1);
    unsigned least = walk_least_workers(&c->walk);
    const struct unit_job job = {
        .ctx = c,
        .depth = DEPTH,
        .least_workers = least,
        .max_workers = (unsigned)num_min(fit, num_max(engine_most_threads(g), least)),
        .next = next_unit,
        .place = place,
        .tick = walk_tick,
        .worker_new = worker_new,
        .worker_free = worker_free,
        .prepare = prepare,
    };
    if (engine_agree(g, set_compared(c, e), e) < 0)
        return -1;
    c->skipper = skipper_of(&c->compared);
    return engine_run(g, &job, e);
}

/* Rank 0: what was found, as compare's caller is to show it. */
static int conclude(const struct compare *c, struct compare_result *out, struct err *e)
{
    const struct found *f = &c->found;
    const char *name = c->o->name[f->side];
    out->size_differs = c->common < c->total && (!f->what || f->offset >= c->common);
    out->offset = f->offset;
    switch (f->what) {
    case FOUND_NO_MAP:
        out->failure = COMPARE_STATUS;
        err_set(e, f->error, "Sector allocation test failed for %s", name);
        return err_hint(e, "%s", f->text);
    case FOUND_NO_READ:
        out->failure = COMPARE_READ;
        return walk_fail(e, f->error, f->text, "Error while reading offset %" PRIu64 " of %s",
                         f->offset, name);
    case FOUND_CONTENT:
        out->verdict = COMPARE_CONTENT;
        return 0;
    case FOUND_STATUS:
        out->verdict = COMPARE_STRICT_STATUS;
        return 0;
    default:
        if (c->total)
            progress_update(c->progress, 100);
        return 0;
    }
}

static int compare_opened(struct engine *g, struct compare *c, struct compare_result *out,
                          struct err *e)
{
    uint64_t size[2] = {c->walk.image[0]->size, c->walk.image[1]->size};
    c->common = num_min(size[0], size[1]);
    c->total = num_max(size[0], size[1]);
    progress_bytes(c->progress, 0, c->total);
    if (c->o->strict && size[0] != size[1]) {
        out->verdict = COMPARE_STRICT_SIZE;
        return 0;
    }
    out->failure = COMPARE_READ;
    if (run(g, c, e) < 0)
        return -1;
    int status = engine_rank(g) == 0 ? conclude(c, out, e) : 0;
    return engine_agree(g, status, e);
}

int compare_run(struct engine *g, const struct compare_options *o, const struct progress *p,
                struct compare_result *out, struct err *e)
{
    struct compare c = {.o = o, .walk = walk_for(g, o), .progress = engine_rank(g) ? NULL : p};
    *out = (struct compare_result){.failure = COMPARE_OPEN};
    int status = walk_open(g, &c.walk, e);
    if (status == 0)
        status = compare_opened(g, &c, out, e);
    status_rules_free(c.compared.rules[0]);
    status_rules_free(c.compared.rules[1]);
    walk_close(&c.walk);
    return status;
}
