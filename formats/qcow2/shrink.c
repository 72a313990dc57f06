/*
 * A smaller image. The size changes first, by one write of the header: what lies beyond is then out
 * of anybody's sight, and is forgotten, given free and given back at leisure. A stop meanwhile
 * leaves clusters that nobody reads.
 *
 *     header ─sync─▶ end of the last L2 table, L1 table ─sync─▶ counts ─sync─▶ holes, end of the
 * file
 */
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/change.h"
#include "formats/qcow2/switch.h"
#include "formats/qcow2/whole.h"

static int give_back(void *file, uint64_t host, uint64_t bytes, struct err *e)
{
    (void)e;
    file_discard(file, host, bytes);
    return 0;
}

/* What lost its last reference goes back to the file system once the counts say so. */
static int counts_end(const struct qcow2 *q, struct qcow2_counts *c, struct err *e)
{
    return qcow2_counts_flush(c, e) || file_sync(q->file, e) ||
                   qcow2_counts_each_freed(c, give_back, q->file, e)
               ? -1
               : 0;
}

/* ---- the end of the last table --------------------------------------------------------------- */

static int forget_entries(struct qcow2 *q, struct qcow2_change *c, uint64_t from, uint64_t to,
                          struct err *e)
{
    const struct qcow2_entry none = {0};
    for (uint64_t i = from; i < to; i++) {
        struct qcow2_entry entry;
        bool shared;
        uint64_t same;
        if (qcow2_change_get(c, i, &entry, &shared, &same, e))
            return -1;
        if (same) /* there is no such table */
            return 0;
        if ((entry.word || entry.bits) && qcow2_change_set(c, i, &none, e))
            return -1;
    }
    struct qcow2_counts *counts = qcow2_change_counts(c);
    return qcow2_change_flush(c, q->data_file, e) || counts_end(q, counts, e) ? -1 : 0;
}

static int cut_table(struct qcow2 *q, uint64_t size, struct err *e)
{
    uint64_t from = num_div_up(size, q->cluster_size), in = from % q->l2_entries;
    struct qcow2_change *c;
    if (!in)
        return 0;
    if (qcow2_change_open(q, q->budget, &c, e))
        return -1;
    qcow2_counts_track(qcow2_change_counts(c));
    int r = forget_entries(q, c, from, from - in + q->l2_entries, e);
    qcow2_change_free(c);
    return r;
}

/* ---- whole tables ---------------------------------------------------------------------------- */

/* The L1 entries from `first` on are zero; *gone: what they were. */
static int cut_l1(struct qcow2 *q, uint64_t first, uint64_t **gone, uint64_t *n, struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    uint64_t at = h->l1_offset + first * 8, used = 0;
    *n = h->l1_entries > first ? h->l1_entries - first : 0;
    if (qcow2_words_read(q, at, *n, gone, e))
        return -1;
    for (uint64_t i = 0; i < *n; i++)
        used = (*gone)[i] ? i + 1 : used;
    AUTO_FREE uint8_t *zeros = mem_new(num_max(used, 1), 8, e);
    *n = used;
    if (!zeros)
        return -1;
    return used && (file_write(q->file, zeros, used * 8, at, e) || file_sync(q->file, e)) ? -1 : 0;
}

static int release_steps(struct qcow2_switch *s, const uint64_t *gone, uint64_t n, struct err *e)
{
    return qcow2_switch_refer(s, gone, n, -1, e) || qcow2_counts_flush(s->counts, e) ||
                   qcow2_counts_prune(s->counts, e) || counts_end(s->q, s->counts, e) ||
                   qcow2_file_cut(s, e)
               ? -1
               : 0;
}

static int cut_tables(struct qcow2 *q, uint64_t size, struct err *e)
{
    uint64_t first = num_div_up(size, q->l2_entries << q->cluster_bits), n;
    AUTO_FREE uint64_t *gone = NULL;
    struct qcow2_switch s;
    if (cut_l1(q, first, &gone, &n, e) || qcow2_switch_begin_done(q, &s, e))
        return -1;
    int r = release_steps(&s, gone, n, e);
    qcow2_switch_end(&s);
    return r;
}

/* ---- all of it ------------------------------------------------------------------------------- */

int qcow2_shrink(struct image *img, uint64_t size, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct qcow2_header *h = &q->head.header;
    h->size = img->size = size;
    h->autoclear &= QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    if (qcow2_header_write(q, e) || file_sync(q->file, e) || cut_table(q, size, e) ||
        cut_tables(q, size, e))
        return -1;
    bool cuts = q->has_data_file && file_is_regular(q->data_file) && file_size(q->data_file) > size;
    return cuts ? file_truncate(q->data_file, size, e) : 0;
}
