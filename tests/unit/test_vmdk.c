/* vmdk: the header both ways, the descriptor, the map of images put together here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/codec/codec.h"
#include "formats/vmdk/state.h"
#include "io/memory.h"

/* ---- header ---------------------------------------------------------------------------------- */

static void header_both_ways(void **state)
{
    (void)state;
    const struct vmdk_sparse h = {
        .version = 3,
        .flags = VMDK_FLAG_NEWLINE | VMDK_FLAG_COMPRESSED | VMDK_FLAG_MARKERS,
        .capacity = UINT64_C(0x123456789a),
        .grain = 128,
        .desc_offset = 1,
        .desc_size = 20,
        .gtes = 512,
        .rgd_offset = 21,
        .gd_offset = VMDK_GD_AT_END,
        .overhead = 256,
        .unclean = true,
        .newlines_ok = true,
        .compression = VMDK_DEFLATE,
    };
    uint8_t a[VMDK_SPARSE_HEADER], b[VMDK_SPARSE_HEADER];
    struct vmdk_sparse back;
    memset(a, 0xee, sizeof a);
    vmdk_sparse_store(&h, a);
    assert_memory_equal(a, "KDMV\3\0\0\0\1\0\3\0\x9a\x78\x56\x34\x12", 17);
    assert_memory_equal(a + 72, "\1\n \r\n\1\0\0", 8);
    assert_int_equal(vmdk_sparse_load(a, sizeof a, &back), 0);
    vmdk_sparse_store(&back, b);
    assert_memory_equal(a, b, sizeof a);
    assert_true(back.newlines_ok && back.unclean);
    assert_int_equal(back.gd_offset, VMDK_GD_AT_END);
    a[75] = '\n'; /* what a text transfer leaves */
    assert_int_equal(vmdk_sparse_load(a, sizeof a, &back), 0);
    assert_false(back.newlines_ok);
    assert_int_equal(vmdk_sparse_load(a, 78, &back), -1);
    a[0] = 'C';
    assert_int_equal(vmdk_sparse_load(a, sizeof a, &back), -1);
}

/* ---- descriptor ------------------------------------------------------------------------------ */

