/*
 * Another backing file's name, so that a stop at any sector leaves the old one or the new one.
 *
 * The first sector has the header, with the place of the name, and the first of the extensions,
 * with its format: writing it makes the change. Whatever else the new state needs is written
 * before, where the old state has nothing that it needs.
 *
 *     name ──▶ first sector                                       where extensions keep their place
 *     first sector without the table of feature names ──▶ name
 *          ──▶ first sector, the new name's ──▶ that table ──▶ first sector       where they move
 *
 * The table is what usually reaches beyond the first sector; it only serves error messages.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/whole.h"

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

/* What is on storage now. */
static int head_read(const struct qcow2 *q, struct head *out, struct err *e)
{
    const struct qcow2_header *h = &q->head.header;
    out->buf = mem_io(q->cluster_size, e);
    if (!out->buf || file_read_padded(q->file, out->buf, q->cluster_size, 0, NULL, e))
        return -1;
    out->name_at = q->head.backing_name ? h->backing_offset : 0;
    out->name_len = q->head.backing_name ? h->backing_length : 0;
    out->end =
        extensions_end(out->buf, h->header_length, out->name_at ? out->name_at : q->cluster_size);
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

/* Extensions move: in between there are only those that fit into the first sector. */
static int switch_moving(const struct qcow2 *q, const struct qcow2_head *new, const struct head *is,
                         const struct head *will, struct err *e)
{
    AUTO(head_release) struct head was = {0}, then = {0};
    struct qcow2_head bare = q->head;
    const char *name = (const char *)will->buf + will->name_at;
    bare.ext.features = NULL;
    bare.ext.features_length = 0;
    if (head_build(q, &bare, &was, e))
        return -1;
    head_name_put(&was, is->name_at, (const char *)is->buf + is->name_at, is->name_len);
    bare.backing_name = new->backing_name;
    bare.ext.backing_format = new->ext.backing_format;
    if (head_build(q, &bare, &then, e))
        return -1;
    if (was.end > SECTOR || then.end > SECTOR) /* no way around it */
        return write_synced(q, will, 0, q->cluster_size, e);
    head_name_put(&then, will->name_at, name, will->name_len);
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

static int head_switch(const struct qcow2 *q, struct qcow2_head *new, struct err *e)
{
    AUTO(head_release) struct head is = {0}, will = {0};
    if (head_read(q, &is, e) || head_build(q, new, &will, e))
        return -1;
    size_t at = name_place(q, &is, &will);
    if (!at || q->cluster_size <= SECTOR)
        return write_synced(q, &will, 0, q->cluster_size, e);
    head_name_put(&will, at, new->backing_name, will.name_len);
    new->header.backing_offset = will.name_len ? at : 0;
    if (!stay(&is, &will))
        return switch_moving(q, new, &is, &will, e);
    return write_name(q, &will, e) || write_first_sector(q, &will, e) ? -1 : 0;
}

/* ---- the change ------------------------------------------------------------------------------ */

struct names {
    char *name, *format, *shown_name, *shown_format;
};

static void names_release(struct names *n)
{
    free(n->name);
    free(n->format);
    free(n->shown_name);
    free(n->shown_format);
}

static int copy(char **to, const char *text, struct err *e)
{
    *to = text ? mem_strdup(text, e) : NULL;
    return text && !*to ? -1 : 0;
}

static void exchange(char **a, char **b)
{
    char *was = *a;
    *a = *b;
    *b = was;
}

int qcow2_set_backing(struct image *img, const char *name, const char *format, struct err *e)
{
    struct qcow2 *q = qcow2_of(img);
    AUTO(names_release) struct names n = {0};
    /* a raw data file alone is what the guest has: nothing can lie below it */
    if (name && (strlen(name) > QCOW2_MAX_BACKING_NAME || q->data_file_raw))
        return err_set(e, EINVAL, "%s", strerror(EINVAL));
    if (copy(&n.name, name, e) || copy(&n.format, format, e) || copy(&n.shown_name, name, e) ||
        copy(&n.shown_format, format, e))
        return -1;
    struct qcow2_head new = q->head;
    new.backing_name = n.name;
    new.ext.backing_format = n.format;
    new.header.autoclear &= QCOW2_AUTOCLEAR_BITMAPS | QCOW2_AUTOCLEAR_DATA_RAW;
    if (head_switch(q, &new, e))
        return -1;
    q->head.header = new.header;
    exchange(&q->head.backing_name, &n.name);
    exchange(&q->head.ext.backing_format, &n.format);
    exchange(&img->backing_name, &n.shown_name);
    exchange(&img->backing_format, &n.shown_format);
    return 0;
}
