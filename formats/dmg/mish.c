#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "formats/dmg/dmg.h"

void dmg_mish_begin(struct dmg_mish *m)
{
    m->have = 0;
    m->in_rows = false;
    m->done = false;
    m->row = 0;
}

static int mish_header(struct dmg_mish *m, const uint8_t *p, struct err *e)
{
    m->in_rows = true;
    m->done = memcmp(p, "mish", 4) != 0; /* property lists hold other things too */
    if (m->done)
        return 0;
    m->first_sector = be64_load(p + 8);
    if (!num_add(m->data_fork, be64_load(p + 24), &m->data))
        return err_set(e, EINVAL, "Data of a table is outside of the dmg file");
    return 0;
}

static int row_check(const struct dmg_chunk *c, uint64_t len, uint32_t row, struct err *e)
{
    uint64_t most = DMG_PACKED_MAX / DMG_SECTOR;
    if (dmg_is_packed(c->type) && c->sectors > most)
        return err_set(e, EINVAL,
                       "sector count %" PRIu64 " for chunk %" PRIu32 " is larger than max (%" PRIu64
                       ")",
                       c->sectors, row, most);
    if (dmg_is_packed(c->type) && len > DMG_PACKED_MAX)
        return err_set(e, EINVAL,
                       "length %" PRIu64 " for chunk %" PRIu32 " is larger than max (%" PRIu64 ")",
                       len, row, DMG_PACKED_MAX);
    if (!num_inside(c->sector, c->sectors, DMG_SECTORS_MAX))
        return err_set(e, EINVAL, "chunk %" PRIu32 " is outside of any disk", row);
    if (c->type == DMG_RAW && len < c->sectors * DMG_SECTOR)
        return err_set(e, EINVAL, "length %" PRIu64 " for raw chunk %" PRIu32 " is too short", len,
                       row);
    if (c->type != DMG_ZERO && !num_inside(c->host, len, INT64_MAX))
        return err_set(e, EINVAL, "chunk %" PRIu32 " is outside of any file", row);
    return 0;
}

static int mish_row(struct dmg_mish *m, const uint8_t *p, struct err *e)
{
    struct dmg_chunk c = {.type = be32_load(p), .sectors = be64_load(p + 16)};
    uint64_t len = be64_load(p + 32);
    uint32_t row = m->row++;
    m->done = c.type == DMG_END;
    if (m->done || c.type == DMG_COMMENT || !c.sectors)
        return 0;
    if (c.type == DMG_IGNORE)
        c.type = DMG_ZERO;
    if (!num_add(m->first_sector, be64_load(p + 8), &c.sector) ||
        !num_add(m->data, c.type == DMG_ZERO ? 0 : be64_load(p + 24), &c.host))
        return err_set(e, EINVAL, "chunk %" PRIu32 " is outside of any disk or file", row);
    if (row_check(&c, len, row, e))
        return -1;
    if (dmg_is_packed(c.type))
        c.packed_len = (uint32_t)len;
    return dmg_chunks_add(m->chunks, &c, e);
}

int dmg_mish_feed(struct dmg_mish *m, const uint8_t *bytes, size_t n, struct err *e)
{
    while (n && !m->done) {
        size_t whole = m->in_rows ? DMG_MISH_ROW : DMG_MISH_HEADER;
        size_t take = num_min(n, whole - m->have);
        memcpy(m->part + m->have, bytes, take);
        m->have += take;
        bytes += take;
        n -= take;
        if (m->have < whole)
            return 0;
        m->have = 0;
        if (m->in_rows ? mish_row(m, m->part, e) : mish_header(m, m->part, e))
            return -1;
    }
    return 0;
}
