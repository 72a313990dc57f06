/* vpc: fixed and dynamic VHD written and read again, differencing VHD read, what is wrong told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "formats/vpc/vpc.h"
#include "tests/unit/written_image.h"

#define SIZE (10 * MIB)

static bool some_data(uint64_t guest)
{
    uint64_t block = guest / VPC_BLOCK;
    return block != 1 && block != 3 && guest / 65536 % 5 < 2;
}

static bool no_data(uint64_t guest)
{
    (void)guest;
    return false;
}

static void make(struct written *x, uint64_t size, bool (*data_at)(uint64_t), const char *options)
{
    struct err e = ERR_INIT;
    *x = (struct written){.size = size, .data_at = data_at};
    assert_int_equal(written_make(x, &format_vpc, options, &e), 0);
}

static enum vpc_footer_state footer_at(struct written *x, uint64_t at, struct vpc_footer *f)
{
    struct err e = ERR_INIT;
    uint8_t buf[VPC_FOOTER_SIZE];
    assert_int_equal(file_read(x->file, buf, sizeof buf, at, &e), 0);
    return vpc_footer_load(buf, f);
}

/* Change footer fields, with a checksum that is right again. */
static void set_footer(struct written *x, uint64_t at, const struct vpc_footer *f)
{
    struct err e = ERR_INIT;
    uint8_t buf[VPC_FOOTER_SIZE];
    vpc_footer_store(f, buf);
    assert_int_equal(file_write(x->file, buf, sizeof buf, at, &e), 0);
}

static const char *open_error(struct written *x, const char *spec)
{
    static struct err e;
    err_clear(&e);
    int rc = written_open(x, spec, &e);
    written_close(x);
    return rc ? e.text : "";
}

/* ---- geometry -------------------------------------------------------------------------------- */

