/* qcow: the header both ways and what it must satisfy; the entries of an image built here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/qcow/qcow.h"
#include "formats/writer.h"
#include "io/memory.h"

static struct err e;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

/* ---- the header ------------------------------------------------------------------------------ */

static const struct qcow_header good = {
    .backing_offset = 48,
    .backing_length = 5,
    .size = 64 * MIB,
    .cluster_bits = 12,
    .l2_bits = 9,
    .crypt_method = QCOW_CRYPT_AES,
    .l1_offset = 56,
};

static void header_both_ways(void **state)
{
    (void)state;
    uint8_t buf[QCOW_HEADER];
    struct qcow_header h;
    qcow_header_store(&good, buf);
    OK(qcow_header_load(buf, &h, &e));
    assert_memory_equal(buf, "QFI\xfb\0\0\0\1", 8);
    assert_int_equal(qcow_l1_entries(&h), 32);
}

static void refused(unsigned at, unsigned bytes, uint64_t value, const char *text)
{
    uint8_t buf[QCOW_HEADER];
    struct qcow_header h;
    qcow_header_store(&good, buf);
    for (unsigned i = 0; i < bytes; i++)
        buf[at + i] = (uint8_t)(value >> 8 * (bytes - 1 - i));
    err_clear(&e);
    assert_int_equal(qcow_header_load(buf, &h, &e), -1);
    assert_string_equal(e.text, text);
}

static void header_malformed(void **state)
{
    (void)state;
    refused(0, 4, 0x514649fa, "Image not in qcow format");
    refused(4, 4, 0, "qcow (v1) does not support qcow version 0");
    refused(4, 4, UINT32_MAX, "qcow (v1) does not support qcow version 4294967295");
    assert_string_equal(e.hint, "");
    refused(4, 4, 3, "qcow (v1) does not support qcow version 3");
    assert_string_equal(e.hint, "Try the 'qcow2' driver instead.");
    for (unsigned bits = 0; bits < 256; bits++) {
        if (bits < 9 || bits > 16)
            refused(32, 1, bits, "Cluster size must be between 512 and 64k");
        if (bits < 6 || bits > 13)
            refused(33, 1, bits, "L2 table size must be between 512 and 64k");
    }
    refused(24, 8, 0, "Image size is too small (must be at least 2 bytes)");
    refused(24, 8, 1, "Image size is too small (must be at least 2 bytes)");
    refused(24, 8, UINT64_MAX, "Image too large");
    refused(24, 8, UINT64_C(1) << 49, "Image too large");
    refused(36, 4, 2, "invalid encryption method in qcow header");
    refused(36, 4, UINT32_MAX, "invalid encryption method in qcow header");
    refused(16, 4, 1024, "Backing file name too long");
}

/* ---- an image -------------------------------------------------------------------------------- */

enum { CLUSTER = 4096, L1 = 48, L2 = 1 * CLUSTER, END = 5 * CLUSTER };

struct build {
    struct file *file;
    struct image img;
};

static void put(struct build *b, uint64_t at, uint64_t v)
{
    uint8_t p[8];
    be64_store(p, v);
    OK(file_write(b->file, p, 8, at, &e));
}

/* An L2 table with entries 0 and 1 side by side; 3: encoded, 77 bytes at 4 clusters + 5. */
static void build(struct build *b)
{
    uint8_t head[QCOW_HEADER];
    struct qcow_header h = {.size = 64 * MIB, .cluster_bits = 12, .l2_bits = 9, .l1_offset = L1};
    *b = (struct build){0};
    OK(memory_new("image", "", 0, &b->file, &e));
    b->file->opt.write = true;
    OK(file_truncate(b->file, END, &e));
    qcow_header_store(&h, head);
    OK(file_write(b->file, head, sizeof head, 0, &e));
    put(b, L1, L2);
    put(b, L2, 2 * CLUSTER);
    put(b, L2 + 8, 3 * CLUSTER);
    put(b, L2 + 24, QCOW_COMPRESSED | UINT64_C(77) << 51 | (4 * CLUSTER + 5));
}

static void build_open(struct build *b)
{
    b->img = (struct image){.format = &format_qcow, .file = b->file};
    OK(format_qcow.open(&b->img, &e));
}

static void build_close(struct build *b)
{
    if (b->img.state)
        format_qcow.close(&b->img);
    free(b->img.backing_name);
    file_cleanup(&b->file);
}

static struct extent map_at(struct build *b, uint64_t guest)
{
    struct extent x = {0};
    OK(format_qcow.map(&b->img, guest, b->img.size - guest, &x, &e));
    return x;
}

static void map_kinds(void **state)
{
    (void)state;
    struct build b;
    build(&b);
    build_open(&b);
    struct extent x = map_at(&b, 512);
    assert_int_equal(x.kind, EXTENT_DATA);
    assert_int_equal(x.length, 2 * CLUSTER - 512);
    assert_int_equal(x.host, 2 * CLUSTER + 512);
    x = map_at(&b, 2 * CLUSTER);
    assert_int_equal(x.kind, EXTENT_HOLE);
    assert_int_equal(x.length, CLUSTER);
    x = map_at(&b, 3 * CLUSTER + 100);
    assert_int_equal(x.kind, EXTENT_PACKED);
    assert_int_equal(x.length, CLUSTER - 100);
    assert_int_equal(x.host, 4 * CLUSTER + 5);
    assert_int_equal(x.packed_len, 77);
    assert_int_equal(x.block_size, CLUSTER);
    x = map_at(&b, 4 * CLUSTER);
    assert_int_equal(x.kind, EXTENT_HOLE);
    assert_int_equal(x.length, 64 * MIB - 4 * CLUSTER);
    build_close(&b);
}

