#include "flow/conversion_inside.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/signals.h"
#include "flow/bitmaps.h"
#include "flow/convert_inplace.h"
#include "flow/walk.h"
#include "io/join.h"
#include "io/opening.h"

/* ---- setting up ------------------------------------------------------------------------------ */

/* What the source's top leaves to its backing image is left to the target's. Without one it is
 * zeros, which the target must say over its own. */
static bool leaves(const struct conversion *c)
{
    return c->o->backing_in_target && c->source.parts[0].image->backing;
}

static void set_rules(struct conversion *c)
{
    c->chunk_size = c->target.chunk_size;
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
        .page = c->plan.page,
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

static bool skips_all(const struct conversion *c)
{
    const struct convert_window *w = &c->o->window;
    return w->on && w->from > num_min(w->to, c->source.parts[0].image->size);
}

/* Before the rules are set. */
static int begin_hash(struct conversion *c, struct err *e)
{
    if (!c->o->hash.kind || c->plan.alone || leaves(c))
        return 0;
    return convert_hash_begin(&c->hash, c->o, c->source.size, c->target.chunk_size, c->rank == 0,
                              e);
}

static int begin(struct conversion *c, struct err *e)
{
    if (source_open(c->o, &c->source, e) < 0)
        return -1;
    c->report->skipped_all = skips_all(c);
    c->plan.size = c->report->size = c->source.size;
    snprintf(c->report->source_format, sizeof c->report->source_format, "%s",
             image_format_name(c->source.parts[0].image));
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
    c->plan.chunk = c->target.chunk_size;
    c->telling.size = c->source.size;
    c->telling.passes = 1 + c->o->verify + (c->o->hash.kind && !c->hash.on);
    if (c->report->exact && source_data_bytes(&c->source, &c->telling.data_total, e) < 0)
        return -1;
    if (c->target.block_size &&
        placer_new(c->target.writer, c->target.file, c->target.pages, &c->placer, e) < 0)
        return -1;
    return c->resume ? resume_ready(c->resume, &c->target, &c->plan, e) : 0;
}

/* The plan, and behind it what was read of the source while it was opened. */
static int tell_plan(struct conversion *c, struct err *e)
{
    size_t n;
    const void *read = opening_bytes(c->source.opening, &n);
    uint8_t *bytes = mem_new(sizeof c->plan + n, 1, e);
    if (!bytes)
        return -1;
    memcpy(bytes, &c->plan, sizeof c->plan);
    if (n)
        memcpy(bytes + sizeof c->plan, read, n);
    c->told = (struct blob){bytes, sizeof c->plan + n};
    return 0;
}

static struct conversion *conversion_new(const struct convert_options *o, struct convert_report *r,
                                         unsigned rank, struct err *e)
{
    struct conversion *c = mem_new(1, sizeof *c, e);
    r->removed[0] = r->kept[0] = '\0';
    r->stopped = false;
    r->data = 0;
    if (!c)
        return NULL;
    c->o = o;
    c->report = r;
    c->rank = rank;
    c->telling = (struct telling){.o = o, .report = r};
    return c;
}

int conversion_begin(const struct convert_options *o, struct convert_report *r,
                     struct conversion **out, struct err *e)
{
    struct conversion *c = *out = conversion_new(o, r, 0, e);
    return c && begin(c, e) == 0 ? tell_plan(c, e) : -1;
}

struct blob conversion_plan(struct conversion *c)
{
    return c->told;
}

bool conversion_is_finished(const struct conversion *c)
{
    return c->plan.finished;
}

static int take_plan(struct conversion *c, const struct blob *plan, struct err *e)
{
    if (plan->len < sizeof c->plan)
        return err_set(e, EPROTO, "A plan of %zu bytes", plan->len);
    memcpy(&c->plan, plan->data, sizeof c->plan);
    c->chunk_size = c->plan.chunk;
    c->telling.size = c->plan.size;
    return 0;
}

static int open_same_source(struct conversion *c, const struct blob *plan, struct err *e)
{
    const uint8_t *read = (const uint8_t *)plan->data + sizeof c->plan;
    if (source_join(c->o, read, plan->len - sizeof c->plan, &c->source, e) < 0)
        return -1;
    if (c->source.size != c->plan.size)
        return err_set(e, EIO, "The source has another size on this rank");
    return 0;
}

static int join(struct conversion *c, const struct blob *plan, struct err *e)
{
    if (take_plan(c, plan, e) < 0)
        return -1;
    if (c->plan.alone || c->plan.finished)
        return 0;
    if (open_same_source(c, plan, e) < 0 || target_join(c->o, &c->plan, &c->target, e) < 0 ||
        begin_hash(c, e) < 0)
        return -1;
    set_rules(c);
    c->believes = c->target.own && join_is_nfs(c->target.own);
    return c->chunk_size == c->plan.chunk ? 0 : err_set(e, EPROTO, "Another chunk on this rank");
}

int conversion_join(const struct convert_options *o, struct convert_report *r, unsigned rank,
                    const struct blob *plan, struct conversion **out, struct err *e)
{
    struct conversion *c = *out = conversion_new(o, r, rank, e);
    return c ? join(c, plan, e) : -1;
}

int conversion_attend(const struct convert_options *o, struct convert_report *r, unsigned rank,
                      const struct blob *plan, enum conversion_pass pass, struct conversion **out,
                      struct err *e)
{
    struct conversion *c = *out = conversion_new(o, r, rank, e);
    if (!c || take_plan(c, plan, e) < 0)
        return -1;
    return pass == CONVERSION_HASH ? open_same_source(c, plan, e) : 0;
}

static bool is_remote(const struct conversion *c)
{
    for (unsigned i = 0; i < c->source.n; i++)
        if (image_is_remote(c->source.parts[i].image))
            return true;
    return file_is_remote(c->target.file);
}

/* How many chunks a worker may hold, and how many workers a rank may run, within the memory. */
static void fit_memory(const struct conversion *c, const struct conversion_crew *crew,
                       struct unit_job *job)
{
    uint32_t packed_max = target_packed_max(&c->target);
    /* images of many TiB have larger chunks than others */
    uint64_t usual = num_max(MIB, c->target.block_size);
    uint64_t times = num_max(c->target.chunk_size / usual, 1);
    uint64_t memory = c->o->memory ? c->o->memory : CONVERT_MEMORY_DEFAULT * times;
    uint64_t chunk = c->target.chunk_size * (packed_max ? 2 : 1);
    uint64_t half = memory / 2; /* the other half is for tables, pages and maps */
    uint64_t block = source_largest_block(&c->source); /* a worker's decoder: in and out */
    uint64_t chunks = num_max(half / chunk, 1);
    /* enough that a worker has something to pack while its last chunk waits for its place; more to
     * cover the way between ranks (measured: zstd on four threads gains 8 % from 2 to 3) */
    unsigned most = crew->ranks > 1 ? 4 : packed_max ? 3 : 2;
    uint64_t readers = num_max(half / (chunk + 2 * block), 1);
    job->least_workers = is_remote(c) ? WALK_WAITING : 0;
    uint64_t threads = num_max(crew->threads, job->least_workers);
    job->max_workers = (unsigned)num_min(threads, num_min(chunks, readers));
    job->depth = (unsigned)num_min(num_max(chunks / job->max_workers, 1), most);
}

uint64_t conversion_worker_memory(const struct conversion *c)
{
    uint64_t chunk = c->target.chunk_size * (target_packed_max(&c->target) ? 2 : 1);
    return chunk + 2 * source_largest_block(&c->source);
}

void conversion_job(struct conversion *c, const struct conversion_crew *crew, struct unit_job *job)
{
    *job = (struct unit_job){.ctx = c, .first_only = target_shares_pages(&c->target, c->plan.page)};
    conversion_worker_job(c, job);
    conversion_order_job(c, job);
    fit_memory(c, crew, job);
}

void conversion_share(struct conversion *c, unsigned workers)
{
    c->workers = workers;
    telling_progress(&c->telling, 0, 0);
}

bool conversion_is_alone(const struct conversion *c)
{
    return c->plan.alone;
}

int conversion_run_alone(struct engine *g, struct conversion *c, struct err *e)
{
    return convert_inplace(g, c->o, &c->read, &c->target, &c->telling, e);
}

void conversion_stop(struct conversion *c)
{
    if (c->resume)
        resume_set_stopped(c->resume);
}

/* ---- the end of the data --------------------------------------------------------------------- */

/* All that was done is on storage. It may be a while until it is read back, too. */
static int finish_resumed(struct conversion *c, struct err *e)
{
    bool stopped = resume_is_stopped(c->resume);
    if ((stopped || c->o->verify) && resume_write(c->resume, e) < 0)
        return -1;
    return stopped ? resume_stop(e) : conversion_feed_recorded(c, UINT64_MAX, e);
}

int conversion_finish(struct conversion *c, struct err *e)
{
    if (c->resume && finish_resumed(c, e) < 0)
        return -1;
    struct cursor *cursor = c->placer ? placer_cursor(c->placer) : NULL;
    if (c->o->bitmaps && bitmaps_copy(c->report, &c->source, &c->target, cursor, e) < 0)
        return -1;
    if (target_finish(c->o, &c->target, cursor, e) < 0)
        return -1;
    c->report->hash_size = c->plan.size;
    return c->hash.on ? convert_hash_end(&c->hash, c->report->hash, e) : 0;
}

/* What this rank wrote is synced: closing drops it from the page cache. */
void conversion_leave(struct conversion *c)
{
    if (c->rank)
        target_release(&c->target, c->report->removed);
}

/* ---- proving --------------------------------------------------------------------------------- */

static struct proof_of proof_of(struct conversion *c)
{
    return (struct proof_of){
        .o = c->o,
        .source = &c->source,
        .alone = c->plan.alone,
        .plan = &c->plan,
        .hash = &c->hash,
        .chunk_size = c->chunk_size,
        .telling = &c->telling,
    };
}

bool conversion_has_pass(const struct conversion *c, enum conversion_pass pass)
{
    if (pass == CONVERSION_HASH)
        return c->o->hash.kind && !c->hash.on;
    return pass == CONVERSION_VERIFY && c->o->verify;
}

int conversion_pass_open(struct conversion *c, struct engine *g, enum conversion_pass pass,
                         struct err *e)
{
    const struct proof_of of = proof_of(c);
    return pass == CONVERSION_HASH ? proof_of_sources(&of, &c->proof, e)
                                   : proof_of_output(g, &of, &c->proof, e);
}

void conversion_pass_job(struct conversion *c, unsigned threads, struct unit_job *job)
{
    proof_job(c->proof, threads, job);
}

int conversion_pass_end(struct conversion *c, struct err *e)
{
    return proof_end(c->proof, e);
}

void conversion_pass_close(struct conversion *c)
{
    proof_free(c->proof);
    c->proof = NULL;
}

int conversion_pass_fail(struct conversion *c, enum conversion_pass pass, struct err *e)
{
    if (c->resume && !signals_stop()) {
        resume_finished(c->resume);
        c->target.lasts = false;
    }
    const struct proof_of of = proof_of(c);
    return pass == CONVERSION_VERIFY && c->rank == 0 ? proof_fail(&of, e) : -1;
}

/* ---- the very end ---------------------------------------------------------------------------- */

int conversion_publish(struct conversion *c, struct err *e)
{
    if (target_publish(c->o, &c->target, e) < 0)
        return -1;
    if (c->resume)
        resume_finished(c->resume);
    progress_update(&c->report->progress, 100);
    return 0;
}

/* An output that stays says so; a read that a signal cut short is no failure. */
static void tell_kept(struct conversion *c, int status, struct err *e)
{
    struct convert_report *r = c->report;
    if (status == 0 || !c->target.lasts)
        return;
    snprintf(r->kept, sizeof r->kept, "%s", c->plan.path);
    r->stopped = resume_is_stopped(c->resume) || signals_stop();
    if (r->stopped)
        resume_stop(e);
}

void conversion_end(struct conversion *c, int status, struct err *e)
{
    conversion_pass_close(c);
    convert_hash_release(&c->hash);
    tell_kept(c, status, e);
    resume_free(c->resume);
    placer_free(c->placer);
    target_release(&c->target, c->report->removed);
    source_close(&c->source);
    if (c->believes)
        join_look(c->plan.path);
    explicit_bzero(&c->plan, sizeof c->plan); /* keys were made of what it drew */
    if (c->told.data)
        explicit_bzero(c->told.data, c->told.len);
    free(c->told.data);
    free(c);
}
