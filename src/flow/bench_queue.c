/*
 * bench -i native, -i io_uring: one thread sends all requests and takes them as they end.
 *
 *     map / place ──▶ queue ──▶ … ──▶ ended: link
 *
 * What cannot be queued (packed, encrypted, not aligned, several places) is done at once instead.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/bench_turn.h"
#include "image/edit.h"
#include "image/mover.h"
#include "io/queue.h"

#define DEPTH_MOST 1024u
#define FLUSH_PLACES                                                                               \
    65536u /* fresh places between flushes: tables are kept in memory till then                    \
            */

/* One request in flight. */
struct slot {
    uint64_t guest;
    void *buf;
    struct edit_place place; /* writing; fresh: nobody else may have its units meanwhile */
    struct slot *next;       /* of those that are free, or parked */
};

struct queue_bench {
    const struct bench_options *o;
    struct bench_turns turns;
    struct file_queue *queue;
    struct mover mover; /* its reader reads too */
    struct edit *edit;  /* writing */
    uint64_t group;     /* guest bytes that move together */
    uint64_t linked;    /* fresh places */
    unsigned depth, flying, fresh;
    struct slot *slots, *free;
    struct slot *parked, **parked_end; /* wait until others are linked */
    void *pattern;
};

static void slot_give(struct queue_bench *b, struct slot *s)
{
    s->place.fresh = false;
    s->next = b->free;
    b->free = s;
}

