/* zlib: the encoder whose streams qemu-img's are, and the decoder that tolerates all. */
#include <stdlib.h>
#include <zlib.h>

#include "formats/codec/part.h"

#define ZLIB_MEM_LEVEL 9 /* with level 6: qemu-img's own streams */

static int zlib_window(enum deflate_wrap wrap, int bits)
{
    return wrap == DEFLATE_RAW ? -bits : bits;
}

static void *zlib_decoder_make(enum deflate_wrap wrap)
{
    z_stream *z = calloc(1, sizeof *z);
    if (z && inflateInit2(z, zlib_window(wrap, MAX_WBITS)) == Z_OK)
        return z;
    free(z);
    return NULL;
}

static void zlib_decoder_free(void *state)
{
    inflateEnd(state);
    free(state);
}

/* A full block is a good block, whatever the library says of the stream's end. */
static bool zlib_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len)
{
    z_stream *z = state;
    inflateReset(z);
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)in_len;
    z->next_out = out;
    z->avail_out = (uInt)out_len;
    inflate(z, Z_FINISH);
    return z->avail_out == 0;
}

static void *zlib_encoder_make(enum deflate_wrap wrap, int level, int window_bits)
{
    z_stream *z = calloc(1, sizeof *z);
    if (z && deflateInit2(z, level, Z_DEFLATED, zlib_window(wrap, window_bits), ZLIB_MEM_LEVEL,
                          Z_DEFAULT_STRATEGY) == Z_OK)
        return z;
    free(z);
    return NULL;
}

static void zlib_encoder_free(void *state)
{
    deflateEnd(state);
    free(state);
}

static bool zlib_encode(void *state, const void *in, size_t in_len, void *out, size_t cap,
                        size_t *len)
{
    z_stream *z = state;
    if (deflateReset(z) != Z_OK)
        return false;
    z->next_in = (Bytef *)in;
    z->avail_in = (uInt)in_len;
    z->next_out = out;
    z->avail_out = (uInt)cap;
    int rc = deflate(z, Z_FINISH);
    *len = rc == Z_STREAM_END ? cap - z->avail_out : 0;
    return rc == Z_STREAM_END || rc == Z_OK || rc == Z_BUF_ERROR;
}

const struct decoder_part codec_zlib_decoder = {
    .make = zlib_decoder_make, .free = zlib_decoder_free, .decode = zlib_decode};

const struct encoder_part codec_zlib_encoder = {.level_min = 1,
                                                .level_max = 9,
                                                .level_default = 6,
                                                .make = zlib_encoder_make,
                                                .free = zlib_encoder_free,
                                                .encode = zlib_encode};
