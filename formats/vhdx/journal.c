#include "formats/vhdx/journal.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "formats/vhdx/crc32c.h"

#define SECTOR     VHDX_LOG_SECTOR
#define HEAD       64u
#define DESCRIPTOR 32u
#define UPDATES_MAX                                                                                \
    ((SECTOR - HEAD) / DESCRIPTOR) /* that one sector of descriptors has room for                  \
                                    */

int vhdx_journal_begin(struct vhdx *s, struct vhdx_journal *j, struct err *e)
{
    const struct vhdx_header *h = &s->header;
    *j = (struct vhdx_journal){.sequence = 1};
    if (h->log_version)
        return err_set(e, ENOTSUP, "VHDX log version %u is not supported", h->log_version);
    if (!h->log_length || !num_inside(h->log_offset, h->log_length, file_size(s->file)))
        return err_set(e, EINVAL, "VHDX image has no log, it cannot be written to");
    return vhdx_guid_new(&j->guid, e);
}

/* ---- one entry ------------------------------------------------------------------------------- */

/* "Data descriptor" and "data sector": the sector's first and last bytes stand in the descriptor.
 */
static void update_store(uint64_t sequence, const struct vhdx_sector *update, uint8_t *descriptor,
                         uint8_t *sector)
{
    memcpy(descriptor, "desc", 4);
    memcpy(descriptor + 4, update->data + SECTOR - 4, 4);
    memcpy(descriptor + 8, update->data, 8);
    le64_store(descriptor + 16, update->offset);
    le64_store(descriptor + 24, sequence);
    memcpy(sector, update->data, SECTOR);
    memcpy(sector, "data", 4);
    le32_store(sector + 4, (uint32_t)(sequence >> 32));
    le32_store(sector + SECTOR - 4, (uint32_t)sequence);
}

/* All before it is done: it is its own tail. */
static void entry_store(const struct vhdx *s, const struct vhdx_journal *j,
                        const struct vhdx_sector *sectors, uint32_t n, uint8_t *buf)
{
    uint32_t length = (1 + n) * SECTOR;
    uint64_t size = file_size(s->file);
    memset(buf, 0, SECTOR);
    memcpy(buf, "loge", 4);
    le32_store(buf + 8, length);
    le32_store(buf + 12, j->at);
    le64_store(buf + 16, j->sequence);
    le32_store(buf + 24, n);
    memcpy(buf + 32, j->guid.byte, sizeof j->guid.byte);
    le64_store(buf + 48, size);
    le64_store(buf + 56, size);
    for (uint32_t i = 0; i < n; i++)
        update_store(j->sequence, &sectors[i], buf + HEAD + i * DESCRIPTOR, buf + (1 + i) * SECTOR);
    le32_store(buf + 4, crc32c(0, buf, length));
}

static int ring_write(struct vhdx *s, struct vhdx_journal *j, const uint8_t *buf, uint32_t length,
                      struct err *e)
{
    const struct vhdx_header *h = &s->header;
    uint32_t first = (uint32_t)num_min(length, h->log_length - j->at);
    if (file_write(s->file, buf, first, h->log_offset + j->at, e) ||
        (first < length && file_write(s->file, buf + first, length - first, h->log_offset, e)) ||
        file_sync(s->file, e))
        return -1;
    j->at = (j->at + length) % h->log_length;
    j->sequence++;
    return 0;
}

/* ---- an update ------------------------------------------------------------------------------- */

static int sectors_apply(struct vhdx *s, const struct vhdx_sector *sectors, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (file_write(s->file, sectors[i].data, SECTOR, sectors[i].offset, e))
            return -1;
    return file_sync(s->file, e);
}

static int headers_name_log(struct vhdx *s, const struct vhdx_journal *j, struct err *e)
{
    if (vhdx_guid_equal(&s->header.log, &j->guid))
        return 0;
    s->header.log = j->guid;
    return vhdx_header_update(s->file, &s->header, s->header_copy, e);
}

static int batch_write(struct vhdx *s, struct vhdx_journal *j, const struct vhdx_sector *sectors,
                       uint32_t n, uint8_t *buf, struct err *e)
{
    entry_store(s, j, sectors, n, buf);
    return ring_write(s, j, buf, (1 + n) * SECTOR, e) || headers_name_log(s, j, e) ||
                   sectors_apply(s, sectors, n, e)
               ? -1
               : 0;
}

/* Half of the ring at most: the entry before is not written over. */
int vhdx_journal_write(struct vhdx *s, struct vhdx_journal *j, const struct vhdx_sector *sectors,
                       size_t n, struct err *e)
{
    uint32_t most = (uint32_t)num_min(UPDATES_MAX, s->header.log_length / SECTOR / 2 - 1);
    AUTO_FREE uint8_t *buf = mem_io((1 + num_min(n, most)) * SECTOR, e);
    if (!buf)
        return -1;
    for (size_t done = 0, some; done < n; done += some) {
        some = num_min(n - done, most);
        if (batch_write(s, j, sectors + done, (uint32_t)some, buf, e))
            return err_prefix(e, "Could not write VHDX metadata: ");
    }
    return 0;
}

int vhdx_journal_end(struct vhdx *s, struct err *e)
{
    if (vhdx_guid_equal(&s->header.log, &vhdx_guid_none))
        return 0;
    s->header.log = vhdx_guid_none;
    return vhdx_header_update(s->file, &s->header, s->header_copy, e);
}
