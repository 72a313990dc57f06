#include "formats/slices.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

/* Set-associative: a slice can only stand in the WAYS slots of its set, so that a look-up takes one
 * lock that few threads want and walks a few words. */
#define WAYS 8u

/* What of a slice is to be written: a bit for each 4 bytes. */
#define GRAIN       4u
#define DIRTY_WORDS (SLICES_SIZE / GRAIN / 64)

enum slot_state { SLOT_EMPTY, SLOT_LOADING, SLOT_READY };

struct slot {
    enum slot_state state;
    unsigned holders;
    uint64_t offset;
    uint64_t used; /* the set's clock when it was last held */
    size_t valid;
    uint8_t *data;
    bool loose;        /* belongs to no set: freed when it is put back */
    uint64_t *dirty;   /* what the file does not have yet; NULL: nothing. Such a slot is held */
    struct slot *next; /* in set.more */
};

struct set {
    pthread_mutex_t lock;
    pthread_cond_t loaded;
    uint64_t clock;
    struct slot slots[WAYS];
    struct slot *more; /* that were changed while all ways were held */
};

struct slices {
    struct file *file;
    uint32_t tail;
    size_t n_sets; /* a power of two */
    struct set *sets;
    struct slot **changed; /* the changing thread's alone */
    size_t n_changed, room;
};

int slices_new(struct file *f, uint64_t budget, uint32_t tail, struct slices **out, struct err *e)
{
    uint64_t want = (budget ? budget : SLICES_DEFAULT_BUDGET) / SLICES_SIZE / WAYS;
    size_t n = 1;
    while (n * 2 <= want && n < 4096)
        n *= 2;
    AUTO_FREE struct slices *s = mem_new(1, sizeof *s, e);
    if (!s)
        return -1;
    s->sets = mem_new(n, sizeof *s->sets, e);
    if (!s->sets)
        return -1;
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_init(&s->sets[i].lock, NULL);
        pthread_cond_init(&s->sets[i].loaded, NULL);
    }
    s->file = f;
    s->tail = tail ? tail : 1;
    s->n_sets = n;
    *out = MEM_TAKE(s);
    return 0;
}

static void slot_release(struct slot *p)
{
    free(p->data);
    free(p->dirty);
}

static void slot_free_next(struct slot **at)
{
    struct slot *p = *at;
    *at = p->next;
    slot_release(p);
    free(p);
}

void slices_free(struct slices *s)
{
    for (size_t i = 0; s && i < s->n_sets; i++) {
        struct set *set = &s->sets[i];
        for (unsigned w = 0; w < WAYS; w++)
            slot_release(&set->slots[w]);
        while (set->more)
            slot_free_next(&set->more);
        pthread_cond_destroy(&set->loaded);
        pthread_mutex_destroy(&set->lock);
    }
    if (s) {
        free(s->sets);
        free(s->changed);
    }
    free(s);
}

static struct set *set_of(struct slices *s, uint64_t offset)
{
    uint64_t h = offset / SLICES_SIZE * UINT64_C(0x9e3779b97f4a7c15);
    return &s->sets[(h >> 40) & (s->n_sets - 1)];
}

static struct slot *set_find(struct set *set, uint64_t offset)
{
    for (unsigned w = 0; w < WAYS; w++)
        if (set->slots[w].state != SLOT_EMPTY && set->slots[w].offset == offset)
            return &set->slots[w];
    struct slot *p = set->more;
    while (p && p->offset != offset)
        p = p->next;
    return p;
}

/* With the set locked; waits for whoever is loading it. */
static struct slot *set_find_loaded(struct set *set, uint64_t offset)
{
    struct slot *p;
    while ((p = set_find(set, offset)) && p->state == SLOT_LOADING)
        pthread_cond_wait(&set->loaded, &set->lock);
    return p;
}

/* An empty slot, or the one that was held longest ago; NULL if all are held. */
static struct slot *set_victim(struct set *set)
{
    struct slot *best = NULL;
    for (unsigned w = 0; w < WAYS; w++) {
        struct slot *p = &set->slots[w];
        if (p->state == SLOT_EMPTY && !p->holders)
            return p;
        if (p->state == SLOT_READY && !p->holders && (!best || p->used < best->used))
            best = p;
    }
    return best;
}

