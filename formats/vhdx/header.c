/* "File Type Identifier" and "Headers". */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/crc32c.h"
#include "formats/vhdx/vhdx.h"

#define VERSION 1u

uint64_t vhdx_header_place(unsigned copy)
{
    return (copy + 1) * (64 * KIB);
}

/* ---- one header ------------------------------------------------------------------------------ */

/* The checksum is made with its own field zero. */
static uint32_t checksum(const uint8_t buf[VHDX_HEADER_SIZE])
{
    static const uint8_t zero[4];
    uint32_t crc = crc32c(0, buf, 4);
    crc = crc32c(crc, zero, 4);
    return crc32c(crc, buf + 8, VHDX_HEADER_SIZE - 8);
}

bool vhdx_header_load(const uint8_t buf[VHDX_HEADER_SIZE], struct vhdx_header *out)
{
    *out = (struct vhdx_header){
        .sequence = le64_load(buf + 8),
        .file_write = vhdx_guid_load(buf + 16),
        .data_write = vhdx_guid_load(buf + 32),
        .log = vhdx_guid_load(buf + 48),
        .log_version = le16_load(buf + 64),
        .version = le16_load(buf + 66),
        .log_length = le32_load(buf + 68),
        .log_offset = le64_load(buf + 72),
    };
    return !memcmp(buf, "head", 4) && le32_load(buf + 4) == checksum(buf);
}

void vhdx_header_store(const struct vhdx_header *h, uint8_t buf[VHDX_HEADER_SIZE])
{
    memset(buf, 0, VHDX_HEADER_SIZE);
    memcpy(buf, "head", 4);
    le64_store(buf + 8, h->sequence);
    memcpy(buf + 16, h->file_write.byte, 16);
    memcpy(buf + 32, h->data_write.byte, 16);
    memcpy(buf + 48, h->log.byte, 16);
    le16_store(buf + 64, h->log_version);
    le16_store(buf + 66, h->version);
    le32_store(buf + 68, h->log_length);
    le64_store(buf + 72, h->log_offset);
    le32_store(buf + 4, checksum(buf));
}

/* ---- both ------------------------------------------------------------------------------------ */

static int header_check(const struct vhdx_header *h, struct err *e)
{
    if (h->version != VERSION)
        return err_set(e, ENOTSUP, "VHDX version %u is not supported", h->version);
    if (h->log_offset % VHDX_ALIGN || h->log_length % VHDX_ALIGN || h->log_offset < VHDX_ALIGN ||
        h->log_offset > INT64_MAX - UINT32_MAX)
        return err_set(e, EINVAL,
                       "VHDX log at offset %" PRIu64 " of %" PRIu32 " bytes is not a valid one",
                       h->log_offset, h->log_length);
    return 0;
}

/* Number of the header that counts, -1 if none can be told. */
static int header_choose(const struct vhdx_header h[VHDX_HEADERS], const bool good[VHDX_HEADERS],
                         bool same, struct err *e)
{
    if (!good[0] && !good[1])
        return err_set(e, EINVAL, "Both headers of the VHDX image are damaged");
    if (!good[0] || !good[1])
        return good[1];
    if (h[0].sequence == h[1].sequence && !same)
        return err_set(e, EINVAL, "The headers of the VHDX image contradict each other");
    return h[1].sequence > h[0].sequence;
}

int vhdx_header_read(struct file *f, struct vhdx_header *out, unsigned *copy, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io((size_t)VHDX_HEADERS * VHDX_HEADER_SIZE, e);
    struct vhdx_header h[VHDX_HEADERS];
    bool good[VHDX_HEADERS];
    if (!buf)
        return -1;
    for (unsigned i = 0; i < VHDX_HEADERS; i++) {
        uint8_t *at = buf + (size_t)i * VHDX_HEADER_SIZE;
        if (file_read_padded(f, at, VHDX_HEADER_SIZE, vhdx_header_place(i), NULL, e))
            return err_prefix(e, "Could not read VHDX header: ");
        good[i] = vhdx_header_load(at, &h[i]);
    }
    bool same = !memcmp(buf, buf + VHDX_HEADER_SIZE, VHDX_HEADER_SIZE);
    int current = header_choose(h, good, same, e);
    if (current < 0)
        return -1;
    *copy = (unsigned)current;
    *out = h[current];
    return header_check(out, e);
}

static int header_write(struct file *f, const struct vhdx_header *h, unsigned copy, struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_io(VHDX_HEADER_SIZE, e);
    if (!buf)
        return -1;
    vhdx_header_store(h, buf);
    if (file_write(f, buf, VHDX_HEADER_SIZE, vhdx_header_place(copy), e) || file_sync(f, e))
        return err_prefix(e, "Could not write VHDX header: ");
    return 0;
}

int vhdx_header_update(struct file *f, struct vhdx_header *h, unsigned copy, struct err *e)
{
    for (unsigned i = 0; i < VHDX_HEADERS; i++) {
        copy = !copy;
        h->sequence++;
        if (header_write(f, h, copy, e))
            return -1;
    }
    return 0;
}
