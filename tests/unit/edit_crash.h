/*
 * A stop at every write of a storm: what an image's file is asked to do is taped, and played again
 * up to each point, as it is and as a power cut leaves it (of what was not synced, some sectors
 * arrived). Each time the image opens, passes its check, and every sector reads as it was at the
 * last flush or as one of the writes after it. Needs cmocka.h included before.
 */
#ifndef TESTS_EDIT_CRASH_H
#define TESTS_EDIT_CRASH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "formats/format.h"
#include "image/edit.h"
#include "io/memory.h"

#define CRASH_SECTOR 512u
#define CRASH_OPS    400u

/* ---- the tape -------------------------------------------------------------------------------- */

enum tape_kind { TAPE_WRITE, TAPE_ZERO, TAPE_TRUNCATE, TAPE_SYNC };

struct tape_event {
    enum tape_kind kind;
    uint64_t off, len;
    uint8_t *data;
};

struct tape {
    struct tape_event *events;
    size_t n;
};

struct taped {
    struct file file;
    struct file *below; /* owned */
    struct tape *tape;
};

static inline struct taped *taped_of(const struct file *f)
{
    return (struct taped *)(uintptr_t)f;
}

static inline void tape_add(struct tape *t, enum tape_kind kind, uint64_t off, uint64_t len,
                            const void *data)
{
    struct tape_event x = {kind, off, len, NULL};
    if (data) {
        x.data = malloc(len);
        memcpy(x.data, data, len);
    }
    t->events = realloc(t->events, (t->n + 1) * sizeof x);
    t->events[t->n++] = x;
}

static inline void tape_release(struct tape *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->events[i].data);
    free(t->events);
    *t = (struct tape){0};
}

static inline int taped_close(struct file *f, struct err *e)
{
    struct taped *t = taped_of(f);
    int r = file_close(t->below, e);
    free(t);
    return r;
}

static inline uint64_t taped_size(const struct file *f)
{
    return file_size(taped_of(f)->below);
}

static inline int64_t taped_allocated(const struct file *f)
{
    return file_allocated(taped_of(f)->below);
}

static inline int taped_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                             struct err *e)
{
    return file_read_padded(taped_of(f)->below, buf, len, off, got, e);
}

static inline int taped_write(struct file *f, const void *buf, size_t len, uint64_t off,
                              struct err *e)
{
    tape_add(taped_of(f)->tape, TAPE_WRITE, off, len, buf);
    return file_write(taped_of(f)->below, buf, len, off, e);
}

static inline int taped_zero(struct file *f, uint64_t off, uint64_t len, enum file_zero how,
                             bool *done, struct err *e)
{
    *done = true;
    tape_add(taped_of(f)->tape, TAPE_ZERO, off, len, NULL);
    return file_zero(taped_of(f)->below, off, len, how, e);
}

static inline int taped_truncate(struct file *f, uint64_t size, struct err *e)
{
    tape_add(taped_of(f)->tape, TAPE_TRUNCATE, size, 0, NULL);
    return file_truncate(taped_of(f)->below, size, e);
}

static inline int taped_sync(struct file *f, struct err *e)
{
    tape_add(taped_of(f)->tape, TAPE_SYNC, 0, 0, NULL);
    return file_sync(taped_of(f)->below, e);
}

static inline struct file *taped_new(struct file *below, struct tape *tape)
{
    static const struct file_ops ops = {
        .protocol = "taped",
        .close = taped_close,
        .size = taped_size,
        .allocated = taped_allocated,
        .read = taped_read,
        .write = taped_write,
        .zero = taped_zero,
        .truncate = taped_truncate,
        .sync = taped_sync,
    };
    struct taped *t = calloc(1, sizeof *t);
    t->file = (struct file){.ops = &ops, .opt.write = true, .alignment = 1};
    t->file.regular = true;
    t->file.grows_zero = true;
    t->file.name = strdup("image");
    t->below = below;
    t->tape = tape;
    return &t->file;
}

/* ---- a disk that the tape is played to ------------------------------------------------------- */

struct disk {
    uint8_t *data;
    uint64_t size, room;
};

static inline void disk_resize(struct disk *d, uint64_t size)
{
    if (size > d->room) {
        d->room = num_up(size, MIB);
        d->data = realloc(d->data, d->room);
    }
    if (size > d->size)
        memset(d->data + d->size, 0, size - d->size);
    d->size = size;
}

static inline uint64_t crash_draw(uint64_t *seed, uint64_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (*seed >> 33) % below;
}

