#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/state.h"

/* "Snapshot table entry" */
#define ENTRY_FIXED     40u
#define EXTRA_OURS      24u   /* what we write: state size, disk size, icount */
#define EXTRA_V3        16u   /* what version 3 demands */
#define EXTRA_MAX       1024u /* qemu's limit */
#define TABLE_MAX_BYTES (EXTRA_MAX * (uint64_t)QCOW2_MAX_SNAPSHOTS) /* qemu's limit */
#define NAMES_MAX       (2u * 65535u)

/* Bytes of the table; what lacks in the file's last cluster is zero. */
static int table_read(const struct qcow2 *q, bool lenient, void *buf, size_t n, uint64_t at,
                      struct err *e)
{
    if (!lenient && !num_inside(at, n, qcow2_file_limit(q)))
        return err_set(
            e, EIO, "Failed to read snapshot table: it reaches beyond the end of the image file");
    if (file_read_padded(q->file, buf, n, at, NULL, e))
        return err_prefix(e, "Failed to read snapshot table: ");
    return 0;
}

static void fixed_load(const uint8_t *b, struct qcow2_snapshot *s)
{
    s->l1_offset = be64_load(b);
    s->l1_entries = be32_load(b + 8);
    s->date_sec = be32_load(b + 16);
    s->date_nsec = be32_load(b + 20);
    s->vm_clock_nsec = be64_load(b + 24);
    s->vm_state_size = be32_load(b + 32);
    s->extra_size = be32_load(b + 36);
}

static void extra_load(const uint8_t *b, uint64_t image_size, struct qcow2_snapshot *s)
{
    if (s->extra_size >= 8)
        s->vm_state_size = be64_load(b);
    s->disk_size = s->extra_size >= 16 ? be64_load(b + 8) : image_size;
    /* all ones: none was recorded */
    s->has_icount = s->extra_size >= 24 && be64_load(b + 16) != UINT64_MAX;
    s->icount = s->has_icount ? be64_load(b + 16) : 0;
}

static char *text_load(const uint8_t *p, size_t n, struct err *e)
{
    char *s = mem_new(n + 1, 1, e);
    if (s)
        memcpy(s, p, n);
    return s;
}

/* Of extra data that is longer than any that we know: only as much as may be stays with the entry.
 */
static int extra_cut(const struct qcow2_snapshots_mend *m, uint32_t i, uint8_t *fixed,
                     struct qcow2_snapshot *s, struct err *e)
{
    char text[128];
    if (s->extra_size <= EXTRA_MAX)
        return 0;
    if (!m) {
        err_set(e, EINVAL, "Too much extra metadata in snapshot table entry %" PRIu32, i);
        return err_hint(e, "You can force-remove this extra metadata with qemu-img check -r all\n");
    }
    snprintf(text, sizeof text,
             "Discarding too much extra metadata in snapshot table entry %" PRIu32 " (%" PRIu32
             " > %u)",
             i, s->extra_size, EXTRA_MAX);
    m->discard(m->ctx, 1, text);
    s->extra_size = EXTRA_MAX;
    be32_store(fixed + 36, EXTRA_MAX);
    return 0;
}

/* The entry at *at, which moves behind it. `buf` has room for the longest one's tail. */
static int entry_load(const struct qcow2 *q, bool lenient, const struct qcow2_snapshots_mend *m,
                      uint32_t i, uint64_t *at, uint8_t *buf, struct qcow2_snapshot *s,
                      struct err *e)
{
    uint8_t fixed[ENTRY_FIXED];
    if (table_read(q, lenient, fixed, sizeof fixed, *at, e))
        return -1;
    fixed_load(fixed, s);
    uint64_t stored_extra = s->extra_size;
    if (extra_cut(m, i, fixed, s, e))
        return -1;
    size_t id = be16_load(fixed + 12), name = be16_load(fixed + 14);
    if (table_read(q, lenient, buf, s->extra_size, *at + ENTRY_FIXED, e) ||
        table_read(q, lenient, buf + s->extra_size, id + name, *at + ENTRY_FIXED + stored_extra, e))
        return -1;
    extra_load(buf, q->head.header.size, s);
    s->id = text_load(buf + s->extra_size, id, e);
    s->name = text_load(buf + s->extra_size + id, name, e);
    s->raw_size = num_up(ENTRY_FIXED + s->extra_size + id + name, 8);
    s->raw = mem_new(s->raw_size, 1, e);
    if (!s->id || !s->name || !s->raw)
        return -1;
    memcpy(s->raw, fixed, sizeof fixed);
    memcpy(s->raw + ENTRY_FIXED, buf, s->extra_size + id + name);
    *at += num_up(ENTRY_FIXED + stored_extra + id + name, 8);
    return 0;
}

/* Entry i would make the table too long. */
static int table_cut(struct qcow2 *q, const struct qcow2_snapshots_mend *m, uint32_t i,
                     struct err *e)
{
    char text[128];
    uint32_t over = q->head.header.n_snapshots - i;
    if (!m) {
        err_set(e, EFBIG, "Snapshot table is too big");
        return err_hint(e,
                        "You can force-remove all %" PRIu32
                        " overhanging snapshots with qemu-img check -r all\n",
                        over);
    }
    snprintf(text, sizeof text,
             "Discarding %" PRIu32 " overhanging snapshots (snapshot table is too big)", over);
    m->discard(m->ctx, over, text);
    return 0;
}

static void snapshot_release(struct qcow2_snapshot *s)
{
    free(s->id);
    free(s->name);
    free(s->raw);
    *s = (struct qcow2_snapshot){0};
}

