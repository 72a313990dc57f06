#include "tests/mpi/trial.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define NEED_MAX 3000

struct trial_slot {
    unsigned char need[NEED_MAX];
    uint64_t done[2];
    uint64_t unit; /* + 1; 0 = free */
};

struct trial_worker {
    struct trial *trial;
    unsigned depth;
    struct trial_slot slot[];
};

static uint64_t mix(const struct trial *t, uint64_t unit, uint64_t what)
{
    uint64_t x = (unit + 1) * 0x9e3779b97f4a7c15u ^ t->seed * 0xbf58476d1ce4e5b9u ^ what << 32;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

bool trial_has(const struct trial *t, uint64_t unit)
{
    return unit < t->units && mix(t, unit, 1) % 3 != 0;
}

/* Half of them short, since those are the usual ones. */
static size_t need_len(const struct trial *t, uint64_t unit)
{
    uint64_t r = mix(t, unit, 2);
    return r % 2 ? r / 2 % 17 : r / 2 % NEED_MAX;
}

static void need_fill(const struct trial *t, uint64_t unit, unsigned char *p, size_t len)
{
    uint64_t r = mix(t, unit, 3);
    for (size_t i = 0; i < len; i++)
        p[i] = (unsigned char)(r >> i % 56);
}

static void dawdle(const struct trial *t, uint64_t unit, uint64_t what)
{
    if (t->sleep_us && mix(t, unit, what) % 4 == 0)
        usleep((useconds_t)(mix(t, unit, what + 100) % t->sleep_us));
}

static int fail(struct err *e, const char *where, uint64_t unit)
{
    err_set(e, 5, "%s %lu", where, (unsigned long)unit);
    return err_hint(e, "hint of %lu", (unsigned long)unit);
}

/* -- rank 0 ------------------------------------------------------------------------------------ */

static enum unit_next trial_next(void *ctx, uint64_t *unit, struct err *e)
{
    struct trial *t = ctx;
    while (t->next < t->units && !trial_has(t, t->next))
        t->next++;
    if (t->next >= t->fail_next) {
        fail(e, "next", t->fail_next);
        return UNIT_FAILED;
    }
    if (t->next >= t->units)
        return UNIT_NONE;
    *unit = t->next++;
    t->given++;
    if (t->window && t->given - t->placed > t->window)
        t->wrong = true;
    return UNIT_THERE;
}

static bool need_right(const struct trial *t, uint64_t unit, const struct blob *need)
{
    unsigned char expected[NEED_MAX];
    size_t len = need_len(t, unit);
    need_fill(t, unit, expected, len);
    return need->len == len && (len == 0 || memcmp(need->data, expected, len) == 0);
}

static enum unit_place trial_place(void *ctx, uint64_t unit, const struct blob *need,
                                   struct blob *grant, struct err *e)
{
    struct trial *t = ctx;
    if ((t->placed && unit <= t->last_placed) || !need_right(t, unit, need))
        t->wrong = true;
    if (unit == t->fail_place) {
        fail(e, "place", unit);
        return PLACE_FAILED;
    }
    t->placed++;
    t->last_placed = unit;
    if (unit == t->stop_at)
        return PLACE_STOP;
    /* The grant stays only until the next call, and its length varies. */
    size_t words = 1 + mix(t, unit, 5) % 64;
    for (size_t i = 0; i < words; i++)
        t->grant[i] = t->at + i;
    *grant = (struct blob){t->grant, words * sizeof *t->grant};
    t->at += need->len;
    return PLACE_GO_ON;
}

static int trial_collect(void *ctx, uint64_t unit, const struct blob *done, struct err *e)
{
    struct trial *t = ctx;
    uint64_t word[2];
    if (done->len != sizeof word || unit >= TRIAL_UNITS_MAX) {
        t->wrong = true;
        return 0;
    }
    memcpy(word, done->data, sizeof word);
    t->wrong = t->wrong || word[0] != unit;
    if (unit == t->fail_collect)
        return fail(e, "collect", unit);
    t->place_of[unit] = word[1];
    t->collected++;
    return 0;
}

static int trial_tick(void *ctx, struct err *e)
{
    struct trial *t = ctx;
    t->ticks++;
    return t->fail_tick && t->placed >= t->units / 3 ? fail(e, "tick", 0) : 0;
}

static unsigned trial_avoid(void *ctx, uint64_t unit)
{
    const struct trial *t = ctx;
    return (unsigned)(mix(t, unit, 8) % t->ranks);
}

static bool trial_due(void *ctx)
{
    struct trial *t = ctx;
    if (++t->looks % t->checkpoint_every)
        return false;
    t->wrong = t->wrong || t->persisted != t->checkpoints; /* one at a time */
    t->checkpoints++;
    t->collected_then = t->collected;
    return true;
}

static int trial_persisted(void *ctx, struct err *e)
{
    struct trial *t = ctx;
    (void)e;
    t->persisted++;
    t->wrong = t->wrong || t->persisted != t->checkpoints || t->persisted != t->persists;
    return 0;
}

static bool trial_enough(void *ctx)
{
    const struct trial *t = ctx;
    return t->placed >= t->enough_at;
}

/* -- every rank -------------------------------------------------------------------------------- */

static int trial_worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    struct trial *t = ctx;
    if (t->fail_worker_new)
        return fail(e, "worker_new", 0);
    struct trial_worker *w = mem_new(1, sizeof *w + depth * sizeof *w->slot, e);
    if (!w)
        return -1;
    w->trial = t;
    w->depth = depth;
    atomic_fetch_add(&t->workers, 1);
    atomic_fetch_add(&t->workers_ever, 1);
    *worker = w;
    return 0;
}