/* seed: NULL = all of it arrives; else all, none or some of its sectors do. */
static inline void disk_play(struct disk *d, const struct tape_event *x, uint64_t *seed)
{
    enum { NONE, ALL, SOME };
    uint64_t how = seed ? crash_draw(seed, 3) : ALL;
    if (x->kind == TAPE_SYNC || how == NONE)
        return;
    if (x->kind == TAPE_TRUNCATE) {
        disk_resize(d, x->off);
        return;
    }
    for (uint64_t done = 0, n; done < x->len; done += n) {
        uint64_t at = x->off + done;
        n = num_min(x->len - done, CRASH_SECTOR - at % CRASH_SECTOR);
        if (how == SOME && crash_draw(seed, 2))
            continue;
        if (at + n > d->size)
            disk_resize(d, at + n);
        if (x->data)
            memcpy(d->data + at, x->data + done, n);
        else
            memset(d->data + at, 0, n);
    }
}

static inline void disk_copy(struct disk *to, const struct disk *from)
{
    disk_resize(to, from->size);
    memcpy(to->data, from->data, from->size);
}

/* As a file in memory; what is zero is a hole. */
static inline struct file *disk_file(const struct disk *d)
{
    enum { PIECE = 16384 };
    static const uint8_t zeros[PIECE];
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(memory_new("image", NULL, 0, &f, &e), 0);
    for (uint64_t at = 0; at < d->size; at += PIECE) {
        size_t n = num_min(PIECE, d->size - at);
        if (memcmp(d->data + at, zeros, n) != 0)
            assert_int_equal(file_write(f, d->data + at, n, at, &e), 0);
    }
    assert_int_equal(file_truncate(f, d->size, &e), 0);
    return f;
}

static inline void disk_load(struct disk *d, const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    disk_resize(d, (uint64_t)ftell(f));
    rewind(f);
    assert_int_equal(fread(d->data, 1, d->size, f), d->size);
    fclose(f);
}

/* ---- the storm ------------------------------------------------------------------------------- */

struct crash_op {
    size_t event; /* of the tape, when it began */
    bool flush;
    size_t done;        /* flush: events when it was done */
    uint64_t sector, n; /* else: what it wrote ... */
    uint16_t value;     /* ... everywhere in these sectors; 0: zeros */
};

struct crash {
    const char *driver;
    json_t *options; /* of the image, borrowed; may be NULL */
    struct secrets *secrets;
    uint64_t seed;
    unsigned ops;
    bool leaks; /* a stop may leave space that nothing uses */
    uint64_t sectors;
    struct crash_op op[CRASH_OPS];
    struct tape tape;
    uint16_t *flushed; /* value of each sector at the last flush */
};

static inline void crash_must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

static inline struct image *crash_open(const struct crash *c, struct file *f, bool write)
{
    struct err e = ERR_INIT;
    struct image *img = NULL;
    const struct image_flags flags = {
        .write = write, .driver = c->driver, .metadata_budget = 1, .secrets = c->secrets};
    crash_must(image_open_take_file(f, c->options, &flags, &img, &e), &e);
    return img;
}

static inline void crash_write(struct crash *c, struct edit *d, struct crash_op *x)
{
    struct err e = ERR_INIT;
    size_t len = x->n * CRASH_SECTOR;
    uint16_t *buf = malloc(len);
    for (size_t i = 0; i < len / 2; i++)
        buf[i] = x->value;
    if (x->value)
        crash_must(edit_write(d, x->sector * CRASH_SECTOR, buf, len, &e), &e);
    else
        crash_must(edit_zero(d, x->sector * CRASH_SECTOR, len,
                             crash_draw(&c->seed, 2) ? EDIT_ZERO_KEEP : EDIT_ZERO_DROP, &e),
                   &e);
    free(buf);
}

static inline void crash_step(struct crash *c, struct edit *d, unsigned i)
{
    struct err e = ERR_INIT;
    struct crash_op *x = &c->op[i];
    uint64_t kind = crash_draw(&c->seed, 8);
    *x = (struct crash_op){.event = c->tape.n, .flush = kind == 0};
    if (x->flush) {
        crash_must(edit_flush(d, &e), &e);
        x->done = c->tape.n;
        return;
    }
    x->sector = crash_draw(&c->seed, c->sectors);
    x->n = 1 + crash_draw(&c->seed, crash_draw(&c->seed, 3) ? 16 : 400);
    x->n = num_min(x->n, c->sectors - x->sector);
    x->value = kind == 1 ? 0 : (uint16_t)(i + 1);
    crash_write(c, d, x);
}

/* ---- what a stop leaves ---------------------------------------------------------------------- */

static inline bool crash_allows(const struct crash *c, size_t first, size_t events, uint64_t sector,
                                uint16_t value)
{
    if (value == c->flushed[sector])
        return true;
    for (size_t i = first; i < c->ops && c->op[i].event < events; i++) {
        const struct crash_op *x = &c->op[i];
        if (!x->flush && x->value == value && sector >= x->sector && sector < x->sector + x->n)
            return true;
    }
    return false;
}

