/*
 * What one library gives to a codec. codec.c joins these parts to the codecs of codec.h.
 */
#ifndef FORMATS_CODEC_PART_H
#define FORMATS_CODEC_PART_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* How a deflate stream is wrapped. */
enum deflate_wrap { DEFLATE_RAW, DEFLATE_ZLIB };

struct decoder_part {
    void *(*make)(enum deflate_wrap wrap); /* NULL: no memory */
    void (*free)(void *state);
    /* Did `in` decode to exactly out_len bytes, or (the tolerant one) to at least that? */
    bool (*decode)(void *state, const void *in, size_t in_len, void *out, size_t out_len);
};

struct encoder_part {
    int level_min, level_max, level_default;
    int window_bits; /* the only window that it has; 0 = any */
    void *(*make)(enum deflate_wrap wrap, int level, int window_bits);
    void (*free)(void *state);
    /* false if the library fails; *len = 0 if the result does not fit in cap */
    bool (*encode)(void *state, const void *in, size_t in_len, void *out, size_t cap, size_t *len);
};

extern const struct decoder_part codec_libdeflate_decoder; /* exact streams only */
extern const struct decoder_part codec_isal_decoder;       /* exact streams only */
extern const struct decoder_part codec_zlib_decoder;       /* tolerant */
extern const struct decoder_part codec_zstd_decoder;       /* tolerant */
extern const struct decoder_part codec_adc_decoder;        /* tolerant */
extern const struct decoder_part codec_bzip2_decoder;      /* tolerant */
extern const struct decoder_part codec_lzfse_decoder;      /* tolerant */
extern const struct decoder_part codec_xz_decoder;         /* tolerant */

extern const struct encoder_part codec_libdeflate_encoder;
extern const struct encoder_part codec_isal_encoder;
extern const struct encoder_part codec_zlib_encoder;
extern const struct encoder_part codec_zstd_encoder;

#endif
