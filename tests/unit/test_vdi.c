/* vdi: what is written is read again; what is wrong is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "formats/vdi/vdi.h"
#include "tests/unit/written_image.h"

#define SIZE (9 * MIB + 1536)

static bool some_data(uint64_t guest)
{
    uint64_t block = guest / MIB;
    return block != 2 && block != 3 && block != 7 && guest / 65536 % 5 < 2;
}

static bool no_data(uint64_t guest)
{
    (void)guest;
    return false;
}

static void load(struct written *x, struct vdi_header *h)
{
    struct err e = ERR_INIT;
    uint8_t buf[VDI_HEADER_SIZE];
    assert_int_equal(file_read(x->file, buf, sizeof buf, 0, &e), 0);
    assert_int_equal(vdi_header_load(buf, h, &e), 0);
}

static void make(struct written *x, uint64_t size, bool (*data_at)(uint64_t), const char *options)
{
    struct err e = ERR_INIT;
    *x = (struct written){.size = size, .data_at = data_at};
    assert_int_equal(written_make(x, &format_vdi, options, &e), 0);
}

/* ---- written and read ------------------------------------------------------------------------ */

static void dynamic(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct vdi_header h;
    make(&x, SIZE, some_data, "");
    load(&x, &h);
    assert_int_equal(h.type, VDI_DYNAMIC);
    assert_int_equal(h.size, SIZE);
    assert_int_equal(h.blocks, 10);
    assert_int_equal(h.allocated, 6);
    assert_int_equal(h.data_offset, MIB);
    assert_int_equal(file_size(x.file), 7 * MIB);
    assert_int_equal(h.uuid_image[7] >> 4, 4); /* version, in the order of a GUID */
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(x.img.cluster_size, MIB);
    written_check(&x);
    written_release(&x);
}

static void fixed(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct vdi_header h;
    make(&x, SIZE, some_data, "static=on");
    load(&x, &h);
    assert_int_equal(h.type, VDI_STATIC);
    assert_int_equal(h.allocated, 10);
    assert_int_equal(file_size(x.file), 11 * MIB);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    written_check(&x);
    written_release(&x);
}

static void empty_ones(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    static const uint64_t sizes[] = {0, 1, 512, MIB, GIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct written x;
        struct extent m;
        make(&x, sizes[i], no_data, "");
        assert_int_equal(written_open(&x, "{}", &e), 0);
        assert_int_equal(x.img.size, num_up(sizes[i], 512));
        if (x.img.size) {
            assert_int_equal(image_map(&x.img, 0, x.img.size, &m, &e), 0);
            assert_int_equal(m.kind, EXTENT_HOLE);
            assert_int_equal(m.length, x.img.size);
        }
        written_release(&x);
    }
}

static void too_large(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x = {.size = VDI_SIZE_MAX + 1, .data_at = no_data};
    assert_int_equal(written_make(&x, &format_vdi, "", &e), -1);
    assert_string_equal(e.text, "Unsupported VDI image size (size is 0x1fffff8000200, max "
                                "supported is 0x1fffff8000000)");
    file_cleanup(&x.file);
    x = (struct written){.size = MIB, .data_at = no_data};
    assert_int_equal(written_make(&x, &format_vdi, "preallocation=foo", &e), -1);
    assert_string_equal(e.text, "invalid parameter value: foo");
    file_cleanup(&x.file);
}

