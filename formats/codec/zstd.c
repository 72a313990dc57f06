/* zstd: frames one after the other make a block. */
#include <zstd.h>
#include <zstd_errors.h>

#include "formats/codec/part.h"

static void *zstd_decoder_make(enum deflate_wrap wrap)
{
    (void)wrap;
    return ZSTD_createDCtx();
}

static void zstd_decoder_free(void *state)
{
    ZSTD_freeDCtx(state);
}

/* The stream call goes on to the next frame by itself. It ends without an error only where the
 * input is used up or the block is full; what is left of the last sector is never looked at. */
static bool zstd_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len)
{
    ZSTD_inBuffer from = {in, in_len, 0};
    ZSTD_outBuffer to = {out, out_len, 0};
    ZSTD_DCtx_reset(state, ZSTD_reset_session_only);
    while (to.pos < to.size) {
        size_t in_before = from.pos, out_before = to.pos;
        if (ZSTD_isError(ZSTD_decompressStream(state, &to, &from)))
            return false;
        if (from.pos == in_before && to.pos == out_before)
            return false;
    }
    return true;
}

static void *zstd_encoder_make(enum deflate_wrap wrap, int level, int window_bits)
{
    (void)wrap;
    (void)window_bits;
    ZSTD_CCtx *c = ZSTD_createCCtx();
    if (c && !ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)))
        return c;
    ZSTD_freeCCtx(c);
    return NULL;
}

static void zstd_encoder_free(void *state)
{
    ZSTD_freeCCtx(state);
}

static bool zstd_encode(void *state, const void *in, size_t in_len, void *out, size_t cap,
                        size_t *len)
{
    size_t n = ZSTD_compress2(state, out, cap, in, in_len);
    *len = ZSTD_isError(n) ? 0 : n;
    return !ZSTD_isError(n) || ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall;
}

const struct decoder_part codec_zstd_decoder = {
    .make = zstd_decoder_make, .free = zstd_decoder_free, .decode = zstd_decode};

const struct encoder_part codec_zstd_encoder = {.level_min = 1,
                                                .level_max = 19,
                                                .level_default = 3,
                                                .make = zstd_encoder_make,
                                                .free = zstd_encoder_free,
                                                .encode = zstd_encode};
