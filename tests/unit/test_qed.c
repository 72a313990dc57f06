/* qed: the header both ways and what it must satisfy; the map of an image built here; what a check
 * counts and a repair changes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/qed/qed.h"
#include "io/memory.h"

static struct err e;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

/* ---- the header ------------------------------------------------------------------------------ */

static const struct qed_header good = {
    .cluster_size = 4096,
    .table_size = 2,
    .header_size = 1,
    .features = QED_BACKING | QED_NEED_CHECK,
    .compat_features = 0x1122334455667788,
    .autoclear_features = 0x99,
    .l1_offset = 4096,
    .size = 64 * MIB,
    .backing_offset = 64,
    .backing_length = 5,
};

static void header_both_ways(void **state)
{
    (void)state;
    uint8_t buf[QED_HEADER], again[QED_HEADER];
    struct qed_header h;
    qed_header_store(&good, buf);
    OK(qed_header_load(buf, &h, &e));
    qed_header_store(&h, again);
    assert_memory_equal(buf, again, sizeof buf);
    assert_memory_equal(buf, "QED\0\0\x10\0\0\2\0\0\0\1\0\0\0\3\0\0\0", 20);
}

static void refused(unsigned at, unsigned bytes, uint64_t value, const char *text)
{
    uint8_t buf[QED_HEADER];
    struct qed_header h;
    qed_header_store(&good, buf);
    for (unsigned i = 0; i < bytes; i++)
        buf[at + i] = (uint8_t)(value >> 8 * i);
    err_clear(&e);
    assert_int_equal(qed_header_load(buf, &h, &e), -1);
    assert_string_equal(e.text, text);
}

static void header_malformed(void **state)
{
    (void)state;
    refused(0, 4, 0x00444552, "Image not in QED format");
    for (unsigned bit = 3; bit < 64; bit++) {
        char text[64];
        snprintf(text, sizeof text, "Unsupported QED features: %llx", 1ULL << bit);
        refused(16, 8, UINT64_C(1) << bit, text);
    }
    static const uint32_t clusters[] = {0, 1, 2048, 4097, 12288, 1u << 27, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(clusters); i++)
        refused(4, 4, clusters[i], "QED cluster size is invalid");
    static const uint32_t tables[] = {0, 3, 17, 32, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        refused(8, 4, tables[i], "QED table size is invalid");
    static const uint64_t sizes[] = {1, 511, 4 * GIB + 512, 1ULL << 63, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        refused(48, 8, sizes[i], "QED image size is invalid");
    refused(56, 4, 4092, "QED backing filename offset is invalid");
    refused(60, 4, 4033, "QED backing filename offset is invalid");
    refused(60, 4, UINT32_MAX, "QED backing filename offset is invalid");
    refused(12, 4, 0, "QED backing filename offset is invalid");
}

/* Sizes that two levels of tables map in more bytes than there are numbers for. */
static void header_largest(void **state)
{
    (void)state;
    uint8_t buf[QED_HEADER];
    struct qed_header h = good;
    h.cluster_size = QED_MAX_CLUSTER;
    h.table_size = QED_MAX_TABLE;
    h.size = INT64_MAX & ~UINT64_C(511);
    qed_header_store(&h, buf);
    OK(qed_header_load(buf, &h, &e));
}

/* ---- an image -------------------------------------------------------------------------------- */

enum { CLUSTER = 4096, TABLE = 2 * CLUSTER, L1 = 1 * CLUSTER, L2 = 3 * CLUSTER, END = 9 * CLUSTER };

struct build {
    struct file *file;
    struct image img;
};

static void put(struct build *b, uint64_t at, uint64_t v)
{
    uint8_t p[8];
    le64_store(p, v);
    OK(file_write(b->file, p, 8, at, &e));
}

/* Header, L1, one L2 with entries 0, 1, 2, 5: clusters 5, 6, zero, 8. Cluster 7 leaks. */
static void build(struct build *b)
{
    uint8_t head[QED_HEADER];
    struct qed_header h = good;
    h.features = QED_NEED_CHECK;
    *b = (struct build){0};
    OK(memory_new("image", "", 0, &b->file, &e));
    b->file->opt.write = true;
    OK(file_truncate(b->file, END, &e));
    qed_header_store(&h, head);
    OK(file_write(b->file, head, sizeof head, 0, &e));
    put(b, L1, L2);
    put(b, L2, 5 * CLUSTER);
    put(b, L2 + 8, 6 * CLUSTER);
    put(b, L2 + 16, QED_ZERO_CLUSTER);
    put(b, L2 + 40, 8 * CLUSTER);
}

static void build_open(struct build *b)
{
    b->img = (struct image){.format = &format_qed, .file = b->file};
    OK(format_qed.open(&b->img, &e));
}

static void build_close(struct build *b)
{
    if (b->img.state)
        format_qed.close(&b->img);
    file_cleanup(&b->file);
}

static void mapped(struct build *b, uint64_t cluster, enum extent_kind kind, uint64_t clusters,
                   uint64_t host)
{
    struct extent x = {0};
    uint64_t guest = cluster * CLUSTER;
    OK(format_qed.map(&b->img, guest, b->img.size - guest, &x, &e));
    assert_int_equal(x.kind, kind);
    assert_int_equal(x.length, clusters * CLUSTER);
    if (kind == EXTENT_DATA)
        assert_int_equal(x.host, host);
}

static void map_kinds(void **state)
{
    (void)state;
    struct build b;
    build(&b);
    build_open(&b);
    assert_int_equal(b.img.size, 64 * MIB);
    mapped(&b, 0, EXTENT_DATA, 2, 5 * CLUSTER);
    mapped(&b, 2, EXTENT_ZERO, 1, 0);
    mapped(&b, 3, EXTENT_HOLE, 2, 0);
    mapped(&b, 5, EXTENT_DATA, 1, 8 * CLUSTER);
    mapped(&b, 6, EXTENT_HOLE, 64 * MIB / CLUSTER - 6, 0);
    build_close(&b);
}

/* An entry that leads nowhere is an error where it is asked for, and only there. */
static void map_refuses(void **state)
{
    (void)state;
    static const uint64_t bad[] = {2, 4095, CLUSTER + 512, END, 1ULL << 40, UINT64_MAX - 4095};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct build b;
        struct extent x = {0};
        build(&b);
        put(&b, L2 + 8, bad[i]);
        put(&b, L1 + 8, bad[i]);
        build_open(&b);
        mapped(&b, 0, EXTENT_DATA, 1, 5 * CLUSTER);
        assert_int_equal(format_qed.map(&b.img, CLUSTER, CLUSTER, &x, &e), -1);
        assert_int_equal(strncmp(e.text, "QED cluster offset", 18), 0);
        assert_int_equal(format_qed.map(&b.img, 4 * MIB, CLUSTER, &x, &e), -1);
        assert_int_equal(strncmp(e.text, "QED table offset", 16), 0);
        build_close(&b);
    }
}

static void open_refuses(void **state)
{
    (void)state;
    static const uint64_t bad[] = {0, 512, L1 + 8, END - CLUSTER, END, 1ULL << 63};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct build b;
        build(&b);
        put(&b, 40, bad[i]);
        b.img = (struct image){.format = &format_qed, .file = b.file};
        assert_int_equal(format_qed.open(&b.img, &e), -1);
        assert_string_equal(e.text, "QED table offset is invalid");
        build_close(&b);
    }
}

