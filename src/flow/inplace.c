#include "flow/inplace.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/inplace_chunk.h"
#include "flow/inplace_pack.h"
#include "flow/walk.h"
#include "formats/format.h"

#define MEMORY_DEFAULT (256 * MIB)
#define DEPTH_MOST     2u
#define FLUSH_BYTES    (2 * GIB) /* fresh data between flushes */
#define FLUSH_UNITS    65536u    /* or so many places */

/* One run; on ranks other than 0 only `job` is of use. */
struct inplace {
    const struct inplace_job *job;
    struct inplace_rules rules;
    unsigned workers;
    uint64_t fresh_bytes, fresh_units; /* since the last flush */
};

/* ---- a worker -------------------------------------------------------------------------------- */

struct worker {
    struct inplace *run;
    struct image_reader *reader;
    struct packer *packer;
    struct throttle throttle;
    unsigned n_slots;
    struct inplace_slot *told[DEPTH_MOST]; /* the bytes of a message: rank 0 is this process */
    struct inplace_slot slots[DEPTH_MOST];
};

static void worker_free(void *worker)
{
    struct worker *w = worker;
    if (!w)
        return;
    for (unsigned i = 0; i < w->n_slots; i++)
        inplace_slot_release(&w->slots[i]);
    image_reader_free(w->reader);
    if (w->packer)
        w->run->rules.packing->packer_free(w->packer);
    free(w);
}

/* A chunk is whole units of the image, however large its header says that they are. */
static int check_memory(const struct inplace *run, struct err *e)
{
    uint64_t memory = run->job->memory ? run->job->memory : MEMORY_DEFAULT;
    if (run->rules.chunk_size <= memory)
        return 0;
    return err_set(e, ENOMEM,
                   "Blocks of %" PRIu64 " bytes cannot be changed within %" PRIu64
                   " bytes of memory (see --memory)",
                   run->rules.chunk_size, memory);
}

static int worker_fill(struct worker *w, unsigned depth, struct err *e)
{
    if (check_memory(w->run, e))
        return -1;
    const struct inplace_rules *rules = &w->run->rules;
    w->reader = image_reader_new(e);
    if (!w->reader || (rules->packing &&
                       rules->packing->packer_new(rules->image, w->run->job->level, &w->packer, e)))
        return -1;
    while (w->n_slots < depth) {
        struct inplace_slot *s = &w->slots[w->n_slots];
        w->told[w->n_slots++] = s;
        if (inplace_slot_init(s, rules, e))
            return -1;
    }
    return 0;
}

static int worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    struct inplace *run = ctx;
    struct worker *w = mem_new(1, sizeof *w, e);
    if (!w)
        return -1;
    w->run = run;
    w->throttle = throttle_share(run->job->rate_limit, run->workers);
    if (worker_fill(w, depth, e)) {
        worker_free(w);
        return -1;
    }
    *worker = w;
    return 0;
}

static int prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e)
{
    struct worker *w = worker;
    const struct inplace_job *job = w->run->job;
    struct inplace_slot *s = &w->slots[slot];
    uint64_t guest = unit * w->run->rules.chunk_size;
    uint32_t length = (uint32_t)num_min(w->run->rules.chunk_size, job->size - guest);
    s->chunk.guest = guest;
    s->chunk.length = length;
    if (job->read(job->ctx, w->reader, &s->chunk, guest, length, e) ||
        inplace_cut(&w->run->rules, w->reader, s, e) ||
        (w->packer && inplace_pack(&w->run->rules, w->packer, w->reader, s, e)))
        return -1;
    *need = (struct blob){&w->told[slot], sizeof w->told[slot]};
    return 0;
}

static int fail_write(const struct inplace_job *job, uint64_t guest, struct err *e)
{
    return job->fail_write ? job->fail_write(job->ctx, guest, e) : -1;
}

