#include "formats/qcow2/layout.h"

#include <errno.h>

#include "base/num.h"

#define HOST_MAX (UINT64_C(1) << 56) /* entries hold bits 9 to 55 of a place */

static int begin(const struct qcow2_layout *l, struct cursor *c, uint64_t *crypto,
                 struct placing *out, struct err *e);

static void place_crypto(struct qcow2_layout *l, uint64_t bytes)
{
    struct err none = ERR_INIT; /* nothing is placed that could fail */
    struct cursor c;
    l->crypto_bytes = bytes;
    begin(l, &c, &l->crypto_offset, NULL, &none);
}

void qcow2_layout_init(struct qcow2_layout *l, const struct qcow2_create *c)
{
    uint64_t cluster = UINT64_C(1) << c->cluster_bits;
    uint64_t refs_entries = (cluster * 8) >> c->refcount_order;
    unsigned packed_bits = qcow2_packed_bits(c->cluster_bits);
    *l = (struct qcow2_layout){
        .size = c->size,
        .cluster = cluster,
        .blocks = num_div_up(c->size, cluster),
        .entry_size = c->extended_l2 ? 16 : 8,
        .l1_offset = 3 * cluster,
        .refs_cover = refs_entries * cluster,
        .refcount_max = UINT64_MAX >> (64 - (1u << c->refcount_order)),
        .packed_limit = num_min(HOST_MAX, UINT64_C(1) << packed_bits),
        .data_file = c->data_file != NULL,
        .data_file_raw = c->data_file_raw,
    };
    l->l2_entries = cluster / l->entry_size;
    l->l1_entries = num_div_up(l->blocks, l->l2_entries);
    if (c->crypt == QCOW2_CRYPT_LUKS)
        place_crypto(l, luks_payload(&c->luks));
}

uint64_t qcow2_layout_chunk(const struct qcow2_layout *l)
{
    return num_max(MIB, l->cluster);
}

/* ---- clusters -------------------------------------------------------------------------------- */

/* Room for the refcount blocks of everything below end + `beyond`. */
static int layout_count(const struct qcow2_layout *l, struct cursor *c, uint64_t beyond,
                        struct placing *out, struct err *e)
{
    while (c->refs * l->refs_cover < c->end + beyond) {
        if (c->refs == QCOW2_MAX_REFTABLE_BYTES / 8)
            return err_set(e, EFBIG, "File too large");
        if (out && placing_add_meta(out, PLACE_REFS, c->refs, c->end, e))
            return -1;
        c->refs++;
        c->end += l->cluster;
    }
    return 0;
}

int qcow2_layout_alloc(const struct qcow2_layout *l, struct cursor *c, uint64_t n, uint64_t *host,
                       struct placing *out, struct err *e)
{
    if (layout_count(l, c, 1, out, e))
        return -1;
    uint64_t bytes;
    if (!num_mul(n, l->cluster, &bytes) || bytes > HOST_MAX - c->end)
        return err_set(e, EFBIG, "File too large");
    *host = c->end;
    c->end += bytes;
    return layout_count(l, c, 0, out, e);
}

static int begin(const struct qcow2_layout *l, struct cursor *c, uint64_t *crypto,
                 struct placing *out, struct err *e)
{
    *c = (struct cursor){.end = 2 * l->cluster};
    if (layout_count(l, c, 0, out, e))
        return -1;
    uint64_t host;
    if (qcow2_layout_alloc(l, c, num_div_up(l->l1_entries * 8, l->cluster), &host, out, e))
        return -1;
    if (!l->crypto_bytes)
        return 0;
    return qcow2_layout_alloc(l, c, num_div_up(l->crypto_bytes, l->cluster), crypto, out, e);
}

int qcow2_layout_begin(const struct qcow2_layout *l, struct cursor *c, struct placing *out,
                       struct err *e)
{
    uint64_t crypto;
    return begin(l, c, &crypto, out, e);
}

