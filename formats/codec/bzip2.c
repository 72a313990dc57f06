/* bzip2, for dmg images. */
#include <bzlib.h>
#include <limits.h>
#include <stdint.h>

#include "formats/codec/part.h"

/* The library cannot start anew with what it has: nothing is kept from block to block. */
static void *bzip2_make(enum deflate_wrap wrap)
{
    static char nothing;
    (void)wrap;
    return &nothing;
}

static void bzip2_free(void *state)
{
    (void)state;
}

static bool bzip2_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len)
{
    unsigned len = (unsigned)out_len;
    (void)state;
    if (in_len > UINT_MAX || out_len > UINT_MAX)
        return false;
    int rc = BZ2_bzBuffToBuffDecompress(out, &len, (char *)(uintptr_t)in, (unsigned)in_len, 0, 0);
    return rc == BZ_OUTBUFF_FULL || (rc == BZ_OK && len == out_len);
}

const struct decoder_part codec_bzip2_decoder = {
    .make = bzip2_make, .free = bzip2_free, .decode = bzip2_decode};