static int commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                  struct blob *done, struct err *e)
{
    struct worker *w = worker;
    uint64_t at;
    (void)unit;
    (void)grant;
    if (inplace_write(&w->run->rules, w->reader, &w->throttle, &w->slots[slot], &at, e))
        return fail_write(w->run->job, at, e);
    *done = (struct blob){&w->told[slot], sizeof w->told[slot]};
    return 0;
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

static enum unit_next next_unit(void *ctx, uint64_t *unit, struct err *e)
{
    const struct inplace *run = ctx;
    return run->job->next(run->job->ctx, unit, e);
}

static int tick(void *ctx, struct err *e)
{
    (void)ctx;
    return walk_tick(NULL, e);
}

static struct inplace_slot *slot_of(const struct blob *told)
{
    struct inplace_slot *s;
    memcpy(&s, told->data, sizeof s);
    return s;
}

static uint64_t data_of(const struct inplace_slot *s)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->chunk.n_pieces; i++)
        if (s->chunk.pieces[i].kind == PIECE_DATA)
            bytes += s->chunk.pieces[i].length;
    return bytes;
}

static void tell(const struct inplace_job *job, uint64_t unit, const struct inplace_slot *s)
{
    if (job->lost && s->chunk.n_salvaged)
        job->lost(job->ctx, s->chunk.salvaged, s->chunk.n_salvaged);
    if (job->passed)
        job->passed(job->ctx, unit, data_of(s));
}

/* One place for [at, ...), up to `end`. */
static int place_plain(const struct inplace *run, struct inplace_slot *s, uint64_t *at,
                       uint64_t end, struct err *e)
{
    uint64_t first = s->chunk.guest;
    struct edit_place p;
    if (edit_place(run->job->edit, *at, end - *at, &p, e))
        return -1;
    if (p.guest < first || !num_inside(p.guest - first, p.length, run->rules.chunk_size))
        return err_set(e, EIO, "A place for offset %" PRIu64 " reaches beyond its chunk", *at);
    *at = p.guest + p.length;
    return inplace_place_add(s, &p, e);
}

/* The block at *at if it is encoded, else those up to the next that is. */
static int place_block(const struct inplace *run, struct inplace_slot *s, uint64_t *at,
                       uint64_t end, struct err *e)
{
    const struct chunk *c = &s->chunk;
    uint64_t size = run->rules.block, block = (*at - c->guest) / size;
    struct edit_place p;
    if (need_is_packed(c->need[block])) {
        if (edit_place_packed(run->job->edit, *at, need_packed_len(c->need[block]), &p, e))
            return -1;
        *at += size;
        return inplace_place_add(s, &p, e);
    }
    uint64_t stop = *at + size;
    while (stop < end && !need_is_packed(c->need[(stop - c->guest) / size]))
        stop += size;
    return place_plain(run, s, at, stop, e);
}

static int place_ask(const struct inplace *run, struct inplace_slot *s,
                     const struct inplace_part *ask, struct err *e)
{
    uint64_t at = s->chunk.guest + ask->at, end = at + ask->length;
    while (at < end)
        if (run->rules.packing ? place_block(run, s, &at, end, e)
                               : place_plain(run, s, &at, end, e))
            return fail_write(run->job, at, e);
    return 0;
}

static enum unit_place place(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e)
{
    struct inplace *run = ctx;
    struct inplace_slot *s = slot_of(need);
    (void)grant;
    tell(run->job, unit, s);
    for (size_t i = 0; i < s->asks.n; i++)
        if (place_ask(run, s, &s->asks.part[i], e))
            return PLACE_FAILED;
    return PLACE_GO_ON;
}

static int flush_now_and_then(struct inplace *run, struct err *e)
{
    if (run->fresh_bytes < FLUSH_BYTES && run->fresh_units < FLUSH_UNITS)
        return 0;
    run->fresh_bytes = run->fresh_units = 0;
    return edit_flush(run->job->edit, e);
}

static int link_places(struct inplace *run, const struct inplace_slot *s, struct err *e)
{
    for (size_t i = 0; i < s->n_places; i++) {
        const struct edit_place *p = &s->places[i];
        if (!p->fresh)
            continue;
        if (edit_link(run->job->edit, p, e))
            return fail_write(run->job, p->guest, e);
        run->fresh_bytes += p->length;
        run->fresh_units += num_div_up(p->length, run->rules.unit);
    }
    return 0;
}

