/*
 * "Extended L2 Entries": an entry has a second word with two bits for each of 32 subclusters. The
 * first says that the subcluster is stored at its place in the cluster, the second that it reads as
 * zeros.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/state.h"
#include "formats/slices.h"

#define SUBCLUSTERS 32u
#define ENTRY_SIZE  16u
/* A map looks into so many L2 entries before it answers with what it has. */
#define MAP_MAX_ENTRIES (UINT32_C(1) << 19)

struct qcow2_extended {
    struct qcow2 *q;
    uint64_t *l1;
    uint64_t n_l1;
    uint32_t sub_size;
    struct slices *slices;
};

/* One entry, decoded: the cluster, and what its subclusters are. */
struct entry {
    struct table_entry cluster;
    uint32_t stored, zero;
};

/* Subclusters of one kind, one after the other. */
struct run {
    enum extent_kind kind;
    bool has_host;
    uint64_t host; /* of the first */
    uint64_t n;
};

int qcow2_extended_open(struct qcow2 *q, uint64_t l1_offset, uint32_t l1_entries,
                        struct qcow2_extended **out, struct err *e)
{
    AUTO_FREE struct qcow2_extended *x = mem_new(1, sizeof *x, e);
    if (!x)
        return -1;
    uint64_t need = num_div_up(q->size, q->l2_entries << q->cluster_bits);
    x->q = q;
    x->n_l1 = num_min(need, l1_entries);
    x->sub_size = q->cluster_size / SUBCLUSTERS;
    if (qcow2_words_read(q, l1_offset, x->n_l1, &x->l1, e))
        return -1;
    if (slices_new(q->file, q->budget, q->cluster_size, &x->slices, e)) {
        free(x->l1);
        return -1;
    }
    *out = MEM_TAKE(x);
    return 0;
}

void qcow2_extended_free(struct qcow2_extended *x)
{
    if (!x)
        return;
    slices_free(x->slices);
    free(x->l1);
    free(x);
}

static int bits_check(const struct qcow2 *q, uint64_t cluster, const struct entry *n, struct err *e)
{
    bool bad = n->stored & n->zero;
    if (n->cluster.kind == EXTENT_PACKED)
        bad = n->stored | n->zero;
    else if (!n->cluster.has_host)
        bad = n->stored;
    if (!bad)
        return 0;
    return err_set(e, EIO,
                   "qcow2: Image is corrupt: Invalid cluster entry found (guest offset: 0x%" PRIx64
                   ")",
                   cluster << q->cluster_bits);
}

/* The entry of `cluster`; *absent = clusters from there on whose L2 table is absent. */
static int entry_load(struct qcow2_extended *x, uint64_t cluster, struct slice *hold,
                      struct entry *out, uint64_t *absent, struct err *e)
{
    const struct qcow2 *q = x->q;
    uint64_t index = cluster / q->l2_entries, in = cluster % q->l2_entries, table = 0;
    *out = (struct entry){.cluster.kind = EXTENT_HOLE};
    if (index < x->n_l1 && qcow2_l1_decode(q, index, x->l1[index], &table, e))
        return -1;
    *absent = 0;
    if (!table) {
        *absent = q->l2_entries - in;
        while (++index < x->n_l1 && !x->l1[index])
            *absent += q->l2_entries;
        if (index >= x->n_l1)
            *absent = UINT64_C(1) << 52; /* more than any image has */
        return 0;
    }
    uint64_t at = table + in * ENTRY_SIZE;
    if (slices_move(x->slices, at, hold, e))
        return -1;
    if (!num_inside(at - hold->offset, ENTRY_SIZE, hold->valid))
        return err_set(
            e, EIO, "L2 table at offset 0x%" PRIx64 " reaches beyond the end of the file", table);
    const uint8_t *p = hold->data + (at - hold->offset);
    uint64_t bits = be64_load(p + 8);
    out->stored = (uint32_t)bits;
    out->zero = (uint32_t)(bits >> 32);
    if (qcow2_entry_decode(q, cluster, be64_load(p), &out->cluster, e))
        return -1;
    return bits_check(q, cluster, out, e);
}

