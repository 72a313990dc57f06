/* The first cluster of a qcow2 image: what is stored loads again, and what is wrong is refused in
 * the original's words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/qcow2/state.h"

#define CLUSTER 65536u

static void head_fill(struct qcow2_head *h)
{
    struct err e = ERR_INIT;
    *h = (struct qcow2_head){.header = {.version = 3,
                                        .cluster_bits = 16,
                                        .size = GIB,
                                        .l1_entries = 2,
                                        .l1_offset = 3 * CLUSTER,
                                        .reftable_offset = CLUSTER,
                                        .reftable_clusters = 1,
                                        .refcount_order = 4}};
    h->ext.features = qcow2_features_new(&e);
    h->ext.features_length = QCOW2_FEATURES_LENGTH;
}

static uint8_t *head_bytes(struct qcow2_head *h)
{
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(CLUSTER);
    assert_int_equal(qcow2_head_store(h, buf, CLUSTER, &e), 0);
    return buf;
}

static void everything_loads_as_stored(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct qcow2_head h, l;
    head_fill(&h);
    h.header.autoclear = QCOW2_AUTOCLEAR_BITMAPS;
    h.header.crypt_method = QCOW2_CRYPT_LUKS;
    h.header.n_snapshots = 7;
    h.header.snapshots_offset = 9 * CLUSTER;
    h.backing_name = strdup("below");
    h.ext.backing_format = strdup("raw");
    h.ext.data_file = strdup("beside");
    h.ext.crypto_offset = 5 * CLUSTER;
    h.ext.crypto_length = 1000;
    h.ext.has_bitmaps = true;
    h.ext.n_bitmaps = 3;
    h.ext.bitmap_dir_size = 96;
    h.ext.bitmap_dir_offset = 6 * CLUSTER;
    h.ext.unknown = calloc(1, sizeof *h.ext.unknown);
    h.ext.unknown[0] = (struct qcow2_extension){0x12345678, 5, (uint8_t *)strdup("abcd")};
    h.ext.n_unknown = 1;
    h.extra = (uint8_t *)strdup("1234567");
    h.extra_length = 8;
    uint8_t *buf = head_bytes(&h);

    assert_int_equal(qcow2_head_load(buf, CLUSTER, &l, &e), 0);
    assert_memory_equal(&l.header, &h.header, sizeof h.header);
    assert_string_equal(l.backing_name, "below");
    assert_string_equal(l.ext.backing_format, "raw");
    assert_string_equal(l.ext.data_file, "beside");
    assert_int_equal(l.ext.crypto_length, 1000);
    assert_int_equal(l.ext.bitmap_dir_offset, 6 * CLUSTER);
    assert_int_equal(l.ext.features_length, QCOW2_FEATURES_LENGTH);
    assert_memory_equal(l.ext.features, h.ext.features, QCOW2_FEATURES_LENGTH);
    assert_int_equal(l.ext.n_unknown, 1);
    assert_memory_equal(l.ext.unknown[0].data, "abcd", 5);
    assert_memory_equal(l.extra, "1234567", 8);

    uint8_t *again = head_bytes(&l);
    assert_memory_equal(again, buf, CLUSTER);
    free(again);
    free(buf);
    qcow2_head_release(&l);
    qcow2_head_release(&h);
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct qcow2_head h;
    uint8_t buf[512];
    head_fill(&h);
    h.header.cluster_bits = 9;
    assert_int_equal(qcow2_head_store(&h, buf, sizeof buf, &e), 0); /* to the last byte */
    h.backing_name = strdup("b");
    assert_int_equal(qcow2_head_store(&h, buf, sizeof buf, &e), -1);
    assert_string_equal(e.text, "No space left on device");
    qcow2_head_release(&h);
}

