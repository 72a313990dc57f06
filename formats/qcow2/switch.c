#include "formats/qcow2/switch.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"

int qcow2_switch_begin(struct qcow2 *q, struct qcow2_switch *s, struct err *e)
{
    *s = (struct qcow2_switch){.q = q, .header = q->head.header, .file_size = file_size(q->file)};
    s->table = mem_io(q->cluster_size, e);
    if (!s->table || qcow2_counts_open(q, q->budget, &s->counts, e)) {
        free(s->table);
        return -1;
    }
    qcow2_counts_shadow(s->counts);
    s->header.autoclear &= QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    return 0;
}

void qcow2_switch_end(struct qcow2_switch *s)
{
    struct err ignored = ERR_INIT;
    qcow2_counts_free(s->counts);
    free(s->table);
    if (!s->committed && file_size(s->q->file) > s->file_size)
        file_truncate(s->q->file, s->file_size, &ignored);
}

/* ---- clusters -------------------------------------------------------------------------------- */

int qcow2_switch_put(struct qcow2_switch *s, const void *buf, uint64_t bytes, uint64_t *host,
                     struct err *e)
{
    uint64_t cluster = s->q->cluster_size, n = num_max(num_div_up(bytes, cluster), 1);
    return qcow2_counts_take(s->counts, n, host, e) || file_write(s->q->file, buf, bytes, *host, e)
               ? -1
               : 0;
}

int qcow2_switch_forget(struct qcow2_switch *s, uint64_t host, uint64_t bytes, struct err *e)
{
    return bytes ? qcow2_counts_lower(s->counts, host, bytes, e) : 0;
}

int qcow2_switch_put_l1(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, uint64_t *host,
                        struct err *e)
{
    AUTO_FREE uint8_t *buf = mem_new(num_max(n, 1), 8, e);
    if (!buf)
        return -1;
    for (uint64_t i = 0; i < n; i++)
        be64_store(buf + 8 * i, l1[i]);
    return qcow2_switch_put(s, buf, n * 8, host, e);
}

/* ---- walking the tables ---------------------------------------------------------------------- */

/* The L2 table of an L1 entry into s->table; *host 0: there is none. */
static int l2_read(struct qcow2_switch *s, uint64_t index, uint64_t entry, uint64_t *host,
                   struct err *e)
{
    const struct qcow2 *q = s->q;
    if (qcow2_l1_decode(q, index, entry, host, e))
        return -1;
    return *host ? file_read_padded(q->file, s->table, q->cluster_size, *host, NULL, e) : 0;
}

static uint8_t *entry_at(const struct qcow2_switch *s, uint64_t i)
{
    return s->table + i * (s->q->extended ? 16 : 8);
}

/* Which bytes of the image an L2 entry refers to; 0 = none. */
static uint64_t entry_refers(const struct qcow2 *q, uint64_t word, uint64_t *host)
{
    uint32_t packed;
    *host = word & QCOW2_PLACE_MASK;
    if (!(word & QCOW2_COMPRESSED))
        return *host && !q->has_data_file ? q->cluster_size : 0;
    qcow2_packed_place(q->cluster_bits, word, host, &packed);
    return packed;
}

static int count_step(struct qcow2_switch *s, uint64_t host, uint64_t bytes, int step,
                      struct err *e)
{
    return (step > 0 ? qcow2_counts_raise : qcow2_counts_lower)(s->counts, host, bytes, e);
}

/* Neighbours are counted together: most data is in long runs. */
static int refer_entries(struct qcow2_switch *s, int step, struct err *e)
{
    uint64_t from = 0, end = 0;
    for (uint64_t i = 0; i < s->q->l2_entries; i++) {
        uint64_t word = be64_load(entry_at(s, i)), host, bytes = entry_refers(s->q, word, &host);
        bool joins = bytes == s->q->cluster_size && host == end;
        if (!bytes || joins) {
            end += bytes;
            continue;
        }
        if (end > from && count_step(s, from, end - from, step, e))
            return -1;
        from = host;
        end = host + bytes;
        if (!(word & QCOW2_COMPRESSED))
            continue;
        if (count_step(s, from, bytes, step, e))
            return -1;
        from = end = 0;
    }
    return end > from ? count_step(s, from, end - from, step, e) : 0;
}

int qcow2_switch_refer(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, int step,
                       struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t host;
        if (l2_read(s, i, l1[i], &host, e))
            return -1;
        if (host && (refer_entries(s, step, e) || count_step(s, host, s->q->cluster_size, step, e)))
            return -1;
    }
    return 0;
}

