#include "fleet/schedule.h"

#include "base/mem.h"
#include "base/num.h"
#include "fleet/heap.h"

enum state { WAITING, READY, BEGUN, ENDED, LOST };

struct image {
    struct schedule_image is;
    enum state state;
    unsigned attempts;
    uint64_t remains;   /* of one that is begun */
    size_t child, next; /* the first that waits for it; the next that waits for the same */
};

/* Images of one kind that may be begun. */
struct ready {
    struct heap fresh;
    struct heap again; /* they have failed before */
};

struct schedule {
    struct schedule_rules rules;
    struct image *image;
    size_t n;
    uint64_t *weight; /* its bytes, and those of the longest chain that waits for it */
    struct ready whole, spread;
    bool closed;

    size_t begun, lanes; /* images that are begun; of them spread */
    size_t ended;
    unsigned lane_workers;
    uint64_t whole_left, spread_left; /* bytes of images that are not ended */

    size_t *lost; /* to be told of */
    size_t n_lost, told;
};

/* ---- setting up ------------------------------------------------------------------------------ */

static struct ready *ready_of(struct schedule *s, size_t i)
{
    return s->image[i].is.spread ? &s->spread : &s->whole;
}

static uint64_t *left_of(struct schedule *s, size_t i)
{
    return s->image[i].is.spread ? &s->spread_left : &s->whole_left;
}

static void make_ready(struct schedule *s, size_t i)
{
    struct ready *r = ready_of(s, i);
    s->image[i].state = READY;
    heap_put(s->image[i].attempts ? &r->again : &r->fresh, i);
}

static void add_to_parent(struct schedule *s, size_t i)
{
    struct image *me = &s->image[i];
    if (me->is.after == SCHEDULE_NONE)
        return;
    struct image *parent = &s->image[me->is.after];
    me->next = parent->child;
    parent->child = i;
}

/* An image weighs what it has, and the heaviest that waits for it. From the ends of chains up:
 * `open` counts the children whose weight is not known. */
static void weigh(struct schedule *s, size_t *open)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->image[i].is.after != SCHEDULE_NONE)
            open[s->image[i].is.after]++;
    for (size_t leaf = 0; leaf < s->n; leaf++) {
        size_t i = leaf;
        if (s->image[i].child != SCHEDULE_NONE)
            continue;
        for (s->weight[i] += s->image[i].is.bytes; (i = s->image[i].is.after) != SCHEDULE_NONE;) {
            if (--open[i])
                break;
            for (size_t c = s->image[i].child; c != SCHEDULE_NONE; c = s->image[c].next)
                s->weight[i] = num_max(s->weight[i], s->weight[c]);
            s->weight[i] += s->image[i].is.bytes;
        }
    }
}

static void admit(struct schedule *s, size_t i)
{
    const struct image *me = &s->image[i];
    size_t after = me->is.after;
    if (me->is.done) {
        s->image[i].state = ENDED;
        s->ended++;
        return;
    }
    *left_of(s, i) += me->is.bytes;
    if (after == SCHEDULE_NONE || s->image[after].is.done)
        make_ready(s, i);
}

static int ready_init(struct ready *r, const struct schedule *s, struct err *e)
{
    return heap_init(&r->fresh, s->weight, s->n, e) < 0 ? -1
                                                        : heap_init(&r->again, s->weight, s->n, e);
}

static int fill(struct schedule *s, const struct schedule_image *images, struct err *e)
{
    AUTO_FREE size_t *open = mem_new(s->n, sizeof *open, e);
    s->image = mem_new(s->n, sizeof *s->image, e);
    s->weight = mem_new(s->n, sizeof *s->weight, e);
    s->lost = mem_new(s->n, sizeof *s->lost, e);
    if (!open || !s->image || !s->weight || !s->lost || ready_init(&s->whole, s, e) < 0 ||
        ready_init(&s->spread, s, e) < 0)
        return -1;
    for (size_t i = 0; i < s->n; i++)
        s->image[i] = (struct image){.is = images[i],
                                     .remains = images[i].bytes,
                                     .child = SCHEDULE_NONE,
                                     .next = SCHEDULE_NONE};
    for (size_t i = s->n; i-- > 0;)
        add_to_parent(s, i);
    weigh(s, open);
    for (size_t i = 0; i < s->n; i++)
        admit(s, i);
    return 0;
}

int schedule_new(const struct schedule_image *images, size_t n, const struct schedule_rules *rules,
                 struct schedule **out, struct err *e)
{
    struct schedule *s = *out = mem_new(1, sizeof *s, e);
    if (!s)
        return -1;
    s->rules = *rules;
    s->n = n;
    return fill(s, images, e);
}

