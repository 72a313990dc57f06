/* The map of an image that is being changed: entry by entry, out of the tables in memory. */
#include "base/num.h"
#include "formats/qcow2/change.h"

#define SUBCLUSTERS 32u
#define LOOK_MAX    8192u /* entries that one answer looks at */

/* A stretch of guest bytes that one entry tells of. */
struct stretch {
    enum extent_kind kind;
    bool has_host;
    uint64_t host, length;
    struct table_entry entry; /* PACKED */
};

static void stretch_of_bits(const struct qcow2 *q, uint64_t bits, uint64_t in, struct stretch *s)
{
    uint64_t size = q->cluster_size / SUBCLUSTERS;
    unsigned from = (unsigned)(in / size), to = from;
    bool stored = bits >> from & 1, zero = bits >> (SUBCLUSTERS + from) & 1;
    while (to < SUBCLUSTERS && (bits >> to & 1) == stored &&
           (bits >> (SUBCLUSTERS + to) & 1) == zero)
        to++;
    s->kind = stored ? EXTENT_DATA : zero ? EXTENT_ZERO : EXTENT_HOLE;
    s->length = to * size - in;
}

static int stretch_at(struct qcow2 *q, uint64_t guest, struct stretch *s, struct err *e)
{
    uint64_t cluster = guest >> q->cluster_bits, in = guest % q->cluster_size, same;
    struct qcow2_entry entry;
    bool shared;
    *s = (struct stretch){0};
    if (qcow2_change_get(q->change, cluster, &entry, &shared, &same, e) ||
        qcow2_entry_decode(q, cluster, entry.word, &s->entry, e))
        return -1;
    s->kind = s->entry.kind;
    s->has_host = s->entry.has_host;
    s->host = s->entry.host + (s->has_host ? in : 0);
    s->length = (num_max(same, 1) << q->cluster_bits) - in;
    if (q->extended && s->kind != EXTENT_PACKED && !same)
        stretch_of_bits(q, entry.bits, in, s);
    return 0;
}

static void fill_packed(const struct qcow2 *q, uint64_t guest, const struct stretch *s,
                        struct extent *out)
{
    out->host = s->entry.host;
    out->codec = s->entry.codec;
    out->packed_len = s->entry.packed_len;
    out->block_size = q->cluster_size;
    out->block_offset = (uint32_t)(guest % q->cluster_size);
}

int qcow2_change_map(struct qcow2 *q, uint64_t guest, uint64_t length, struct extent *out,
                     struct err *e)
{
    struct stretch s, next;
    if (stretch_at(q, guest, &s, e))
        return -1;
    out->kind = s.kind;
    out->has_host = s.has_host;
    out->tail = q->cluster_size;
    out->file = s.has_host || s.kind == EXTENT_PACKED ? q->data_file : NULL;
    out->host = s.host;
    out->length = s.length;
    if (s.kind == EXTENT_PACKED) {
        fill_packed(q, guest, &s, out);
        return 0;
    }
    for (unsigned i = 0; i < LOOK_MAX && out->length < length; i++) {
        if (stretch_at(q, guest + out->length, &next, e)) {
            err_clear(e); /* it is told when somebody asks for that cluster */
            return 0;
        }
        if (next.kind != s.kind || next.has_host != s.has_host ||
            (s.has_host && next.host != s.host + out->length))
            return 0;
        out->length += next.length;
    }
    return 0;
}
