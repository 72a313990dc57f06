#include "flow/write.h"

#include <inttypes.h>
#include <string.h>

#include "base/num.h"
#include "flow/squeeze.h"
#include "formats/crypt/crypt.h"
#include "io/file.h"
#include "io/pages.h"

/* ---- shared ---------------------------------------------------------------------------------- */

static int write_failed(const struct chunk *c, const void *buf, struct err *e)
{
    const unsigned char *b = buf;
    bool inside = b >= c->buf && b < c->buf + c->length;
    uint64_t at = c->guest + (inside ? (uint64_t)(b - c->buf) : 0);
    return err_prefix(e, "error while writing at byte %" PRIu64 ": ", at);
}

/* Where one chunk goes: a file, and what to add to a guest offset in it (in place). */
struct target_at {
    struct file *file;
    uint64_t shift; /* file offset - guest offset, modulo 2^64 */
};

static int target_of(const struct write_rules *rules, const struct chunk *c, struct target_at *out,
                     struct err *e)
{
    const struct writer *w = rules->writer;
    *out = (struct target_at){rules->file, w ? w->data_offset : rules->shift};
    if (!w || !w->ops->part)
        return 0;
    struct writer_part part;
    if (w->ops->part(w, c->guest / w->chunk_size, &part, e))
        return -1;
    out->file = part.file;
    out->shift -= part.guest;
    return 0;
}

static const struct crypt *crypt_of(const struct write_rules *rules)
{
    return rules->writer ? rules->writer->crypt : NULL;
}

static int send_io(struct file *file, struct throttle *t, struct chunk *c, struct err *e)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->n_io; i++)
        bytes += c->io[i].len;
    throttle_wait(t, bytes);
    size_t failed = 0;
    if (c->n_io && file_write_batch(file, c->io, c->n_io, &failed, e) < 0)
        return write_failed(c, c->io[failed].buf, e);
    for (size_t i = 0; i < c->n_io; i++)
        file_forget(file, c->io[i].off, c->io[i].len);
    return 0;
}

/* Part of a COPY piece to `to`: inside the storage as far as it goes, the rest through memory. */
static int copy_part(struct file *file, struct throttle *t, struct chunk *c, const struct piece *p,
                     uint32_t skip, uint32_t length, uint64_t to, struct err *e)
{
    uint64_t copied = 0;
    throttle_wait(t, length);
    if (file_copy(p->file, p->host + skip, file, to, length, &copied, e) < 0)
        return err_prefix(e, "error while writing at byte %" PRIu64 ": ", c->guest + p->at + skip);
    if (copied == length)
        return 0;
    unsigned char *buf = c->buf + p->at + skip + copied;
    size_t rest = length - copied;
    if (file_read(p->file, buf, rest, p->host + skip + copied, e) < 0)
        return err_prefix(e, "error while reading at byte %" PRIu64 ": ",
                          c->guest + (uint64_t)(buf - c->buf));
    if (file_write(file, buf, rest, to + copied, e) < 0)
        return write_failed(c, buf, e);
    return 0;
}

/* ---- in place -------------------------------------------------------------------------------- */

static int write_bytes(const struct target_at *to, struct chunk *c, const struct squeeze_run *run,
                       struct err *e)
{
    return chunk_io_add(c, c->buf + run->at, run->length, c->guest + run->at + to->shift, e);
}

static int write_zeros(const struct write_rules *rules, const struct target_at *to, struct chunk *c,
                       const struct squeeze_run *run, struct err *e)
{
    unsigned char *buf = c->buf + run->at;
    if (!rules->sparse_size) {
        memset(buf, 0, run->length);
        return write_bytes(to, c, run, e);
    }
    if (rules->fresh)
        return 0;
    if (file_zero(to->file, c->guest + run->at + to->shift, run->length, FILE_ZERO_UNMAP, e) < 0)
        return write_failed(c, buf, e);
    return 0;
}

static int write_piece(const struct write_rules *rules, const struct target_at *to,
                       struct throttle *t, struct chunk *c, const struct piece *p, struct err *e)
{
    if (p->kind == PIECE_LEFT)
        return 0;
    if (p->kind == PIECE_COPY)
        return copy_part(to->file, t, c, p, 0, p->length, c->guest + p->at + to->shift, e);
    for (uint32_t from = 0; from < p->length;) {
        struct squeeze_run run = squeeze_next(rules->sparse_size, c, p, from);
        int status = run.kind == PIECE_ZERO ? write_zeros(rules, to, c, &run, e)
                                            : write_bytes(to, c, &run, e);
        if (status < 0)
            return -1;
        from += run.length;
    }
    return 0;
}

/* Zeros are bytes like all others then, so the chunk goes out in one piece, in whole sectors. */
static int write_encrypted(const struct write_rules *rules, const struct target_at *to,
                           struct chunk *c, struct err *e)
{
    const struct crypt *crypt = rules->writer->crypt;
    size_t length = num_up(c->length, CRYPT_SECTOR);
    for (size_t i = 0; i < c->n_pieces; i++)
        if (c->pieces[i].kind != PIECE_DATA)
            memset(c->buf + c->pieces[i].at, 0, c->pieces[i].length);
    memset(c->buf + c->length, 0, length - c->length);
    if (crypt->encrypt(crypt, c->buf, length, c->guest, e) < 0)
        return -1;
    return chunk_io_add(c, c->buf, length, c->guest + to->shift, e);
}