void qcow2_snapshots_free(struct qcow2 *q)
{
    for (uint32_t i = 0; i < q->n_snapshots; i++)
        snapshot_release(&q->snapshots[i]);
    free(q->snapshots);
    q->snapshots = NULL;
    q->n_snapshots = 0;
    q->snapshots_bytes = 0;
}

static int entries_load(struct qcow2 *q, uint32_t n, bool lenient,
                        const struct qcow2_snapshots_mend *m, struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    uint64_t at = h->snapshots_offset, bytes = 0;
    AUTO_FREE uint8_t *buf = mem_new(EXTRA_MAX + NAMES_MAX, 1, e);
    q->snapshots = mem_new(n, sizeof *q->snapshots, e);
    if (!buf || !q->snapshots)
        return -1;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t begin = at;
        struct qcow2_snapshot *s = &q->snapshots[i];
        q->n_snapshots = i + 1;
        if (entry_load(q, lenient, m, i, &at, buf, s, e))
            return -1;
        bytes += s->raw_size;
        if (bytes <= TABLE_MAX_BYTES)
            continue;
        if (table_cut(q, m, i, e))
            return -1;
        snapshot_release(s);
        q->n_snapshots = i;
        at = begin;
        break;
    }
    q->snapshots_bytes = at - h->snapshots_offset;
    return 0;
}

int qcow2_snapshots_load(struct qcow2 *q, bool lenient, struct err *e)
{
    uint32_t n = q->head.header.n_snapshots;
    if (n > QCOW2_MAX_SNAPSHOTS)
        return err_set(e, EFBIG, "Snapshot table too large");
    return n ? entries_load(q, n, lenient, NULL, e) : 0;
}

int qcow2_snapshots_mend(struct qcow2 *q, const struct qcow2_snapshots_mend *m, struct err *e)
{
    char text[64];
    uint32_t n = q->head.header.n_snapshots;
    if (n > QCOW2_MAX_SNAPSHOTS) {
        snprintf(text, sizeof text, "Discarding %" PRIu32 " overhanging snapshots",
                 n - QCOW2_MAX_SNAPSHOTS);
        m->discard(m->ctx, n - QCOW2_MAX_SNAPSHOTS, text);
        n = QCOW2_MAX_SNAPSHOTS;
    }
    return n ? entries_load(q, n, true, m, e) : 0;
}

static void extra_store(const struct qcow2_snapshot *s, uint8_t *b)
{
    be64_store(b, s->vm_state_size);
    be64_store(b + 8, s->disk_size);
    be64_store(b + 16, s->has_icount ? s->icount : UINT64_MAX);
}

int qcow2_snapshot_entry(const struct qcow2_snapshot *s, uint8_t **out, size_t *len, struct err *e)
{
    size_t id = strlen(s->id), name = strlen(s->name);
    *len = num_up(ENTRY_FIXED + EXTRA_OURS + id + name, 8);
    uint8_t *b = *out = mem_new(*len, 1, e);
    if (!b)
        return -1;
    be64_store(b, s->l1_offset);
    be32_store(b + 8, s->l1_entries);
    be16_store(b + 12, (uint16_t)id);
    be16_store(b + 14, (uint16_t)name);
    be32_store(b + 16, s->date_sec);
    be32_store(b + 20, s->date_nsec);
    be64_store(b + 24, s->vm_clock_nsec);
    be32_store(b + 32, s->vm_state_size > UINT32_MAX ? 0 : (uint32_t)s->vm_state_size);
    be32_store(b + 36, EXTRA_OURS);
    extra_store(s, b + ENTRY_FIXED);
    memcpy(b + ENTRY_FIXED + EXTRA_OURS, s->id, id);
    memcpy(b + ENTRY_FIXED + EXTRA_OURS + id, s->name, name);
    return 0;
}

bool qcow2_snapshot_grows(uint32_t version, const struct qcow2_snapshot *s)
{
    return version >= 3 && s->extra_size < EXTRA_V3;
}

size_t qcow2_snapshot_upgrade(uint32_t version, const struct qcow2_snapshot *s, uint8_t *out)
{
    size_t names = be16_load(s->raw + 12) + be16_load(s->raw + 14);
    memcpy(out, s->raw, s->raw_size);
    if (!qcow2_snapshot_grows(version, s))
        return s->raw_size;
    be32_store(out + 36, EXTRA_OURS);
    extra_store(s, out + ENTRY_FIXED);
    memcpy(out + ENTRY_FIXED + EXTRA_OURS, s->raw + ENTRY_FIXED + s->extra_size, names);
    return num_up(ENTRY_FIXED + EXTRA_OURS + names, 8);
}

static const struct qcow2_snapshot *snapshot_find(const struct qcow2 *q, const char *id,
                                                  const char *name)
{
    for (uint32_t i = 0; i < q->n_snapshots; i++) {
        const struct qcow2_snapshot *s = &q->snapshots[i];
        if ((!id || !strcmp(id, s->id)) && (!name || !strcmp(name, s->name)))
            return s;
    }
    return NULL;
}

int qcow2_load_snapshot(struct image *img, const char *id, const char *name, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    const struct qcow2_snapshot *s = id || name ? snapshot_find(q, id, name) : NULL;
    if (!s)
        return err_set(e, ENOENT, "Can't find snapshot");
    if (qcow2_l1_check(&q->head.header, s->l1_offset, s->l1_entries, "Snapshot L1 table", e))
        return -1;
    uint64_t need = num_div_up(s->disk_size, q->l2_entries << q->cluster_bits);
    if (s->l1_entries < need || s->disk_size > INT64_MAX)
        return err_set(e, EINVAL, "Snapshot L1 table is too small for its disk size");
    if (qcow2_map_open(q, s->l1_offset, s->l1_entries, s->disk_size, e))
        return -1;
    img->size = s->disk_size;
    return 0;
}
