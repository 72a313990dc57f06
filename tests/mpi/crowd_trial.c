#include "tests/mpi/crowd_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

#define NEED_MAX 500
#define TRIES    3
/* Units beyond the first unfinished that are looked at. */
#define SIGHT 300
/* Waiting units that are let go together. */
#define LATE 7

enum { TODO, OUT, WAITING, GRANTED, DONE, FAILED };

/* What comes before the filling of a brief. */
struct brief_head {
    uint64_t unit;
    uint32_t attempt;
    uint32_t len; /* of all */
};

struct crowd_slot {
    unsigned char need[NEED_MAX];
    uint64_t done[2];
    struct brief_head brief;
    bool briefed;
};

struct trial_worker {
    struct crowd_trial *trial;
    unsigned depth;
    struct crowd_slot slot[];
};

/* -- what each unit is ------------------------------------------------------------------------- */

static uint64_t mix(const struct crowd_trial *t, uint64_t unit, uint64_t what)
{
    uint64_t x = (unit + 1) * 0x9e3779b97f4a7c15u ^ t->seed * 0xbf58476d1ce4e5b9u ^ what << 32;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

bool crowd_unit_is(const struct crowd_trial *t, uint64_t unit, enum crowd_manners manner)
{
    uint64_t r = mix(t, unit, manner);
    if (!(t->manners & manner))
        return false;
    switch (manner) {
    case CROWD_PINNED:
        return r % 4 == 0;
    case CROWD_LONELY:
        return r % 8 == 0;
    case CROWD_WAITING:
        return r % 3 == 0 && !t->one_step && !crowd_unit_is(t, unit, CROWD_PINNED) &&
               !crowd_unit_is(t, unit, CROWD_LONELY);
    case CROWD_FOLLOWING:
        return r % 3 == 0 && unit >= 5;
    case CROWD_DROPPED:
        return r % 4 == 0 && crowd_unit_is(t, unit, CROWD_WAITING);
    default:
        return r % 5 == 0;
    }
}

static unsigned rank_of(const struct crowd_trial *t, uint64_t unit)
{
    return (unsigned)(mix(t, unit, 100) % t->ranks);
}

/* How often it fails, from the first attempt on. */
static unsigned failures_of(const struct crowd_trial *t, uint64_t unit)
{
    return crowd_unit_is(t, unit, CROWD_FAILING) ? 1 + mix(t, unit, 101) % TRIES : 0;
}

static const char *failing_step(const struct crowd_trial *t, uint64_t unit)
{
    static const char *const steps[] = {"brief", "prepare", "commit"};
    return steps[mix(t, unit, 102) % (crowd_unit_is(t, unit, CROWD_WAITING) ? 3 : 2)];
}

static bool fails_in(const struct crowd_trial *t, uint64_t unit, unsigned attempt, const char *step)
{
    return attempt < failures_of(t, unit) && strcmp(failing_step(t, unit), step) == 0;
}

/* Half of them short, since those are the usual ones. */
static size_t len_of(const struct crowd_trial *t, uint64_t unit, uint64_t what, size_t most)
{
    uint64_t r = mix(t, unit, what);
    return r % 2 ? r / 2 % 17 : r / 2 % most;
}

static unsigned char byte_of(uint64_t unit, size_t i)
{
    return (unsigned char)(unit * 31 + i * 7);
}

static void fill(unsigned char *p, size_t from, size_t to, uint64_t unit)
{
    for (size_t i = from; i < to; i++)
        p[i] = byte_of(unit, i);
}

static bool filled(const unsigned char *p, size_t from, size_t to, uint64_t unit)
{
    for (size_t i = from; i < to; i++)
        if (p[i] != byte_of(unit, i))
            return false;
    return true;
}

static int fail(struct err *e, const char *where, uint64_t unit)
{
    err_set(e, 5, "%s %lu", where, (unsigned long)unit);
    return err_hint(e, "hint of %lu", (unsigned long)unit);
}

static int end_by(struct crowd_trial *t, struct err *e, const char *where, uint64_t unit)
{
    t->over = true;
    return fail(e, where, unit);
}

static void expect(struct crowd_trial *t, bool right)
{
    if (!right)
        atomic_store(&t->wrong, true);
}

/* -- rank 0: what is to be done ---------------------------------------------------------------- */

/* The seat is what it says, and the worker holds what it has been given. */
static unsigned worker_of(struct crowd_trial *t, const struct crowd_seat *s, unsigned own)
{
    unsigned depth = t->depth ? t->depth : 1;
    unsigned w = s->id / depth;
    unsigned where = 1 + s->rank + (s->worker << 16);
    expect(t, !t->over && w < CROWD_WORKERS_MAX);
    w %= CROWD_WORKERS_MAX;
    if (!t->where[w])
        t->where[w] = where;
    expect(t, t->where[w] == where && s->id % depth == s->slot && s->rank < t->ranks);
    expect(t, s->held + own == t->held[w]);
    return w;
}

static bool follows_one_that_is_out(const struct crowd_trial *t, uint64_t unit)
{
    if (t->chain)
        return unit && t->state[unit - 1] < DONE;
    return crowd_unit_is(t, unit, CROWD_FOLLOWING) && t->state[unit - 5] < DONE;
}

static bool fits(const struct crowd_trial *t, uint64_t unit, const struct crowd_seat *s)
{
    if (crowd_unit_is(t, unit, CROWD_PINNED) && rank_of(t, unit) != s->rank)
        return false;
    if (crowd_unit_is(t, unit, CROWD_LONELY) && s->held)
        return false;
    return !follows_one_that_is_out(t, unit);
}

/* Those that wait are given out in order: else the seats could be full of units that wait for one
 * that finds no seat. */
static uint64_t choose(const struct crowd_trial *t, const struct crowd_seat *s)
{
    bool in_turn = true;
    for (uint64_t u = t->first; u < t->units && u < t->first + SIGHT; u++) {
        if (t->state[u] != TODO)
            continue;
        bool waits = crowd_unit_is(t, u, CROWD_WAITING);
        if ((in_turn || !waits) && fits(t, u, s))
            return u;
        in_turn &= !waits;
    }
    return CROWD_NEVER;
}

static void brief_unit(struct crowd_trial *t, uint64_t unit, struct blob *brief)
{
    struct brief_head h = {.unit = unit, .attempt = t->attempts[unit]};
    h.len = (uint32_t)(sizeof h + len_of(t, unit, 103, sizeof t->brief - sizeof h));
    memcpy(t->brief, &h, sizeof h);
    fill(t->brief, sizeof h, h.len, unit);
    *brief = (struct blob){t->brief, h.len};
}

static enum unit_next trial_offer(void *ctx, const struct crowd_seat *s, uint64_t *unit,
                                  struct blob *brief, struct err *e)
{
    struct crowd_trial *t = ctx;
    unsigned w = worker_of(t, s, 0);
    if (++t->offers == t->fail_offer) {
        end_by(t, e, "offer", t->fail_offer);
        return UNIT_FAILED;
    }
    if (t->finished == t->units || (t->finished >= t->halt_after && atomic_load(&t->halts)))
        return UNIT_NONE;
    t->refusals++;
    if (t->todo == 0 && t->all_later)
        return UNIT_ALL_LATER;
    *unit = t->lonely[w] ? CROWD_NEVER : choose(t, s);
    if (*unit == CROWD_NEVER)
        return UNIT_LATER;
    t->refusals--;
    brief_unit(t, *unit, brief);
    t->todo--;
    t->out++;
    t->held[w]++;
    t->lonely[w] = crowd_unit_is(t, *unit, CROWD_LONELY);
    t->state[*unit] = OUT;
    t->seat[*unit] = s->id;
    t->attempts[*unit]++;
    return UNIT_THERE;
}

/* -- rank 0: what has been done ---------------------------------------------------------------- */

static void unit_back(struct crowd_trial *t, unsigned w, uint64_t unit, bool failed)
{
    bool again = failed && t->attempts[unit] < TRIES;
    t->held[w]--;
    t->lonely[w] = false;
    t->out--;
    t->todo += again;
    t->finished += !again;
    t->state[unit] = again ? TODO : failed ? FAILED : DONE;
    while (t->first < t->units && t->state[t->first] >= DONE)
        t->first++;
    t->news = true;
}

static void expect_failure(struct crowd_trial *t, uint64_t unit, const char *step,
                           const struct err *why)
{
    char text[64], hint[64];
    bool right = fails_in(t, unit, t->attempts[unit] - 1u, step);
    snprintf(text, sizeof text, "%s %lu", step, (unsigned long)unit);
    snprintf(hint, sizeof hint, "hint of %lu", (unsigned long)unit);
    expect(t, right == (why != NULL));
    if (why)
        expect(t, why->no == 5 && strcmp(why->text, text) == 0 && strcmp(why->hint, hint) == 0);
}

static int trial_reported(void *ctx, const struct crowd_seat *s, uint64_t unit,
                          const struct blob *need, const struct err *why, bool *waits,
                          struct err *e)
{
    struct crowd_trial *t = ctx;
    unsigned w = worker_of(t, s, 1);
    if (unit >= t->units || t->state[unit] != OUT || t->seat[unit] != s->id) {
        expect(t, false);
        return 0;
    }
    bool in_brief = strcmp(failing_step(t, unit), "brief") == 0;
    expect_failure(t, unit, in_brief ? "brief" : "prepare", why);
    expect(t, why || (need->len == len_of(t, unit, 104, NEED_MAX) &&
                      filled(need->data, 0, need->len, unit)));
    if (unit == t->fail_reported)
        return end_by(t, e, "reported", unit);
    *waits = crowd_unit_is(t, unit, CROWD_WAITING);
    if (*waits && !why) {
        t->state[unit] = WAITING;
        t->waiting++;
    } else {
        unit_back(t, w, unit, why != NULL);
    }
    return 0;
}

/* The one to go on; CROWD_NEVER: none. */
static uint64_t choose_waiting(const struct crowd_trial *t)
{
    uint64_t found = CROWD_NEVER;
    bool late = t->grants == GRANTS_LATE;
    if (!t->waiting || (late && t->waiting < LATE && t->out > t->waiting))
        return CROWD_NEVER;
    for (uint64_t u = t->first; u < t->units; u++) {
        bool waits = crowd_unit_is(t, u, CROWD_WAITING) && t->state[u] < GRANTED;
        if (t->grants == GRANTS_ASCENDING && waits)
            return t->state[u] == WAITING ? u : CROWD_NEVER;
        if (t->state[u] == WAITING)
            found = u;
    }
    return found;
}

static bool trial_grant(void *ctx, uint32_t *seat, struct blob *grant, bool *drop)
{
    struct crowd_trial *t = ctx;
    expect(t, !t->over);
    if (t->finished >= t->wrong_seat) {
        t->over = true;
        *seat = 1000000;
        return true;
    }
    uint64_t u = choose_waiting(t);
    if (u == CROWD_NEVER)
        return false;
    t->waiting--;
    *seat = t->seat[u];
    *drop = crowd_unit_is(t, u, CROWD_DROPPED) && t->attempts[u] == 1;
    if (*drop) {
        unit_back(t, *seat / (t->depth ? t->depth : 1), u, true);
        return true;
    }
    size_t words = 1 + mix(t, u, 105) % 64;
    for (size_t i = 0; i < words; i++)
        t->grant[i] = u + i;
    *grant = (struct blob){t->grant, words * sizeof *t->grant};
    t->state[u] = GRANTED;
    return true;
}

static int trial_committed(void *ctx, const struct crowd_seat *s, uint64_t unit,
                           const struct blob *done, const struct err *why, struct err *e)
{
    struct crowd_trial *t = ctx;
    unsigned w = worker_of(t, s, 1);
    if (unit >= t->units || t->state[unit] != GRANTED || t->seat[unit] != s->id) {
        expect(t, false);
        return 0;
    }
    expect_failure(t, unit, "commit", why);
    expect(t, why || (done->len == 8 && memcmp(done->data, &unit, 8) == 0));
    if (unit == t->fail_committed)
        return end_by(t, e, "committed", unit);
    unit_back(t, w, unit, why != NULL);
    return 0;
}

static bool trial_news(void *ctx)
{
    struct crowd_trial *t = ctx;
    bool news = t->news;
    t->news = false;
    return news;
}

static int trial_tick(void *ctx, struct err *e)
{
    struct crowd_trial *t = ctx;
    expect(t, !t->over);
    t->ticks++;
    return t->finished >= t->fail_tick ? end_by(t, e, "tick", t->fail_tick) : 0;
}

static bool trial_halting(void *ctx)
{
    struct crowd_trial *t = ctx;
    return t->finished >= t->halt_after;
}

/* -- every rank -------------------------------------------------------------------------------- */

static int trial_worker_new(void *ctx, unsigned depth, void **worker, struct err *e)
{
    struct crowd_trial *t = ctx;
    if (t->fail_worker_new)
        return fail(e, "worker_new", 0);
    struct trial_worker *w = mem_new(1, sizeof *w + depth * sizeof *w->slot, e);
    if (!w)
        return -1;
    w->trial = t;
    w->depth = depth;
    atomic_fetch_add(&t->workers, 1);
    *worker = w;
    return 0;
}

static void trial_worker_free(void *worker)
{
    struct trial_worker *w = worker;
    atomic_fetch_sub(&w->trial->workers, 1);
    free(w);
}

static void dawdle(struct crowd_trial *t, uint64_t unit, uint64_t what)
{
    for (int i = 0; unit == t->long_unit && i < 6000 && !atomic_load(&t->halts); i++)
        usleep(10000);
    if (t->sleep_us && mix(t, unit, what) % 4 == 0)
        usleep((useconds_t)(mix(t, unit, what + 100) % t->sleep_us));
}

static int trial_brief(void *worker, uint64_t unit, unsigned slot, const struct blob *brief,
                       struct err *e)
{
    struct trial_worker *w = worker;
    struct crowd_trial *t = w->trial;
    struct brief_head h = {0};
    if (slot >= w->depth || brief->len < sizeof h) {
        expect(t, false);
        return fail(e, "slot or brief", unit);
    }
    memcpy(&h, brief->data, sizeof h);
    expect(t, h.unit == unit && h.len == brief->len);
    expect(t, filled(brief->data, sizeof h, brief->len, unit));
    w->slot[slot].brief = h;
    w->slot[slot].briefed = true;
    return fails_in(t, unit, h.attempt, "brief") ? fail(e, "brief", unit) : 0;
}

static int trial_prepare(void *worker, uint64_t unit, unsigned slot, struct blob *need,
                         struct err *e)
{
    struct trial_worker *w = worker;
    struct crowd_trial *t = w->trial;
    struct crowd_slot *s = &w->slot[slot];
    atomic_fetch_add(&t->prepared, 1);
    expect(t, s->briefed && s->brief.unit == unit);
    expect(t, !crowd_unit_is(t, unit, CROWD_PINNED) || rank_of(t, unit) == t->rank);
    s->briefed = false;
    dawdle(t, unit, 200);
    if (fails_in(t, unit, s->brief.attempt, "prepare"))
        return fail(e, "prepare", unit);
    need->len = len_of(t, unit, 104, NEED_MAX);
    need->data = s->need;
    fill(s->need, 0, need->len, unit);
    return 0;
}

static int trial_commit(void *worker, uint64_t unit, unsigned slot, const struct blob *grant,
                        struct blob *done, struct err *e)
{
    struct trial_worker *w = worker;
    struct crowd_trial *t = w->trial;
    struct crowd_slot *s = &w->slot[slot];
    uint64_t words = 1 + mix(t, unit, 105) % 64, last = 0;
    expect(t, s->brief.unit == unit && grant->len == words * 8);
    if (grant->len >= 8)
        memcpy(&last, (const char *)grant->data + grant->len - 8, 8);
    dawdle(t, unit, 201);
    if (fails_in(t, unit, s->brief.attempt, "commit"))
        return fail(e, "commit", unit);
    s->done[0] = last - (words - 1);
    *done = (struct blob){s->done, 8};
    return 0;
}

static void trial_halt(void *ctx)
{
    struct crowd_trial *t = ctx;
    atomic_fetch_add(&t->halts, 1);
}

static int trial_settle(void *ctx, struct err *e)
{
    struct crowd_trial *t = ctx;
    expect(t, atomic_load(&t->workers) == 0);
    t->settled++;
    return t->fail_settle ? fail(e, "settle", t->rank) : 0;
}

/* -- from outside ------------------------------------------------------------------------------ */

void crowd_trial_init(struct crowd_trial *t, const struct engine *g, uint64_t units, unsigned seed)
{
    memset(t, 0, sizeof *t);
    t->units = t->todo = units;
    t->seed = seed;
    t->depth = 2;
    t->manners = CROWD_ALL;
    t->ranks = engine_size(g);
    t->rank = engine_rank(g);
    t->fail_offer = t->fail_reported = t->fail_committed = t->fail_tick = CROWD_NEVER;
    t->wrong_seat = t->long_unit = t->halt_after = CROWD_NEVER;
}

int crowd_trial_run(struct crowd_trial *t, struct engine *g, bool *clean, struct err *e)
{
    const struct unit_job work = {
        .ctx = t,
        .depth = t->depth,
        .max_workers = t->max_workers,
        .worker_new = trial_worker_new,
        .worker_free = trial_worker_free,
        .brief = trial_brief,
        .prepare = trial_prepare,
        .commit = t->one_step ? NULL : trial_commit,
        .halt = trial_halt,
        .settle = trial_settle,
    };
    const struct crowd_job job = {
        .work = &work,
        .ctx = t,
        .offer = trial_offer,
        .reported = trial_reported,
        .grant = t->one_step ? NULL : trial_grant,
        .committed = t->one_step ? NULL : trial_committed,
        .news = t->silent ? NULL : trial_news,
        .tick = trial_tick,
        .halting = trial_halting,
    };
    if (strcmp(engine_name(g), "serial") == 0)
        t->depth = 1;
    int r = engine_crowd(g, &job, e);
    bool settled = t->settled == 1 || (r < 0 && t->settled == 0);
    *clean = !atomic_load(&t->wrong) && !atomic_load(&t->workers) && settled &&
             atomic_load(&t->halts) <= 1;
    return r;
}

bool crowd_trial_complete(const struct crowd_trial *t)
{
    for (uint64_t u = 0; u < t->units; u++) {
        bool dropped = crowd_unit_is(t, u, CROWD_DROPPED);
        bool failed = failures_of(t, u) >= TRIES;
        unsigned attempts = failed ? TRIES : failures_of(t, u) + 1;
        if (t->state[u] != (failed ? FAILED : DONE))
            return false;
        /* a unit may be dropped where it would have failed */
        if (t->attempts[u] != attempts && !dropped)
            return false;
    }
    return t->todo == 0 && t->out == 0 && t->waiting == 0 && t->finished == t->units;
}