static void put_in_flight(struct queue_bench *b, struct slot *s, struct file *f,
                          const struct file_io *io)
{
    b->flying++;
    b->fresh += s->place.fresh;
    file_queue_add(b->queue, f, b->o->write, io, s);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Each of these sends the slot on its way, or does the request at once and gives the slot back. */
static int send_read(struct queue_bench *b, struct slot *s, struct err *e)
{
    const struct bench_options *o = b->o;
    struct extent x = {0};
    if (o->size && image_map_chain(o->image, s->guest, o->size, UINT_MAX, &x, e))
        return -1;
    const struct file_io io = {.buf = s->buf, .len = o->size, .off = x.host};
    if (x.kind == EXTENT_DATA && !x.crypt && x.length == o->size &&
        num_inside(x.host, x.length, file_size(x.file)) &&
        file_queue_fits(b->queue, x.file, false, &io)) {
        put_in_flight(b, s, x.file, &io);
        return 0;
    }
    int status = image_read(b->mover.reader, o->image, s->guest, o->size, s->buf, e);
    slot_give(b, s);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

static bool is_taken(const struct queue_bench *b, uint64_t guest)
{
    uint64_t from = num_down(guest, b->group), to = num_up(guest + b->o->size, b->group);
    for (unsigned i = 0; b->fresh && i < b->depth; i++) {
        const struct edit_place *p = &b->slots[i].place;
        if (p->fresh && p->guest < to && from < p->guest + p->length)
            return true;
    }
    return false;
}

static void park(struct queue_bench *b, struct slot *s)
{
    s->next = NULL;
    *b->parked_end = s;
    b->parked_end = &s->next;
}

static int link_fresh(struct queue_bench *b, const struct edit_place *p, struct err *e)
{
    if (edit_link(b->edit, p, e))
        return -1;
    return ++b->linked % FLUSH_PLACES ? 0 : edit_flush(b->edit, e);
}

static int write_at_once(struct queue_bench *b, const struct slot *s, uint64_t len, struct err *e)
{
    const struct bench_options *o = b->o;
    if (mover_write(&b->mover, &s->place, s->guest, b->pattern, len, e) ||
        (s->place.fresh && link_fresh(b, &s->place, e)))
        return -1;
    return edit_write(b->edit, s->guest + len, b->pattern, o->size - len, e);
}

/* Queued if one place, plain, takes it all; what the request leaves of a fresh one is filled
 * before. */
static int send_placed(struct queue_bench *b, struct slot *s, struct err *e)
{
    const struct edit_place *p = &s->place;
    uint64_t len = num_min(p->guest + p->length - s->guest, b->o->size);
    const struct file_io io = {b->pattern, len, p->host + (s->guest - p->guest)};
    if (len == b->o->size && !p->crypt && file_queue_fits(b->queue, p->file, true, &io)) {
        if (mover_fill_around(&b->mover, p, s->guest, len, e))
            return -1;
        put_in_flight(b, s, p->file, &io);
        return 0;
    }
    int status = write_at_once(b, s, len, e);
    slot_give(b, s);
    return status;
}

static int send_write(struct queue_bench *b, struct slot *s, struct err *e)
{
    const struct bench_options *o = b->o;
    if (!o->size || o->image->encrypted) {
        int status = edit_write(b->edit, s->guest, b->pattern, o->size, e);
        slot_give(b, s);
        return status;
    }
    if (edit_place_part(b->edit, s->guest, o->size, &s->place, e))
        return -1;
    image_reader_forget(b->mover.reader);
    return send_placed(b, s, e);
}

/* ---- ended ----------------------------------------------------------------------------------- */

/* Those that waited are sent in their order, or wait again. */
static int unpark(struct queue_bench *b, struct err *e)
{
    struct slot *s = b->parked, *next;
    b->parked = NULL;
    b->parked_end = &b->parked;
    for (int status = 0; s; s = next) {
        next = s->next;
        if (is_taken(b, s->guest))
            park(b, s);
        else
            status = send_write(b, s, e);
        if (status)
            return -1;
    }
    return 0;
}

static int end_one(struct queue_bench *b, struct err *e)
{
    void *tag;
    int no;
    if (file_queue_wait(b->queue, &tag, &no, e))
        return -1;
    struct slot *s = tag;
    bool fresh = s->place.fresh;
    b->flying--;
    b->fresh -= fresh;
    int status = no ? err_set(e, no, "%s", strerror(no)) : 0;
    if (!status && fresh)
        status = link_fresh(b, &s->place, e);
    slot_give(b, s);
    return !status && fresh ? unpark(b, e) : status;
}

/* Who is parked waits for one that flies. */
static int end_all(struct queue_bench *b, struct err *e)
{
    while (b->flying)
        if (end_one(b, e))
            return -1;
    return 0;
}

/* ---- sending --------------------------------------------------------------------------------- */

static int flush(struct queue_bench *b, struct err *e)
{
    if (b->o->drain && end_all(b, e))
        return -1;
    return edit_flush(b->edit, e);
}

static int send_one(struct queue_bench *b, uint64_t guest, struct err *e)
{
    struct slot *s = b->free;
    b->free = s->next;
    s->guest = guest;
    if (!b->o->write)
        return send_read(b, s, e);
    if (!is_taken(b, guest))
        return send_write(b, s, e);
    park(b, s);
    return 0;
}

static int run(struct queue_bench *b, struct err *e)
{
    struct bench_turn t;
    while (bench_turns_take(&b->turns, &t)) {
        while (!b->free)
            if (end_one(b, e))
                return -1;
        if ((t.flush && flush(b, e)) || bench_turn_check(b->o, t.guest, e) ||
            send_one(b, t.guest, e))
            return -1;
    }
    return end_all(b, e);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void release(struct queue_bench *b)
{
    file_queue_free(b->queue); /* waits for what a failure left in flight */
    for (unsigned i = 0; b->slots && i < b->depth; i++)
        free(b->slots[i].buf);
    free(b->slots);
    free(b->pattern);
    mover_release(&b->mover);
    edit_cleanup(&b->edit);
}

static int fill_slots(struct queue_bench *b, struct err *e)
{
    b->slots = mem_new(b->depth, sizeof *b->slots, e);
    for (unsigned i = 0; b->slots && i < b->depth; i++) {
        struct slot *s = &b->slots[i];
        s->buf = b->o->write ? NULL : mem_io(bench_buffer_size(b->o), e);
        if (!b->o->write && !s->buf)
            return -1;
        s->next = b->free;
        b->free = s;
    }
    return b->slots ? 0 : -1;
}

static int begin_writing(struct queue_bench *b, struct err *e)
{
    size_t size = bench_buffer_size(b->o);
    b->pattern = mem_io(size, e);
    if (!b->pattern || edit_begin(b->o->image, &b->edit, e))
        return -1;
    memset(b->pattern, b->o->pattern, size);
    b->group = edit_group(b->edit);
    return 0;
}

bool bench_queue_can(const struct bench_options *o)
{
    return file_queue_takes(o->queue, o->image->file);
}

int bench_queue_run(const struct bench_options *o, double *seconds, struct err *e)
{
    AUTO(release)
    struct queue_bench b = {.o = o, .turns = bench_turns_of(o)};
    b.parked_end = &b.parked;
    b.depth = (unsigned)num_max(num_min(num_min(o->depth, o->count), DEPTH_MOST), 1);
    b.queue = file_queue_new(o->queue, b.depth, e);
    if (!b.queue || mover_init(&b.mover, o->image, e) || fill_slots(&b, e) ||
        (o->write && begin_writing(&b, e)))
        return -1;
    double begun = bench_now();
    int status = run(&b, e);
    *seconds = bench_now() - begun;
    return status ? -1 : edit_end(MEM_TAKE(b.edit), e);
}
