/*
 * Codecs: encoded blocks to plain bytes and back. One file a library; the list is in codec.c.
 */
#ifndef FORMATS_CODEC_H
#define FORMATS_CODEC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct codec {
    /* "deflate" (raw RFC 1951), "zlib" (RFC 1950), "zstd"; read only: "adc", "bzip2", "lzfse", "xz"
     */
    const char *name;

    /* One thread's decoder. */
    int (*decoder_new)(void **state, struct err *e);
    void (*decoder_free)(void *state);
    /* Decode from in[0..in_len) exactly out_len bytes. What follows in `in` is ignored, a missing
     * end marker is tolerated. -1 if the stream is damaged or gives less. */
    int (*decode)(void *state, const void *in, size_t in_len, void *out, size_t out_len,
                  struct err *e);

    /* One thread's encoder at a level; level 0 = default. Absent: read only. window_bits: 12 for
     * qcow and qcow2, 15 elsewhere; ignored by zstd. */
    int (*encoder_new)(int level, int window_bits, void **state, struct err *e);
    void (*encoder_free)(void *state);
    /* *len = encoded size, or 0 if it does not fit in cap. */
    int (*encode)(void *state, const void *in, size_t in_len, void *out, size_t cap, size_t *len,
                  struct err *e);
    int level_min, level_max;
};

/* The fastest of this build that has the name; never NULL for deflate, zlib, zstd, adc. */
const struct codec *codec_find(const char *name);

#endif
