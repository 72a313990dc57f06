/*
 * The codecs of this build: per codec, the libraries that can do it, best first.
 *
 * Decoding asks one after the other: a fast library takes exact streams only, the last one
 * tolerates what old writers leave (no end marker, more data than one block).
 *
 * Encoding takes the first library that has the window and the level; level 0 is that of the first
 * one that has the window. So deflate levels 1 and 2 are ISA-L's, 3 to 9 libdeflate's with the
 * largest window and zlib's with others; the default is libdeflate's 6 with the largest window
 * (smaller and more than twice as fast as zlib's), ISA-L's 2 with others. Without these libraries
 * all are zlib's. What comes out depends on the input and the level alone: not on what was encoded
 * before, nor on the thread, the process or the processor.
 */
#include "formats/codec/codec.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/part.h"

#define DECODERS_MAX 3

static const struct decoder_part *const deflate_decoders[] = {
#ifdef HAVE_LIBDEFLATE
    &codec_libdeflate_decoder,
#endif
#ifdef HAVE_ISAL
    &codec_isal_decoder,
#endif
    &codec_zlib_decoder, NULL};

static const struct decoder_part *const zstd_decoders[] = {&codec_zstd_decoder, NULL};

static const struct encoder_part *const deflate_encoders[] = {
#ifdef HAVE_LIBDEFLATE
    &codec_libdeflate_encoder,
#endif
#ifdef HAVE_ISAL
    &codec_isal_encoder,
#endif
    &codec_zlib_encoder, NULL};

static const struct encoder_part *const zstd_encoders[] = {&codec_zstd_encoder, NULL};

/* ---- decoding -------------------------------------------------------------------------------- */

struct decoder {
    const struct decoder_part *const *parts;
    enum deflate_wrap wrap;
    void *state[DECODERS_MAX]; /* made when first needed */
};

static int decoder_new(const struct decoder_part *const *parts, enum deflate_wrap wrap,
                       void **state, struct err *e)
{
    struct decoder *d = mem_new(1, sizeof *d, e);
    if (!d)
        return -1;
    d->parts = parts;
    d->wrap = wrap;
    *state = d;
    return 0;
}

static void decoder_free(void *state)
{
    struct decoder *d = state;
    for (size_t i = 0; d && d->parts[i]; i++)
        if (d->state[i])
            d->parts[i]->free(d->state[i]);
    free(d);
}

static int decoder_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len,
                          struct err *e)
{
    struct decoder *d = state;
    for (size_t i = 0; d->parts[i]; i++) {
        if (!d->state[i])
            d->state[i] = d->parts[i]->make(d->wrap);
        if (!d->state[i])
            return err_nomem(e);
        if (d->parts[i]->decode(d->state[i], in, in_len, out, out_len))
            return 0;
    }
    return err_set(e, EIO, "Compressed data is damaged");
}

/* ---- encoding -------------------------------------------------------------------------------- */

struct encoder {
    const struct encoder_part *part;
    void *state;
};

static void encoder_free(void *state)
{
    struct encoder *c = state;
    if (c && c->state)
        c->part->free(c->state);
    free(c);
}

static const struct encoder_part *encoder_pick(const struct encoder_part *const *parts,
                                               int window_bits, int *level)
{
    for (; *parts; parts++) {
        if ((*parts)->window_bits && (*parts)->window_bits != window_bits)
            continue;
        if (!*level)
            *level = (*parts)->level_default;
        if (*level >= (*parts)->level_min && *level <= (*parts)->level_max)
            return *parts;
    }
    return NULL;
}

static int level_highest(const struct encoder_part *const *parts)
{
    int highest = 0;
    for (; *parts; parts++)
        if ((*parts)->level_max > highest)
            highest = (*parts)->level_max;
    return highest;
}

static int encoder_new(const struct encoder_part *const *parts, enum deflate_wrap wrap, int level,
                       int window_bits, void **state, struct err *e)
{
    const struct encoder_part *part = encoder_pick(parts, window_bits, &level);
    if (!part)
        return err_set(e, EINVAL, "Compression level %d is out of range: 1 to %d can be had", level,
                       level_highest(parts));
    struct encoder *c = mem_new(1, sizeof *c, e);
    if (!c)
        return -1;
    c->part = part;
    c->state = part->make(wrap, level, window_bits);
    if (!c->state) {
        encoder_free(c);
        return err_nomem(e);
    }
    *state = c;
    return 0;
}

static int encoder_encode(void *state, const void *in, size_t in_len, void *out, size_t cap,
                          size_t *len, struct err *e)
{
    struct encoder *c = state;
    if (!c->part->encode(c->state, in, in_len, out, cap, len))
        return err_set(e, EIO, "Compression failed");
    return 0;
}

/* ---- the list -------------------------------------------------------------------------------- */

#define CODEC_DECODER(id, family, wrap)                                                            \
    static int id##_decoder_new(void **state, struct err *e)                                       \
    {                                                                                              \
        return decoder_new(family##_decoders, wrap, state, e);                                     \
    }

/* Read and written, by the parts of a family. */
#define CODEC(id, family, wrap, max)                                                               \
    CODEC_DECODER(id, family, wrap)                                                                \
    static int id##_encoder_new(int level, int window_bits, void **state, struct err *e)           \
    {                                                                                              \
        return encoder_new(family##_encoders, wrap, level, window_bits, state, e);                 \
    }                                                                                              \
    static const struct codec id##_codec = {.name = #id,                                           \
                                            .decoder_new = id##_decoder_new,                       \
                                            .decoder_free = decoder_free,                          \
                                            .decode = decoder_decode,                              \
                                            .encoder_new = id##_encoder_new,                       \
                                            .encoder_free = encoder_free,                          \
                                            .encode = encoder_encode,                              \
                                            .level_min = 1,                                        \
                                            .level_max = max};

/* Read only, by the one part codec_##id##_decoder. */
#define CODEC_READ_ONLY(id)                                                                        \
    static const struct decoder_part *const id##_decoders[] = {&codec_##id##_decoder, NULL};       \
    CODEC_DECODER(id, id, DEFLATE_RAW)                                                             \
    static const struct codec id##_codec = {.name = #id,                                           \
                                            .decoder_new = id##_decoder_new,                       \
                                            .decoder_free = decoder_free,                          \
                                            .decode = decoder_decode};

CODEC(deflate, deflate, DEFLATE_RAW, 9)
CODEC(zlib, deflate, DEFLATE_ZLIB, 9)
CODEC(zstd, zstd, DEFLATE_RAW, 19)
CODEC_READ_ONLY(adc)
#ifdef HAVE_BZIP2
CODEC_READ_ONLY(bzip2)
#endif
#ifdef HAVE_LZFSE
CODEC_READ_ONLY(lzfse)
#endif
#ifdef HAVE_LZMA
CODEC_READ_ONLY(xz)
#endif

static const struct codec *const codecs[] = {
    &deflate_codec, &zlib_codec, &zstd_codec, &adc_codec,
#ifdef HAVE_BZIP2
    &bzip2_codec,
#endif
#ifdef HAVE_LZFSE
    &lzfse_codec,
#endif
#ifdef HAVE_LZMA
    &xz_codec,
#endif
};

const struct codec *codec_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(codecs); i++)
        if (strcmp(codecs[i]->name, name) == 0)
            return codecs[i];
    return NULL;
}