void schedule_free(struct schedule *s)
{
    if (!s)
        return;
    heap_release(&s->whole.fresh);
    heap_release(&s->whole.again);
    heap_release(&s->spread.fresh);
    heap_release(&s->spread.again);
    free(s->image);
    free(s->weight);
    free(s->lost);
    free(s);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static bool has_room(const struct schedule *s)
{
    return !s->closed && (!s->rules.max_in_flight || s->begun < s->rules.max_in_flight);
}

bool schedule_has_whole(const struct schedule *s)
{
    return has_room(s) && (s->whole.fresh.n || s->whole.again.n);
}

bool schedule_has_spread(const struct schedule *s)
{
    return has_room(s) && s->lanes < s->rules.lanes && (s->spread.fresh.n || s->spread.again.n);
}

static void take(struct schedule *s, struct ready *r, size_t *image)
{
    if (!heap_take(&r->fresh, image))
        heap_take(&r->again, image);
    struct image *i = &s->image[*image];
    i->state = BEGUN;
    i->attempts++;
    s->begun++;
    s->lanes += i->is.spread;
}

bool schedule_take_whole(struct schedule *s, size_t *image)
{
    bool is = schedule_has_whole(s);
    if (is)
        take(s, &s->whole, image);
    return is;
}

bool schedule_take_spread(struct schedule *s, size_t *image)
{
    bool is = schedule_has_spread(s);
    if (is)
        take(s, &s->spread, image);
    return is;
}

void schedule_close(struct schedule *s)
{
    s->closed = true;
}

/* ---- dividing -------------------------------------------------------------------------------- */

void schedule_lane_worker(struct schedule *s, int change)
{
    s->lane_workers += (unsigned)change;
}

/* How many workers are to be at chunks: rounded, and neither kind goes without. */
static unsigned share(const struct schedule *s)
{
    if (!s->spread_left)
        return 0;
    if (!s->whole_left)
        return s->rules.workers;
    double part = (double)s->spread_left / ((double)s->spread_left + (double)s->whole_left);
    unsigned n = (unsigned)(part * s->rules.workers + 0.5);
    return (unsigned)num_max(num_min(n, s->rules.workers - 1), 1);
}

/* One more than the share may stay: who goes and comes back has opened files for nothing. */
static bool wants_chunk(const struct schedule *s, bool at_chunks)
{
    return at_chunks ? s->lane_workers <= share(s) + 1 : s->lane_workers < share(s);
}

enum schedule_work schedule_work(const struct schedule *s, bool at_chunks, bool chunks)
{
    bool whole = schedule_has_whole(s);
    if (chunks && (!whole || wants_chunk(s, at_chunks)))
        return WORK_CHUNK;
    return whole ? WORK_WHOLE : WORK_NONE;
}

/* The sum of all that remains follows each image's. */
static void set_remains(struct schedule *s, size_t i, uint64_t bytes)
{
    uint64_t *left = left_of(s, i);
    *left -= num_min(*left, s->image[i].remains);
    *left += bytes;
    s->image[i].remains = bytes;
}

void schedule_remains(struct schedule *s, size_t image, uint64_t bytes)
{
    set_remains(s, image, num_min(bytes, s->image[image].is.bytes));
}

/* ---- ending ---------------------------------------------------------------------------------- */

static void free_children(struct schedule *s, size_t image)
{
    for (size_t c = s->image[image].child; c != SCHEDULE_NONE; c = s->image[c].next)
        if (s->image[c].state == WAITING)
            make_ready(s, c);
}

/* They in turn lose theirs when they are told of. */
static void lose_children(struct schedule *s, size_t image)
{
    for (size_t c = s->image[image].child; c != SCHEDULE_NONE; c = s->image[c].next)
        if (s->image[c].state == WAITING) {
            s->image[c].state = LOST;
            s->lost[s->n_lost++] = c;
        }
}

bool schedule_next_lost(struct schedule *s, size_t *image, size_t *because)
{
    if (s->told == s->n_lost)
        return false;
    *image = s->lost[s->told++];
    *because = s->image[*image].is.after;
    s->ended++;
    set_remains(s, *image, 0);
    lose_children(s, *image);
    return true;
}

bool schedule_ended(struct schedule *s, size_t image, enum schedule_end how)
{
    struct image *i = &s->image[image];
    s->begun--;
    s->lanes -= i->is.spread;
    if (how == SCHEDULE_FAILED && i->attempts <= s->rules.retries && !s->closed) {
        set_remains(s, image, i->is.bytes);
        make_ready(s, image);
        return false;
    }
    i->state = ENDED;
    s->ended++;
    set_remains(s, image, 0);
    if (how == SCHEDULE_DONE)
        free_children(s, image);
    if (how == SCHEDULE_FAILED)
        lose_children(s, image);
    s->closed |= how == SCHEDULE_FAILED && s->rules.fail_fast;
    return true;
}

unsigned schedule_attempts(const struct schedule *s, size_t image)
{
    return s->image[image].attempts;
}

size_t schedule_in_flight(const struct schedule *s)
{
    return s->begun;
}

bool schedule_over(const struct schedule *s)
{
    return s->begun == 0 && s->told == s->n_lost && (s->closed || s->ended == s->n);
}

bool schedule_has_lanes_left(const struct schedule *s)
{
    return s->spread_left || s->lanes;
}
