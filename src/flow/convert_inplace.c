#include "flow/convert_inplace.h"

#include <inttypes.h>
#include <string.h>

#include "flow/inplace.h"
#include "flow/partition.h"
#include "flow/walk.h"

/* On rank 0. */
struct into {
    const struct convert_options *o;
    const struct read_rules *read;
    const struct target *target;
    struct telling *telling;
    struct partition partition;
};

static enum unit_next next(void *ctx, uint64_t *chunk, struct err *e)
{
    struct into *c = ctx;
    return (enum unit_next)partition_next(&c->partition, chunk, e);
}

/* -S 0: zeros are bytes like all others. */
static void write_out_zeros(struct chunk *c)
{
    for (size_t i = 0; i < c->n_pieces; i++) {
        struct piece *p = &c->pieces[i];
        if (p->kind != PIECE_ZERO)
            continue;
        memset(c->buf + p->at, 0, p->length);
        p->kind = PIECE_DATA;
    }
}

static int read_source(void *ctx, struct image_reader *r, struct chunk *chunk, uint64_t guest,
                       uint32_t length, struct err *e)
{
    const struct into *c = ctx;
    if (read_chunk(r, c->read, chunk, guest, length, e))
        return -1;
    if (!c->o->sparse_size)
        write_out_zeros(chunk);
    return 0;
}

static void passed(void *ctx, uint64_t chunk, uint64_t data)
{
    const struct into *c = ctx;
    telling_progress(c->telling, chunk * c->target->chunk_size, data);
}

static void lost(void *ctx, const struct salvaged *s, size_t n)
{
    const struct into *c = ctx;
    for (size_t i = 0; i < n; i++)
        telling_salvaged(c->telling, &s[i]);
}

static int fail_write(void *ctx, uint64_t guest, struct err *e)
{
    (void)ctx;
    return err_prefix(e, "error while writing at byte %" PRIu64 ": ", guest);
}

static struct partition partition_of(const struct into *c)
{
    bool sparse = c->o->sparse_size;
    return (struct partition){
        .source = c->read->source,
        .chunk_size = c->target->chunk_size,
        .stop_depth = c->read->stop_depth,
        .zeros_count = !sparse || !c->o->target_is_zero,
        .over = sparse ? c->target->image : NULL,
    };
}

static unsigned least_workers(const struct into *c)
{
    const struct source *s = c->read->source;
    bool waits = image_is_remote(c->target->image);
    for (unsigned i = 0; i < s->n; i++)
        waits |= image_is_remote(s->parts[i].image);
    return waits ? WALK_WAITING : 0;
}

int convert_inplace(struct engine *g, const struct convert_options *o,
                    const struct read_rules *read, const struct target *t, struct telling *telling,
                    struct err *e)
{
    struct into c = {.o = o, .read = read, .target = t, .telling = telling};
    struct inplace_job job = {.ctx = &c,
                              .zero = EDIT_ZERO_DROP,
                              .next = next,
                              .read = read_source,
                              .passed = passed,
                              .lost = lost,
                              .fail_write = fail_write};
    if (engine_rank(g) == 0) {
        c.partition = partition_of(&c);
        job.edit = t->edit;
        job.image = t->image;
        job.size = read->source->size;
        job.sparse_size = o->sparse_size;
        job.zeros_there = o->target_is_zero && o->sparse_size;
        job.compress = o->compress;
        job.level = o->level;
        job.memory = o->memory;
        job.rate_limit = o->rate_limit;
        job.least_workers = least_workers(&c);
        telling_progress(telling, 0, 0);
    }
    return inplace_run(g, &job, e);
}
