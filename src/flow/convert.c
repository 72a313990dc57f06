#include "flow/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "flow/bitmaps.h"
#include "flow/chunk.h"
#include "flow/convert_hash.h"
#include "flow/convert_inplace.h"
#include "flow/partition.h"
#include "flow/place.h"
#include "flow/read.h"
#include "flow/resume.h"
#include "flow/squeeze.h"
#include "flow/target.h"
#include "flow/telling.h"
#include "flow/throttle.h"
#include "flow/walk.h"
#include "flow/write.h"

/* One conversion on one rank. */
struct convert {
    const struct convert_options *o;
    struct convert_report *report;
    unsigned rank;
    unsigned workers; /* on all ranks: they share the rate limit */

    struct source source;
    struct target target;
    struct target_plan plan;
    struct read_rules read;
    struct convert_hash hash;
    struct squeeze_rules squeeze;
    struct write_rules write;

    /* rank 0 */
    struct partition partition;
    struct placer *placer;
    struct cursor granted;
    struct resume *resume; /* NULL: without */
    struct telling telling;
};

/* What a worker tells of a chunk: this head, its hash, the needs, the sectors that could not be
 * read. */
struct report_head {
    uint64_t data; /* bytes of pieces that are data */
    uint32_t blocks;
    uint32_t salvaged;
    uint32_t hash; /* bytes */
    uint32_t rank;
};

/* ---- a worker -------------------------------------------------------------------------------- */

struct convert_worker {
    struct convert *c;
    struct image_reader *reader;
    struct packer *packer;
    struct throttle throttle;
    unsigned n_slots;
    struct chunk slots[];
};

static void worker_free(void *worker)
{
    struct convert_worker *w = worker;
    if (!w)
        return;
    for (unsigned i = 0; i < w->n_slots; i++)
        chunk_release(&w->slots[i]);
    image_reader_free(w->reader);
    if (w->packer)
        w->c->target.writer->ops->packer_free(w->packer);
    free(w);
}

static int worker_fill(struct convert_worker *w, unsigned depth, struct err *e)
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
    struct convert *c = ctx;
    struct convert_worker *w = mem_new(1, sizeof *w + depth * sizeof w->slots[0], e);
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
static int report_begin(const struct convert *c, struct chunk *chunk, struct err *e)
{
    chunk->n_message = 0;
    if (!chunk_message_add(chunk, sizeof(struct report_head), e))
        return -1;
    return c->hash.on ? convert_hash_chunk(&c->hash, chunk, e) : 0;
}

static int report_end(const struct convert *c, struct chunk *chunk, struct blob *need,
                      struct err *e)
{
    const struct report_head head = {data_of(chunk), (uint32_t)chunk->n_blocks,
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
    struct convert_worker *w = worker;
    struct convert *c = w->c;
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
    struct convert_worker *w = worker;
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
    struct convert *c = ctx;
    return target_sync(&c->target, e) < 0 ? err_prefix(e, "%s: ", c->o->target) : 0;
}

/* ---- rank 0 ---------------------------------------------------------------------------------- */

static enum unit_next next_unit(void *ctx, uint64_t *unit, struct err *e)
{
    struct convert *c = ctx;
    int next;
    do
        next = partition_next(&c->partition, unit, e);
    while (next > 0 && c->resume && resume_has(c->resume, *unit));
    return (enum unit_next)next;
}

static void warn_salvaged(const struct convert *c, const unsigned char *at, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct salvaged lost;
        memcpy(&lost, at + i * sizeof lost, sizeof lost);
        telling_salvaged(&c->telling, &lost);
    }
}

static int feed_recorded(struct convert *c, uint64_t below, struct err *e)
{
    const struct resume_heard by = {c->placer, &c->hash, &c->telling};
    return resume_feed(c->resume, below, &by, e);
}

/* What was done by earlier runs below this chunk comes before it, what it needs is remembered. */
static int place_after(struct convert *c, const struct journal_record *r, unsigned rank,
                       struct err *e)
{
    uint64_t guest = r->chunk * c->target.chunk_size;
    if (c->resume && feed_recorded(c, r->chunk, e) < 0)
        return -1;
    if (c->hash.on &&
        convert_hash_take(&c->hash, r->chunk, guest, rank, r->hash, r->hash_len, e) < 0)
        return -1;
    if (c->placer && placer_place(c->placer, r->chunk, r->need, r->n_need, &c->granted, e) < 0)
        return -1;
    telling_progress(&c->telling, guest, r->data);
    return c->resume ? resume_placed(c->resume, r, c->placer ? &c->granted : NULL, e) : 0;
}

