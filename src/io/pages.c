#include "io/pages.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "io/file_ops.h"

/* A page of which some bytes came. */
struct page {
    uint64_t off;
    uint32_t filled; /* bytes that came; they never come twice */
    uint32_t end;    /* behind the last of them */
    uint8_t *data;
};

#define HERE_MAX (1 * MIB)

/* MPI_IMG_PAGE (bytes) is for tests. */
uint32_t pages_here(void)
{
    const char *wanted = getenv("MPI_IMG_PAGE");
    long n = wanted ? strtol(wanted, NULL, 10) : sysconf(_SC_PAGESIZE);
    bool usable = n > (long)PAGES_SIZE && n <= (long)HERE_MAX && num_is_pow2((uint64_t)n);
    return usable ? (uint32_t)n : PAGES_SIZE;
}

/* In the order of the file: pieces come nearly so, and leave from the front. */
struct pages {
    struct file *file;
    struct page *page;
    size_t n, room;
    uint64_t end; /* of all that ever came */
    uint64_t low; /* pages below were written with what they had */
};

int pages_new(struct file *f, struct pages **out, struct err *e)
{
    *out = mem_new(1, sizeof **out, e);
    if (!*out)
        return -1;
    (*out)->file = f;
    return 0;
}

void pages_free(struct pages *p)
{
    for (size_t i = 0; p && i < p->n; i++)
        free(p->page[i].data);
    if (p)
        free(p->page);
    free(p);
}

/* The first page at or behind `off`. */
static size_t pages_search(const struct pages *p, uint64_t off)
{
    size_t low = 0, high = p->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (p->page[mid].off < off)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static int pages_insert(struct pages *p, size_t at, uint64_t off, struct err *e)
{
    if (p->n == p->room) {
        size_t room = p->room ? p->room * 2 : 64;
        struct page *grown = mem_grow(p->page, room, sizeof *grown, e);
        if (!grown)
            return -1;
        p->page = grown;
        p->room = room;
    }
    uint8_t *data = mem_io(PAGES_SIZE, e);
    if (!data)
        return -1;
    memset(data, 0, PAGES_SIZE);
    memmove(p->page + at + 1, p->page + at, (p->n - at) * sizeof *p->page);
    p->page[at] = (struct page){.off = off, .data = data};
    p->n++;
    return 0;
}

static void pages_remove(struct pages *p, size_t at, size_t n)
{
    if (n == 0) /* and there may be no array yet */
        return;
    for (size_t i = at; i < at + n; i++)
        free(p->page[i].data);
    memmove(p->page + at, p->page + at + n, (p->n - at - n) * sizeof *p->page);
    p->n -= n;
}

#define WRITE_BATCH 64

/* Write the first n pages and let them go. */
static int pages_write_first(struct pages *p, size_t n, struct err *e)
{
    struct file_io io[WRITE_BATCH];
    for (size_t done = 0; done < n;) {
        size_t some = num_min(n - done, WRITE_BATCH);
        for (size_t i = 0; i < some; i++) {
            const struct page *g = &p->page[done + i];
            /* the file must not become longer than what came */
            size_t len = num_min(PAGES_SIZE, p->end - g->off);
            io[i] = (struct file_io){.buf = g->data, .len = len, .off = g->off};
        }
        if (file_write_batch(p->file, io, some, NULL, e))
            return -1;
        done += some;
    }
    pages_remove(p, 0, n);
    return 0;
}

/* A piece inside one page. */
static int pages_piece(struct pages *p, uint64_t off, const void *buf, size_t len, struct err *e)
{
    uint64_t start = num_down(off, PAGES_SIZE);
    if (start < p->low)
        return file_write(p->file, buf, len, off, e);
    size_t at = pages_search(p, start);
    if ((at == p->n || p->page[at].off != start) && pages_insert(p, at, start, e))
        return -1;
    struct page *g = &p->page[at];
    memcpy(g->data + (off - start), buf, len);
    g->filled += len;
    if (g->filled < PAGES_SIZE)
        return 0;
    if (file_write(p->file, g->data, PAGES_SIZE, start, e))
        return -1;
    pages_remove(p, at, 1);
    return 0;
}

int pages_put(struct pages *p, uint64_t off, const void *buf, size_t len, struct err *e)
{
    const uint8_t *from = buf;
    uint64_t end;
    if (!num_add(off, len, &end) || end > INT64_MAX)
        return file_fail(e, EFBIG);
    p->end = num_max(p->end, end);
    while (len) {
        size_t n = num_min(len, PAGES_SIZE - off % PAGES_SIZE);
        int r;
        if (n == PAGES_SIZE) {
            n = num_down(len, PAGES_SIZE);
            r = file_write(p->file, from, n, off, e);
        } else {
            r = pages_piece(p, off, from, n, e);
        }
        if (r)
            return -1;
        from += n;
        off += n;
        len -= n;
    }
    return 0;
}

int pages_below(struct pages *p, uint64_t off, struct err *e)
{
    uint64_t low = num_down(off, PAGES_SIZE);
    p->low = num_max(p->low, low);
    return pages_write_first(p, pages_search(p, low), e);
}

int pages_flush(struct pages *p, struct err *e)
{
    return pages_write_first(p, p->n, e);
}

size_t pages_waiting(const struct pages *p)
{
    return p->n * PAGES_SIZE;
}
