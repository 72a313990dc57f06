/* libdeflate: the fastest decoder of exact streams (bytes behind the stream's end are no matter);
 * an encoder for the largest window, better and faster than zlib. */
#include <libdeflate.h>
#include <stdlib.h>

#include "formats/codec/part.h"

/* ---- decoding -------------------------------------------------------------------------------- */

struct state {
    struct libdeflate_decompressor *d;
    enum deflate_wrap wrap;
};

static void *libdeflate_make(enum deflate_wrap wrap)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->wrap = wrap;
    s->d = libdeflate_alloc_decompressor();
    if (s->d)
        return s;
    free(s);
    return NULL;
}

static void libdeflate_free(void *state)
{
    struct state *s = state;
    libdeflate_free_decompressor(s->d);
    free(s);
}

static bool libdeflate_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len)
{
    struct state *s = state;
    size_t used;
    if (s->wrap == DEFLATE_RAW)
        return libdeflate_deflate_decompress_ex(s->d, in, in_len, out, out_len, &used, NULL) ==
               LIBDEFLATE_SUCCESS;
    return libdeflate_zlib_decompress_ex(s->d, in, in_len, out, out_len, &used, NULL) ==
           LIBDEFLATE_SUCCESS;
}

const struct decoder_part codec_libdeflate_decoder = {
    .make = libdeflate_make, .free = libdeflate_free, .decode = libdeflate_decode};

/* ---- encoding -------------------------------------------------------------------------------- */

struct encoder {
    struct libdeflate_compressor *c;
    enum deflate_wrap wrap;
};

static void *encoder_make(enum deflate_wrap wrap, int level, int window_bits)
{
    struct encoder *s = calloc(1, sizeof *s);
    (void)window_bits; /* there is one only */
    if (!s)
        return NULL;
    s->wrap = wrap;
    s->c = libdeflate_alloc_compressor(level);
    if (s->c)
        return s;
    free(s);
    return NULL;
}

static void encoder_free(void *state)
{
    struct encoder *s = state;
    libdeflate_free_compressor(s->c);
    free(s);
}

static bool encoder_encode(void *state, const void *in, size_t in_len, void *out, size_t cap,
                           size_t *len)
{
    struct encoder *s = state;
    *len = s->wrap == DEFLATE_RAW ? libdeflate_deflate_compress(s->c, in, in_len, out, cap)
                                  : libdeflate_zlib_compress(s->c, in, in_len, out, cap);
    return true;
}

const struct encoder_part codec_libdeflate_encoder = {.level_min = 3,
                                                      .level_max = 9,
                                                      .level_default = 6,
                                                      .window_bits = 15,
                                                      .make = encoder_make,
                                                      .free = encoder_free,
                                                      .encode = encoder_encode};