static enum unit_place place(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e)
{
    struct convert *c = ctx;
    struct report_head head;
    if (need->len < sizeof head)
        return (enum unit_place)err_set(e, EPROTO, "A report of %zu bytes", need->len);
    memcpy(&head, need->data, sizeof head);
    const unsigned char *hash = (const unsigned char *)need->data + sizeof head;
    /* the message is copied as it arrives: its needs are aligned as the head is */
    const struct journal_record r = {
        .chunk = unit,
        .data = head.data,
        .need = hash + head.hash,
        .n_need = head.blocks,
        .hash = hash,
        .hash_len = head.hash,
    };
    warn_salvaged(c, hash + head.hash + head.blocks * sizeof(need_t), head.salvaged);
    if (place_after(c, &r, head.rank, e) < 0)
        return PLACE_FAILED;
    *grant = (struct blob){&c->granted, sizeof c->granted};
    return PLACE_GO_ON;
}

static int collect(void *ctx, uint64_t unit, const struct blob *done, struct err *e)
{
    struct convert *c = ctx;
    if (!c->placer)
        return 0;
    if (placer_done(c->placer, unit, done->data, done->len, e) < 0)
        return err_prefix(e, "error while writing at byte %" PRIu64 ": ",
                          unit * c->target.chunk_size);
    return c->resume ? resume_done(c->resume, unit, done->data, done->len, e) : 0;
}

static int tick(void *ctx, struct err *e)
{
    const struct convert *c = ctx;
    int sig = c->resume ? 0 : signals_stop(); /* see enough() */
    return sig ? err_set(e, EINTR, "Stopped by signal %d (%s)", sig, strsignal(sig)) : 0;
}

static bool due(void *ctx)
{
    const struct convert *c = ctx;
    return resume_due(c->resume);
}

static int persisted(void *ctx, struct err *e)
{
    const struct convert *c = ctx;
    return resume_persisted(c->resume, e);
}

static bool enough(void *ctx)
{
    const struct convert *c = ctx;
    return resume_enough(c->resume);
}

/* ---- setting up ------------------------------------------------------------------------------ */

/* What the source's top leaves to its backing image is left to the target's. Without one it is
 * zeros, which the target must say over its own. */
static bool leaves(const struct convert *c)
{
    return c->o->backing_in_target && c->source.parts[0].image->backing;
}

static void set_rules(struct convert *c)
{
    const struct convert_options *o = c->o;
    unsigned stop = leaves(c) ? 1 : UINT_MAX;
    const struct writer *writer = c->target.writer;
    bool reserve = writer && writer->reserve;
    bool crypts = writer && writer->crypt;
    bool packs = target_packed_max(&c->target) > 0;
    /* these need bytes */
    bool offload = o->copy_offload && !crypts && !packs && !c->plan.alone && !c->hash.on;
    /* encrypted zeros are bytes like all others, where nothing says that a block is absent */
    bool zeros_written = crypts && (writer->in_place || (reserve && !writer->zero_flag));
    uint64_t sparse_size = zeros_written ? 0 : o->sparse_size;
    c->read = (struct read_rules){
        .source = &c->source,
        .stop_depth = stop,
        .block_size = c->target.block_size,
        .offload = offload,
        .salvage = o->salvage,
    };
    c->squeeze = (struct squeeze_rules){
        .block_size = c->target.block_size,
        .sparse_size = sparse_size,
        .zero_flag = writer && writer->zero_flag,
        .reserve = reserve,
        .backed = c->plan.backed,
    };
    c->write = (struct write_rules){
        .writer = writer,
        .file = c->target.data,
        .block_size = c->target.block_size,
        .sparse_size = sparse_size,
        .fresh = c->target.fresh_zero,
        .shift = c->target.shift,
        .offload = offload,
    };
    c->partition = (struct partition){
        .source = &c->source,
        .chunk_size = c->target.chunk_size,
        .stop_depth = stop,
        .zeros_count = !sparse_size || (!c->target.block_size && !c->target.fresh_zero),
        .all = reserve,
        .backed = c->plan.backed,
    };
}

static bool skips_all(const struct convert *c)
{
    const struct convert_window *w = &c->o->window;
    return w->on && w->from > num_min(w->to, c->source.parts[0].image->size);
}