uint64_t qcow2_layout_full_end(const struct qcow2_layout *l)
{
    struct cursor c;
    struct err none = ERR_INIT; /* nothing is placed that could fail */
    qcow2_layout_begin(l, &c, NULL, &none);
    uint64_t end = c.end + l->cluster * (l->l1_entries + (l->data_file ? 0 : l->blocks));
    while (c.refs * l->refs_cover < end) {
        uint64_t more = num_div_up(end, l->refs_cover) - c.refs;
        c.refs += more;
        end += more * l->cluster;
    }
    return end;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static int place_table(const struct qcow2_layout *l, uint64_t block, struct cursor *c,
                       struct placing *out, struct err *e)
{
    if (block < c->tables * l->l2_entries)
        return 0;
    uint64_t table = block / l->l2_entries;
    c->tables = table + 1;
    uint64_t host;
    if (qcow2_layout_alloc(l, c, 1, &host, out, e))
        return -1;
    return placing_add_meta(out, PLACE_TABLE, table, host, e);
}

static int place_plain(const struct qcow2_layout *l, uint64_t block, struct cursor *c,
                       uint64_t *host, struct placing *out, struct err *e)
{
    if (!l->data_file)
        return qcow2_layout_alloc(l, c, 1, host, out, e);
    *host = block * l->cluster;
    return 0;
}

/* Whether the next encoded block may share the block of the last one. */
static bool packed_open(const struct qcow2_layout *l, const struct cursor *c)
{
    return c->packed_left && c->packed_refs < l->refcount_max;
}

/* Behind the last stream if it ends in that cluster, or runs on into the next one. */
static int packed_host(const struct qcow2_layout *l, uint32_t len, struct cursor *c, uint64_t *host,
                       struct placing *out, struct err *e)
{
    *host = c->packed;
    if (packed_open(l, c) && len <= c->packed_left) {
        c->packed_refs++;
        return 0;
    }
    if (layout_count(l, c, 1, out, e))
        return -1;
    bool runs_on = packed_open(l, c) && c->packed + c->packed_left == c->end;
    uint64_t fresh;
    if (qcow2_layout_alloc(l, c, 1, &fresh, out, e))
        return -1;
    if (!runs_on)
        *host = fresh;
    c->packed_refs = 1;
    return 0;
}

static int place_packed(const struct qcow2_layout *l, uint32_t len, struct cursor *c,
                        uint64_t *host, struct placing *out, struct err *e)
{
    if (l->data_file || !len || len >= l->cluster)
        return err_set(e, EINVAL, "A compressed block of %u bytes cannot be placed", len);
    if (packed_host(l, len, c, host, out, e))
        return -1;
    if (*host + len > l->packed_limit)
        return err_set(e, EFBIG, "File too large");
    c->packed = *host + len;
    c->packed_left = num_up(c->packed, l->cluster) - c->packed;
    return 0;
}

static int place_block(const struct qcow2_layout *l, uint64_t block, need_t need, struct cursor *c,
                       uint64_t *host, struct placing *out, struct err *e)
{
    *host = PLACE_NONE;
    if (need == NEED_HOLE)
        return 0;
    if (place_table(l, block, c, out, e))
        return -1;
    if (need_is_packed(need))
        return place_packed(l, need_packed_len(need), c, host, out, e);
    if (need == NEED_ZERO && !l->data_file_raw)
        return 0;
    return place_plain(l, block, c, host, out, e);
}

int qcow2_layout_place(const struct qcow2_layout *l, uint64_t first_block, const need_t *need,
                       size_t n, struct cursor *c, struct placing *out, struct err *e)
{
    if (!num_inside(first_block, n, l->blocks))
        return err_set(e, EINVAL, "Blocks beyond the end of the image");
    for (size_t i = 0; i < n; i++)
        if (place_block(l, first_block + i, need[i], c, &out->host[i], out, e))
            return -1;
    return 0;
}