static int mark_zeros(struct inplace *run, const struct inplace_slot *s, struct err *e)
{
    for (size_t i = 0; i < s->runs.n; i++) {
        const struct inplace_part *p = &s->runs.part[i];
        uint64_t guest = s->chunk.guest + p->at;
        if (p->kind != PIECE_ZERO)
            continue;
        if (edit_zero(run->job->edit, guest, p->length, run->job->zero, e))
            return fail_write(run->job, guest, e);
        run->fresh_units += num_div_up(p->length, run->rules.unit);
    }
    return 0;
}

/* All of the chunk's data is where it belongs: it becomes the image's, and so do its zeros. */
static int collect(void *ctx, uint64_t unit, const struct blob *done, struct err *e)
{
    struct inplace *run = ctx;
    const struct inplace_slot *s = slot_of(done);
    (void)unit;
    if (link_places(run, s, e) || mark_zeros(run, s, e))
        return -1;
    return flush_now_and_then(run, e);
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Units that may have to move together: a cluster, where a unit is part of one. */
static uint64_t group_of(const struct edit *d)
{
    uint64_t unit = edit_unit(d), cluster = edit_image(d)->cluster_size;
    if (!edit_image(d)->format->edit->unit) /* no place is fresh (vhdx: blocks of up to 256 MiB) */
        return unit;
    return num_is_pow2(cluster) ? num_max(unit, cluster) : unit;
}

uint64_t inplace_chunk(const struct edit *d)
{
    return num_up_to(MIB, group_of(d));
}

/* Encrypted sectors are written whole, wherever they are. */
static struct inplace_rules rules_of(const struct inplace_job *job)
{
    uint64_t least = job->image->encrypted ? 512 : 1;
    const struct edit_packing *packing = edit_packing(job->edit);
    bool always = packing && packing->always && packing->always(job->image);
    if (!job->compress && !always)
        packing = NULL;
    return (struct inplace_rules){
        .image = job->image,
        .unit = num_max(edit_unit(job->edit), least),
        .group = num_max(group_of(job->edit), least),
        .chunk_size = inplace_chunk(job->edit),
        .sparse_size = job->sparse_size,
        .zeros_written = !job->image->format->edit->zero || (always && job->image->backing),
        .zeros_there = job->zeros_there,
        .packing = packing,
        .block = packing ? packing->block(job->image) : 0,
    };
}

static void fit_memory(const struct engine *g, const struct inplace *run, struct unit_job *unit)
{
    uint64_t memory = run->job->memory ? run->job->memory : MEMORY_DEFAULT;
    uint64_t chunk = run->rules.chunk_size * (run->rules.packing ? 2 : 1);
    uint64_t chunks = num_max(memory / 2 / chunk, 1); /* the rest is for tables */
    uint64_t threads = num_max(engine_threads(g), unit->least_workers);
    unit->max_workers = (unsigned)num_min(threads, chunks);
    unit->depth = (unsigned)num_min(num_max(chunks / unit->max_workers, 1), DEPTH_MOST);
}

int inplace_run(struct engine *g, const struct inplace_job *job, struct err *e)
{
    struct inplace run = {.job = job};
    struct unit_job unit = {
        .ctx = &run,
        .first_only = true,
        .next = next_unit,
        .place = place,
        .collect = collect,
        .tick = tick,
        .worker_new = worker_new,
        .worker_free = worker_free,
        .prepare = prepare,
        .commit = commit,
    };
    if (engine_rank(g) != 0)
        return engine_run(g, &unit, e);
    run.rules = rules_of(job);
    unit.least_workers = job->least_workers;
    fit_memory(g, &run, &unit);
    run.workers = engine_used(g, &unit);
    int status = engine_run(g, &unit, e);
    return status ? -1 : edit_flush(job->edit, e);
}