static void geometries(void **state)
{
    (void)state;
    static const struct {
        uint64_t sectors;
        struct vpc_geometry g;
    } cases[] = {
        /* from images of qemu-img 7.2 */
        {0, {0, 0, 0}},
        {1, {1, 4, 17}},
        {2048, {31, 4, 17}},
        {131072, {964, 8, 17}},
        {1024000, {1016, 16, 63}},
        {67108864, {16449, 16, 255}},
        {267382800, {65535, 16, 255}},
        {268435456, {65535, 16, 255}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct vpc_geometry g = vpc_geometry_holding(cases[i].sectors);
        assert_int_equal(g.cylinders, cases[i].g.cylinders);
        assert_int_equal(g.heads, cases[i].g.heads);
        assert_int_equal(g.sectors, cases[i].g.sectors);
    }
    for (uint64_t n = 1; n < UINT64_C(267382800); n += n / 3 + 1)
        assert_true(vpc_geometry_sectors(vpc_geometry_holding(n)) >= n);
}

/* ---- written and read ------------------------------------------------------------------------ */

static void dynamic(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct vpc_footer front, back;
    uint8_t bitmap[512], ones[512];
    make(&x, SIZE, some_data, "");
    uint64_t end = file_size(x.file) - 512;
    assert_int_equal(end % 4096, 0);
    assert_int_equal(footer_at(&x, 0, &front), VPC_FOOTER_GOOD);
    assert_int_equal(footer_at(&x, end, &back), VPC_FOOTER_GOOD);
    assert_memory_equal(&front, &back, sizeof front);
    assert_int_equal(front.size, 10514432);
    assert_int_equal(front.uuid[6] >> 4, 4);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(x.img.size, 10514432);
    assert_int_equal(x.img.cluster_size, VPC_BLOCK);
    written_check(&x);
    memset(ones, 0xff, sizeof ones);
    assert_int_equal(file_read(x.file, bitmap, sizeof bitmap, 4096 - 512, &e), 0);
    assert_memory_equal(bitmap, ones, sizeof ones);
    written_release(&x);
}

static void fixed(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct vpc_footer f;
    make(&x, SIZE, some_data, "subformat=fixed,force_size=on");
    assert_int_equal(file_size(x.file), SIZE + 512);
    assert_int_equal(footer_at(&x, SIZE, &f), VPC_FOOTER_GOOD);
    assert_memory_equal(f.creator, "qem2", 4);
    assert_true(vpc_geometry_is_max(f.geometry));
    assert_int_equal(f.data_offset, UINT64_MAX);
    assert_int_equal(f.time, 1000000000 - 946684800);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(x.img.size, SIZE);
    assert_int_equal(x.img.cluster_size, 0);
    written_check(&x);
    written_release(&x);
}

static void empty_ones(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct extent m;
    make(&x, 0, no_data, "");
    assert_int_equal(file_size(x.file), 2048);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(x.img.size, 0);
    written_release(&x);
    make(&x, 0, no_data, "subformat=fixed");
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(x.img.size, 0);
    written_release(&x);
    make(&x, 64 * GIB, no_data, "force_size=on");
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(image_map(&x.img, 0, 64 * GIB, &m, &e), 0);
    assert_int_equal(m.kind, EXTENT_HOLE);
    assert_int_equal(m.length, 64 * GIB);
    written_release(&x);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *options, *text;
    } cases[] = {
        {MIB, "subformat=foo", "Parameter 'subformat' does not accept value 'foo'"},
        {MIB, "preallocation=metadata", "Unsupported preallocation mode: metadata"},
        {2041 * GIB, "", "Disk size is too large, max size is 2040 GiB"},
        {UINT64_MAX, "", "Disk size is too large, max size is 2040 GiB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct written x = {.size = cases[i].size, .data_at = no_data};
        assert_int_equal(written_make(&x, &format_vpc, cases[i].options, &e), -1);
        assert_string_equal(e.text, cases[i].text);
        file_cleanup(&x.file);
    }
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static uint64_t size_of(struct written *x, const char *spec)
{
    struct err e = ERR_INIT;
    assert_int_equal(written_open(x, spec, &e), 0);
    uint64_t size = x->img.size;
    written_close(x);
    return size;
}

static void sizes_by_creator(void **state)
{
    (void)state;
    struct written x;
    struct vpc_footer f;
    make(&x, SIZE, no_data, "");
    footer_at(&x, 0, &f);
    f.size = 4 * MIB;
    set_footer(&x, 0, &f);
    assert_int_equal(size_of(&x, "{}"), 10514432);
    assert_int_equal(size_of(&x, "{\"force_size_calc\":\"current_size\"}"), 4 * MIB);
    memcpy(f.creator, "vbox", 4);
    set_footer(&x, 0, &f);
    assert_int_equal(size_of(&x, "{}"), 4 * MIB);
    assert_int_equal(size_of(&x, "{\"force_size_calc\":\"chs\"}"), 10514432);
    assert_string_equal(open_error(&x, "{\"force_size_calc\":\"foo\"}"),
                        "Invalid size calculation mode: 'foo'");
    memcpy(f.creator, "vpc ", 4);
    f.geometry = VPC_GEOMETRY_MAX;
    set_footer(&x, 0, &f);
    assert_int_equal(size_of(&x, "{}"), 4 * MIB);
    f.size = 3000 * GIB;
    set_footer(&x, 0, &f);
    assert_string_equal(open_error(&x, "{}"), "Could not open 'm': File too large");
    written_release(&x);
}

/* ---- footers --------------------------------------------------------------------------------- */

static void footers(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    make(&x, SIZE, some_data, "");
    uint64_t end = file_size(x.file) - 512;
    assert_string_equal(written_complaint(&x, 0, "x", 1), ""); /* the other one serves */
    assert_string_equal(written_complaint(&x, 40, "x", 1), "");
    assert_string_equal(written_complaint(&x, end, "x", 1), "");
    assert_int_equal(file_write(x.file, "x", 1, end + 40, &e), 0);
    assert_string_equal(written_complaint(&x, 40, "x", 1), "Incorrect header checksum");
    assert_string_equal(written_complaint(&x, 0, "x", 1), "Incorrect header checksum");
    assert_int_equal(file_write(x.file, "x", 1, end, &e), 0);
    assert_string_equal(written_complaint(&x, 0, "x", 1), "invalid VPC image");
    assert_int_equal(file_truncate(x.file, 0, &e), 0);
    assert_string_equal(open_error(&x, "{}"), "File too small for a VHD header");
    written_release(&x);
}

/* What a guest writes to its first sector does not change what the image is. */
static void fixed_with_a_footer_inside(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct vpc_footer f;
    struct extent m;
    make(&x, SIZE, no_data, "subformat=fixed");
    footer_at(&x, file_size(x.file) - 512, &f);
    f.type = VPC_DIFFERENCING;
    f.data_offset = 512;
    set_footer(&x, 0, &f);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_null(x.img.backing_name);
    assert_int_equal(image_map(&x.img, 0, 512, &m, &e), 0);
    assert_int_equal(m.kind, EXTENT_DATA);
    assert_int_equal(m.host, 0);
    written_release(&x);
}

static void fixed_cut_short(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct vpc_footer f;
    struct extent m;
    make(&x, SIZE, no_data, "subformat=fixed,force_size=on");
    footer_at(&x, SIZE, &f);
    f.size = 2 * SIZE;
    set_footer(&x, SIZE, &f);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(image_map(&x.img, 0, 2 * SIZE, &m, &e), 0);
    assert_int_equal(m.length, SIZE);
    assert_int_equal(image_map(&x.img, SIZE, SIZE, &m, &e), -1);
    written_release(&x);
}

static void malformed(void **state)
{
    (void)state;
    static const struct {
        unsigned at, n;
        const char *bytes, *text;
    } cases[] = {
        {512, 1, "x", "Invalid header magic"},
        {528, 8, "\0\0\0\0\0\0\0\0", "Error reading pagetable"},
        {528, 8, "\xff\xff\xff\xff\xff\xff\xff\xff", "Error reading pagetable"},
        {528, 8, "\0\0\0\1\0\0\0\0",
         "block-vpc: free_data_block_offset points after the end of file. The image has been "
         "truncated."},
        {540, 4, "\0\0\0\5", "Page table too small"},
        {540, 4, "\xff\xff\xff\xff", "Max Table Entries too large (-1)"},
        {544, 4, "\0\0\3\0", "Invalid block size 768"},
        {544, 4, "\0\0\1\0", "Invalid block size 256"},
        {544, 4, "\0\0\0\0", "Invalid block size 0"},
        {1536, 4, "\0\1\0\0",
         "block-vpc: free_data_block_offset points after the end of file. The image has been "
         "truncated."},
    };
    struct written x;
    make(&x, SIZE, some_data, "");
    struct vpc_footer f;
    footer_at(&x, 0, &f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_string_equal(written_complaint(&x, cases[i].at, cases[i].bytes, cases[i].n),
                            cases[i].text);
    }
    f.data_offset = UINT64_MAX - 3;
    set_footer(&x, 0, &f);
    assert_string_equal(open_error(&x, "{}"), "Error reading dynamic VHD header");
    written_release(&x);
}

/* ---- differencing ---------------------------------------------------------------------------- */

static void put_utf16(struct written *x, uint64_t at, const char *name, bool big)
{
    struct err e = ERR_INIT;
    uint8_t buf[2];
    for (; *name; name++, at += 2) {
        buf[big] = (uint8_t)*name;
        buf[!big] = 0;
        assert_int_equal(file_write(x->file, buf, 2, at, &e), 0);
    }
}

static void put_locator(struct written *x, unsigned i, const char *code, uint64_t at, uint32_t n)
{
    struct err e = ERR_INIT;
    uint8_t buf[24] = {0};
    memcpy(buf, code, 4);
    be32_store(buf + 4, 512);
    be32_store(buf + 8, n);
    be64_store(buf + 16, at);
    assert_int_equal(file_write(x->file, buf, sizeof buf, 512 + 576 + i * 24, &e), 0);
}

/* A dynamic image becomes a differencing one; no parent is named yet. */
static void make_differencing(struct written *x)
{
    struct vpc_footer f;
    make(x, SIZE, some_data, "");
    footer_at(x, 0, &f);
    f.type = VPC_DIFFERENCING;
    set_footer(x, 0, &f);
    set_footer(x, file_size(x->file) - 512, &f);
}

static void bitmap_decides(void **state)
{
    (void)state;
    static const uint8_t bits[4] = {0xf0, 0x00, 0x01, 0xff};
    static const struct {
        uint64_t sector, n;
        enum extent_kind kind;
    } runs[] = {{0, 4, EXTENT_DATA}, {4, 19, EXTENT_HOLE}, {23, 4096 - 23, EXTENT_DATA}};
    struct err e = ERR_INIT;
    struct written x;
    struct extent m;
    make_differencing(&x);
    put_utf16(&x, 512 + 64, "C:\\images\\parent.vhd", true);
    assert_int_equal(file_write(x.file, bits, sizeof bits, 4096 - 512, &e), 0);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_string_equal(x.img.backing_name, "parent.vhd");
    assert_string_equal(x.img.backing_format, "vpc");
    for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
        uint64_t at = runs[i].sector * 512;
        assert_int_equal(image_map(&x.img, at, x.img.size - at, &m, &e), 0);
        assert_int_equal(m.kind, runs[i].kind);
        assert_int_equal(m.length, runs[i].n * 512);
        if (m.kind == EXTENT_DATA)
            assert_int_equal(m.host, 4096 + at);
        assert_int_equal(image_map(&x.img, at + 512, 1000, &m, &e), 0);
        assert_int_equal(m.kind, runs[i].kind);
        assert_int_equal(m.length, 1000);
    }
    assert_int_equal(image_map(&x.img, VPC_BLOCK, VPC_BLOCK, &m, &e), 0);
    assert_int_equal(m.kind, EXTENT_HOLE);
    written_release(&x);
}

static void parents_are_checked(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x, parent;
    struct vpc_footer f;
    struct extent m;
    make(&parent, SIZE, some_data, "");
    footer_at(&parent, 0, &f);
    assert_int_equal(written_open(&parent, "{}", &e), 0);
    make_differencing(&x);
    put_utf16(&x, 512 + 64, "p", true);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    x.img.backing = &parent.img;
    assert_int_equal(image_map(&x.img, 0, 512, &m, &e), -1);
    assert_string_equal(e.text, "Parent image 'm' is not the one that 'm' was made on: their UUIDs "
                                "differ");
    written_close(&x);
    assert_int_equal(file_write(x.file, f.uuid, UUID_SIZE, 512 + 40, &e), 0);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    x.img.backing = &parent.img;
    assert_int_equal(image_map(&x.img, 0, 512, &m, &e), 0);
    written_release(&x);
    written_release(&parent);
}

static void parent_names(void **state)
{
    (void)state;
    static const struct {
        const char *code, *stored, *name;
    } cases[] = {
        {"W2ru", ".\\a b.vhd", "./a b.vhd"},
        {"W2ru", "..\\up\\a.vhd", "../up/a.vhd"},
        {"W2ru", "a.vhd", "a.vhd"},
        {"W2ru", "json:{}", "./json:{}"},
        {"W2ku", "D:\\vm\\a.vhd", "a.vhd"},
        {"W2ku", "D:a.vhd", "a.vhd"},
        {"W2ku", "\\\\server\\share\\a.vhd", "a.vhd"},
        {"W2ku", "/srv/a\\b.vhd", "/srv/a\\b.vhd"},
        {"Wi2k", "C:\\a.vhd", "a.vhd"},
        {"MacX", "file:///srv/a%20b.vhd", "/srv/a b.vhd"},
        {"MacX", "file://localhost/srv/a.vhd", "/srv/a.vhd"},
        {"MacX", "file://./a.vhd", "./a.vhd"},
        {"MacX", "a%zz%00%4", "a%zz%00%4"},
        {"Wi9x", "x.vhd", "fallback.vhd"},
        {"W2ru", "", "fallback.vhd"},
    };
    struct err e = ERR_INIT;
    struct written x;
    make_differencing(&x);
    assert_string_equal(open_error(&x, "{}"), "Differencing image without the name of its parent");
    put_utf16(&x, 512 + 64, "\\dir\\fallback.vhd", true);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *s = cases[i].stored;
        uint64_t at = file_size(x.file);
        bool wide = cases[i].code[0] == 'W' && cases[i].code[1] == '2';
        if (wide)
            put_utf16(&x, at, s, false);
        else
            assert_int_equal(file_write(x.file, s, strlen(s), at, &e), 0);
        put_locator(&x, 0, cases[i].code, at, (uint32_t)(strlen(s) * (wide ? 2 : 1)));
        assert_int_equal(written_open(&x, "{}", &e), 0);
        assert_string_equal(x.img.backing_name, cases[i].name);
        written_close(&x);
    }
    put_locator(&x, 0, "W2ru", UINT64_MAX - 5, UINT32_MAX); /* nowhere */
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_string_equal(x.img.backing_name, "fallback.vhd");
    written_release(&x);
}

/* UTF-16 with pairs, halves of pairs, and letters of two and three bytes. */
static void parent_name_letters(void **state)
{
    (void)state;
    static const uint8_t name[] = {0x00, 0xe9, 0x20, 0xac, 0xd8, 0x3d,
                                   0xde, 0x00, 0xd8, 0x3d, 0x00, 'x'};
    struct err e = ERR_INIT;
    struct written x;
    make_differencing(&x);
    assert_int_equal(file_write(x.file, name, sizeof name, 512 + 64, &e), 0);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_string_equal(x.img.backing_name, "\u00e9\u20ac\U0001f600\ufffdx");
    written_release(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(geometries),      cmocka_unit_test(dynamic),
        cmocka_unit_test(fixed),           cmocka_unit_test(empty_ones),
        cmocka_unit_test(refused),         cmocka_unit_test(sizes_by_creator),
        cmocka_unit_test(footers),         cmocka_unit_test(fixed_with_a_footer_inside),
        cmocka_unit_test(fixed_cut_short), cmocka_unit_test(malformed),
        cmocka_unit_test(bitmap_decides),  cmocka_unit_test(parents_are_checked),
        cmocka_unit_test(parent_names),    cmocka_unit_test(parent_name_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
