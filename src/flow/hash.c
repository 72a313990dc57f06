#include "flow/hash.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/partition.h"
#include "flow/read.h"
#include "flow/walk.h"
#include "formats/format.h"

#define MEMORY_DEFAULT (256 * MIB)
#define CHUNK          (2 * MIB)
#define DEPTH          2u /* the next chunk is there when one is done */

/* One walk on one rank. */
struct hash_pass {
    const struct hash_walk *walk;
    struct blkhash blkhash;
    struct read_rules read;

    /* rank 0 */
    struct partition partition;
    struct blkhash_order *order;
};

/* ---- a worker -------------------------------------------------------------------------------- */

struct message {
    unsigned char *bytes;
    size_t cap;
};

struct worker {
    const struct hash_pass *h;
    struct image_reader *reader;
    struct chunk chunk; /* one is enough: what stays until its slot is used again is the message */
    struct message told[DEPTH];
};

static void worker_free(void *worker)
{
    struct worker *w = worker;
    if (!w)
        return;
    image_reader_free(w->reader);
    chunk_release(&w->chunk);
    for (unsigned i = 0; i < DEPTH; i++)
        free(w->told[i].bytes);
    free(w);
}

static int worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    const struct hash_pass *h = ctx;
    struct worker *w = mem_new(1, sizeof *w, e);
    (void)depth; /* DEPTH */
    if (!w)
        return -1;
    w->h = h;
    w->reader = image_reader_new(e);
    if (!w->reader || chunk_init(&w->chunk, h->walk->chunk_size, 0, 0, e) < 0) {
        worker_free(w);
        return -1;
    }
    *worker = w;
    return 0;
}

static uint64_t data_of(const struct chunk *c)
{
    uint64_t data = 0;
    for (size_t i = 0; i < c->n_pieces; i++)
        if (c->pieces[i].kind == PIECE_DATA)
            data += c->pieces[i].length;
    return data;
}

/* Bytes of data, then what blkhash_chunk says. */
static int tell(const struct hash_pass *h, struct chunk *c, struct err *e)
{
    uint64_t data = data_of(c);
    c->n_message = 0;
    void *to = chunk_message_add(c, sizeof data, e);
    if (!to)
        return -1;
    memcpy(to, &data, sizeof data);
    return blkhash_chunk(&h->blkhash, c, e);
}

