/*
 * The first cluster of an image that is there, changed so that a stop at any sector leaves the old
 * state or the new one.
 *
 * The first sector has the header, with the place of the backing file's name, and the first of the
 * extensions: writing it makes the change. Whatever else the new state needs is written before,
 * where the old state has nothing that it needs.
 *
 *     name ──▶ first sector                                       where extensions keep their place
 *     first sector without the table of feature names ──▶ name
 *          ──▶ first sector, now the new one's ──▶ that table ──▶ first sector    where they move
 *
 * The table is what usually reaches beyond the first sector; it only serves error messages.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/state.h"

#define SECTOR       512u
#define AT_NAME      8u /* in the header */
#define AT_NAME_SIZE 16u

/* The first cluster, as it is or as it is to be. */
struct head {
    uint8_t *buf; /* owned */
    size_t end;   /* of the extensions, with their end mark */
    size_t name_at;
    size_t name_len; /* 0 = none */
};

static void head_release(struct head *h)
{
    free(h->buf);
}

static void qcow2_head_cleanup(struct qcow2_head *h)
{
    qcow2_head_release(h);
}

int qcow2_header_write(struct qcow2 *q, struct err *e)
{
    uint8_t buf[QCOW2_HEADER_V3] = {0};
    const struct qcow2_header *h = &q->head.header;
    qcow2_header_store(h, buf);
    size_t n = num_min(h->version < 3 ? QCOW2_HEADER_V2 : h->header_length, sizeof buf);
    return file_write(q->file, buf, n, 0, e);
}

/* ---- building -------------------------------------------------------------------------------- */

static size_t extensions_end(const uint8_t *buf, size_t at, size_t n)
{
    while (n >= 8 && at <= n - 8) {
        uint32_t type = be32_load(buf + at), len = be32_load(buf + at + 4);
        at += 8;
        if (!type)
            return at;
        at += num_min(num_up((uint64_t)len, 8), n);
    }
    return n;
}

/* The name goes behind the extensions. */
static int head_build(const struct qcow2 *q, struct qcow2_head *h, struct head *out, struct err *e)
{
    out->buf = mem_io(q->cluster_size, e);
    if (!out->buf || qcow2_head_store(h, out->buf, q->cluster_size, e))
        return -1;
    out->end = extensions_end(out->buf, h->header.header_length, q->cluster_size);
    out->name_at = out->end;
    out->name_len = h->header.backing_length;
    return 0;
}

/* What is on storage now: as bytes, and what they say. */
static int head_read(const struct qcow2 *q, struct head *out, struct qcow2_head *old, struct err *e)
{
    out->buf = mem_io(q->cluster_size, e);
    if (!out->buf || file_read_padded(q->file, out->buf, q->cluster_size, 0, NULL, e) ||
        qcow2_head_load(out->buf, q->cluster_size, old, e))
        return -1;
    out->name_at = old->backing_name ? old->header.backing_offset : 0;
    out->name_len = old->backing_name ? old->header.backing_length : 0;
    out->end = extensions_end(out->buf, old->header.header_length,
                              out->name_at ? out->name_at : q->cluster_size);
    return 0;
}

/* Its name stands at `at`. */
static void head_name_put(struct head *h, size_t at, const char *name, size_t len)
{
    memset(h->buf + h->name_at, 0, h->name_len);
    if (len)
        memmove(h->buf + at, name, len);
    h->name_at = at;
    h->name_len = len;
    be64_store(h->buf + AT_NAME, len ? at : 0);
    be32_store(h->buf + AT_NAME_SIZE, (uint32_t)len);
}

/* ---- where the new name can be --------------------------------------------------------------- */

/* Do two ranges meet outside of the first sector? That one changes as a whole. */
static bool meet(size_t a, size_t a_len, size_t b, size_t b_len)
{
    size_t from = num_max(num_max(a, b), SECTOR);
    return from < num_min(a + a_len, b + b_len);
}

