/*
 * The core moves the bytes: extents of any format, from any number of files, into memory.
 *
 * Plain extents of one file go out as one batch. Encoded blocks that stand close together are read
 * with one request, then decoded. Whatever fails, the error is that of the lowest guest offset that
 * could not be read: after a failure only what lies before it is still tried.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/crypt/crypt.h"
#include "image/image.h"

#define BATCH_MAX   128
#define MAPPED_MAX  64
#define CODECS_MAX  4
#define GROUP_BYTES MIB        /* read at once for encoded blocks ... */
#define GROUP_GAP   (64 * KIB) /* ... with at most this much between two of them */

struct decoder {
    const struct codec *codec;
    void *state;
};

/* Which block stands decoded in the scratch buffer. */
struct cached {
    const struct file *file;
    uint64_t host;
    uint32_t packed_len, size;
};

struct image_reader {
    struct file_io io[BATCH_MAX];
    struct extent mapped[MAPPED_MAX];
    struct decoder decoders[CODECS_MAX];
    uint8_t *packed; /* encoded blocks as they stand in the file */
    size_t packed_cap;
    uint8_t *block; /* one decoded block */
    size_t block_cap;
    struct cached cached; /* file NULL: none */
};

/* One call of image_read_extents. */
struct job {
    struct image_reader *r;
    const struct extent *x;
    size_t n;
    uint8_t *buf;
    uint64_t limit; /* guest offset of the first byte that failed so far */
    struct err *e;
};

void image_reader_forget(struct image_reader *r)
{
    r->cached = (struct cached){0};
}

struct image_reader *image_reader_new(struct err *e)
{
    return mem_new(1, sizeof(struct image_reader), e);
}

void image_reader_free(struct image_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < CODECS_MAX; i++)
        if (r->decoders[i].state)
            r->decoders[i].codec->decoder_free(r->decoders[i].state);
    free(r->packed);
    free(r->block);
    free(r);
}

static uint8_t *destination(const struct job *j, const struct extent *x)
{
    return j->buf + (x->guest - j->x[0].guest);
}

static bool is_wanted(const struct job *j, const struct extent *x)
{
    return x->guest < j->limit;
}

/* ---- plain ----------------------------------------------------------------------------------- */

static bool is_plain(const struct extent *x)
{
    return x->kind == EXTENT_DATA && !x->file_hole;
}

static void flush(struct job *j, struct file *f, size_t n)
{
    size_t failed = 0;
    if (n && file_read_batch(f, j->r->io, n, &failed, j->e))
        j->limit =
            num_min(j->limit, j->x[0].guest + (size_t)((uint8_t *)j->r->io[failed].buf - j->buf));
}

/* Does x go on where the request ends, in the file and in memory? */
static bool joins(const struct file_io *io, const struct extent *x, const uint8_t *to)
{
    return io->off + io->len == x->host && (uint8_t *)io->buf + io->len == to &&
           x->length <= SSIZE_MAX - io->len;
}

/* How much of x has to come from the file, which is `size` long: an image's file may end inside the
 * last cluster, the rest of that reads as zeros. */
static uint64_t stored(const struct extent *x, uint64_t size)
{
    bool inside = num_inside(x->host, x->length, size);
    if (inside || !x->tail || !num_inside(x->host, x->length, num_up(size, x->tail)))
        return x->length;
    return x->host < size ? size - x->host : 0;
}

/* All plain extents of the file of j->x[first], from there on. */
static void read_file(struct job *j, size_t first)
{
    struct file *f = j->x[first].file;
    struct file_io *io = j->r->io;
    uint64_t size = j->x[first].tail ? file_size(f) : UINT64_MAX;
    size_t n = 0;
    for (size_t i = first; i < j->n && is_wanted(j, &j->x[i]); i++) {
        const struct extent *x = &j->x[i];
        uint8_t *to = destination(j, x);
        if (!is_plain(x) || x->file != f)
            continue;
        size_t len = stored(x, size);
        memset(to + len, 0, x->length - len);
        if (!len)
            continue;
        if (n && joins(&io[n - 1], x, to)) {
            io[n - 1].len += len;
            continue;
        }
        if (n == BATCH_MAX) {
            flush(j, f, n);
            n = 0;
        }
        io[n++] = (struct file_io){to, len, x->host};
    }
    flush(j, f, n);
}