/* ---- check ----------------------------------------------------------------------------------- */

static struct check_result checked(struct build *b, enum check_fix fix)
{
    const struct check_sink sink = {.memory = MIB};
    struct check_result r = {0};
    OK(format_qed.check(&b->img, fix, &sink, &r, &e));
    return r;
}

static uint64_t get(struct build *b, uint64_t at)
{
    uint8_t p[8];
    OK(file_read(b->file, p, 8, at, &e));
    return le64_load(p);
}

static void check_counts(void **state)
{
    (void)state;
    struct build b;
    build(&b);
    build_open(&b);
    struct check_result r = checked(&b, CHECK_FIX_NONE);
    assert_int_equal(r.total_clusters, 64 * MIB / CLUSTER);
    assert_int_equal(r.allocated_clusters, 3);
    assert_int_equal(r.fragmented_clusters, 1);
    assert_int_equal(r.leaks, 1);
    assert_int_equal(r.corruptions, 0);
    assert_int_equal(get(&b, 16), QED_NEED_CHECK);
    build_close(&b);
}

static void check_repairs(void **state)
{
    (void)state;
    struct build b;
    build(&b);
    put(&b, L2 + 48, END);          /* outside */
    put(&b, L2 + 56, 5 * CLUSTER);  /* a second time */
    put(&b, L1 + 8, 7);             /* nowhere */
    put(&b, L1 + 16, L2 + CLUSTER); /* half of a table, and a cluster */
    build_open(&b);
    struct check_result r = checked(&b, CHECK_FIX_NONE);
    assert_int_equal(r.corruptions, 5);
    assert_int_equal(r.corruptions_fixed, 0);
    assert_int_equal(get(&b, L2 + 48), END);

    r = checked(&b, CHECK_FIX_ERRORS);
    assert_int_equal(r.corruptions, 5);
    assert_int_equal(r.corruptions_fixed, 2);
    assert_int_equal(get(&b, L2 + 48), 0);
    assert_int_equal(get(&b, L1 + 8), 0);
    assert_int_equal(get(&b, 16), 0);

    r = checked(&b, CHECK_FIX_NONE);
    assert_int_equal(r.corruptions, 3);
    assert_int_equal(get(&b, L2 + 56), 5 * CLUSTER);
    build_close(&b);
}

/* A file that says it is large costs no memory that the check may not use. */
static void check_bounded(void **state)
{
    (void)state;
    struct build b;
    const struct check_sink sink = {.memory = 0};
    struct check_result r = {0};
    build(&b);
    build_open(&b);
    assert_int_equal(format_qed.check(&b.img, CHECK_FIX_NONE, &sink, &r, &e), -1);
    assert_string_equal(e.text, "An image of 9 clusters needs 1 MiB to be checked");
    build_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_both_ways), cmocka_unit_test(header_malformed),
        cmocka_unit_test(header_largest),   cmocka_unit_test(map_kinds),
        cmocka_unit_test(map_refuses),      cmocka_unit_test(open_refuses),
        cmocka_unit_test(check_counts),     cmocka_unit_test(check_repairs),
        cmocka_unit_test(check_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
