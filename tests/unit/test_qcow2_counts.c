/* Refcounts of an image that is there, against a model: what is on storage after each flush is what
 * the model says, or more where a drop is not settled; shadow changes nothing until it is switched.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/qcow2/count.h"
#include "formats/qcow2/counts.h"
#include "io/memory.h"

#define MODEL 6000u /* clusters */

static uint64_t seed = 11;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

struct bed {
    struct qcow2 q;
    struct file *file;
    struct qcow2_counts *counts;
    struct err e;
    uint32_t model[MODEL]; /* what every cluster was counted by the test, not the tables' own */
    uint32_t later[MODEL]; /* dropped, not settled */
    uint64_t max;
};

/* Header, refcount table of one cluster, one block, L1: the least that can be counted in. */
static void bed_open(struct bed *b, unsigned cluster_bits, unsigned order)
{
    struct err *e = &b->e;
    memset(b, 0, sizeof *b);
    uint64_t cluster = UINT64_C(1) << cluster_bits;
    assert_int_equal(memory_new("image", "", 0, &b->file, e), 0);
    b->file->opt.write = true;
    b->q.head.header = (struct qcow2_header){.version = 3,
                                             .cluster_bits = cluster_bits,
                                             .size = cluster,
                                             .l1_entries = 1,
                                             .l1_offset = 3 * cluster,
                                             .reftable_offset = cluster,
                                             .reftable_clusters = 1,
                                             .refcount_order = order,
                                             .header_length = QCOW2_HEADER_V3};
    b->q.file = b->file;
    b->q.cluster_bits = cluster_bits;
    b->q.cluster_size = (uint32_t)cluster;
    b->max = qcow2_count_max(order);
    uint8_t *block = calloc(1, cluster), entry[8];
    for (unsigned i = 0; i < 4; i++)
        qcow2_count_store(order, block, i, 1);
    be64_store(entry, 2 * cluster);
    assert_int_equal(file_truncate(b->file, 4 * cluster, e), 0);
    assert_int_equal(file_write(b->file, block, cluster, 2 * cluster, e), 0);
    assert_int_equal(file_write(b->file, entry, 8, cluster, e), 0);
    free(block);
    assert_int_equal(qcow2_header_write(&b->q, e), 0);
    assert_int_equal(qcow2_counts_open(&b->q, 1, &b->counts, e), 0);
}

static void bed_close(struct bed *b)
{
    qcow2_counts_free(b->counts);
    assert_int_equal(file_close(b->file, &b->e), 0);
}

/* Read it all again, as somebody who opens the image now: `exact` or at least. Returns how many
 * clusters have a count that the test did not give: the tables' own, and leaks. */
static unsigned on_storage(struct bed *b, bool exact)
{
    struct qcow2 again = b->q;
    struct qcow2_counts *c;
    uint8_t head[QCOW2_HEADER_V3];
    struct qcow2_header h;
    unsigned others = 0;
    assert_int_equal(file_read(b->file, head, sizeof head, 0, &b->e), 0);
    assert_int_equal(qcow2_header_load(head, sizeof head, &h, &b->e), 0);
    again.head.header.reftable_offset = h.reftable_offset;
    again.head.header.reftable_clusters = h.reftable_clusters;
    if (qcow2_counts_open(&again, 0, &c, &b->e))
        fail_msg("%s", b->e.text);
    for (uint64_t i = 0; i < MODEL; i++) {
        uint64_t v;
        if (qcow2_counts_get(c, i, &v, &b->e))
            fail_msg("%s", b->e.text);
        uint64_t want = b->model[i];
        if (!want && v && !b->later[i]) {
            others++;
            continue;
        }
        if (exact ? v != want : v < want || v > want + b->later[i])
            fail_msg("cluster %d: count %d, should be %d (+%d)", (int)i, (int)v, (int)want,
                     (int)b->later[i]);
    }
    qcow2_counts_free(c);
    return others;
}

/* A cluster that the test took, or MODEL. */
static uint64_t any_taken(const struct bed *b)
{
    uint64_t from = draw(MODEL);
    for (uint64_t i = 0; i < MODEL; i++)
        if (b->model[(from + i) % MODEL])
            return (from + i) % MODEL;
    return MODEL;
}

/* In shadow nothing may get a place that the storage still counts. */
static const uint32_t *in_use;

