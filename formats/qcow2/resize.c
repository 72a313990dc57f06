/* A new size, another backing file: what one write of the header changes. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/bitmap_track.h"
#include "formats/qcow2/whole.h"
#include "formats/qcow2/switch.h"

/* ---- size ------------------------------------------------------------------------------------ */

int qcow2_resize_check(const struct qcow2 *q, uint32_t version, uint64_t size, struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    uint64_t l1 = num_div_up(size, q->l2_entries << q->cluster_bits);
    if (size % 512)
        return err_set(e, EINVAL, "The new size must be a multiple of 512");
    if (h->n_snapshots && version < 3)
        return err_set(e, ENOTSUP, "Can't resize a v2 image which has snapshots");
    if (size > INT64_MAX || l1 > QCOW2_MAX_L1_BYTES / 8)
        return err_set(e, EFBIG, "Failed to grow the L1 table: File too large");
    return 0;
}

/* Everything behind `size` is forgotten: whole tables, and the end of the one it lies in. */
static int cut(struct qcow2_switch *s, uint64_t *l1, uint64_t n, uint64_t size, struct err *e)
{
    const struct qcow2 *q = s->q;
    uint64_t clusters = num_div_up(size, q->cluster_size);
    uint64_t whole = num_div_up(clusters, q->l2_entries), in = clusters % q->l2_entries;
    if (whole < n && qcow2_switch_refer(s, l1 + whole, n - whole, -1, e))
        return -1;
    for (uint64_t i = whole; i < n; i++)
        l1[i] = 0;
    return in && whole <= n ? qcow2_switch_cut(s, &l1[whole - 1], in, e) : 0;
}

static int l1_grow(uint64_t **l1, uint64_t *n, uint64_t need, struct err *e)
{
    uint64_t *more = mem_grow(*l1, need, sizeof **l1, e);
    if (!more)
        return -1;
    memset(more + *n, 0, (need - *n) * sizeof *more);
    *l1 = more;
    *n = need;
    return 0;
}

int qcow2_resize_l1(struct qcow2_switch *s, uint64_t **l1, uint64_t *n, uint64_t size,
                    bool *changed, struct err *e)
{
    const struct qcow2 *q = s->q;
    uint64_t need = num_div_up(size, q->l2_entries << q->cluster_bits);
    bool shrinks = size < s->header.size;
    *changed = shrinks || need > *n;
    if (need > *n && l1_grow(l1, n, need, e))
        return -1;
    s->header.size = size;
    return shrinks ? cut(s, *l1, *n, size, e) : 0;
}

static int resize_steps(struct qcow2_switch *s, uint64_t size, struct err *e)
{
    uint64_t n = s->header.l1_entries;
    AUTO_FREE uint64_t *l1 = NULL;
    bool changed;
    if (qcow2_words_read(s->q, s->header.l1_offset, n, &l1, e) ||
        qcow2_resize_l1(s, &l1, &n, size, &changed, e) ||
        (changed && qcow2_switch_active(s, l1, n, e)))
        return -1;
    return qcow2_switch_commit(s, e);
}

int qcow2_file_cut(struct qcow2_switch *s, struct err *e)
{
    uint64_t end;
    if (qcow2_counts_end(s->counts, &end, e))
        return -1;
    end <<= s->q->cluster_bits;
    return end < file_size(s->q->file) ? file_truncate(s->q->file, end, e) : 0;
}

static int resize_switch(struct qcow2 *q, uint64_t size, struct err *e)
{
    struct qcow2_switch s;
    if (q->data_file_raw && file_truncate(q->data_file, size, e))
        return -1;
    if (qcow2_switch_begin(q, &s, e))
        return -1;
    int r = resize_steps(&s, size, e) || qcow2_file_cut(&s, e) ? -1 : 0;
    qcow2_switch_end(&s);
    return r;
}

int qcow2_resize(struct image *img, uint64_t size, enum edit_prealloc prealloc, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct err second = ERR_INIT;
    uint64_t was = q->head.header.size;
    if (prealloc != EDIT_PREALLOC_OFF)
        return err_set(e, ENOTSUP, "Preallocation of what is added is not supported yet");
    if (qcow2_resize_check(q, q->head.header.version, size, e) || qcow2_bitmaps_hold(q, e))
        return -1;
    int r = resize_switch(q, size, e);
    if (qcow2_bitmaps_fit(img, was, r ? &second : e))
        r = -1;
    return r ? -1 : qcow2_reload(img, e);
}