static void map_refuses(void **state)
{
    (void)state;
    struct build b;
    struct extent x = {0};
    build(&b);
    put(&b, L2 + 8, 3 * CLUSTER + 8);
    put(&b, L1 + 8, 3 * CLUSTER + 4);
    put(&b, L1 + 16, END + CLUSTER);
    build_open(&b);
    assert_int_equal(map_at(&b, 0).length, CLUSTER);
    assert_int_equal(format_qcow.map(&b.img, CLUSTER, CLUSTER, &x, &e), -1);
    assert_string_equal(e.text, "Cluster offset 0x3008 is not aligned (guest offset: 0x1000)");
    assert_int_equal(format_qcow.map(&b.img, 2 * MIB, CLUSTER, &x, &e), -1);
    assert_int_equal(format_qcow.map(&b.img, 4 * MIB, CLUSTER, &x, &e), -1);
    build_close(&b);
}

static void backing_name(uint64_t offset, uint32_t length, const char *name)
{
    struct build b;
    uint8_t p[4];
    build(&b);
    put(&b, 8, offset);
    be32_store(p, length);
    OK(file_write(b.file, p, 4, 16, &e));
    OK(file_write(b.file, "base", 4, 600, &e));
    b.img = (struct image){.format = &format_qcow, .file = b.file};
    int r = format_qcow.open(&b.img, &e);
    assert_int_equal(r, strcmp(name, "refused") ? 0 : -1);
    if (r)
        assert_string_equal(e.text, "Invalid backing file offset");
    else if (*name)
        assert_string_equal(b.img.backing_name, name);
    else
        assert_null(b.img.backing_name);
    build_close(&b);
}

static void backing_names(void **state)
{
    (void)state;
    backing_name(600, 4, "base");
    backing_name(600, 3, "bas");
    backing_name(600, 0, "");
    backing_name(700, 4, "");
    backing_name(0, 4, "");
    backing_name(END - 3, 4, "refused");
    backing_name(UINT64_MAX, 4, "refused");
}

/* ---- create options -------------------------------------------------------------------------- */

static const struct option_def *const tables[] = {qcow_create_options, NULL};

/* The error, or NULL. */
static const char *parse(const char *list, uint64_t size, const char *backing, const char *format,
                         struct qcow_create *c)
{
    struct options *o = options_new(tables, &e);
    OK(options_parse(o, list, NULL, &e));
    const struct writer_params p = {
        .options = o, .size = size, .backing_name = backing, .backing_format = format};
    int r = qcow_create_parse(&p, c, &e);
    options_free(o);
    return r ? e.text : NULL;
}

static void options_geometry(void **state)
{
    (void)state;
    struct qcow_create c;
    assert_null(parse("size=0", 1001, NULL, NULL, &c));
    assert_int_equal(c.header.size, 1024);
    assert_int_equal(c.header.cluster_bits, 12);
    assert_int_equal(c.header.l2_bits, 9);
    assert_int_equal(c.header.l1_offset, 48);
    assert_null(parse("size=0", MIB, "base.raw", "raw", &c));
    assert_int_equal(c.header.cluster_bits, 9);
    assert_int_equal(c.header.l2_bits, 12);
    assert_int_equal(c.header.backing_offset, 48);
    assert_int_equal(c.header.backing_length, 8);
    assert_int_equal(c.header.l1_offset, 56);
}

static void options_refused(void **state)
{
    (void)state;
    struct qcow_create c;
    char name[1100];
    memset(name, 'a', sizeof name);
    name[1024] = '\0';
    assert_string_equal(parse("size=0", 0, NULL, NULL, &c),
                        "Image size is too small, cannot be zero length");
    assert_null(parse("size=0", 64 * TIB, NULL, NULL, &c));
    assert_string_equal(parse("size=0", 64 * TIB + 1, NULL, NULL, &c), "Image too large");
    assert_string_equal(parse("size=0", UINT64_MAX, NULL, NULL, &c), "Image too large");
    assert_string_equal(parse("size=0", MIB, "x", "foo", &c), "unrecognized backing format 'foo'");
    assert_string_equal(parse("size=0", MIB, name, "raw", &c), "Backing file name too long");
    assert_string_equal(parse("encrypt.format=luks", MIB, NULL, NULL, &c),
                        "Unsupported encryption format");
    assert_string_equal(parse("encrypt.format=x", MIB, NULL, NULL, &c),
                        "Parameter 'format' does not accept value 'x'");
    assert_string_equal(parse("encrypt.key-secret=s", MIB, NULL, NULL, &c),
                        "Parameter 'encrypt.format' is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_both_ways), cmocka_unit_test(header_malformed),
        cmocka_unit_test(map_kinds),        cmocka_unit_test(map_refuses),
        cmocka_unit_test(backing_names),    cmocka_unit_test(options_geometry),
        cmocka_unit_test(options_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
