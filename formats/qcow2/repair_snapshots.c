/*
 * The snapshot table: too many entries and too much extra data are left out, extra data that
 * version 3 demands is added. The table is stored anew when all counts are right, since it takes
 * clusters by them.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/check.h"
#include "formats/qcow2/counts.h"

static void discard(void *ctx, uint32_t faults, const char *text)
{
    struct check *c = ctx;
    check_fault(c, NULL, "%s", text);
    c->snapshot_faults += faults;
}

int repair_snapshots_read(struct check *c, struct err *e)
{
    const struct qcow2_snapshots_mend m = {.discard = discard, .ctx = c};
    if (!qcow2_snapshots_mend(c->q, &m, e))
        return 0;
    if (e->no == ENOMEM)
        return -1;
    check_error(c, "ERROR failed to read the snapshot table: %s", e->text);
    return check_refuse(e->no, e);
}

/* ---- the new table --------------------------------------------------------------------------- */

static int table_make(const struct qcow2 *q, uint8_t **out, size_t *bytes, struct err *e)
{
    size_t most = 1;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        most += q->snapshots[i].raw_size + QCOW2_SNAPSHOT_GROWS;
    AUTO_FREE uint8_t *buf = mem_new(most, 1, e);
    *bytes = 0;
    if (!buf)
        return -1;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        *bytes += qcow2_snapshot_upgrade(q->head.header.version, &q->snapshots[i], buf + *bytes);
    *out = MEM_TAKE(buf);
    return 0;
}

/* The file grows before the counts do: a leak behind its end is seen by nobody. */
static int table_switch(struct check *c, struct qcow2_counts *counts, uint64_t old_bytes,
                        struct err *e)
{
    struct qcow2 *q = c->q;
    struct qcow2_header *h = &q->head.header;
    uint64_t host = 0, old = h->snapshots_offset;
    size_t bytes;
    AUTO_FREE uint8_t *table = NULL;
    if (table_make(q, &table, &bytes, e) || repair_writes(c, e) ||
        (bytes && qcow2_counts_take(counts, num_div_up(bytes, q->cluster_size), &host, e)) ||
        (bytes && file_write(q->file, table, bytes, host, e)) || qcow2_counts_flush(counts, e) ||
        file_sync(q->file, e))
        return -1;
    h->snapshots_offset = host;
    h->n_snapshots = q->n_snapshots;
    q->snapshots_bytes = bytes;
    if (qcow2_header_write(q, e) || file_sync(q->file, e))
        return -1;
    if (old_bytes && qcow2_counts_lower(counts, old, old_bytes, e))
        return -1;
    return qcow2_counts_flush(counts, e) || file_sync(q->file, e) ? -1 : 0;
}

/* What of the old table lies behind the file's end was not counted and is not given back. */
int repair_snapshots_store(struct check *c, struct err *e)
{
    struct qcow2 *q = c->q;
    struct qcow2_counts *counts;
    if (!c->snapshot_faults || !(c->fix & CHECK_FIX_ERRORS))
        return 0;
    if (!check_inside(c, q->head.header.snapshots_offset, q->snapshots_bytes))
        q->snapshots_bytes = 0;
    int r = qcow2_counts_open(q, 0, &counts, e);
    if (!r) {
        r = table_switch(c, counts, q->snapshots_bytes, e);
        qcow2_counts_free(counts);
    }
    if (r)
        return err_prefix(e, "Failed to update snapshot table: ");
    c->r->corruptions_fixed += c->snapshot_faults;
    return 0;
}
