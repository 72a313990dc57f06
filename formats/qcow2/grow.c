/* What happens before an image gets larger: room in the L1 table, in the data file, and clusters
 * for what is added. The size in the header comes last (resize.c). */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/change.h"
#include "formats/qcow2/switch.h"
#include "formats/qcow2/whole.h"

#define RUN_MAX (64 * MIB) /* bytes that get a place at once */

/* ---- reaching -------------------------------------------------------------------------------- */

static int l1_longer(struct qcow2_switch *s, uint64_t n, struct err *e)
{
    uint64_t had = s->header.l1_entries;
    AUTO_FREE uint64_t *l1 = NULL;
    if (qcow2_words_read(s->q, s->header.l1_offset, had, &l1, e))
        return -1;
    uint64_t *more = mem_grow(l1, n, sizeof *l1, e);
    if (!more)
        return -1;
    l1 = more;
    memset(l1 + had, 0, (n - had) * sizeof *l1);
    return qcow2_switch_active(s, l1, n, e) ? -1 : qcow2_switch_commit(s, e);
}

static int l1_reach(struct qcow2 *q, uint64_t size, struct err *e)
{
    uint64_t need = num_div_up(size, q->l2_entries << q->cluster_bits);
    struct qcow2_switch s;
    if (need <= q->head.header.l1_entries)
        return 0;
    if (qcow2_switch_begin(q, &s, e))
        return -1;
    int r = l1_longer(&s, need, e);
    qcow2_switch_end(&s);
    return r;
}

/* In a data file each cluster has its place: what was there, beyond the end of the guest's disk, is
 * not to be seen. */
static int data_file_reach(struct qcow2 *q, uint64_t size, struct err *e)
{
    uint64_t had = q->head.header.size;
    if (file_is_regular(q->data_file) && file_size(q->data_file) > had &&
        file_truncate(q->data_file, had, e))
        return -1;
    return file_size(q->data_file) < size ? file_truncate(q->data_file, size, e) : 0;
}

int qcow2_stretch(struct image *img, uint64_t size, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const struct qcow2_header *h = &q->head.header;
    if (l1_reach(q, size, e) || (q->has_data_file && data_file_reach(q, size, e)))
        return -1;
    img->size = size;
    return qcow2_map_open(q, h->l1_offset, h->l1_entries, size, e);
}

int qcow2_reach(struct image *img, uint64_t size, struct err *e)
{
    const struct qcow2 *q = qcow2_of(img);
    if (qcow2_repair_dirty(img, e) || qcow2_resize_check(q, q->head.header.version, size, e))
        return -1;
    return qcow2_stretch(img, size, e);
}

/* ---- reserving ------------------------------------------------------------------------------- */

/* Clusters that are the image's from now on read as zeros; all but `metadata` takes their space. */
static int space(struct file *f, uint64_t host, uint64_t bytes, enum edit_prealloc how,
                 struct err *e)
{
    bool is_new = host >= file_size(f) && file_grows_zero(f);
    if (how == EDIT_PREALLOC_FULL)
        return file_preallocate(f, host, bytes, FILE_PREALLOC_FULL, e);
    if (!is_new && file_zero(f, host, bytes,
                             how == EDIT_PREALLOC_METADATA ? FILE_ZERO_UNMAP : FILE_ZERO_KEEP, e))
        return -1;
    return file_preallocate(
        f, host, bytes, how == EDIT_PREALLOC_METADATA ? FILE_PREALLOC_OFF : FILE_PREALLOC_FALLOC,
        e);
}

/* The entry of a cluster that has a place, but nothing in it. What is encrypted there is no zeros,
 * so the cluster is flagged. */
static struct qcow2_entry reserved_entry(const struct qcow2 *q, const struct qcow2_entry *old,
                                         uint64_t host)
{
    bool flag = q->crypt && !q->extended;
    return (struct qcow2_entry){.word = host | QCOW2_COPIED | (flag ? QCOW2_ZERO : 0),
                                .bits = old->bits};
}

static int entry_set(struct qcow2 *q, uint64_t cluster, uint64_t host, struct err *e)
{
    struct qcow2_entry old, entry;
    bool shared;
    if (qcow2_change_get(q->change, cluster, &old, &shared, NULL, e))
        return -1;
    entry = reserved_entry(q, &old, host);
    return qcow2_change_set(q->change, cluster, &entry, e);
}

/* How many clusters from `cluster` on have no place; *skip: how many have one. */
static int run_length(struct qcow2 *q, uint64_t cluster, uint64_t end, uint64_t *n, uint64_t *skip,
                      struct err *e)
{
    uint64_t most = num_max(RUN_MAX >> q->cluster_bits, 1);
    struct qcow2_entry entry;
    bool shared;
    *n = *skip = 0;
    for (uint64_t i = cluster; i < end && *n < most; i++) {
        if (qcow2_change_get(q->change, i, &entry, &shared, NULL, e))
            return -1;
        bool has = (entry.word & QCOW2_PLACE_MASK) && (entry.word & QCOW2_COPIED);
        if (has && *n)
            break;
        *(has ? skip : n) += 1;
    }
    return 0;
}

static int reserve_run(struct qcow2 *q, uint64_t cluster, uint64_t n, enum edit_prealloc how,
                       struct err *e)
{
    uint64_t host = cluster << q->cluster_bits;
    if (!q->has_data_file && (qcow2_counts_take(qcow2_change_counts(q->change), n, &host, e) ||
                              space(q->file, host, n << q->cluster_bits, how, e)))
        return -1;
    for (uint64_t i = 0; i < n; i++)
        if (entry_set(q, cluster + i, host + (i << q->cluster_bits), e))
            return -1;
    return 0;
}

static int reserve(struct qcow2 *q, uint64_t from, uint64_t to, enum edit_prealloc how,
                   struct err *e)
{
    uint64_t at = num_div_up(from, q->cluster_size), end = num_div_up(to, q->cluster_size);
    if (q->has_data_file && how != EDIT_PREALLOC_METADATA &&
        space(q->data_file, from, to - from, how, e))
        return -1;
    for (uint64_t n, skip; at < end; at += n) {
        if (run_length(q, at, end, &n, &skip, e))
            return -1;
        at += skip;
        if (n && reserve_run(q, at, n, how, e))
            return -1;
    }
    return 0;
}

int qcow2_reserve(struct image *img, uint64_t from, uint64_t to, enum edit_prealloc how,
                  struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const struct edit_ops *edit = img->format->edit;
    if (q->crypt && q->head.header.version < 3)
        return err_set(e, ENOTSUP, "Preallocation of encrypted images needs compat=1.1");
    struct err late = ERR_INIT;
    if (edit->begin(img, e))
        return -1;
    int r = reserve(q, from, to, how, e);
    if (edit->end(img, r ? &late : e)) /* the marks are taken back in any case */
        r = -1;
    return r;
}
