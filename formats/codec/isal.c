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

struct isal_encoder {
    struct isal_zstream z;
    int level, window_bits;
    uint16_t flag;
    uint32_t buffer_size;
    uint8_t buffer[]; /* the level's tables; the library resets them for each block */
};

static uint32_t isal_buffer_size(int level)
{
    static const uint32_t size[] = {0, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
                                    ISAL_DEF_LVL3_DEFAULT};
    return size[level];
}

static void *isal_encoder_make(enum deflate_wrap wrap, int level, int window_bits)
{
    uint32_t size = isal_buffer_size(level);
    struct isal_encoder *c = calloc(1, sizeof *c + size);
    if (!c)
        return NULL;
    c->level = level;
    c->window_bits = window_bits;
    c->flag = wrap == DEFLATE_RAW ? IGZIP_DEFLATE : IGZIP_ZLIB;
    c->buffer_size = size;
    return c;
}

static bool isal_encode(void *state, const void *in, size_t in_len, void *out, size_t cap,
                        size_t *len)
{
    struct isal_encoder *c = state;
    isal_deflate_stateless_init(&c->z);
    c->z.level = (uint32_t)c->level;
    c->z.level_buf = c->buffer;
    c->z.level_buf_size = c->buffer_size;
    c->z.hist_bits = (uint16_t)c->window_bits;
    c->z.gzip_flag = c->flag;
    c->z.end_of_stream = 1;
    c->z.next_in = (uint8_t *)in;
    c->z.avail_in = (uint32_t)in_len;
    c->z.next_out = out;
    c->z.avail_out = (uint32_t)cap;
    int rc = isal_deflate_stateless(&c->z);
    *len = rc == COMP_OK ? c->z.total_out : 0;
    return rc == COMP_OK || rc == STATELESS_OVERFLOW;
}

const struct decoder_part codec_isal_decoder = {
    .make = isal_decoder_make, .free = free, .decode = isal_decode};

const struct encoder_part codec_isal_encoder = {.level_min = 1,
                                                .level_max = 3,
                                                .level_default = 2,
                                                .make = isal_encoder_make,
                                                .free = free,
                                                .encode = isal_encode};