/* Before the rules are set. */
static int begin_hash(struct convert *c, struct err *e)
{
    if (!c->o->hash.kind || c->plan.alone || leaves(c))
        return 0;
    return convert_hash_begin(&c->hash, c->o, c->source.size, c->target.chunk_size, c->rank == 0,
                              e);
}

/* Rank 0, alone: everything that can be refused is refused before the first byte is read. */
static int begin(struct convert *c, struct err *e)
{
    if (source_open(c->o, &c->source, e) < 0)
        return -1;
    c->report->skipped_all = skips_all(c);
    c->plan.size = c->source.size;
    if (c->o->bitmaps && bitmaps_check(c->o, &c->source, e) < 0)
        return -1;
    if (c->o->resume && resume_begin(c->o, &c->source, &c->plan, &c->resume, e) < 0)
        return -1;
    if (c->plan.finished)
        return 0;
    if (target_begin(c->o, &c->target, &c->plan, e) < 0)
        return -1;
    if (c->o->bitmaps && bitmaps_check_target(&c->source, &c->target, e) < 0)
        return -1;
    if (begin_hash(c, e) < 0)
        return -1;
    set_rules(c);
    c->telling.size = c->source.size;
    c->telling.passes = 1 + c->o->verify + (c->o->hash.kind && !c->hash.on);
    if (c->report->exact && source_data_bytes(&c->source, &c->telling.data_total, e) < 0)
        return -1;
    if (c->target.block_size &&
        placer_new(c->target.writer, c->target.file, c->target.pages, &c->placer, e) < 0)
        return -1;
    return c->resume ? resume_ready(c->resume, &c->target, &c->plan, e) : 0;
}

static int join(struct convert *c, const struct blob *plan, struct err *e)
{
    if (plan->len != sizeof c->plan)
        return err_set(e, EPROTO, "A plan of %zu bytes", plan->len);
    memcpy(&c->plan, plan->data, sizeof c->plan);
    if (c->plan.alone || c->plan.finished)
        return 0;
    if (source_open(c->o, &c->source, e) < 0)
        return -1;
    if (c->source.size != c->plan.size)
        return err_set(e, EIO, "The source has another size on this rank");
    if (target_join(c->o, &c->plan, &c->target, e) < 0 || begin_hash(c, e) < 0)
        return -1;
    set_rules(c);
    return 0;
}

static int set_up(struct engine *g, struct convert *c, struct err *e)
{
    int status = engine_rank(g) == 0 ? begin(c, e) : 0;
    struct blob plan = {&c->plan, sizeof c->plan};
    if (engine_share(g, status, &plan, e) < 0)
        return -1;
    if (engine_rank(g) != 0) {
        status = join(c, &plan, e);
        explicit_bzero(plan.data, plan.len);
        free(plan.data);
    }
    return engine_agree(g, status, e);
}

static bool is_remote(const struct convert *c)
{
    for (unsigned i = 0; i < c->source.n; i++)
        if (image_is_remote(c->source.parts[i].image))
            return true;
    return file_is_remote(c->target.file);
}

/* How many chunks a worker may hold, and how many workers a rank may run, within the memory. */
static void fit_memory(const struct engine *g, const struct convert *c, struct unit_job *job)
{
    uint64_t memory = c->o->memory ? c->o->memory : CONVERT_MEMORY_DEFAULT;
    uint32_t packed_max = target_packed_max(&c->target);
    uint64_t chunk = c->target.chunk_size * (packed_max ? 2 : 1);
    uint64_t half = memory / 2; /* the other half is for tables, pages and maps */
    uint64_t block = source_largest_block(&c->source); /* a worker's decoder: in and out */
    uint64_t chunks = num_max(half / chunk, 1);
    /* enough that a worker has something to pack while its last chunk waits for its place; more to
     * cover the way between ranks (measured: zstd on four threads gains 8 % from 2 to 3) */
    unsigned most = engine_size(g) > 1 ? 4 : packed_max ? 3 : 2;
    uint64_t readers = num_max(half / (chunk + 2 * block), 1);
    job->least_workers = is_remote(c) ? WALK_WAITING : 0;
    uint64_t threads = num_max(engine_most_threads(g), job->least_workers);
    job->max_workers = (unsigned)num_min(threads, num_min(chunks, readers));
    job->depth = (unsigned)num_min(num_max(chunks / job->max_workers, 1), most);
}