static void probe_as_the_original(void **state)
{
    static const struct {
        const char *text;
        bool yes;
    } cases[] = {
        {"version=1\n", true},
        {"# Disk DescriptorFile\nversion=2\n", true},
        {"#a\r\n#b\n  \nversion=3\r\n", true},
        {"\nversion=1\n", false},
        {"\t\nversion=1\n", false},
        {" version=1\n", false},
        {"version=1 \n", false},
        {"version=4\n", false},
        {"version=11\n", false},
        {"version=1", false},
        {"# no end", false},
        {"   ", false},
        {"CID=1\nversion=1\n", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (vmdk_descriptor_probe(cases[i].text, strlen(cases[i].text)) != cases[i].yes)
            fail_msg("%s", cases[i].text);
}

#define HEAD "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=A1b2\n"
#define TYPE "createType=\"twoGbMaxExtentSparse\"\n"

static void descriptor_whole(void **state)
{
    (void)state;
    struct vmdk_descriptor d;
    struct err e = ERR_INIT;
    int r = vmdk_descriptor_parse(HEAD TYPE "parentFileNameHint=\"a b.vmdk\"\r\n\n"
                                            "RW 4192256 SPARSE \"x-s001.vmdk\"\r\n"
                                            "  RW\t7 FLAT \"with \\ blank\" 128 tail\n"
                                            "RDONLY 8 FLAT \"no\" 0\n#RW 1 VMFS \"no\"\n"
                                            "RW 9 VMFS \"y\"\nRW 1 SESPARSE \"z\"\n"
                                            "ddb.virtualHWVersion = \"4\"\n",
                                  true, &d, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(r, 0);
    assert_int_equal(d.cid, 0xfffffffe);
    assert_int_equal(d.parent_cid, 0xa1b2);
    assert_string_equal(d.create_type, "twoGbMaxExtentSparse");
    assert_string_equal(d.parent_hint, "a b.vmdk");
    assert_int_equal(d.n_lines, 4);
    assert_int_equal(d.lines[0].sectors, 4192256);
    assert_int_equal(d.lines[0].type, VMDK_SPARSE);
    assert_string_equal(d.lines[1].name, "with \\ blank");
    assert_int_equal(d.lines[1].offset, 128);
    assert_int_equal(d.lines[2].type, VMDK_VMFS);
    assert_int_equal(d.lines[3].type, VMDK_SESPARSE);
    vmdk_descriptor_release(&d);
    assert_int_equal(vmdk_descriptor_parse(HEAD TYPE "RW ?", false, &d, &e), 0);
    assert_int_equal(d.n_lines, 0);
    vmdk_descriptor_release(&d);
}

static void descriptor_refused(void **state)
{
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"", "invalid VMDK image descriptor"},
        {HEAD, "invalid VMDK image descriptor"},
        {HEAD "createType=vmfs\n", "Invalid value of 'createType' in the image descriptor"},
        {HEAD "createType=\"vmfs\n", "Invalid value of 'createType' in the image descriptor"},
        {TYPE, "Invalid or missing CID in the image descriptor"},
        {TYPE "CID=\n", "Invalid or missing CID in the image descriptor"},
        {TYPE "CID=123456789\n", "Invalid or missing CID in the image descriptor"},
        {TYPE "CID=12 4\n", "Invalid or missing CID in the image descriptor"},
        {TYPE "CID=1\n", "Invalid or missing parentCID in the image descriptor"},
        {HEAD TYPE, "The image descriptor names no extents"},
        {HEAD TYPE "RW", "Invalid extent line: RW"},
        {HEAD TYPE "RW 1 ZERO\n", "Invalid extent line: RW 1 ZERO"},
        {HEAD TYPE "RW 1 FLAT \"\" 0\n", "Invalid extent line: RW 1 FLAT \"\" 0"},
        {HEAD TYPE "RW 1 FLAT \"a 0\n", "Invalid extent line: RW 1 FLAT \"a 0"},
        {HEAD TYPE "RW 1 FLAT a 0\n", "Invalid extent line: RW 1 FLAT a 0"},
        {HEAD TYPE "RW \"1\" FLAT \"a\" 0\n", "Invalid extent line: RW \"1\" FLAT \"a\" 0"},
        {HEAD TYPE "RW 18446744073709551616 VMFS \"a\"",
         "Invalid extent line: RW 18446744073709551616 VMFS \"a\""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vmdk_descriptor d;
        struct err e = ERR_INIT;
        assert_int_equal(vmdk_descriptor_parse(cases[i].text, true, &d, &e), -1);
        assert_string_equal(e.text, cases[i].error);
        assert_null(d.lines);
    }
}

/* ---- maps ------------------------------------------------------------------------------------ */

/* An image put together from files in memory. */
struct bench {
    struct image image;
    struct vmdk v;
    struct vmdk_extent extents[128];
};

static struct file *file_of(const void *bytes, size_t n)
{
    struct file *f;
    struct err e = ERR_INIT;
    assert_int_equal(memory_new("extent", bytes, n, &f, &e), 0);
    return f;
}

/* A hosted extent of `grains` grains of 4 KiB, 16 entries a table: header, directory, tables. */
static struct file *hosted(const uint32_t *entries, uint32_t grains, uint32_t flags,
                           uint16_t compression)
{
    uint8_t *buf = calloc(1, 65536);
    uint32_t tables = (uint32_t)num_div_up(grains, 16);
    struct vmdk_sparse h = {.version = 1,
                            .flags = flags,
                            .capacity = grains * 8,
                            .grain = 8,
                            .gtes = 16,
                            .gd_offset = 1,
                            .overhead = 2,
                            .compression = compression};
    vmdk_sparse_store(&h, buf);
    for (uint32_t t = 0; t < tables; t++) {
        bool used = false;
        for (uint32_t i = 0; i < 16 && t * 16 + i < grains; i++) {
            le32_store(buf + 1024 + t * 512 + i * 4, entries[t * 16 + i]);
            used |= entries[t * 16 + i] != 0;
        }
        le32_store(buf + 512 + t * 4, used ? 2 + t : 0);
    }
    struct file *f = file_of(buf, 65536);
    free(buf);
    return f;
}

static void bench_begin(struct bench *b)
{
    *b = (struct bench){.image = {.format = &format_vmdk, .name = (char *)"x"}};
    b->v = (struct vmdk){.image = &b->image, .extents = b->extents};
    pthread_mutex_init(&b->v.pool.lock, NULL);
    b->image.state = &b->v;
}

static void bench_add(struct bench *b, struct vmdk_extent x)
{
    struct err e = ERR_INIT;
    assert_int_equal(vmdk_extent_append(&b->v, &x, &e), 0);
}

static void bench_add_hosted(struct bench *b, struct file *f)
{
    struct vmdk_extent x = {.file = f, .own_file = true, .word = ""};
    struct err e = ERR_INIT;
    int r = vmdk_hosted_open(&x, false, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(r, 0);
    bench_add(b, x);
}

static void bench_open(struct bench *b)
{
    struct err e = ERR_INIT;
    int r = vmdk_pool_open(&b->v, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(r, 0);
    const struct vmdk_extent *last = &b->extents[b->v.n - 1];
    b->image.size = last->start + last->size;
}

static void bench_end(struct bench *b)
{
    vmdk_pool_close(&b->v);
    for (size_t i = 0; i < b->v.n; i++)
        file_cleanup(&b->extents[i].file);
    pthread_mutex_destroy(&b->v.pool.lock);
}

static struct extent map_at(struct bench *b, uint64_t guest)
{
    struct extent x;
    struct err e = ERR_INIT;
    int r = image_map(&b->image, guest, b->image.size - guest, &x, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(r, 0);
    return x;
}

static void holes_join_across_extents(void **state)
{
    static const uint32_t first[20] = {16, 24, 1, 40}, none[40] = {0}, last[3] = {0, 80, 64};
    struct bench b;
    (void)state;
    bench_begin(&b);
    bench_add_hosted(&b, hosted(first, 20, VMDK_FLAG_ZERO_GRAIN, 0));
    bench_add_hosted(&b, hosted(none, 40, 0, 0));
    bench_add_hosted(&b, hosted(last, 3, 0, 0));
    bench_add(&b, (struct vmdk_extent){.file = file_of("", 0), .size = 5120, .host = 512});
    bench_open(&b);
    struct extent x = map_at(&b, 0);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.host, 16 * 512);
    assert_int_equal(x.length, 8192);
    x = map_at(&b, 8192);
    assert_int_equal(x.kind, EXTENT_ZERO);
    assert_int_equal(x.length, 4096);
    x = map_at(&b, 4 * 4096 + 100);
    assert_int_equal(x.kind, EXTENT_HOLE);
    assert_int_equal(x.length, (20 - 4 + 40 + 1) * 4096 - 100);
    x = map_at(&b, 61 * 4096 + 512);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.host, 80 * 512 + 512);
    assert_int_equal(x.length, 4096 - 512); /* its neighbour is elsewhere */
    x = map_at(&b, 63 * 4096 + 1024);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.host, 512 + 1024);
    assert_int_equal(x.length, 4096);
    bench_end(&b);
}

/* More extents than the pool holds tables: the same answers. */
static void many_tables(void **state)
{
    struct bench b;
    (void)state;
    bench_begin(&b);
    for (uint32_t i = 0; i < 128; i++) {
        uint32_t entries[5] = {0, 8 + i * 8 % 64};
        bench_add_hosted(&b, hosted(entries, 5, 0, 0));
    }
    bench_open(&b);
    for (unsigned n = 0; n < 1000; n++) {
        uint32_t i = n * 37 % 128;
        struct extent x = map_at(&b, i * 20480 + 4096);
        assert_int_equal(x.kind, EXTENT_DATA);
        assert_int_equal(x.host, (8 + i * 8 % 64) * 512);
        x = map_at(&b, i * 20480 + 8192);
        assert_int_equal(x.kind, EXTENT_HOLE);
        assert_int_equal(x.length, i == 127 ? 3 * 4096 : 4 * 4096);
    }
    assert_true(b.v.pool.n_open <= 65);
    bench_end(&b);
}

/* How much is read of an encoded grain: to the next one, or what it can take at most. */
static void packed_lengths(void **state)
{
    static const uint32_t entries[6] = {16, 19, 0, 64, 40, 100};
    struct bench b;
    (void)state;
    bench_begin(&b);
    bench_add_hosted(&b, hosted(entries, 6, VMDK_FLAG_MARKERS | VMDK_FLAG_COMPRESSED, 1));
    b.extents[0].size -= 1024;
    bench_open(&b);
    struct extent x = map_at(&b, 100);
    assert_int_equal(x.kind, EXTENT_PACKED);
    assert_int_equal(x.host, 16 * 512 + 12);
    assert_int_equal(x.packed_len, 3 * 512 - 12);
    assert_int_equal(x.block_offset, 100);
    assert_int_equal(x.length, 4096 - 100);
    assert_ptr_equal(x.codec, codec_find("zlib"));
    x = map_at(&b, 4096); /* a hole follows */
    assert_in_range(x.packed_len, 4096, 8192);
    x = map_at(&b, 3 * 4096); /* the next stands before it */
    assert_in_range(x.packed_len, 4096, 8192);
    x = map_at(&b, 5 * 4096); /* the last: as much as there is of the disk */
    assert_int_equal(x.block_size, 3072);
    bench_end(&b);
}

static void parent_by_cid(void **state)
{
    static const uint32_t entries[2] = {8, 0};
    struct bench top, base;
    struct extent x;
    struct err e = ERR_INIT;
    (void)state;
    bench_begin(&top);
    bench_add_hosted(&top, hosted(entries, 2, 0, 0));
    bench_open(&top);
    bench_begin(&base);
    bench_add_hosted(&base, hosted(entries, 2, 0, 0));
    bench_open(&base);
    top.v.desc.parent_cid = 7;
    assert_int_equal(image_map(&top.image, 4096, 4096, &x, &e), 0);
    top.image.backing = &base.image;
    assert_int_equal(image_map(&top.image, 0, 4096, &x, &e), 0);
    assert_int_equal(image_map(&top.image, 4096, 4096, &x, &e), -1);
    assert_non_null(strstr(e.text, "its CID is 00000000, not 00000007"));
    err_clear(&e);
    base.v.desc.cid = 7;
    assert_int_equal(image_map(&top.image, 4096, 4096, &x, &e), 0);
    assert_int_equal(x.kind, EXTENT_HOLE);
    bench_end(&top);
    bench_end(&base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_both_ways),
        cmocka_unit_test(probe_as_the_original),
        cmocka_unit_test(descriptor_whole),
        cmocka_unit_test(descriptor_refused),
        cmocka_unit_test(holes_join_across_extents),
        cmocka_unit_test(many_tables),
        cmocka_unit_test(packed_lengths),
        cmocka_unit_test(parent_by_cid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
