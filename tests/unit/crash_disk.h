/* A file in memory that remembers what was written since its last sync, so that a test can look at
 * what a stop would leave: any part of that, in any order, torn between sectors. */
#ifndef TESTS_CRASH_DISK_H
#define TESTS_CRASH_DISK_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/file_ops.h"

#define DISK_PAGE   32768u
#define DISK_PAGES  8192u /* 256 MiB at most */
#define DISK_SECTOR 512u

struct disk_page {
    unsigned refs;
    uint8_t data[DISK_PAGE];
};

/* Contents: pages are shared by copies until they are written. */
struct disk {
    uint64_t size;
    struct disk_page *pages[DISK_PAGES];
};

struct disk_change {
    uint64_t at, len;
    uint8_t *data; /* NULL: the size becomes `at` */
};

/* One disk that is written, by any number of files one after the other. */
struct crash_disk {
    pthread_mutex_t lock;
    struct disk now, synced;
    struct disk_change *changes; /* since the sync */
    size_t n, room;
    uint64_t ops;                                     /* writes and truncations there were */
    uint64_t fail_at;                                 /* this one fails; 0: none */
    void (*changed)(struct crash_disk *d, void *ctx); /* called for each, with the lock released */
    void *ctx;
};

/* ---- contents -------------------------------------------------------------------------------- */

static inline void disk_release(struct disk *d)
{
    for (size_t i = 0; i < DISK_PAGES; i++)
        if (d->pages[i] && !--d->pages[i]->refs)
            free(d->pages[i]);
    memset(d, 0, sizeof *d);
}

static inline void disk_copy(const struct disk *from, struct disk *to)
{
    *to = *from;
    for (size_t i = 0; i < DISK_PAGES; i++)
        if (to->pages[i])
            to->pages[i]->refs++;
}

static inline uint8_t *disk_own(struct disk *d, size_t i)
{
    struct disk_page *old = d->pages[i];
    if (old && old->refs == 1)
        return old->data;
    struct disk_page *p = calloc(1, sizeof *p);
    if (old) {
        memcpy(p->data, old->data, DISK_PAGE);
        old->refs--;
    }
    p->refs = 1;
    d->pages[i] = p;
    return p->data;
}

/* data NULL: zeros. */
static inline void disk_put(struct disk *d, uint64_t at, const uint8_t *data, uint64_t len)
{
    for (uint64_t done = 0, n; done < len; done += n) {
        uint64_t in = (at + done) % DISK_PAGE;
        n = num_min(len - done, DISK_PAGE - in);
        uint8_t *to = disk_own(d, (at + done) / DISK_PAGE) + in;
        if (data)
            memcpy(to, data + done, n);
        else
            memset(to, 0, n);
    }
    d->size = num_max(d->size, at + len);
}

static inline void disk_resize(struct disk *d, uint64_t size)
{
    for (uint64_t at = size, n; at < d->size; at += n) {
        n = num_min(d->size - at, DISK_PAGE - at % DISK_PAGE);
        if (d->pages[at / DISK_PAGE])
            disk_put(d, at, NULL, n);
    }
    d->size = size;
}

static inline void disk_get(const struct disk *d, uint64_t at, uint8_t *to, uint64_t len)
{
    for (uint64_t done = 0, n; done < len; done += n) {
        uint64_t in = (at + done) % DISK_PAGE;
        n = num_min(len - done, DISK_PAGE - in);
        const struct disk_page *p = d->pages[(at + done) / DISK_PAGE];
        if (p)
            memcpy(to + done, p->data + in, n);
        else
            memset(to + done, 0, n);
    }
}

static inline void disk_apply(struct disk *d, const struct disk_change *c, uint64_t from,
                              uint64_t to)
{
    if (!c->data)
        disk_resize(d, c->at);
    else if (from < to)
        disk_put(d, c->at + from, c->data + from, to - from);
}

/* ---- a stop ---------------------------------------------------------------------------------- */

/* What is left when power fails now: `draw` decides on each unsynced change (all, none, its first
 * sectors). orderly: the program alone was killed, so all of it is there. */
