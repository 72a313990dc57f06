/*
 * ADC, Apple Data Compression: what the oldest dmg images are packed with. No library has it.
 *
 *   1nnnnnnn                    n + 1 bytes follow as they are
 *   01nnnnnn dddddddd dddddddd  n + 4 bytes from d + 1 back
 *   00nnnndd dddddddd           n + 3 bytes from d + 1 back
 */
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/codec/part.h"

/* One code: how much it gives, and from where. */
struct adc_code {
    size_t size;     /* of the code itself, without plain bytes */
    size_t length;   /* bytes of output */
    size_t distance; /* 0: plain bytes follow */
};

static struct adc_code adc_code_load(const uint8_t *in, size_t left)
{
    if (in[0] & 0x80)
        return (struct adc_code){1, (in[0] & 0x7fu) + 1, 0};
    if (in[0] & 0x40)
        return left < 3 ? (struct adc_code){0}
                        : (struct adc_code){3, (in[0] & 0x3fu) + 4, (size_t)be16_load(in + 1) + 1};
    return left < 2 ? (struct adc_code){0}
                    : (struct adc_code){2, (in[0] >> 2) + 3u, (be16_load(in) & 0x3ffu) + 1};
}

/* The copy may run into what it writes itself: then that repeats. */
static void adc_copy_back(uint8_t *to, size_t distance, size_t n)
{
    const uint8_t *from = to - distance;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

static bool adc_decode(void *state, const void *in_data, size_t in_len, void *out_data,
                       size_t out_len)
{
    const uint8_t *in = in_data;
    uint8_t *out = out_data;
    size_t from = 0, to = 0;
    (void)state;
    while (to < out_len && from < in_len) {
        struct adc_code c = adc_code_load(in + from, in_len - from);
        size_t n = num_min(c.length, out_len - to);
        from += c.size;
        if (!c.size || c.distance > to || (!c.distance && n > in_len - from))
            return false;
        if (c.distance) {
            adc_copy_back(out + to, c.distance, n);
        } else {
            memcpy(out + to, in + from, n);
            from += n;
        }
        to += n;
    }
    return to == out_len;
}

/* Nothing is kept from block to block. */
static void *adc_make(enum deflate_wrap wrap)
{
    static char nothing;
    (void)wrap;
    return &nothing;
}

static void adc_free(void *state)
{
    (void)state;
}

const struct decoder_part codec_adc_decoder = {
    .make = adc_make, .free = adc_free, .decode = adc_decode};