static void trial_worker_free(void *worker)
{
    struct trial_worker *w = worker;
    atomic_fetch_sub(&w->trial->workers, 1);
    free(w);
}

static void hold(struct trial *t)
{
    unsigned held = atomic_fetch_add(&t->held, 1) + 1;
    unsigned most = atomic_load(&t->held_most);
    while (held > most && !atomic_compare_exchange_weak(&t->held_most, &most, held))
        ;
}

/* So many checkpoints must come before the end, however slow the keeper is. */
static void await_persist(struct trial *t, uint64_t unit)
{
    bool late = unit > t->units / 2;
    for (unsigned i = 0; late && i < 5000 && atomic_load(&t->persists) < t->least_persists; i++)
        usleep(1000);
}

static int trial_prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need,
                         struct err *e)
{
    struct trial_worker *w = worker;
    struct trial *t = w->trial;
    struct trial_slot *s = &w->slot[slot];
    atomic_fetch_add(&t->prepared, 1);
    if (slot >= w->depth || (s->unit && !t->one_step)) {
        atomic_store(&t->wrong, true);
        return fail(e, "slot", unit);
    }
    if (t->ranks > 1 && trial_avoid(t, unit) == t->rank)
        atomic_store(&t->wrong, true);
    dawdle(t, unit, 6);
    await_persist(t, unit);
    if (unit >= t->fail_prepare && (unit - t->fail_prepare) % 5 == 0)
        return fail(e, "prepare", unit);
    need->len = need_len(t, unit);
    need_fill(t, unit, s->need, need->len);
    need->data = s->need;
    s->unit = unit + 1;
    if (!t->one_step)
        hold(t);
    return 0;
}

static int trial_commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                        struct blob *done, struct err *e)
{
    struct trial_worker *w = worker;
    struct trial *t = w->trial;
    struct trial_slot *s = &w->slot[slot];
    size_t words = 1 + mix(t, unit, 5) % 64;
    if (s->unit != unit + 1 || grant->len != words * sizeof *t->grant) {
        atomic_store(&t->wrong, true);
        return fail(e, "grant", unit);
    }
    dawdle(t, unit, 7);
    atomic_fetch_sub(&t->held, 1);
    s->unit = 0;
    if (unit == t->fail_commit)
        return fail(e, "commit", unit);
    uint64_t last;
    memcpy(&last, (const char *)grant->data + grant->len - sizeof last, sizeof last);
    s->done[0] = unit;
    s->done[1] = last - (words - 1);
    *done = (struct blob){s->done, sizeof s->done};
    return 0;
}

static int trial_persist(void *ctx, struct err *e)
{
    struct trial *t = ctx;
    unsigned n = atomic_fetch_add(&t->persists, 1) + 1;
    if (atomic_exchange(&t->persisting, true))
        atomic_store(&t->wrong, true);
    dawdle(t, n, 8);
    atomic_store(&t->persisting, false);
    return t->fail_persist && n == t->least_persists ? fail(e, "persist", 0) : 0;
}

static int trial_settle(void *ctx, struct err *e)
{
    struct trial *t = ctx;
    if (atomic_load(&t->workers))
        atomic_store(&t->wrong, true);
    t->settled++;
    return t->fail_settle ? fail(e, "settle", 0) : 0;
}

/* -- from outside ------------------------------------------------------------------------------ */

void trial_init(struct trial *t, uint64_t units, unsigned seed)
{
    memset(t, 0, sizeof *t);
    t->units = units;
    t->seed = seed;
    t->depth = 2;
    t->fail_next = t->fail_prepare = t->fail_place = TRIAL_NEVER;
    t->fail_commit = t->fail_collect = t->stop_at = t->enough_at = TRIAL_NEVER;
}

struct unit_job trial_job(struct trial *t)
{
    return (struct unit_job){
        .ctx = t,
        .depth = t->depth,
        .max_workers = t->max_workers,
        .window = t->window,
        .next = trial_next,
        .avoid = t->ranks ? trial_avoid : NULL,
        .place = trial_place,
        .collect = trial_collect,
        .tick = trial_tick,
        .worker_new = trial_worker_new,
        .worker_free = trial_worker_free,
        .prepare = trial_prepare,
        .commit = t->one_step ? NULL : trial_commit,
        .settle = trial_settle,
        .due = t->checkpoint_every ? trial_due : NULL,
        .persist = t->checkpoint_every ? trial_persist : NULL,
        .persisted = t->checkpoint_every ? trial_persisted : NULL,
        .enough = trial_enough,
    };
}

bool trial_complete(const struct trial *t)
{
    uint64_t at = 0, count = 0;
    for (uint64_t unit = 0; unit < t->units && unit < t->stop_at; unit++) {
        if (!trial_has(t, unit))
            continue;
        if (!t->one_step && t->place_of[unit] != at)
            return false;
        at += need_len(t, unit);
        count++;
    }
    bool stopped = trial_has(t, t->stop_at);
    return t->placed == count + stopped && t->at == at && t->collected == (t->one_step ? 0 : count);
}

bool trial_complete_so_far(const struct trial *t)
{
    return t->placed == t->given && t->collected == (t->one_step ? 0 : t->given);
}

bool trial_clean(const struct trial *t, const struct engine *g, int status)
{
    bool settled = t->settled == 1 || (status < 0 && t->settled == 0);
    return !atomic_load(&t->wrong) && !atomic_load(&t->workers) &&
           atomic_load(&t->held_most) <= engine_threads(g) * (t->depth ? t->depth : 1) && settled &&
           !atomic_load(&t->persisting);
}
