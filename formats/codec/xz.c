/* LZMA in its xz container, for dmg images. */
#include <lzma.h>
#include <stdlib.h>

#include "base/num.h"
#include "formats/codec/part.h"

#define XZ_MEMORY (80 * MIB) /* a dictionary as large as the largest block, and the decoder */

static void *xz_make(enum deflate_wrap wrap)
{
    lzma_stream *s = malloc(sizeof *s);
    (void)wrap;
    if (s)
        *s = (lzma_stream)LZMA_STREAM_INIT;
    return s;
}

static void xz_free(void *state)
{
    lzma_end(state);
    free(state);
}

static bool xz_decode(void *state, const void *in, size_t in_len, void *out, size_t out_len)
{
    lzma_stream *s = state;
    if (lzma_stream_decoder(s, XZ_MEMORY, 0) != LZMA_OK)
        return false;
    s->next_in = in;
    s->avail_in = in_len;
    s->next_out = out;
    s->avail_out = out_len;
    lzma_ret rc = lzma_code(s, LZMA_FINISH);
    return s->avail_out == 0 && (rc == LZMA_OK || rc == LZMA_STREAM_END || rc == LZMA_BUF_ERROR);
}

const struct decoder_part codec_xz_decoder = {
    .make = xz_make, .free = xz_free, .decode = xz_decode};
