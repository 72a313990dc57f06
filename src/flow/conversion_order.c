#include "flow/conversion_inside.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/signals.h"

static enum unit_next next_unit(void *ctx, uint64_t *unit, struct err *e)
{
    struct conversion *c = ctx;
    int next;
    do
        next = partition_next(&c->partition, unit, e);
    while (next > 0 && c->resume && resume_has(c->resume, *unit));
    return (enum unit_next)next;
}

static void warn_salvaged(const struct conversion *c, const unsigned char *at, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct salvaged lost;
        memcpy(&lost, at + i * sizeof lost, sizeof lost);
        telling_salvaged(&c->telling, &lost);
    }
}

int conversion_feed_recorded(struct conversion *c, uint64_t below, struct err *e)
{
    const struct resume_heard by = {c->placer, &c->hash, &c->telling};
    return resume_feed(c->resume, below, &by, e);
}

/* What was done by earlier runs below this chunk comes before it, what it needs is remembered. */
static int place_after(struct conversion *c, const struct journal_record *r, unsigned rank,
                       struct err *e)
{
    uint64_t guest = r->chunk * c->target.chunk_size;
    if (c->resume && conversion_feed_recorded(c, r->chunk, e) < 0)
        return -1;
    if (c->hash.on &&
        convert_hash_take(&c->hash, r->chunk, guest, rank, r->hash, r->hash_len, e) < 0)
        return -1;
    if (c->placer && placer_place(c->placer, r->chunk, r->need, r->n_need, &c->granted, e) < 0)
        return -1;
    telling_progress(&c->telling, guest, r->data);
    c->report->data += r->data;
    return c->resume ? resume_placed(c->resume, r, c->placer ? &c->granted : NULL, e) : 0;
}

uint64_t conversion_data_of(const struct blob *need)
{
    uint64_t data = 0; /* comes first, in chunk_report and of a pass */
    if (need->len >= sizeof data)
        memcpy(&data, need->data, sizeof data);
    return data;
}

static enum unit_place place(void *ctx, uint64_t unit, const struct blob *need, struct blob *grant,
                             struct err *e)
{
    struct conversion *c = ctx;
    struct chunk_report head;
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
    struct conversion *c = ctx;
    if (!c->placer)
        return 0;
    if (placer_done(c->placer, unit, done->data, done->len, e) < 0)
        return err_prefix(e, "error while writing at byte %" PRIu64 ": ",
                          unit * c->target.chunk_size);
    return c->resume ? resume_done(c->resume, unit, done->data, done->len, e) : 0;
}

static int tick(void *ctx, struct err *e)
{
    const struct conversion *c = ctx;
    if (c->report->give_up)
        return c->report->give_up(c->report->ctx) ? err_set(e, EINTR, "Stopped") : 0;
    int sig = c->resume ? 0 : signals_stop(); /* see enough() */
    return sig ? err_set(e, EINTR, "Stopped by signal %d (%s)", sig, strsignal(sig)) : 0;
}

static bool due(void *ctx)
{
    const struct conversion *c = ctx;
    return resume_due(c->resume);
}

static int persisted(void *ctx, struct err *e)
{
    const struct conversion *c = ctx;
    return resume_persisted(c->resume, e);
}

static bool enough(void *ctx)
{
    const struct conversion *c = ctx;
    return resume_enough(c->resume);
}

void conversion_order_job(struct conversion *c, struct unit_job *job)
{
    job->next = next_unit;
    job->place = place;
    job->collect = collect;
    job->tick = tick;
    if (c->o->resume) {
        job->due = due;
        job->persisted = persisted;
        job->enough = enough;
    }
}
