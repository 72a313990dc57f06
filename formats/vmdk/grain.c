/*
 * An encoded grain: a marker (where it belongs, how long it is), a zlib stream, zeros up to the
 * next sector. Every grain with data comes so: what does not get smaller is stored in the stream.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/vmdk/create.h"

#define WINDOW_BITS 15

struct packer {
    const struct codec *codec;
    void *state;
};

void vmdk_packer_free(struct packer *p)
{
    if (p && p->state)
        p->codec->encoder_free(p->state);
    free(p);
}

int vmdk_packer_new(int level, struct packer **out, struct err *e)
{
    struct packer *p = mem_new(1, sizeof *p, e);
    if (!p)
        return -1;
    p->codec = codec_find("zlib");
    if (p->codec->encoder_new(level, WINDOW_BITS, &p->state, e)) {
        vmdk_packer_free(p);
        return -1;
    }
    *out = p;
    return 0;
}

int vmdk_packer_none(struct packer **out, struct err *e)
{
    *out = mem_new(1, sizeof **out, e);
    return *out ? 0 : -1;
}

/* ---- stored: RFC 1950 around RFC 1951's blocks without compression --------------------------- */

#define STORED_MAX   65535u                             /* bytes of a stored block */
#define STORED_GRAIN (VMDK_GRAIN_BYTES + 2 + 2 * 5 + 4) /* of a grain so wrapped */

static uint32_t adler32_of(const uint8_t *p, size_t n)
{
    uint32_t a = 1, b = 0;
    for (size_t i = 0; i < n; i++) {
        a = (a + p[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static size_t store(const uint8_t *in, size_t n, uint8_t *out)
{
    uint8_t *at = out;
    *at++ = 0x78; /* deflate, window of 32 KiB */
    *at++ = 0x01; /* fastest; makes the two a multiple of 31 */
    for (size_t done = 0; done < n;) {
        uint16_t len = (uint16_t)num_min(n - done, STORED_MAX);
        *at++ = done + len == n; /* the last block? */
        le16_store(at, len);
        le16_store(at + 2, (uint16_t)~len);
        memcpy(at + 4, in + done, len);
        at += 4 + len;
        done += len;
    }
    be32_store(at, adler32_of(in, n));
    return (size_t)(at + 4 - out);
}

/* ---- a grain --------------------------------------------------------------------------------- */

int vmdk_pack(struct packer *p, uint64_t guest, const void *block, void *out, size_t cap,
              size_t *len, struct err *e)
{
    uint8_t *marker = out, *stream = marker + VMDK_MARKER_HEAD;
    size_t n;
    *len = 0;
    if (!p->codec)
        return 0;
    if (cap < VMDK_PACKED_MAX)
        return err_set(e, EINVAL, "No room for an encoded grain");
    if (p->codec->encode(p->state, block, VMDK_GRAIN_BYTES, stream, STORED_GRAIN, &n, e))
        return -1;
    if (!n)
        n = store(block, VMDK_GRAIN_BYTES, stream);
    le64_store(marker + VMDK_MARKER_LBA, guest / VMDK_SECTOR);
    le32_store(marker + VMDK_MARKER_SIZE, (uint32_t)n);
    *len = num_up(VMDK_MARKER_HEAD + n, VMDK_SECTOR);
    memset(stream + n, 0, *len - VMDK_MARKER_HEAD - n);
    return 0;
}