/* Is there an earlier plain extent of the same file, so that it is done already? Chains are short,
 * and neighbours mostly alike. */
static bool is_done(const struct job *j, size_t i)
{
    for (size_t k = i; k-- > 0;)
        if (is_plain(&j->x[k]) && j->x[k].file == j->x[i].file)
            return true;
    return false;
}

static int grow(uint8_t **p, size_t *cap, size_t need, struct err *e)
{
    if (need <= *cap)
        return 0;
    uint8_t *more = mem_io(need, e);
    if (!more)
        return -1;
    free(*p);
    *p = more;
    *cap = need;
    return 0;
}

/* An extent that begins or ends inside a sector is read again, with the rest of its sectors. */
static int decrypt_ragged(struct job *j, const struct extent *x)
{
    struct image_reader *r = j->r;
    uint64_t head = x->crypt_at % CRYPT_SECTOR, len = num_up(head + x->length, CRYPT_SECTOR);
    size_t got;
    if (x->host < head || len > SSIZE_MAX)
        return err_set(j->e, EIO, "%s", strerror(EIO));
    if (grow(&r->packed, &r->packed_cap, len, j->e) ||
        file_read_padded(x->file, r->packed, len, x->host - head, &got, j->e))
        return -1;
    if (got < head + x->length && !x->tail)
        return err_set(j->e, EIO, "%s", strerror(EIO));
    if (x->crypt->decrypt(x->crypt, r->packed, len, x->crypt_at - head, j->e))
        return -1;
    memcpy(destination(j, x), r->packed + head, x->length);
    return 0;
}

static int decrypt_extent(struct job *j, const struct extent *x)
{
    if (x->crypt_at % CRYPT_SECTOR || x->length % CRYPT_SECTOR)
        return decrypt_ragged(j, x);
    return x->crypt->decrypt(x->crypt, destination(j, x), x->length, x->crypt_at, j->e);
}

/* What was read of encrypted extents becomes plain where it stands. */
static void decrypt(struct job *j)
{
    for (size_t i = 0; i < j->n && is_wanted(j, &j->x[i]); i++) {
        const struct extent *x = &j->x[i];
        if (is_plain(x) && x->crypt && decrypt_extent(j, x))
            j->limit = num_min(j->limit, x->guest);
    }
}

/* ---- packed ---------------------------------------------------------------------------------- */

static struct decoder *decoder_for(struct image_reader *r, const struct codec *codec, struct err *e)
{
    struct decoder *d = r->decoders;
    while (d < r->decoders + CODECS_MAX - 1 && d->codec && d->codec != codec)
        d++;
    if (d->codec == codec)
        return d;
    if (d->codec)
        d->codec->decoder_free(d->state);
    *d = (struct decoder){0};
    if (codec->decoder_new(&d->state, e))
        return NULL;
    d->codec = codec;
    return d;
}

static bool is_cached(const struct image_reader *r, const struct extent *x)
{
    const struct cached *c = &r->cached;
    return c->file == x->file && c->host == x->host && c->packed_len == x->packed_len &&
           c->size == x->block_size;
}

static bool is_whole(const struct extent *x)
{
    return !x->block_offset && x->length == x->block_size;
}

/* Decode to `out`, block_size bytes. What the library says of a damaged stream helps nobody who
 * reads a disk: it is an I/O error. */
static int decode(struct image_reader *r, const struct extent *x, const uint8_t *packed, void *out,
                  struct err *e)
{
    struct decoder *d = decoder_for(r, x->codec, e);
    if (!d)
        return -1;
    if (!x->codec->decode(d->state, packed, x->packed_len, out, x->block_size, e))
        return 0;
    return e->no == ENOMEM ? -1 : err_set(e, EIO, "%s", strerror(EIO));
}

static int decode_scratch(struct image_reader *r, const struct extent *x, const uint8_t *packed,
                          struct err *e)
{
    r->cached = (struct cached){0};
    if (grow(&r->block, &r->block_cap, x->block_size, e) || decode(r, x, packed, r->block, e))
        return -1;
    r->cached = (struct cached){x->file, x->host, x->packed_len, x->block_size};
    return 0;
}