static void take(struct bed *b)
{
    uint64_t host, n = draw(6) ? 1 : 1 + draw(9);
    if (qcow2_counts_take(b->counts, n, &host, &b->e))
        fail_msg("%s", b->e.text);
    uint64_t at = host >> b->q.cluster_bits;
    assert_true(at + n < MODEL);
    for (uint64_t i = at; i < at + n; i++) {
        assert_int_equal(b->model[i], 0);
        assert_int_equal(b->later[i], 0);
        assert_false(in_use && in_use[i]);
        b->model[i] = 1;
    }
}

static void raise_one(struct bed *b)
{
    uint64_t i = any_taken(b);
    if (i == MODEL)
        return;
    int r = qcow2_counts_raise(b->counts, i << b->q.cluster_bits, 1, &b->e);
    bool fits = b->model[i] + b->later[i] < b->max;
    assert_int_equal(r, fits ? 0 : -1);
    b->model[i] += fits;
    err_clear(&b->e);
}

static void drop_one(struct bed *b, bool now)
{
    uint64_t i = any_taken(b);
    if (i == MODEL)
        return;
    int r =
        (now ? qcow2_counts_lower : qcow2_counts_drop)(b->counts, i << b->q.cluster_bits, 1, &b->e);
    assert_int_equal(r, 0);
    b->model[i]--;
    b->later[i] += !now;
}

static void settle(struct bed *b)
{
    assert_int_equal(qcow2_counts_flush(b->counts, &b->e), 0);
    on_storage(b, false);
    assert_int_equal(qcow2_counts_settle(b->counts, &b->e), 0);
    memset(b->later, 0, sizeof b->later);
    assert_int_equal(qcow2_counts_flush(b->counts, &b->e), 0);
}

static void in_place(void **state)
{
    (void)state;
    static const unsigned shapes[][2] = {{9, 0}, {9, 3}, {9, 4}, {9, 6}, {10, 1}, {12, 5}, {16, 4}};
    static struct bed b;
    for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
        bed_open(&b, shapes[s][0], shapes[s][1]);
        for (unsigned i = 0; i < 1500; i++) {
            unsigned what = (unsigned)draw(10);
            if (what < 4)
                take(&b);
            else if (what < 6)
                raise_one(&b);
            else if (what < 9)
                drop_one(&b, false);
            else
                settle(&b);
        }
        settle(&b);
        unsigned others = on_storage(&b, true);
        uint64_t per = (uint64_t)b.q.cluster_size * 8 >> shapes[s][1];
        /* header, L1, table, and no more blocks than there is something to count in */
        assert_in_range(others, 4, 3 + b.q.head.header.reftable_clusters + MODEL / per + 1);
        bed_close(&b);
    }
}

/* Until the switch the storage says what it said; after it what the model says; nothing leaks. */
static void in_shadow(void **state)
{
    (void)state;
    static struct bed b;
    static uint32_t before[MODEL], after[MODEL];
    for (unsigned bits = 9; bits <= 12; bits += 3) {
        bed_open(&b, bits, 4);
        for (unsigned round = 0; round < 12; round++) {
            for (unsigned i = 0; i < 150; i++)
                take(&b);
            settle(&b);
            unsigned own = on_storage(&b, true);
            memcpy(before, b.model, sizeof before);
            in_use = before;
            qcow2_counts_shadow(b.counts);
            for (unsigned i = 0; i < 300; i++)
                draw(3) ? drop_one(&b, true) : draw(2) ? raise_one(&b) : take(&b);
            struct qcow2_header *h = &b.q.head.header;
            uint64_t offset;
            uint32_t clusters;
            assert_int_equal(qcow2_counts_shadow_write(b.counts, &offset, &clusters, &b.e), 0);
            in_use = NULL;
            memcpy(after, b.model, sizeof after);
            memcpy(b.model, before, sizeof before);
            assert_int_equal(on_storage(&b, true), own);
            memcpy(b.model, after, sizeof after);
            h->reftable_offset = offset;
            h->reftable_clusters = clusters;
            assert_int_equal(qcow2_header_write(&b.q, &b.e), 0);
            on_storage(&b, false);
            assert_int_equal(qcow2_counts_switched(b.counts, &b.e), 0);
            settle(&b);
            on_storage(&b, true);
        }
        /* header, L1, table, a block for each part that is counted */
        uint64_t end, per = (uint64_t)b.q.cluster_size * 8 >> 4;
        assert_int_equal(qcow2_counts_end(b.counts, &end, &b.e), 0);
        assert_in_range(on_storage(&b, true), 4,
                        2 + b.q.head.header.reftable_clusters + num_div_up(end, per));
        bed_close(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_place),
        cmocka_unit_test(in_shadow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