/* ---- flags ----------------------------------------------------------------------------------- */

/* The flag of one reference; *changed is set if it is another now. */
static int flag_set(struct qcow2_switch *s, uint64_t *word, uint64_t host, bool *changed,
                    struct err *e)
{
    uint64_t count, was = *word;
    if (qcow2_counts_get(s->counts, host >> s->q->cluster_bits, &count, e))
        return -1;
    *word = count == 1 ? was | QCOW2_COPIED : was & ~QCOW2_COPIED;
    *changed |= *word != was;
    return 0;
}

static int flags_of_entries(struct qcow2_switch *s, bool *changed, struct err *e)
{
    for (uint64_t i = 0; i < s->q->l2_entries; i++) {
        uint64_t word = be64_load(entry_at(s, i)), host = word & QCOW2_PLACE_MASK;
        if ((word & QCOW2_COMPRESSED) || !host)
            continue;
        if (flag_set(s, &word, host, changed, e))
            return -1;
        be64_store(entry_at(s, i), word);
    }
    return 0;
}

/* A table that changed gets a new place; the old one is forgotten by as many as referred to it. */
static int l2_move(struct qcow2_switch *s, uint64_t *host, bool both, struct err *e)
{
    uint64_t old = *host, cluster = s->q->cluster_size;
    for (int i = 0; i <= both; i++)
        if (qcow2_counts_lower(s->counts, old, cluster, e))
            return -1;
    if (qcow2_switch_put(s, s->table, cluster, host, e))
        return -1;
    return both ? qcow2_counts_raise(s->counts, *host, cluster, e) : 0;
}

int qcow2_switch_flags(struct qcow2_switch *s, uint64_t *l1, uint64_t n, bool both, struct err *e)
{
    for (uint64_t i = 0; i < n; i++) {
        uint64_t host;
        bool changed = false, ignored = false;
        if (l2_read(s, i, l1[i], &host, e))
            return -1;
        l1[i] = host;
        if (!host)
            continue;
        if (flags_of_entries(s, &changed, e) || (changed && l2_move(s, &host, both, e)))
            return -1;
        l1[i] = host;
        if (flag_set(s, &l1[i], host, &ignored, e))
            return -1;
    }
    return 0;
}

int qcow2_switch_active(struct qcow2_switch *s, const uint64_t *l1, uint64_t n, struct err *e)
{
    struct qcow2_header *h = &s->header;
    if (qcow2_switch_forget(s, h->l1_offset, (uint64_t)h->l1_entries * 8, e))
        return -1;
    h->l1_entries = (uint32_t)n;
    return qcow2_switch_put_l1(s, l1, n, &h->l1_offset, e);
}

/* A table that is shared keeps what the others see in it. */
int qcow2_switch_cut(struct qcow2_switch *s, uint64_t *l1_entry, uint64_t first, struct err *e)
{
    const struct qcow2 *q = s->q;
    uint64_t host, size = q->extended ? 16 : 8;
    if (l2_read(s, 0, *l1_entry, &host, e) || !host)
        return host ? -1 : 0;
    for (uint64_t i = first; i < q->l2_entries; i++) {
        uint64_t old, bytes = entry_refers(q, be64_load(entry_at(s, i)), &old);
        if (bytes && qcow2_counts_lower(s->counts, old, bytes, e))
            return -1;
        memset(entry_at(s, i), 0, size);
    }
    if (l2_move(s, &host, false, e))
        return -1;
    *l1_entry = host | QCOW2_COPIED;
    return 0;
}

/* ---- the switch ------------------------------------------------------------------------------ */

int qcow2_switch_commit(struct qcow2_switch *s, struct err *e)
{
    struct qcow2 *q = s->q;
    if (qcow2_counts_shadow_write(s->counts, &s->header.reftable_offset,
                                  &s->header.reftable_clusters, e) ||
        file_sync(q->file, e))
        return -1;
    q->head.header = s->header;
    s->committed = true; /* if this write fails, nobody knows what the storage says */
    return qcow2_header_write(q, e) || file_sync(q->file, e) ||
                   qcow2_counts_switched(s->counts, e) || qcow2_counts_flush(s->counts, e) ||
                   file_sync(q->file, e)
               ? -1
               : 0;
}

int qcow2_reload(struct image *img, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const struct qcow2_header *h = &q->head.header;
    qcow2_snapshots_free(q);
    img->size = h->size;
    return qcow2_snapshots_load(q, false, e) ||
                   qcow2_map_open(q, h->l1_offset, h->l1_entries, h->size, e)
               ? -1
               : 0;
}
