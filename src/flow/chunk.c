#include "flow/chunk.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"

static int init_blocks(struct chunk *c, uint64_t chunk_size, uint32_t block_size,
                       uint32_t packed_max, struct err *e)
{
    size_t blocks = num_div_up(chunk_size, block_size);
    c->need = mem_new(blocks, sizeof *c->need, e);
    c->host = mem_new(blocks, sizeof *c->host, e);
    if (!c->need || !c->host)
        return -1;
    c->placing.host = c->host;
    if (!packed_max)
        return 0;
    c->packed_at = mem_new(blocks, sizeof *c->packed_at, e);
    c->cap_packed = blocks * packed_max;
    c->packed = mem_io(c->cap_packed, e);
    return c->packed_at && c->packed ? 0 : -1;
}

int chunk_init(struct chunk *c, uint64_t chunk_size, uint32_t block_size, uint32_t packed_max,
               struct err *e)
{
    memset(c, 0, sizeof *c);
    c->buf = mem_io(chunk_size, e);
    if (!c->buf)
        return -1;
    return block_size ? init_blocks(c, chunk_size, block_size, packed_max, e) : 0;
}

void chunk_release(struct chunk *c)
{
    free(c->buf);
    free(c->extents);
    free(c->pieces);
    free(c->salvaged);
    free(c->need);
    free(c->host);
    free(c->packed_at);
    free(c->packed);
    free(c->placing.meta);
    free(c->io);
    free(c->message);
    memset(c, 0, sizeof *c);
}

int chunk_piece_add(struct chunk *c, const struct piece *p, struct err *e)
{
    struct piece *last = c->n_pieces ? &c->pieces[c->n_pieces - 1] : NULL;
    if (last && last->kind == p->kind &&
        (p->kind != PIECE_COPY ||
         (last->file == p->file && last->host + last->length == p->host))) {
        last->length += p->length;
        return 0;
    }
    if (c->n_pieces == c->cap_pieces) {
        size_t cap = num_max(16, 2 * c->cap_pieces);
        struct piece *grown = mem_grow(c->pieces, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        c->pieces = grown;
        c->cap_pieces = cap;
    }
    c->pieces[c->n_pieces++] = *p;
    return 0;
}

int chunk_io_add(struct chunk *c, void *buf, size_t len, uint64_t off, struct err *e)
{
    if (c->n_io == c->cap_io) {
        size_t cap = num_max(16, 2 * c->cap_io);
        struct file_io *grown = mem_grow(c->io, cap, sizeof *grown, e);
        if (!grown)
            return -1;
        c->io = grown;
        c->cap_io = cap;
    }
    c->io[c->n_io++] = (struct file_io){buf, len, off};
    return 0;
}

void *chunk_message_add(struct chunk *c, size_t n, struct err *e)
{
    if (c->n_message + n > c->cap_message) {
        size_t cap = num_max(c->n_message + n, 2 * c->cap_message);
        void *p = mem_grow(c->message, cap, 1, e);
        if (!p)
            return NULL;
        c->message = p;
        c->cap_message = cap;
    }
    void *at = c->message + c->n_message;
    c->n_message += n;
    return at;
}