static int run(struct engine *g, struct convert *c, struct err *e)
{
    if (c->plan.alone)
        return convert_inplace(g, c->o, &c->read, &c->target, &c->telling, e);
    struct unit_job job = {
        .ctx = c,
        .next = next_unit,
        .place = place,
        .collect = collect,
        .tick = tick,
        .worker_new = worker_new,
        .worker_free = worker_free,
        .prepare = prepare,
        .commit = c->target.block_size ? commit : NULL,
        .settle = settle,
    };
    if (c->o->resume) {
        job.due = due;
        job.persist = settle;
        job.persisted = persisted;
        job.enough = enough;
    }
    fit_memory(g, c, &job);
    c->workers = engine_used(g, &job);
    telling_progress(&c->telling, 0, 0);
    return engine_run(g, &job, e);
}

/* All that was done is on storage. It may be a while until it is read back, too. */
static int finish_resumed(struct convert *c, struct err *e)
{
    bool stopped = resume_is_stopped(c->resume);
    if ((stopped || c->o->verify) && resume_write(c->resume, e) < 0)
        return -1;
    return stopped ? resume_stop(e) : feed_recorded(c, UINT64_MAX, e);
}

static int finish(struct convert *c, struct err *e)
{
    if (c->resume && finish_resumed(c, e) < 0)
        return -1;
    struct cursor *cursor = c->placer ? placer_cursor(c->placer) : NULL;
    if (c->o->bitmaps && bitmaps_copy(c->report, &c->source, &c->target, cursor, e) < 0)
        return -1;
    return target_finish(c->o, &c->target, cursor, e);
}

/* The hash, and the output read back by it. */
static int prove(struct engine *g, struct convert *c, struct err *e)
{
    const struct convert_hashed of = {
        .o = c->o,
        .source = &c->source,
        .alone = c->plan.alone,
        .plan = &c->plan,
        .chunk_size = c->target.chunk_size,
        .telling = &c->telling,
    };
    if (c->rank) /* what this rank wrote is synced: closing drops it from the page cache */
        target_release(&c->target, c->report->removed);
    if (convert_hash_end(g, &c->hash, &of, e) < 0)
        return -1;
    return c->o->verify ? convert_verify(g, &c->hash, &of, e) : 0;
}

static int publish(struct convert *c, struct err *e)
{
    if (target_publish(c->o, &c->target, e) < 0)
        return -1;
    if (c->resume)
        resume_finished(c->resume);
    progress_update(&c->report->progress, 100);
    return 0;
}

/* What has been proved wrong is not to be gone on with. */
static int prove_or_drop(struct engine *g, struct convert *c, struct err *e)
{
    int status = prove(g, c, e);
    if (status < 0 && c->resume && !signals_stop()) {
        resume_finished(c->resume);
        c->target.lasts = false;
    }
    return status;
}

static int convert_steps(struct engine *g, struct convert *c, struct err *e)
{
    bool first = c->rank == 0;
    if (set_up(g, c, e) < 0)
        return -1;
    if (c->plan.finished)
        return 0;
    if (run(g, c, e) < 0 || engine_agree(g, first ? finish(c, e) : 0, e) < 0)
        return -1;
    if (c->o->hash.kind && prove_or_drop(g, c, e) < 0)
        return -1;
    return engine_agree(g, first ? publish(c, e) : 0, e);
}

/* An output that stays says so; a read that a signal cut short is no failure. */
static void tell_kept(struct convert *c, int status, struct err *e)
{
    struct convert_report *r = c->report;
    if (status == 0 || !c->target.lasts)
        return;
    snprintf(r->kept, sizeof r->kept, "%s", c->plan.path);
    r->stopped = resume_is_stopped(c->resume) || signals_stop();
    if (r->stopped)
        resume_stop(e);
}

int convert_run(struct engine *g, const struct convert_options *o, struct convert_report *r,
                struct err *e)
{
    AUTO_FREE struct convert *c = mem_new(1, sizeof *c, e);
    int status = c ? 0 : -1;
    r->removed[0] = r->kept[0] = '\0';
    r->stopped = false;
    if (engine_agree(g, status, e) < 0)
        return -1;
    c->o = o;
    c->report = r;
    c->rank = engine_rank(g);
    c->telling = (struct telling){.o = o, .report = r};
    status = convert_steps(g, c, e);
    convert_hash_release(&c->hash);
    tell_kept(c, status, e);
    resume_free(c->resume);
    placer_free(c->placer);
    target_release(&c->target, r->removed);
    source_close(&c->source);
    explicit_bzero(&c->plan, sizeof c->plan); /* keys were made of what it drew */
    return status;
}