/* One extent, its encoded bytes at `packed`. */
static int unpack(struct job *j, const struct extent *x, const uint8_t *packed)
{
    struct image_reader *r = j->r;
    if (!num_inside(x->block_offset, x->length, x->block_size))
        return err_set(j->e, EIO, "%s", strerror(EIO));
    if (is_whole(x) && !is_cached(r, x))
        return decode(r, x, packed, destination(j, x), j->e);
    if (!is_cached(r, x) && decode_scratch(r, x, packed, j->e))
        return -1;
    memcpy(destination(j, x), r->block + x->block_offset, x->length);
    return 0;
}

/* How many extents from `first` on are read together, and which bytes: [*from, *end). */
static size_t group(const struct job *j, size_t first, uint64_t *from, uint64_t *end)
{
    const struct extent *x = &j->x[first];
    size_t i = first + 1;
    *from = x->host;
    *end = x->host + x->packed_len;
    for (; i < j->n && is_wanted(j, &j->x[i]); i++) {
        const struct extent *next = &j->x[i];
        uint64_t next_end = next->host + next->packed_len;
        if (next->kind != EXTENT_PACKED || next->file != x->file || next->host < *from ||
            next->host > *end + GROUP_GAP || num_max(next_end, *end) - *from > GROUP_BYTES)
            break;
        *end = num_max(*end, next_end);
    }
    return i - first;
}

static void fail_at(struct job *j, const struct extent *x)
{
    j->limit = num_min(j->limit, x->guest);
}

/* Stops at the first that fails. Bytes past the end of the file read as zeros: the length of an
 * encoded block is stored in whole sectors. */
static int read_group(struct job *j, size_t first, size_t n, uint64_t from, uint64_t end)
{
    struct image_reader *r = j->r;
    if (grow(&r->packed, &r->packed_cap, num_max(end - from, 1), j->e) ||
        file_read_padded(j->x[first].file, r->packed, end - from, from, NULL, j->e)) {
        fail_at(j, &j->x[first]);
        return -1;
    }
    for (size_t i = first; i < first + n; i++) {
        if (unpack(j, &j->x[i], r->packed + (j->x[i].host - from))) {
            fail_at(j, &j->x[i]);
            return -1;
        }
    }
    return 0;
}

/* The packed extents at `first`; returns how many were dealt with. A group that cannot be read is
 * tried again one by one: the fault may lie in a single block. */
static size_t read_packed(struct job *j, size_t first)
{
    uint64_t from, end, before = j->limit;
    if (is_cached(j->r, &j->x[first])) {
        unpack(j, &j->x[first], NULL);
        return 1;
    }
    size_t n = group(j, first, &from, &end);
    if (!read_group(j, first, n, from, end) || n == 1)
        return n;
    j->limit = before;
    for (size_t i = first; i < first + n; i++) {
        const struct extent *x = &j->x[i];
        if (read_group(j, i, 1, x->host, x->host + x->packed_len))
            return n;
    }
    if (before == UINT64_MAX)
        err_clear(j->e);
    return n;
}

/* ---- both ------------------------------------------------------------------------------------ */

int image_read_extents(struct image_reader *r, const struct extent *extents, size_t n, void *buf,
                       uint64_t *bad, struct err *e)
{
    struct job j = {.r = r, .x = extents, .n = n, .buf = buf, .limit = UINT64_MAX, .e = e};
    for (size_t i = 0; i < n && is_wanted(&j, &extents[i]); i++) {
        const struct extent *x = &extents[i];
        if (is_plain(x) && !is_done(&j, i))
            read_file(&j, i);
        else if (x->kind != EXTENT_PACKED && !is_plain(x))
            memset(destination(&j, x), 0, x->length);
    }
    decrypt(&j);
    for (size_t i = 0; i < n && is_wanted(&j, &extents[i]);)
        i += extents[i].kind == EXTENT_PACKED ? read_packed(&j, i) : 1;
    if (j.limit == UINT64_MAX)
        return 0;
    if (bad)
        *bad = j.limit;
    return -1;
}

int image_read(struct image_reader *r, struct image *img, uint64_t guest, size_t len, void *buf,
               struct err *e)
{
    uint8_t *to = buf;
    while (len) {
        struct extent *x = r->mapped;
        size_t n = 0, done = 0;
        for (; n < MAPPED_MAX && done < len; n++) {
            if (image_map_chain(img, guest + done, len - done, UINT_MAX, &x[n], e))
                return -1;
            done += x[n].length;
        }
        if (image_read_extents(r, x, n, to, NULL, e))
            return -1;
        guest += done;
        to += done;
        len -= done;
    }
    return 0;
}