int write_in_place(const struct write_rules *rules, struct throttle *t, struct chunk *c,
                   struct err *e)
{
    struct target_at to;
    c->n_io = 0;
    if (target_of(rules, c, &to, e) < 0)
        return -1;
    if (crypt_of(rules))
        return write_encrypted(rules, &to, c, e) < 0 ? -1 : send_io(to.file, t, c, e);
    for (size_t i = 0; i < c->n_pieces; i++)
        if (write_piece(rules, &to, t, c, &c->pieces[i], e) < 0)
            return -1;
    return send_io(to.file, t, c, e);
}

/* ---- placed blocks --------------------------------------------------------------------------- */

static int edge_add(struct chunk *c, const unsigned char *buf, size_t len, uint64_t host,
                    struct err *e)
{
    const struct write_edge head = {host, len};
    unsigned char *to = chunk_message_add(c, sizeof head + len, e);
    if (!to)
        return -1;
    memcpy(to, &head, sizeof head);
    memcpy(to + sizeof head, buf, len);
    return 0;
}

/* One run of bytes at `host`: whole pages are this worker's to write, the ends are edges. */
static int run_add(const struct write_rules *rules, struct chunk *c, unsigned char *buf, size_t len,
                   uint64_t host, struct err *e)
{
    uint64_t end = host + len;
    uint64_t up = num_up(host, rules->page), down = num_down(end, rules->page);
    if (up >= down)
        return edge_add(c, buf, len, host, e);
    if (up > host && edge_add(c, buf, up - host, host, e) < 0)
        return -1;
    if (chunk_io_add(c, buf + (up - host), down - up, up, e) < 0)
        return -1;
    return end > down ? edge_add(c, buf + (down - host), end - down, down, e) : 0;
}

/* Where block i's bytes are, and how many. */
static unsigned char *block_bytes(const struct write_rules *rules, const struct chunk *c, size_t i,
                                  size_t *len)
{
    if (need_is_packed(c->need[i])) {
        *len = need_packed_len(c->need[i]);
        return c->packed + c->packed_at[i];
    }
    *len = rules->block_size;
    return c->buf + i * rules->block_size;
}

static bool block_is_written(const struct chunk *c, size_t i)
{
    return c->need[i] == NEED_PLAIN || need_is_packed(c->need[i]);
}

static int encrypt_blocks(const struct write_rules *rules, struct chunk *c, struct err *e)
{
    const struct crypt *crypt = crypt_of(rules);
    bool by_guest = crypt && rules->writer->crypt_by_guest;
    for (size_t i = 0; crypt && i < c->n_blocks; i++) {
        size_t len;
        unsigned char *buf = block_bytes(rules, c, i, &len);
        uint64_t guest = c->guest + i * rules->block_size;
        if (c->need[i] == NEED_PLAIN &&
            crypt->encrypt(crypt, buf, len, by_guest ? guest : c->host[i], e) < 0)
            return -1;
    }
    return 0;
}

static int runs_of_blocks(const struct write_rules *rules, struct chunk *c, struct err *e)
{
    for (size_t i = 0; i < c->n_blocks;) {
        if (!block_is_written(c, i)) {
            i++;
            continue;
        }
        size_t len, more;
        unsigned char *buf = block_bytes(rules, c, i, &len);
        uint64_t host = c->host[i];
        for (i++; i < c->n_blocks && block_is_written(c, i); i++, len += more)
            if (block_bytes(rules, c, i, &more) != buf + len || c->host[i] != host + len)
                break;
        if (run_add(rules, c, buf, len, host, e) < 0)
            return -1;
    }
    return 0;
}

/* With copy offloading a block may be part bytes in memory, part bytes to copy: piece by piece, cut
 * where the blocks' places are not neighbours. */
static int place_piece(const struct write_rules *rules, struct file *file, struct throttle *t,
                       struct chunk *c, const struct piece *p, struct err *e)
{
    uint32_t end = p->at + p->length, bs = rules->block_size;
    for (uint32_t at = p->at, to; at < end; at = to) {
        size_t i = at / bs;
        uint64_t host = c->host[i] + at % bs;
        to = (uint32_t)num_min(end, (i + 1) * (uint64_t)bs);
        if (c->need[i] != NEED_PLAIN)
            continue;
        while (to < end && c->need[to / bs] == NEED_PLAIN && c->host[to / bs] == host + (to - at))
            to = (uint32_t)num_min(end, to + (uint64_t)bs);
        int status = p->kind == PIECE_COPY ? copy_part(file, t, c, p, at - p->at, to - at, host, e)
                                           : run_add(rules, c, c->buf + at, to - at, host, e);
        if (status < 0)
            return -1;
    }
    return 0;
}

static int runs_of_pieces(const struct write_rules *rules, struct file *file, struct throttle *t,
                          struct chunk *c, struct err *e)
{
    for (size_t i = 0; i < c->n_pieces; i++) {
        enum piece_kind kind = c->pieces[i].kind;
        if ((kind == PIECE_DATA || kind == PIECE_COPY) &&
            place_piece(rules, file, t, c, &c->pieces[i], e) < 0)
            return -1;
    }
    return 0;
}

int write_placed(const struct write_rules *rules, struct throttle *t, struct chunk *c,
                 struct err *e)
{
    struct target_at to;
    c->n_io = c->n_message = 0;
    if (target_of(rules, c, &to, e) < 0 || encrypt_blocks(rules, c, e) < 0)
        return -1;
    int status =
        rules->offload ? runs_of_pieces(rules, to.file, t, c, e) : runs_of_blocks(rules, c, e);
    return status < 0 ? -1 : send_io(to.file, t, c, e);
}
