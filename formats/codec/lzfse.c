/* LZFSE, for dmg images. */
#include <lzfse.h>
#include <stdlib.h>

#include "formats/codec/part.h"

/* The state is the library's own scratch memory. */
static void *lzfse_make(enum deflate_wrap wrap)
{
    (void)wrap;
    return malloc(lzfse_decode_scratch_size());
}

static bool lzfse_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len)
{
    return lzfse_decode_buffer(out, out_len, in, in_len, state) == out_len;
}

const struct decoder_part codec_lzfse_decoder = {
    .make = lzfse_make, .free = free, .decode = lzfse_decode};