static int prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e)
{
    struct worker *w = worker;
    const struct hash_pass *h = w->h;
    struct chunk *c = &w->chunk;
    struct message *told = &w->told[slot];
    uint64_t guest = unit * h->walk->chunk_size;
    uint32_t length = (uint32_t)num_min(h->walk->chunk_size, h->blkhash.size - guest);
    c->message = MEM_TAKE(told->bytes);
    c->cap_message = told->cap;
    int status = read_chunk(w->reader, &h->read, c, guest, length, e);
    for (size_t i = 0; i < c->n_extents; i++) {
        const struct extent *x = &c->extents[i];
        file_forget(x->file, x->host, x->kind == EXTENT_PACKED ? x->packed_len : x->length);
    }
    if (status == 0)
        status = tell(h, c, e);
    *told = (struct message){MEM_TAKE(c->message), c->cap_message};
    *need = (struct blob){told->bytes, c->n_message};
    return status;
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

static enum unit_next next_unit(void *ctx, uint64_t *unit, struct err *e)
{
    struct hash_pass *h = ctx;
    return (enum unit_next)partition_next(&h->partition, unit, e);
}

static int tick(void *ctx, struct err *e)
{
    const struct hash_walk *w = ((const struct hash_pass *)ctx)->walk;
    if (!w->give_up)
        return walk_tick(NULL, e);
    return w->give_up(w->ctx) ? err_set(e, EINTR, "Stopped") : 0;
}

static unsigned avoid(void *ctx, uint64_t unit)
{
    const struct hash_pass *h = ctx;
    return h->walk->avoid(h->walk->ctx, unit);
}

static enum unit_place place(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e)
{
    struct hash_pass *h = ctx;
    uint64_t data = 0, guest = unit * h->walk->chunk_size;
    const size_t skip = num_min(sizeof data, need->len);
    (void)grant;
    memcpy(&data, need->data, skip);
    if (blkhash_order_chunk(h->order, guest, (const uint8_t *)need->data + skip, need->len - skip,
                            e) < 0)
        return PLACE_FAILED;
    if (h->walk->passed)
        h->walk->passed(h->walk->ctx, num_min(guest + h->walk->chunk_size, h->blkhash.size), data);
    return PLACE_GO_ON;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static int begin(const struct hash_walk *w, struct hash_pass *h, struct err *e)
{
    if (w->first_only && !w->source->n)
        return 0; /* a rank that does not take part */
    if (blkhash_init(&h->blkhash, &w->params, w->source->size, e) < 0)
        return -1;
    h->read =
        (struct read_rules){.source = w->source, .stop_depth = UINT_MAX, .salvage = w->salvage};
    h->partition = (struct partition){
        .source = w->source, .chunk_size = w->chunk_size, .stop_depth = UINT_MAX};
    return blkhash_order_new(&h->blkhash, &h->order, e);
}

int hash_pass_new(const struct hash_walk *w, struct hash_pass **out, struct err *e)
{
    struct hash_pass *p = *out = mem_new(1, sizeof *p, e);
    if (!p)
        return -1;
    p->walk = w;
    return begin(w, p, e);
}

void hash_pass_free(struct hash_pass *p)
{
    if (p)
        blkhash_order_free(p->order);
    free(p);
}

static unsigned fit_memory(const struct hash_walk *w, unsigned threads)
{
    uint64_t half = (w->memory ? w->memory : MEMORY_DEFAULT) / 2;
    uint64_t each = w->chunk_size + 2 * source_largest_block(w->source);
    uint64_t workers = num_max(threads, w->least_workers);
    return (unsigned)num_min(num_max(half / each, 1), workers);
}

void hash_pass_job(struct hash_pass *p, unsigned threads, struct unit_job *job)
{
    const struct hash_walk *w = p->walk;
    *job = (struct unit_job){
        .ctx = p,
        .depth = DEPTH,
        .max_workers = fit_memory(w, threads),
        .first_only = w->first_only,
        .least_workers = w->least_workers,
        .next = next_unit,
        .avoid = w->avoid ? avoid : NULL,
        .place = place,
        .tick = tick,
        .worker_new = worker_new,
        .worker_free = worker_free,
        .prepare = prepare,
    };
}

int hash_pass_end(struct hash_pass *p, uint8_t *hash, struct err *e)
{
    return blkhash_order_end(p->order, hash, e);
}

static int run_pass(struct engine *g, struct hash_pass *p, uint8_t *hash, struct err *e)
{
    struct unit_job job;
    hash_pass_job(p, engine_most_threads(g), &job);
    if (engine_run(g, &job, e) < 0)
        return -1;
    return engine_agree(g, engine_rank(g) == 0 ? hash_pass_end(p, hash, e) : 0, e);
}

int hash_walk(struct engine *g, const struct hash_walk *w, uint8_t *hash, struct err *e)
{
    struct hash_pass *p = NULL;
    int status = engine_agree(g, hash_pass_new(w, &p, e), e);
    if (status == 0)
        status = run_pass(g, p, hash, e);
    hash_pass_free(p);
    return status;
}

/* ---- one image ------------------------------------------------------------------------------- */

struct watched {
    const struct progress *progress;
    uint64_t size;
};

static void passed(void *ctx, uint64_t guest, uint64_t data)
{
    const struct watched *w = ctx;
    (void)data;
    progress_bytes(w->progress, guest, w->size);
}

static int hash_opened(struct engine *g, const struct hash_options *o, const struct walk *opened,
                       const struct progress *p, struct hash_result *out, struct err *e)
{
    struct source_part part;
    struct source source = source_of_image(opened->image[0], o->name, &part);
    struct watched watched = {p, source.size};
    source.by_map = false;
    const struct hash_walk w = {
        .source = &source,
        .params = o->params,
        .chunk_size = opened->chunk,
        .least_workers = walk_least_workers(opened),
        .memory = o->memory,
        .passed = passed,
        .ctx = &watched,
    };
    out->size = source.size;
    snprintf(out->format, sizeof out->format, "%s", image_format_name(opened->image[0]));
    progress_bytes(p, 0, source.size);
    if (hash_walk(g, &w, out->hash, e) < 0)
        return engine_rank(g) == 0 ? err_prefix(e, "%s: ", o->name) : -1;
    progress_update(p, 100);
    return 0;
}

int hash_run(struct engine *g, const struct hash_options *o, const struct progress *p,
             struct hash_result *out, struct err *e)
{
    struct walk walk = {
        .n = 1,
        .name = {o->name},
        .spec = {o->spec},
        .driver = {o->driver},
        .flags = {.force_share = o->force_share,
                  .safety = o->safety,
                  .forget = true,
                  .cache = o->cache,
                  .secrets = o->secrets},
        .chunk = num_max(CHUNK, o->params.block_size),
    };
    *out = (struct hash_result){0};
    int status = walk_open(g, &walk, e);
    if (status == 0)
        status = hash_opened(g, o, &walk, engine_rank(g) ? NULL : p, out, e);
    walk_close(&walk);
    return status;
}