/* Leaks that are expected are many. */
static inline void crash_tell(void *ctx, const char *text)
{
    if (strncmp(text, "Leaked", 6) != 0 || !*(const bool *)ctx)
        fprintf(stderr, "%s\n", text);
}

static inline void crash_sound(const struct crash *c, struct image *img)
{
    struct err e = ERR_INIT;
    struct check_result result = {0};
    bool leaks = c->leaks;
    const struct check_sink sink = {.line = crash_tell, .ctx = &leaks, .memory = 16 * MIB};
    if (!img->format->check)
        return;
    crash_must(img->format->check(img, CHECK_FIX_NONE, &sink, &result, &e), &e);
    assert_int_equal(result.corruptions, 0);
    assert_int_equal(result.check_errors, 0);
    if (!c->leaks)
        assert_int_equal(result.leaks, 0);
}

/* `first`: the first operation after the last flush that was done before `events`. */
static inline void crash_look(const struct crash *c, const struct disk *d, size_t first,
                              size_t events, bool write)
{
    struct err e = ERR_INIT;
    struct image *img = crash_open(c, disk_file(d), write);
    uint8_t *got = malloc(c->sectors * CRASH_SECTOR);
    struct image_reader *r = image_reader_new(&e);
    assert_int_equal(img->size, c->sectors * CRASH_SECTOR);
    crash_must(image_read(r, img, 0, c->sectors * CRASH_SECTOR, got, &e), &e);
    for (uint64_t s = 0; s < c->sectors; s++) {
        const uint8_t *p = got + s * CRASH_SECTOR;
        uint16_t value;
        memcpy(&value, p, 2);
        if (memcmp(p, p + 2, CRASH_SECTOR - 2) != 0 || !crash_allows(c, first, events, s, value))
            fail_msg("a stop after %zu of %zu events leaves %04x in sector %" PRIu64
                     ", which held %04x",
                     events, c->tape.n, value, s, c->flushed[s]);
    }
    crash_sound(c, img);
    image_reader_free(r);
    free(got);
    crash_must(image_close(img, &e), &e);
}

/* Operations [*first, ...) that a flush has brought to storage by now. */
static inline void crash_settle(struct crash *c, size_t *first, size_t events)
{
    for (size_t i = *first; i < c->ops && c->op[i].event < events; i++) {
        if (!c->op[i].flush || c->op[i].done > events)
            continue;
        for (; *first < i; ++*first)
            for (uint64_t s = 0; s < c->op[*first].n; s++)
                c->flushed[c->op[*first].sector + s] = c->op[*first].value;
        ++*first;
    }
}

static inline void crash_replay(struct crash *c, const struct disk *before)
{
    struct disk synced = {0}, now = {0}, cut = {0};
    size_t first = 0, last_sync = 0;
    disk_copy(&synced, before);
    disk_copy(&now, before);
    for (size_t k = 0; k <= c->tape.n; k++) {
        crash_settle(c, &first, k);
        crash_look(c, &now, first, k, k % 2);
        disk_copy(&cut, &synced);
        for (size_t i = last_sync; i < k; i++)
            disk_play(&cut, &c->tape.events[i], &c->seed);
        crash_look(c, &cut, first, k, k / 2 % 2);
        if (k == c->tape.n)
            break;
        disk_play(&now, &c->tape.events[k], NULL);
        if (c->tape.events[k].kind == TAPE_SYNC) {
            disk_copy(&synced, &now);
            last_sync = k + 1;
        }
    }
    free(synced.data);
    free(now.data);
    free(cut.data);
}

/* An empty image at `path`, a storm of `steps` operations, a stop at each of their events. */
static inline void crash_run(struct crash *c, const char *path, unsigned steps)
{
    struct err e = ERR_INIT;
    struct disk before = {0};
    struct edit *d = NULL;
    disk_load(&before, path);
    struct image *img = crash_open(c, taped_new(disk_file(&before), &c->tape), true);
    c->sectors = img->size / CRASH_SECTOR;
    c->ops = steps;
    c->flushed = calloc(c->sectors, sizeof *c->flushed);
    assert_true(steps + 1 <= CRASH_OPS);
    crash_must(edit_begin(img, &d, &e), &e);
    for (unsigned i = 0; i < steps; i++)
        crash_step(c, d, i);
    c->op[c->ops] = (struct crash_op){.event = c->tape.n, .flush = true};
    crash_must(edit_flush(d, &e), &e);
    c->op[c->ops++].done = c->tape.n;
    crash_must(edit_end(d, &e), &e);
    crash_must(image_close(img, &e), &e);
    crash_replay(c, &before);
    tape_release(&c->tape);
    free(c->flushed);
    free(before.data);
}

#endif
