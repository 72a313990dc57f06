#include "image/mover.h"

#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/crypt/crypt.h"

#define PIECE MIB /* bytes that are moved at once where a unit has to be filled */

int mover_init(struct mover *m, struct image *img, struct err *e)
{
    *m = (struct mover){.img = img, .reader = image_reader_new(e)};
    m->piece = m->reader ? mem_io(PIECE, e) : NULL;
    if (m->piece)
        return 0;
    mover_release(m);
    return -1;
}

void mover_release(struct mover *m)
{
    image_reader_free(m->reader);
    free(m->piece);
    *m = (struct mover){0};
}

/* Write len bytes `into` bytes behind the beginning of the place; buf is the caller's, so it is
 * encrypted in a copy. */
static int put(struct mover *m, const struct edit_place *p, uint64_t into, const uint8_t *buf,
               size_t len, struct err *e)
{
    while (p->crypt && len) {
        size_t n = num_min(len, PIECE);
        if (buf != m->piece)
            memcpy(m->piece, buf, n);
        if (p->crypt->encrypt(p->crypt, m->piece, n, p->crypt_at + into, e) ||
            file_write(p->file, m->piece, n, p->host + into, e))
            return -1;
        buf += n;
        into += n;
        len -= n;
    }
    return len ? file_write(p->file, buf, len, p->host + into, e) : 0;
}

static int put_zeros(struct mover *m, const struct edit_place *p, uint64_t into, uint64_t len,
                     struct err *e)
{
    if (p->is_zero && !p->crypt)
        return 0;
    if (!p->crypt)
        return file_zero(p->file, p->host + into, len, FILE_ZERO_KEEP, e);
    for (uint64_t done = 0, n; done < len; done += n) {
        n = num_min(len - done, PIECE);
        memset(m->piece, 0, n);
        if (put(m, p, into + done, m->piece, n, e))
            return -1;
    }
    return 0;
}

/* What the guest reads now of [from, to), to the place. */
static int fill(struct mover *m, const struct edit_place *p, uint64_t from, uint64_t to,
                struct err *e)
{
    uint64_t end = num_min(to, m->img->size);
    while (from < end) {
        struct extent x;
        if (image_map_chain(m->img, from, num_min(end - from, PIECE), UINT_MAX, &x, e))
            return -1;
        bool zero = x.kind == EXTENT_HOLE || x.kind == EXTENT_ZERO;
        if (zero ? put_zeros(m, p, from - p->guest, x.length, e)
                 : image_read_extents(m->reader, &x, 1, m->piece, NULL, e) ||
                       put(m, p, from - p->guest, m->piece, x.length, e))
            return -1;
        from += x.length;
    }
    return from < to ? put_zeros(m, p, from - p->guest, to - from, e) : 0;
}

/* A file that is written past the page cache grows by writes at once, and slowly where they are
 * small: better by whole places. What is reserved reads as zeros, as the place did. */
static int reserve(const struct edit_place *p, struct err *e)
{
    if (!p->is_zero || p->crypt || file_alignment(p->file) == 1)
        return 0;
    return file_zero(p->file, p->host, p->length, FILE_ZERO_KEEP, e);
}

int mover_fill_around(struct mover *m, const struct edit_place *p, uint64_t guest, uint64_t len,
                      struct err *e)
{
    uint64_t behind = guest + len, end = p->guest + p->length;
    bool part = p->guest < guest || behind < end;
    if (!p->fresh || !part)
        return 0;
    if (reserve(p, e))
        return -1;
    if (p->guest < guest && fill(m, p, p->guest, guest, e))
        return -1;
    return behind < end ? fill(m, p, behind, end, e) : 0;
}

int mover_write(struct mover *m, const struct edit_place *p, uint64_t guest, const uint8_t *buf,
                uint64_t len, struct err *e)
{
    uint64_t into = guest - p->guest;
    if (mover_fill_around(m, p, guest, len, e))
        return -1;
    return buf ? put(m, p, into, buf, len, e) : put_zeros(m, p, into, len, e);
}
