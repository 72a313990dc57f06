#include "flow/conversion_inside.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/throttle.h"

struct worker {
    struct conversion *c;
    struct image_reader *reader;
    struct packer *packer;
    struct throttle throttle;
    unsigned n_slots;
    struct chunk slots[];
};

static void worker_free(void *worker)
{
    struct worker *w = worker;
    if (!w)
        return;
    for (unsigned i = 0; i < w->n_slots; i++)
        chunk_release(&w->slots[i]);
    image_reader_free(w->reader);
    if (w->packer)
        w->c->target.writer->ops->packer_free(w->packer);
    free(w);
}

static int worker_fill(struct worker *w, unsigned depth, struct err *e)
{
    const struct target *t = &w->c->target;
    uint32_t packed_max = target_packed_max(t);
    w->reader = image_reader_new(e);
    if (!w->reader || (packed_max && t->writer->ops->packer_new(t->writer, &w->packer, e) < 0))
        return -1;
    for (unsigned i = 0; i < depth; i++) {
        w->n_slots = i + 1;
        if (chunk_init(&w->slots[i], t->chunk_size, t->block_size, packed_max, e) < 0)
            return -1;
    }
    return 0;
}

static int worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    struct conversion *c = ctx;
    struct worker *w = mem_new(1, sizeof *w + depth * sizeof w->slots[0], e);
    if (!w)
        return -1;
    w->c = c;
    w->throttle = throttle_share(c->o->rate_limit, c->workers);
    if (worker_fill(w, depth, e) < 0) {
        worker_free(w);
        return -1;
    }
    *worker = w;
    return 0;
}

static uint64_t data_of(const struct chunk *chunk)
{
    uint64_t data = 0;
    for (size_t i = 0; i < chunk->n_pieces; i++)
        if (chunk->pieces[i].kind == PIECE_DATA || chunk->pieces[i].kind == PIECE_COPY)
            data += chunk->pieces[i].length;
    return data;
}

/* What is known as soon as it is read. */
static int report_begin(const struct conversion *c, struct chunk *chunk, struct err *e)
{
    chunk->n_message = 0;
    if (!chunk_message_add(chunk, sizeof(struct chunk_report), e))
        return -1;
    return c->hash.on ? convert_hash_chunk(&c->hash, chunk, e) : 0;
}

static int report_end(const struct conversion *c, struct chunk *chunk, struct blob *need,
                      struct err *e)
{
    const struct chunk_report head = {data_of(chunk), (uint32_t)chunk->n_blocks,
                                      (uint32_t)chunk->n_salvaged,
                                      (uint32_t)(chunk->n_message - sizeof head), c->rank};
    size_t needs = chunk->n_blocks * sizeof *chunk->need;
    size_t lost = chunk->n_salvaged * sizeof *chunk->salvaged;
    unsigned char *to = chunk_message_add(chunk, needs + lost, e);
    if (!to)
        return -1;
    memcpy(chunk->message, &head, sizeof head);
    if (needs)
        memcpy(to, chunk->need, needs);
    if (lost)
        memcpy(to + needs, chunk->salvaged, lost);
    *need = (struct blob){chunk->message, chunk->n_message};
    return 0;
}

/* The source is not needed any more once it is read. */
static void forget_source(const struct chunk *chunk)
{
    for (size_t i = 0; i < chunk->n_extents; i++) {
        const struct extent *x = &chunk->extents[i];
        uint64_t n = x->kind == EXTENT_PACKED ? x->packed_len : x->length;
        file_forget(x->file, x->host, n);
    }
}

static int prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need, struct err *e)
{
    struct worker *w = worker;
    struct conversion *c = w->c;
    struct chunk *chunk = &w->slots[slot];
    uint64_t guest = unit * c->target.chunk_size;
    uint32_t length = (uint32_t)num_min(c->target.chunk_size, c->source.size - guest);
    if (read_chunk(w->reader, &c->read, chunk, guest, length, e) < 0)
        return -1;
    forget_source(chunk);
    if (report_begin(c, chunk, e) < 0)
        return -1;
    int status = c->target.block_size
                     ? squeeze_blocks(&c->squeeze, c->target.writer->ops, w->packer, chunk, e)
                     : write_in_place(&c->write, &w->throttle, chunk, e);
    return status < 0 ? -1 : report_end(c, chunk, need, e);
}

/* Placing again, from the cursor that rank 0 had before this chunk, gives the same places. */
static int commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                  struct blob *done, struct err *e)
{
    struct worker *w = worker;
    struct chunk *chunk = &w->slots[slot];
    struct writer *writer = w->c->target.writer;
    struct cursor cursor;
    if (grant->len != sizeof cursor)
        return err_set(e, EPROTO, "A grant of %zu bytes", grant->len);
    memcpy(&cursor, grant->data, sizeof cursor);
    chunk->placing.n_meta = 0;
    if (writer->ops->place(writer, unit, chunk->need, chunk->n_blocks, &cursor, &chunk->placing,
                           e) < 0 ||
        write_placed(&w->c->write, &w->throttle, chunk, e) < 0)
        return -1;
    *done = (struct blob){chunk->message, chunk->n_message};
    return 0;
}

static int settle(void *ctx, struct err *e)
{
    struct conversion *c = ctx;
    return target_sync(&c->target, e) < 0 ? err_prefix(e, "%s: ", c->o->target) : 0;
}

void conversion_worker_job(struct conversion *c, struct unit_job *job)
{
    job->worker_new = worker_new;
    job->worker_free = worker_free;
    job->prepare = prepare;
    job->commit = c->target.block_size ? commit : NULL;
    job->settle = settle;
    job->persist = c->o->resume ? settle : NULL;
}
