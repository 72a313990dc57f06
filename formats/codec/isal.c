/* ISA-L: the fastest deflate encoder by far; a decoder of exact streams. */
#include <isa-l/igzip_lib.h>
#include <stdlib.h>

#include "formats/codec/part.h"

/* ---- decoding -------------------------------------------------------------------------------- */

struct isal_decoder {
    struct inflate_state s;
    uint32_t flag;
};

static void *isal_decoder_make(enum deflate_wrap wrap)
{
    struct isal_decoder *d = malloc(sizeof *d);
    if (d)
        d->flag = wrap == DEFLATE_RAW ? ISAL_DEFLATE : ISAL_ZLIB;
    return d;
}

static bool isal_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len)
{
    struct isal_decoder *d = state;
    isal_inflate_init(&d->s);
    d->s.crc_flag = d->flag;
    d->s.next_in = (uint8_t *)in;
    d->s.avail_in = (uint32_t)in_len;
    d->s.next_out = out;
    d->s.avail_out = (uint32_t)out_len;
    return isal_inflate_stateless(&d->s) == ISAL_DECOMP_OK && d->s.avail_out == 0;
}

/* ---- encoding -------------------------------------------------------------------------------- */

/*
 * Up to 2.30 at least, the level 1 and 2 kernels of the library take the hash of input position 2
 * from the address of the isal_zstream instead of from the data, if the first piece of a stream
 * that they get has more than one byte to search: matches then depend on where the encoder lies
 * in memory. They leave the last ISAL_LOOK_AHEAD bytes of an unfinished stream for later, so a
 * first piece of one byte more has just the one byte. The rest, given as a second piece, is then
 * hashed as it should be.
 *
 * Level 3 is not used: it finds other matches with AVX-512 than with AVX2 or without.
 */
#define FIRST_PIECE (ISAL_LOOK_AHEAD + 1)

struct isal_encoder {
    struct isal_zstream z;
    int level, window_bits;
    uint16_t flag;
    uint32_t buffer_size;
    uint8_t buffer[]; /* the level's tables; the library resets them for each block */
};

static void *isal_encoder_make(enum deflate_wrap wrap, int level, int window_bits)
{
    uint32_t size = level == 1 ? ISAL_DEF_LVL1_DEFAULT : ISAL_DEF_LVL2_DEFAULT;
    struct isal_encoder *c = calloc(1, sizeof *c + size);
    if (!c)
        return NULL;
    c->level = level;
    c->window_bits = window_bits;
    c->flag = wrap == DEFLATE_RAW ? IGZIP_DEFLATE : IGZIP_ZLIB;
    c->buffer_size = size;
    return c;
}

/* A block too short for a first piece; the kernel of level 0 hashes right from the start. Its
 * standard tables would cost more than such a block can save. */
static int isal_encode_short(struct isal_zstream *z, size_t in_len)
{
    isal_deflate_set_hufftables(z, NULL, IGZIP_HUFFTABLE_STATIC);
    z->avail_in = (uint32_t)in_len;
    z->end_of_stream = 1;
    return isal_deflate(z);
}

static int isal_encode_pieces(struct isal_encoder *c, size_t in_len)
{
    c->z.level = (uint32_t)c->level;
    c->z.level_buf = c->buffer;
    c->z.level_buf_size = c->buffer_size;
    c->z.avail_in = FIRST_PIECE;
    int rc = isal_deflate(&c->z);
    if (rc != COMP_OK)
        return rc;
    c->z.avail_in += (uint32_t)(in_len - FIRST_PIECE);
    c->z.end_of_stream = 1;
    return isal_deflate(&c->z);
}

static bool isal_encode(void *state, const void *in, size_t in_len, void *out, size_t cap,
                        size_t *len)
{
    struct isal_encoder *c = state;
    isal_deflate_init(&c->z);
    c->z.hist_bits = (uint16_t)c->window_bits;
    c->z.gzip_flag = c->flag;
    c->z.next_in = (uint8_t *)in;
    c->z.next_out = out;
    c->z.avail_out = (uint32_t)cap;
    int rc =
        in_len < FIRST_PIECE ? isal_encode_short(&c->z, in_len) : isal_encode_pieces(c, in_len);
    bool complete = c->z.internal_state.state == ZSTATE_END;
    *len = complete ? c->z.total_out : 0;
    return rc == COMP_OK && (complete || c->z.avail_out == 0);
}

const struct decoder_part codec_isal_decoder = {
    .make = isal_decoder_make, .free = free, .decode = isal_decode};

const struct encoder_part codec_isal_encoder = {.level_min = 1,
                                                .level_max = 2,
                                                .level_default = 2,
                                                .make = isal_encoder_make,
                                                .free = free,
                                                .encode = isal_encode};