static int slot_load(struct slices *s, struct slot *p, struct err *e)
{
    size_t got = 0;
    if (!p->data && !(p->data = mem_io(SLICES_SIZE, e)))
        return -1;
    if (file_read_padded(s->file, p->data, SLICES_SIZE, p->offset, &got, e))
        return -1;
    p->valid = got;
    if (got < SLICES_SIZE) {
        uint64_t end = num_up(file_size(s->file), s->tail);
        end = num_max(end, p->offset + got);
        p->valid = num_min(SLICES_SIZE, end - p->offset);
    }
    return 0;
}

static void slice_fill(struct slice *out, struct slot *p)
{
    *out = (struct slice){.data = p->data, .valid = p->valid, .offset = p->offset, .slot = p};
}

/* All slots of the set are held: read it for this caller alone. */
static int get_loose(struct slices *s, uint64_t offset, struct slice *out, struct err *e)
{
    AUTO_FREE struct slot *p = mem_new(1, sizeof *p, e);
    if (!p)
        return -1;
    p->offset = offset;
    p->loose = true;
    if (slot_load(s, p, e)) {
        free(p->data);
        return -1;
    }
    slice_fill(out, MEM_TAKE(p));
    return 0;
}

/* With the set locked; leaves it unlocked. */
static int get_load(struct slices *s, struct set *set, struct slot *p, struct slice *out,
                    struct err *e)
{
    uint64_t offset = out->offset;
    p->state = SLOT_LOADING;
    p->offset = offset;
    p->holders = 1;
    pthread_mutex_unlock(&set->lock);
    int r = slot_load(s, p, e);
    pthread_mutex_lock(&set->lock);
    p->state = r ? SLOT_EMPTY : SLOT_READY;
    p->used = ++set->clock;
    if (r)
        p->holders--;
    else
        slice_fill(out, p);
    pthread_cond_broadcast(&set->loaded);
    pthread_mutex_unlock(&set->lock);
    return r;
}

int slices_get(struct slices *s, uint64_t offset, struct slice *out, struct err *e)
{
    offset = num_down(offset, SLICES_SIZE);
    *out = (struct slice){.offset = offset};
    struct set *set = set_of(s, offset);
    pthread_mutex_lock(&set->lock);
    struct slot *p = set_find_loaded(set, offset);
    if (p) {
        p->holders++;
        p->used = ++set->clock;
        slice_fill(out, p);
        pthread_mutex_unlock(&set->lock);
        return 0;
    }
    p = set_victim(set);
    if (p)
        return get_load(s, set, p, out, e);
    pthread_mutex_unlock(&set->lock);
    return get_loose(s, offset, out, e);
}

void slices_put(struct slices *s, struct slice *p)
{
    struct slot *slot = p->slot;
    *p = (struct slice){0};
    if (!slot)
        return;
    if (slot->loose) {
        free(slot->data);
        free(slot);
        return;
    }
    struct set *set = set_of(s, slot->offset);
    pthread_mutex_lock(&set->lock);
    slot->holders--;
    pthread_mutex_unlock(&set->lock);
}

int slices_move(struct slices *s, uint64_t offset, struct slice *p, struct err *e)
{
    if (p->slot && p->offset == num_down(offset, SLICES_SIZE))
        return 0;
    slices_put(s, p);
    return slices_get(s, offset, p, e);
}

/* ---- changing entries ------------------------------------------------------------------------ */

/* A slot that readers find, held: where `hold` is, or in its stead if that one is loose. */
static struct slot *slot_settle(struct slices *s, struct slice *hold)
{
    struct slot *p = hold->slot;
    if (!p->loose)
        return p;
    struct set *set = set_of(s, p->offset);
    pthread_mutex_lock(&set->lock);
    struct slot *other = set_find_loaded(set, p->offset);
    if (other) {
        other->holders++;
    } else {
        p->loose = false;
        p->state = SLOT_READY;
        p->holders = 1;
        p->next = set->more;
        set->more = p;
    }
    pthread_mutex_unlock(&set->lock);
    if (!other)
        return p;
    slices_put(s, hold);
    slice_fill(hold, other);
    return other;
}

