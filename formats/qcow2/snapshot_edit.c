/* Making, applying and deleting snapshots: each a switch (switch.h). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/whole.h"
#include "formats/qcow2/switch.h"

/* ---- the snapshot table ---------------------------------------------------------------------- */

/* name NULL: any */
static struct qcow2_snapshot *find(const struct qcow2 *q, const char *id, const char *name,
                                   struct err *e)
{
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        struct qcow2_snapshot *x = &q->snapshots[i];
        if (!strcmp(x->id, id) && (!name || !strcmp(x->name, name)))
            return x;
    }
    err_set(e, ENOENT, "Can't find snapshot");
    return NULL;
}

/* All entries but `without`, then `added` (NULL: none), in a place of their own. */
static int table_put(struct qcow2_switch *s, const struct qcow2_snapshot *without,
                     const uint8_t *added, size_t added_size, struct err *e)
{
    const struct qcow2 *q = s->q;
    struct qcow2_header *h = &s->header;
    size_t bytes = 0, most = q->snapshots_bytes + added_size;
    AUTO_FREE uint8_t *buf = mem_new(num_max(most, 1), 1, e);
    if (!buf || qcow2_switch_forget(s, h->snapshots_offset, q->snapshots_bytes, e))
        return -1;
    h->n_snapshots = 0;
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        const struct qcow2_snapshot *x = &q->snapshots[i];
        if (x == without)
            continue;
        memcpy(buf + bytes, x->raw, x->raw_size);
        bytes += x->raw_size;
        h->n_snapshots++;
    }
    if (added) {
        memcpy(buf + bytes, added, added_size);
        bytes += added_size;
        h->n_snapshots++;
    }
    h->snapshots_offset = 0;
    return bytes ? qcow2_switch_put(s, buf, bytes, &h->snapshots_offset, e) : 0;
}

/* "Unique ID string": the largest number in use, and one. */
static char *next_id(const struct qcow2 *q, struct err *e)
{
    unsigned long most = 0;
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        most = num_max(most, strtoul(q->snapshots[i].id, NULL, 10));
    return mem_printf(e, "%lu", most + 1);
}

static int l1_read(const struct qcow2 *q, uint64_t offset, uint64_t n, const char *what,
                   uint64_t **out, struct err *e)
{
    if (qcow2_l1_check(&q->head.header, offset, n, what, e))
        return -1;
    return qcow2_words_read(q, offset, n, out, e);
}

/* ---- the three ------------------------------------------------------------------------------- */

static int create_entry(struct qcow2_switch *s, struct qcow2_snapshot *x, const uint64_t *l1,
                        struct err *e)
{
    AUTO_FREE uint8_t *entry = NULL;
    size_t size;
    if (qcow2_switch_put_l1(s, l1, x->l1_entries, &x->l1_offset, e) ||
        qcow2_snapshot_entry(x, &entry, &size, e))
        return -1;
    return table_put(s, NULL, entry, size, e);
}

static int create_steps(struct qcow2_switch *s, struct qcow2_snapshot *x, struct err *e)
{
    const struct qcow2_header *h = &s->header;
    uint64_t n = h->l1_entries;
    AUTO_FREE uint64_t *l1 = NULL;
    if (h->n_snapshots >= QCOW2_MAX_SNAPSHOTS)
        return err_set(e, EFBIG, "%s", strerror(EFBIG));
    if (qcow2_words_read(s->q, h->l1_offset, n, &l1, e) || qcow2_switch_share(s, l1, n, true, e) ||
        create_entry(s, x, l1, e) || qcow2_switch_active(s, l1, n, e))
        return -1;
    return qcow2_switch_commit(s, e);
}

static int apply_steps(struct qcow2_switch *s, const char *id, const char *name, struct err *e)
{
    const struct qcow2 *q = s->q;
    const struct qcow2_snapshot *x = find(q, id, name, e);
    AUTO_FREE uint64_t *was = NULL;
    AUTO_FREE uint64_t *l1 = NULL;
    if (!x || l1_read(q, x->l1_offset, x->l1_entries, "Snapshot L1 table", &l1, e))
        return -1;
    if (x->l1_entries < num_div_up(x->disk_size, q->l2_entries << q->cluster_bits) ||
        x->disk_size > INT64_MAX)
        return err_set(e, EINVAL, "Snapshot L1 table is too small for its disk size");
    if (qcow2_words_read(q, s->header.l1_offset, s->header.l1_entries, &was, e) ||
        qcow2_switch_share(s, l1, x->l1_entries, false, e) ||
        qcow2_switch_refer(s, was, s->header.l1_entries, -1, e) ||
        qcow2_switch_active(s, l1, x->l1_entries, e))
        return -1;
    s->header.size = x->disk_size;
    return qcow2_switch_commit(s, e);
}

static int delete_steps(struct qcow2_switch *s, const char *id, const char *name, struct err *e)
{
    const struct qcow2 *q = s->q;
    const struct qcow2_snapshot *x = find(q, id, name, e);
    AUTO_FREE uint64_t *gone = NULL;
    AUTO_FREE uint64_t *l1 = NULL;
    if (!x || l1_read(q, x->l1_offset, x->l1_entries, "Snapshot L1 table", &gone, e) ||
        qcow2_words_read(q, s->header.l1_offset, s->header.l1_entries, &l1, e) ||
        qcow2_switch_refer(s, gone, x->l1_entries, -1, e) ||
        qcow2_switch_forget(s, x->l1_offset, (uint64_t)x->l1_entries * 8, e) ||
        table_put(s, x, NULL, 0, e) || qcow2_switch_flags(s, l1, s->header.l1_entries, e) ||
        qcow2_switch_active(s, l1, s->header.l1_entries, e))
        return -1;
    return qcow2_switch_commit(s, e);
}

/* ---- around them ----------------------------------------------------------------------------- */

static int may_change(struct image *img, struct err *e)
{
    if (qcow2_of(img)->has_data_file)
        return err_set(e, ENOTSUP, "%s", strerror(ENOTSUP));
    return qcow2_repair_dirty(img, e);
}

int qcow2_snapshot_create(struct image *img, const char *name, uint64_t seconds,
                          uint32_t nanoseconds, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    struct qcow2_switch s;
    AUTO_FREE char *id = next_id(q, e);
    struct qcow2_snapshot x = {.id = id,
                               .name = (char *)name,
                               .l1_entries = q->head.header.l1_entries,
                               .date_sec = (uint32_t)seconds,
                               .date_nsec = nanoseconds,
                               .disk_size = q->head.header.size,
                               .has_icount = true};
    if (!id || may_change(img, e) || qcow2_switch_begin(q, &s, e))
        return -1;
    int r = create_steps(&s, &x, e);
    qcow2_switch_end(&s);
    return r ? -1 : qcow2_reload(img, e);
}

static int change_one(struct image *img, const char *id, const char *name,
                      int (*steps)(struct qcow2_switch *s, const char *id, const char *name,
                                   struct err *e),
                      struct err *e)
{
    struct qcow2_switch s;
    if (may_change(img, e) || qcow2_switch_begin(qcow2_of(img), &s, e))
        return -1;
    int r = steps(&s, id, name, e);
    qcow2_switch_end(&s);
    return r ? -1 : qcow2_reload(img, e);
}

int qcow2_snapshot_apply(struct image *img, const char *id, struct err *e)
{
    return change_one(img, id, NULL, apply_steps, e);
}

int qcow2_snapshot_delete(struct image *img, const char *id, const char *name, struct err *e)
{
    return change_one(img, id, name, delete_steps, e);
}