/* The run of equal subclusters of an entry from `sub` on. */
static struct run entry_run(const struct qcow2_extended *x, const struct entry *n, unsigned sub)
{
    struct run r = {.kind = EXTENT_HOLE, .has_host = n->cluster.has_host};
    uint32_t same = ~(n->stored | n->zero);
    if (n->stored >> sub & 1) {
        r.kind = EXTENT_DATA;
        same = n->stored;
    } else if (n->zero >> sub & 1) {
        r.kind = EXTENT_ZERO;
        same = n->zero;
    }
    uint32_t other = ~(same >> sub); /* its lowest bit set ends the run */
    r.n = num_min(other ? (unsigned)__builtin_ctz(other) : SUBCLUSTERS, SUBCLUSTERS - sub);
    r.host = n->cluster.host + (uint64_t)sub * x->sub_size;
    return r;
}

static bool run_follows(const struct qcow2_extended *x, const struct run *run,
                        const struct run *next)
{
    if (next->kind != run->kind || next->has_host != run->has_host)
        return false;
    return !run->has_host || next->host == run->host + run->n * x->sub_size;
}

/* Extend `run`, which ends in front of subcluster number `at`, up to `end`. */
static void run_extend(struct qcow2_extended *x, uint64_t at, uint64_t end, struct slice *hold,
                       struct entry *n, struct run *run, struct err *e)
{
    for (uint32_t looked = 0; at < end && looked < MAP_MAX_ENTRIES; looked++) {
        uint64_t absent = 0;
        if (at % SUBCLUSTERS == 0 && entry_load(x, at / SUBCLUSTERS, hold, n, &absent, e)) {
            err_clear(e); /* it is told when somebody asks for that cluster */
            return;
        }
        if (n->cluster.kind == EXTENT_PACKED)
            return;
        struct run next = entry_run(x, n, at % SUBCLUSTERS);
        if (absent)
            next.n = absent * SUBCLUSTERS;
        if (!run_follows(x, run, &next))
            return;
        run->n += next.n;
        at += num_min(next.n, end - at);
    }
}

static void map_packed(const struct qcow2_extended *x, const struct entry *n, uint64_t guest,
                       uint64_t length, struct extent *out)
{
    const struct qcow2 *q = x->q;
    uint32_t in = (uint32_t)(guest % q->cluster_size);
    out->kind = EXTENT_PACKED;
    out->length = num_min(length, q->cluster_size - in);
    out->file = q->data_file;
    out->host = n->cluster.host;
    out->codec = n->cluster.codec;
    out->packed_len = n->cluster.packed_len;
    out->block_size = q->cluster_size;
    out->block_offset = in;
}

static int map_held(struct qcow2_extended *x, uint64_t guest, uint64_t length, struct slice *hold,
                    struct extent *out, struct err *e)
{
    uint64_t at = guest / x->sub_size, in = guest % x->sub_size, absent = 0;
    struct entry n;
    out->tail = x->q->cluster_size;
    if (entry_load(x, at / SUBCLUSTERS, hold, &n, &absent, e))
        return -1;
    if (n.cluster.kind == EXTENT_PACKED) {
        map_packed(x, &n, guest, length, out);
        return 0;
    }
    struct run run = entry_run(x, &n, at % SUBCLUSTERS);
    if (absent)
        run.n = absent * SUBCLUSTERS - at % SUBCLUSTERS;
    uint64_t end = num_div_up(guest + length, x->sub_size);
    if (run.n < end - at)
        run_extend(x, at + run.n, end, hold, &n, &run, e);
    out->kind = run.kind;
    out->length = run.n >= end - at ? length : num_min(length, run.n * x->sub_size - in);
    out->has_host = run.has_host;
    if (run.has_host) {
        out->file = x->q->data_file;
        out->host = run.host + in;
    }
    return 0;
}

int qcow2_extended_map(struct qcow2_extended *x, uint64_t guest, uint64_t length,
                       struct extent *out, struct err *e)
{
    struct slice hold = {0};
    int r = map_held(x, guest, length, &hold, out, e);
    slices_put(x->slices, &hold);
    return r;
}