/* From now on it is held until it is written. */
static int slot_change(struct slices *s, struct slot *p, struct err *e)
{
    if (s->n_changed == s->room) {
        size_t room = s->room ? 2 * s->room : 16;
        struct slot **list = mem_grow(s->changed, room, sizeof *list, e);
        if (!list)
            return -1;
        s->changed = list;
        s->room = room;
    }
    p->dirty = mem_new(DIRTY_WORDS, sizeof *p->dirty, e);
    if (!p->dirty)
        return -1;
    s->changed[s->n_changed++] = p;
    return 0;
}

static int store(struct slices *s, struct slot *p, size_t in, const void *entry, size_t size,
                 struct err *e)
{
    size_t bit = in / GRAIN;
    if (in + size > p->valid)
        return err_set(e, EIO, "A table reaches beyond the end of the file");
    if (!p->dirty && slot_change(s, p, e))
        return -1;
    slice_entry_store(p->data + in, entry, size);
    p->dirty[bit / 64] |= (size == 4 ? UINT64_C(1) : UINT64_C(3)) << bit % 64;
    return 0;
}

int slices_store(struct slices *s, uint64_t at, const void *entry, size_t size, struct err *e)
{
    struct slice hold;
    if (slices_get(s, at, &hold, e))
        return -1;
    struct slot *p = slot_settle(s, &hold);
    bool was_held = p->dirty;
    int r = store(s, p, at - p->offset, entry, size, e);
    if (r || was_held)
        slices_put(s, &hold);
    return r;
}

size_t slices_changed(const struct slices *s)
{
    return s->n_changed;
}

static bool is_dirty(const struct slot *p, size_t grain)
{
    return p->dirty[grain / 64] >> grain % 64 & 1;
}

static int slot_changes(const struct slot *p, slices_change_fn *see, void *ctx, struct err *e)
{
    for (size_t from = 0, to, n = SLICES_SIZE / GRAIN; from < n; from = to) {
        bool dirty = is_dirty(p, from);
        for (to = from + 1; to < n && is_dirty(p, to) == dirty; to++)
            if (to % 64 == 0 && !dirty && !p->dirty[to / 64])
                to += 63;
        to = num_min(to, n);
        if (dirty &&
            see(ctx, p->offset + from * GRAIN, p->data + from * GRAIN, (to - from) * GRAIN, e))
            return -1;
    }
    return 0;
}

int slices_changes(struct slices *s, slices_change_fn *see, void *ctx, struct err *e)
{
    for (size_t i = 0; i < s->n_changed; i++)
        if (slot_changes(s->changed[i], see, ctx, e))
            return -1;
    return 0;
}

static int change_write(void *ctx, uint64_t at, const uint8_t *data, size_t len, struct err *e)
{
    return file_write(ctx, data, len, at, e);
}

/* It can be let go now; one beyond the ways goes at once, or with a later flush. */
static void slot_written(struct slices *s, struct slot *p)
{
    struct set *set = set_of(s, p->offset);
    pthread_mutex_lock(&set->lock);
    free(p->dirty);
    p->dirty = NULL;
    p->holders--;
    for (struct slot **at = &set->more; *at;) {
        if ((*at)->holders)
            at = &(*at)->next;
        else
            slot_free_next(at);
    }
    pthread_mutex_unlock(&set->lock);
}

int slices_flush(struct slices *s, struct err *e)
{
    while (s->n_changed) {
        struct slot *p = s->changed[s->n_changed - 1];
        if (slot_changes(p, change_write, s->file, e))
            return -1;
        s->n_changed--;
        slot_written(s, p);
    }
    return 0;
}

void slices_grown(struct slices *s, uint64_t at, uint64_t len)
{
    uint64_t end = at + len;
    for (at = num_down(at, SLICES_SIZE); at < end; at += SLICES_SIZE) {
        struct set *set = set_of(s, at);
        pthread_mutex_lock(&set->lock);
        struct slot *p = set_find_loaded(set, at);
        if (p)
            p->valid = num_max(p->valid, num_min(SLICES_SIZE, end - at));
        pthread_mutex_unlock(&set->lock);
    }
}
