#include <inttypes.h>

#include "base/num.h"
#include "formats/qcow2/check.h"

/* "Refcount table entry" */
#define REFTABLE_PLACE    UINT64_C(0xfffffffffffffe00)
#define REFTABLE_RESERVED UINT64_C(0x1ff)

/* "Refcount block entry": narrow ones count from the least significant bit of a byte. */
static uint64_t refcount_at(const uint8_t *block, uint64_t index, unsigned order)
{
    switch (order) {
    case 3:
        return block[index];
    case 4:
        return be16_load(block + 2 * index);
    case 5:
        return be32_load(block + 4 * index);
    case 6:
        return be64_load(block + 8 * index);
    default:
        break;
    }
    unsigned bits = 1u << order, shift = (unsigned)((index << order) & 7);
    return (block[(index << order) >> 3] >> shift) & ((1u << bits) - 1);
}

static uint64_t refs_per_block(const struct check *c)
{
    return ((uint64_t)c->q->cluster_size * 8) >> c->q->head.header.refcount_order;
}

static uint64_t block_place(const struct check *c, uint64_t index)
{
    return index < c->n_reftable ? c->reftable[index] & REFTABLE_PLACE : 0;
}

/* Read refcount block `index` into c->block; behind the end of the file it is zeros. */
static bool block_load(struct check *c, uint64_t index, struct err *e)
{
    uint64_t host = block_place(c, index);
    if (c->in_block == index)
        return true;
    c->in_block = UINT64_MAX;
    if (host % c->q->cluster_size)
        return false;
    if (!host)
        memset(c->block, 0, c->q->cluster_size);
    else if (file_read_padded(c->q->file, c->block, c->q->cluster_size, host, NULL, e) < 0) {
        err_clear(e);
        return false;
    }
    c->in_block = index;
    return true;
}

bool check_refcount(struct check *c, uint64_t cluster, uint64_t *refcount, struct err *e)
{
    uint64_t per = refs_per_block(c);
    if (!block_load(c, cluster / per, e))
        return false;
    *refcount = refcount_at(c->block, cluster % per, c->q->head.header.refcount_order);
    return true;
}

int check_actual_load(struct check *c, struct err *e)
{
    uint64_t per = refs_per_block(c);
    unsigned order = c->q->head.header.refcount_order;
    for (uint64_t i = 0; i < c->n;) {
        uint64_t cluster = c->first + i, at = cluster % per;
        uint64_t some = num_min(per - at, c->n - i);
        bool readable = block_load(c, cluster / per, e);
        for (uint64_t k = 0; k < some; k++) {
            uint64_t v = readable ? refcount_at(c->block, at + k, order) : 0;
            c->actual[i + k] = !readable ? CHECK_UNREADABLE : (uint32_t)num_min(v, CHECK_LARGE);
        }
        i += some;
    }
    return 0;
}

static void count_refblock(struct check *c, uint64_t i)
{
    uint64_t host = block_place(c, i), cluster = host >> c->q->cluster_bits;
    if (c->reftable[i] & REFTABLE_RESERVED) {
        CHECK_CORRUPT(c, "ERROR refcount table entry %" PRIu64 " has reserved bits set", i);
        return;
    }
    if (!host)
        return;
    if (host % c->q->cluster_size) {
        CHECK_CORRUPT(c,
                      "ERROR refcount block %" PRIu64
                      " is not cluster aligned; refcount table entry corrupted",
                      i);
        return;
    }
    if (cluster >= c->clusters) {
        CHECK_CORRUPT(c, "ERROR refcount block %" PRIu64 " is outside image", i);
        return;
    }
    check_count(c, host, c->q->cluster_size);
    if (cluster - c->first < c->n && c->counted[cluster - c->first] != 1) {
        check_line(c, "ERROR refcount block %" PRIu64 " refcount=%" PRIu32, i,
                   c->counted[cluster - c->first]);
        c->out->corruptions++;
    }
}

void check_refblocks(struct check *c)
{
    for (uint64_t i = 0; i < c->n_reftable; i++)
        count_refblock(c, i);
}

static void mismatch(struct check *c, uint64_t cluster, uint64_t reference, struct err *e)
{
    uint64_t refcount = 0;
    check_refcount(c, cluster, &refcount, e);
    bool leak = refcount > reference;
    check_line(c, "%s cluster %" PRIu64 " refcount=%" PRIu64 " reference=%" PRIu64,
               leak ? "Leaked" : "ERROR", cluster, refcount, reference);
    if (leak)
        c->out->leaks++;
    else
        c->out->corruptions++;
}

void check_compare(struct check *c, uint64_t *end, struct err *e)
{
    for (uint64_t i = 0; i < c->n && c->first + i < c->clusters; i++) {
        uint32_t actual = c->actual[i], counted = c->counted[i];
        if (actual == CHECK_UNREADABLE) {
            check_line(c, "Can't get refcount for cluster %" PRIu64 ": Input/output error",
                       c->first + i);
            c->out->check_errors++;
            continue;
        }
        if (actual || counted)
            *end = c->first + i;
        if (actual != counted)
            mismatch(c, c->first + i, counted, e);
    }
}