/* A discarded block reads as zeros. */
static void zero_block(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct extent m;
    make(&x, 4 * MIB, some_data, "");
    assert_int_equal(file_write(x.file, "\xfe\xff\xff\xff", 4, 512 + 4, &e), 0);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(image_map(&x.img, MIB + 5, MIB, &m, &e), 0);
    assert_int_equal(m.kind, EXTENT_ZERO);
    assert_int_equal(m.length, MIB - 5);
    written_release(&x);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void malformed(void **state)
{
    (void)state;
    static const struct {
        unsigned at;
        const char *bytes, *text;
    } cases[] = {
        {0x40, "\0\0\0\0", "Image not in VDI format (bad signature 00000000)"},
        {0x44, "\2\0\1\0", "unsupported VDI image (version 1.2)"},
        {0x154, "\1\2\0\0", "unsupported VDI image (unaligned block map offset 0x201)"},
        {0x154, "\0\0\0\0", "unsupported VDI image (block map offset 0x0 lies in the header)"},
        {0x158, "\1\4\0\0", "unsupported VDI image (unaligned data offset 0x401)"},
        {0x168, "\0\x10\0\0", "unsupported VDI image (sector size 4096 is not 512)"},
        {0x170, "\0\0\x10\1",
         "unsupported VDI image (disk size 17825792, image bitmap has room "
         "for 10485760)"},
        {0x174, "\0\0\0\xff",
         "Unsupported VDI image size (size is 0xff00000000900600, max "
         "supported is 0x1fffff8000000)"},
        {0x178, "\0\0\x20\0", "unsupported VDI image (block size 2097152 is not 1048576)"},
        {0x180, "\xff\xff\xff\xff",
         "unsupported VDI image (too many blocks 4294967295, max is "
         "536870784)"},
        {0x1a8, "\1\0\0\0", "unsupported VDI image (non-NULL link UUID)"},
        {0x1b8, "\1\0\0\0", "unsupported VDI image (non-NULL parent UUID)"},
        {0x4c, "\3\0\0\0", ""},
        {0x158, "\0\0\0\0", ""},
    };
    struct written x;
    make(&x, SIZE, some_data, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(written_complaint(&x, cases[i].at, cases[i].bytes, 4), cases[i].text);
    written_release(&x);
}

/* A map entry far outside: told when it is read, not before, and never followed. */
static void wild_entry(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct extent m;
    make(&x, SIZE, some_data, "");
    assert_int_equal(file_write(x.file, "\xfd\xff\xff\xff", 4, 512, &e), 0);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(image_map(&x.img, 0, MIB, &m, &e), 0);
    assert_int_equal(m.host, MIB + UINT64_C(0xfffffffd) * MIB);
    written_close(&x);
    assert_int_equal(file_truncate(x.file, 512 + 8, &e), 0);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(image_map(&x.img, 5 * MIB, MIB, &m, &e), -1);
    written_release(&x);
}

/* ---- check ----------------------------------------------------------------------------------- */

struct lines {
    char text[2000];
};

static void line(void *ctx, const char *text)
{
    struct lines *l = ctx;
    strcat(l->text, text);
    strcat(l->text, "\n");
}

static uint64_t check(struct written *x, uint64_t memory, struct lines *l)
{
    struct err e = ERR_INIT;
    struct check_result r = {0};
    const struct check_sink sink = {.line = line, .ctx = l, .memory = memory};
    l->text[0] = '\0';
    assert_int_equal(written_open(x, "{}", &e), 0);
    assert_int_equal(format_vdi.check(&x->img, CHECK_FIX_NONE, &sink, &r, &e), 0);
    written_close(x);
    return r.corruptions;
}

static void checked(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct lines l;
    make(&x, SIZE, some_data, "");
    assert_int_equal(check(&x, 0, &l), 0);
    assert_int_equal(file_write(x.file, "\4\0\0\0\x0a\0\0\0", 8, 512, &e), 0);
    for (uint64_t memory = 0; memory < 3; memory++) { /* of 8 blocks at a time, if any */
        assert_int_equal(check(&x, memory, &l), 3);
        assert_string_equal(l.text, "ERROR: block index 1 too large, is 10\n"
                                    "ERROR: block index 4 also used by 4\n"
                                    "ERROR: allocated blocks mismatch, is 5, should be 6\n");
    }
    written_release(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dynamic),    cmocka_unit_test(fixed),      cmocka_unit_test(empty_ones),
        cmocka_unit_test(too_large),  cmocka_unit_test(zero_block), cmocka_unit_test(malformed),
        cmocka_unit_test(wild_entry), cmocka_unit_test(checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