/* Up to two changes of `bytes` hexadecimal digits each, and the words. */
static const struct {
    unsigned at;
    const char *hex;
    unsigned at2;
    const char *hex2;
    const char *text; /* NULL: opens */
} wrong[] = {
    {0, "51464900", 0, NULL, "Image is not in qcow2 format"},
    {4, "00000001", 0, NULL, "Unsupported qcow2 version 1"},
    {4, "00000004", 0, NULL, "Unsupported qcow2 version 4"},
    {20, "00000008", 0, NULL, "Unsupported cluster size: 2^8"},
    {20, "00000016", 0, NULL, "Unsupported cluster size: 2^22"},
    {100, "00000067", 0, NULL, "qcow2 header too short"},
    {100, "00010001", 0, NULL, "qcow2 header exceeds cluster size"},
    {100, "00010000", 0, NULL, NULL},
    {100, "00000078", 0, NULL, "Header extension too large"},
    {8, "0000000000010001", 0, NULL, "Invalid backing file offset"},
    {8, "0000000000000200", 16, "00000500", "Backing file name too long"},
    {8, "000000000000ffff", 16, "00000010", "Backing file name too long"},
    {8, "0000000000000200", 16, "00000000", NULL},
    {72, "0000000000000020", 0, NULL,
     "Unsupported qcow2 feature(s): Unknown incompatible feature: 20"},
    {72, "0000000000000060", 121, "05",
     "Unsupported qcow2 feature(s): dirty bit, Unknown incompatible feature: 40"},
    {72, "0000000000000020", 112, "1234567800020000",
     "Unsupported qcow2 feature(s): Unknown incompatible feature: 20"},
    {72, "0000000000000002", 0, NULL, NULL},
    {72, "0000000000000008", 0, NULL,
     "qcow2: Compression type incompatible feature bit must not be set"},
    {104, "01", 0, NULL, "qcow2: Compression type incompatible feature bit must be set"},
    {104, "02", 79, "08", "qcow2: unknown compression type: 2"},
    {72, "0000000000000010", 0, NULL, "L1 table is too small"},
    {72, "0000000000000010", 20, "0000000d", "Unsupported subcluster size: 256"},
    {96, "00000007", 0, NULL, "Reference count entry width too large; may not exceed 64 bits"},
    {32, "00000003", 0, NULL, "Unsupported encryption method 3"},
    {32, "00000002", 0, NULL, "Missing CRYPTO header for crypt method 2"},
    {36, "00000000", 0, NULL, "L1 table is too small"},
    {36, "00400001", 0, NULL, "Active L1 table too large"},
    {36, "00400000", 0, NULL, NULL},
    {40, "0000000000010200", 0, NULL, "Active L1 table offset invalid"},
    {40, "8000000000000000", 0, NULL, "Active L1 table offset invalid"},
    {48, "0000000000010200", 0, NULL, "Reference count table offset invalid"},
    {56, "00000000", 0, NULL, "Image does not contain a reference count table"},
    {56, "00000081", 0, NULL, "Reference count table too large"},
    {56, "00000080", 0, NULL, NULL},
    {60, "00010001", 0, NULL, "Snapshot table too large"},
    {60, "00000001", 64, "0000000000020001", "Snapshot table offset invalid"},
    {24, "7fffffffffffffff", 36, "00400000", "Image is too big"},
    {112, "e2792aca00000010", 0, NULL, "ERROR: ext_backing_format: len=16 too large (>=16)"},
    {112, "0537be7700000008", 0, NULL, "CRYPTO header extension size 8, but expected size 16"},
    {112, "0537be7700000010", 120, "00000000000100000000000000001000",
     "CRYPTO header extension only expected with LUKS encryption method"},
    {112, "0537be7700000010", 32, "00000002",
     "Encryption header offset '110404054579488' is not a multiple of cluster size '65536'"},
    {112, "2385287500000008", 0, NULL, "bitmaps_ext: Invalid extension length"},
    {112, "2385287500000018", 0, NULL, NULL},
    {112, "2385287500000018", 88, "0000000000000001", "bitmaps_ext: Reserved field is not zero"},
    {112, "6803f857ffffffff", 0, NULL, "Header extension too large"},
};

static void patch(uint8_t *buf, unsigned at, const char *hex)
{
    for (; hex && *hex; hex += 2, at++) {
        unsigned v;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        buf[at] = (uint8_t)v;
    }
}

static int load_and_check(const uint8_t *buf, struct err *e)
{
    struct qcow2_head h;
    const struct image_flags flags = {0};
    int r = qcow2_head_load(buf, CLUSTER, &h, e);
    if (r) /* as opening does: unknown features are told before anything else */
        qcow2_features_check(&h, e);
    else
        r = qcow2_limits_check(&h, &flags, e);
    qcow2_head_release(&h);
    return r;
}

static void wrong_headers_are_told(void **state)
{
    (void)state;
    struct qcow2_head h;
    head_fill(&h);
    uint8_t *good = head_bytes(&h), *buf = malloc(CLUSTER);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct err e = ERR_INIT;
        memcpy(buf, good, CLUSTER);
        patch(buf, wrong[i].at, wrong[i].hex);
        patch(buf, wrong[i].at2, wrong[i].hex2);
        int r = load_and_check(buf, &e);
        if (wrong[i].text)
            assert_string_equal(e.text, wrong[i].text);
        assert_int_equal(r, wrong[i].text ? -1 : 0);
    }
    free(good);
    free(buf);
    qcow2_head_release(&h);
}

static void corrupt_images_are_not_written(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct qcow2_head h;
    head_fill(&h);
    h.header.incompatible = QCOW2_INCOMPAT_CORRUPT;
    h.header.header_length = QCOW2_HEADER_V3;
    const struct image_flags read = {0}, write = {.write = true},
                             repair = {.write = true, .check = true};
    assert_int_equal(qcow2_limits_check(&h, &read, &e), 0);
    assert_int_equal(qcow2_limits_check(&h, &repair, &e), 0);
    assert_int_equal(qcow2_limits_check(&h, &write, &e), -1);
    assert_string_equal(e.text, "qcow2: Image is corrupt; cannot be opened read/write");
    qcow2_head_release(&h);
}

/* No byte of a header makes the loader read outside of it. */
static void any_byte_may_be_wrong(void **state)
{
    (void)state;
    struct qcow2_head h;
    head_fill(&h);
    h.backing_name = strdup("below");
    uint8_t *good = head_bytes(&h), *buf = malloc(CLUSTER);
    for (unsigned at = 0; at < 600; at++)
        for (unsigned v = 0; v < 256; v += 17) {
            struct err e = ERR_INIT;
            memcpy(buf, good, CLUSTER);
            buf[at] = (uint8_t)v;
            load_and_check(buf, &e);
        }
    free(good);
    free(buf);
    qcow2_head_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_loads_as_stored),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(wrong_headers_are_told),
        cmocka_unit_test(corrupt_images_are_not_written),
        cmocka_unit_test(any_byte_may_be_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
