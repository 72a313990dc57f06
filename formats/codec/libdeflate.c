/* libdeflate: the fastest decoder of exact streams; bytes behind the stream's end are no matter. */
#include <libdeflate.h>
#include <stdlib.h>

#include "formats/codec/part.h"

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