static inline void crash_state(const struct crash_disk *d, bool orderly,
                               uint64_t (*draw)(uint64_t below), struct disk *out)
{
    disk_copy(&d->synced, out);
    uint64_t keep_most = draw(3);
    for (size_t i = 0; i < d->n; i++) {
        const struct disk_change *c = &d->changes[i];
        uint64_t what = orderly ? 0 : draw(4);
        uint64_t cut = num_down(c->at + draw(c->len + 1), DISK_SECTOR);
        cut = cut > c->at ? cut - c->at : 0;
        if (what == 0 || (what == 1 && keep_most))
            disk_apply(out, c, 0, c->len);
        else if (what == 2 && c->data)
            disk_apply(out, c, 0, cut);
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

struct crash_file {
    struct file file;
    struct crash_disk *disk;
};

static inline struct crash_disk *crash_disk_of(const struct file *f)
{
    return ((struct crash_file *)(uintptr_t)f)->disk;
}

static inline int crash_close(struct file *f, struct err *e)
{
    (void)e;
    free(f);
    return 0;
}

static inline uint64_t crash_size(const struct file *f)
{
    struct crash_disk *d = crash_disk_of(f);
    pthread_mutex_lock(&d->lock);
    uint64_t size = d->now.size;
    pthread_mutex_unlock(&d->lock);
    return size;
}

static inline int crash_read(struct file *f, void *buf, size_t len, uint64_t off, size_t *got,
                             struct err *e)
{
    (void)e;
    struct crash_disk *d = crash_disk_of(f);
    pthread_mutex_lock(&d->lock);
    *got = off < d->now.size ? num_min(len, d->now.size - off) : 0;
    disk_get(&d->now, off, buf, *got);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static inline int crash_change(struct file *f, const void *buf, size_t len, uint64_t off,
                               struct err *e)
{
    struct crash_disk *d = crash_disk_of(f);
    pthread_mutex_lock(&d->lock);
    bool fails = ++d->ops == d->fail_at || off + len > (uint64_t)DISK_PAGES * DISK_PAGE;
    if (!fails && d->n == d->room) {
        d->room = d->room ? 2 * d->room : 64;
        d->changes = realloc(d->changes, d->room * sizeof *d->changes);
    }
    if (!fails) {
        struct disk_change c = {.at = off, .len = len, .data = buf ? malloc(len + 1) : NULL};
        if (buf)
            memcpy(c.data, buf, len);
        disk_apply(&d->now, &c, 0, len);
        d->changes[d->n++] = c;
    }
    pthread_mutex_unlock(&d->lock);
    if (d->changed)
        d->changed(d, d->ctx);
    return fails ? file_fail(e, ENOSPC) : 0;
}

static inline int crash_write(struct file *f, const void *buf, size_t len, uint64_t off,
                              struct err *e)
{
    return crash_change(f, buf, len, off, e);
}

static inline int crash_truncate(struct file *f, uint64_t size, struct err *e)
{
    return crash_change(f, NULL, 0, size, e);
}

static inline void crash_settle(struct crash_disk *d)
{
    for (size_t i = 0; i < d->n; i++) {
        disk_apply(&d->synced, &d->changes[i], 0, d->changes[i].len);
        free(d->changes[i].data);
    }
    d->n = 0;
}

static inline int crash_sync(struct file *f, struct err *e)
{
    (void)e;
    struct crash_disk *d = crash_disk_of(f);
    pthread_mutex_lock(&d->lock);
    crash_settle(d);
    pthread_mutex_unlock(&d->lock);
    return 0;
}

static inline struct file *crash_file(struct crash_disk *d)
{
    static const struct file_ops ops = {
        .protocol = "file",
        .close = crash_close,
        .size = crash_size,
        .read = crash_read,
        .write = crash_write,
        .truncate = crash_truncate,
        .sync = crash_sync,
    };
    struct crash_file *f = calloc(1, sizeof *f);
    f->file = (struct file){.ops = &ops, .regular = true, .grows_zero = true, .alignment = 1};
    f->file.opt.write = true;
    f->file.name = strdup("disk");
    f->disk = d;
    return &f->file;
}

/* All that is on it, synced. */
static inline void crash_disk_init(struct crash_disk *d, const void *data, size_t len)
{
    memset(d, 0, sizeof *d);
    pthread_mutex_init(&d->lock, NULL);
    disk_put(&d->now, 0, data, len);
    disk_copy(&d->now, &d->synced);
}

static inline void crash_disk_release(struct crash_disk *d)
{
    crash_settle(d);
    free(d->changes);
    disk_release(&d->now);
    disk_release(&d->synced);
    pthread_mutex_destroy(&d->lock);
}

#endif
