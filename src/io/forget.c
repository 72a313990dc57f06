/*
 * Keeping out of the page cache.
 *
 * Writing back is started at once. Dropping comes later, when the pages are likely clean, and once
 * more long after that for those that were not. Nothing here waits for the storage: what is still
 * dirty the second time is left to the kernel, and to the drop that follows a sync.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/num.h"
#include "io/posix.h"

#define STEP       (8 * MIB)   /* ranges that follow each other are joined up to this */
#define LAG_FIRST  (32 * MIB)  /* bytes forgotten after a range before it is dropped ... */
#define LAG_SECOND (256 * MIB) /* ... and once more */

void forget_init(struct posix *p)
{
    struct statfs s;
    pthread_mutex_init(&p->forget.lock, NULL);
    /* in a memory file system the page cache is the storage */
    bool memory = fstatfs(p->fd, &s) ||
                  ((uint32_t)s.f_type == TMPFS_MAGIC || (uint32_t)s.f_type == RAMFS_MAGIC);
    p->forget.on = p->file.opt.forget && !memory && (p->file.regular || p->is_block);
}

static struct forget_part *part(struct forget *g, uint64_t number)
{
    return &g->ring[number % FORGET_PARTS];
}

/* Lengthen the newest part or begin another. */
static void add(struct forget *g, uint64_t off, uint64_t end)
{
    struct forget_part *last = g->next > g->first ? part(g, g->next - 1) : NULL;
    g->total += end - off;
    if (last && last->end == off && last->end - last->off < STEP) {
        last->end = end;
        last->at = g->total;
        return;
    }
    *part(g, g->next++) = (struct forget_part){.off = off, .end = end, .at = g->total};
}

#define DUE_MAX 16

/* Take out what is of age; all that must go so that one more part has room. */
static size_t take_due(struct forget *g, struct forget_part due[DUE_MAX])
{
    size_t n = 0;
    while (n < DUE_MAX && g->first < g->next && g->total - part(g, g->first)->at >= LAG_FIRST)
        due[n++] = *part(g, g->first++);
    while (n < DUE_MAX && g->second < g->first && g->total - part(g, g->second)->at >= LAG_SECOND)
        due[n++] = *part(g, g->second++);
    if (g->next - g->second == FORGET_PARTS) {
        /* many small ones: the oldest goes early */
        if (n < DUE_MAX)
            due[n++] = *part(g, g->second);
        g->second++;
        g->first = num_max(g->first, g->second);
    }
    return n;
}

void forget_range(struct file *f, uint64_t off, uint64_t len)
{
    struct posix *p = posix_of(f);
    struct forget *g = &p->forget;
    struct forget_part due[DUE_MAX];
    if (!g->on)
        return;
    pthread_mutex_lock(&g->lock);
    add(g, off, off + len);
    size_t n = take_due(g, due);
    pthread_mutex_unlock(&g->lock);
    if (f->opt.write)
        sync_file_range(p->fd, off, len, SYNC_FILE_RANGE_WRITE);
    for (size_t i = 0; i < n; i++)
        posix_fadvise(p->fd, due[i].off, due[i].end - due[i].off, POSIX_FADV_DONTNEED);
}

/* The kernel caches in pieces of up to this, and drops them whole or not at all. */
#define FOLIO_MAX (2 * MIB)

/* Of a file that we only read, what others keep cached stays: just our own last parts go, and what
 * was read ahead around them. */
void forget_all(struct posix *p)
{
    struct forget *g = &p->forget;
    if (g->on && p->file.opt.write)
        posix_fadvise(p->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (!g->on || p->file.opt.write)
        return;
    for (; g->first < g->next; g->first++) {
        const struct forget_part *r = part(g, g->first);
        uint64_t from = num_down(r->off, FOLIO_MAX), to = num_up(r->end, FOLIO_MAX);
        posix_fadvise(p->fd, from, to - from, POSIX_FADV_DONTNEED);
    }
}