/* Behind the extensions, or behind the old name where that is in the way; 0: there is no room. */
static size_t name_place(const struct qcow2 *q, const struct head *is, const struct head *will)
{
    size_t end = is->name_at + is->name_len, at = will->name_at;
    bool same = is->name_len == will->name_len && is->name_at >= will->end &&
                !memcmp(is->buf + is->name_at, will->buf + at, is->name_len);
    if (same && is->name_len)
        return is->name_at;
    if (!is->name_len || !meet(at, will->name_len, is->name_at, is->name_len))
        return at;
    return num_inside(num_max(end, at), will->name_len, q->cluster_size) ? num_max(end, at) : 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int write_synced(const struct qcow2 *q, const struct head *h, size_t from, size_t to,
                        struct err *e)
{
    if (from >= to)
        return 0;
    return file_write(q->file, h->buf + from, to - from, from, e) || file_sync(q->file, e) ? -1 : 0;
}

static int write_name(const struct qcow2 *q, const struct head *h, struct err *e)
{
    return write_synced(q, h, num_max(h->name_at, SECTOR), h->name_at + h->name_len, e);
}

static int write_first_sector(const struct qcow2 *q, const struct head *h, struct err *e)
{
    return write_synced(q, h, 0, num_min(SECTOR, q->cluster_size), e);
}

/* The state without the table of feature names; `like` says where its name stands. */
static int head_build_bare(const struct qcow2 *q, const struct qcow2_head *h,
                           const struct head *like, struct head *out, struct err *e)
{
    struct qcow2_head bare = *h;
    bare.ext.features = NULL;
    bare.ext.features_length = 0;
    if (head_build(q, &bare, out, e))
        return -1;
    if (out->end <= SECTOR)
        head_name_put(out, like->name_at, (const char *)like->buf + like->name_at, like->name_len);
    return 0;
}

/* Extensions move: in between there are only those that fit into the first sector. */
static int write_moving(const struct qcow2 *q, const struct qcow2_head *old, const struct head *is,
                        const struct head *will, struct err *e)
{
    AUTO(head_release) struct head was = {0}, then = {0};
    if (head_build_bare(q, old, is, &was, e) || head_build_bare(q, &q->head, will, &then, e))
        return -1;
    if (was.end > SECTOR || then.end > SECTOR) /* no way around it */
        return write_synced(q, will, 0, q->cluster_size, e);
    return write_first_sector(q, &was, e) || write_name(q, will, e) ||
                   write_first_sector(q, &then, e) || write_synced(q, will, SECTOR, will->end, e) ||
                   write_first_sector(q, will, e)
               ? -1
               : 0;
}

/* Do the extensions behind the first sector stay as they are? */
static bool stay(const struct head *is, const struct head *will)
{
    if (is->end <= SECTOR && will->end <= SECTOR)
        return true;
    return is->end == will->end && !memcmp(is->buf + SECTOR, will->buf + SECTOR, is->end - SECTOR);
}

static int write_switching(struct qcow2 *q, const struct qcow2_head *old, const struct head *is,
                           struct err *e)
{
    AUTO(head_release) struct head will = {0};
    if (head_build(q, &q->head, &will, e))
        return -1;
    size_t at = name_place(q, is, &will);
    if (!at || q->cluster_size <= SECTOR)
        return write_synced(q, &will, 0, q->cluster_size, e);
    head_name_put(&will, at, q->head.backing_name, will.name_len);
    q->head.header.backing_offset = will.name_len ? at : 0;
    if (!stay(is, &will))
        return write_moving(q, old, is, &will, e);
    return write_name(q, &will, e) || write_first_sector(q, &will, e) ? -1 : 0;
}

int qcow2_head_write(struct qcow2 *q, struct err *e)
{
    AUTO(head_release) struct head is = {0};
    AUTO(qcow2_head_cleanup) struct qcow2_head old = {0};
    return head_read(q, &is, &old, e) || write_switching(q, &old, &is, e) ? -1 : 0;
}
