/* parallels: what is written is read again; check and repair; what is wrong is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "formats/parallels/md5.h"
#include "formats/parallels/parallels.h"
#include "tests/unit/written_image.h"

#define SIZE (9 * MIB + 1536)

static bool some_data(uint64_t guest)
{
    uint64_t block = guest / MIB;
    return block != 2 && block != 3 && block != 7 && guest / 65536 % 5 < 2;
}

static bool first_four(uint64_t guest)
{
    return guest < 4 * MIB && guest % MIB < 65536;
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
    assert_int_equal(written_make(x, &format_parallels, options, &e), 0);
}

static void put(struct written *x, uint64_t at, const void *bytes, size_t n)
{
    struct err e = ERR_INIT;
    assert_int_equal(file_write(x->file, bytes, n, at, &e), 0);
}

static void put32(struct written *x, uint64_t at, uint32_t v)
{
    uint8_t buf[4];
    le32_store(buf, v);
    put(x, at, buf, 4);
}

static uint32_t get32(struct written *x, uint64_t at)
{
    struct err e = ERR_INIT;
    uint8_t buf[4];
    assert_int_equal(file_read(x->file, buf, 4, at, &e), 0);
    return le32_load(buf);
}

static void entry(struct written *x, unsigned i, uint32_t v)
{
    put32(x, PARALLELS_HEADER_SIZE + 4 * i, v);
}

/* ---- written and read ------------------------------------------------------------------------ */

static void clusters_of_all_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *options;
        uint32_t cluster;
    } cases[] = {
        {"", 1 << 20},
        {"cluster_size=512", 512},
        {"cluster_size=1", 512},
        {"cluster_size=12288", 12288},
        {"cluster_size=3M", 3 << 20},
        {"cluster_size=5555555", 5555712},
        {"cluster_size=1G", 1 << 30},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct written x;
        make(&x, SIZE, some_data, cases[i].options);
        assert_int_equal(get32(&x, 28) * 512, cases[i].cluster);
        assert_int_equal(file_size(x.file) % cases[i].cluster, 0);
        assert_int_equal(written_open(&x, "{}", &e), 0);
        assert_int_equal(x.img.size, SIZE);
        assert_int_equal(x.img.cluster_size, 0);
        written_check(&x);
        written_release(&x);
    }
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        const char *options, *text;
    } cases[] = {
        {MIB, "cluster_size=0", "Image size is too large for this cluster size"},
        {300 * TIB, "cluster_size=64k", "Image size is too large for this cluster size"},
        {UINT64_MAX, "", "Image size is too large for this cluster size"},
        {MIB, "cluster_size=4G", "Cluster size is too large"},
        {MIB, "cluster_size=8E", "Cluster size is too large"},
        {MIB, "preallocation=metadata", "Unsupported preallocation mode: metadata"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct written x = {.size = cases[i].size, .data_at = no_data};
        assert_int_equal(written_make(&x, &format_parallels, cases[i].options, &e), -1);
        assert_string_equal(e.text, cases[i].text);
        file_cleanup(&x.file);
    }
}

/* The same image with entries in sectors, and a size of 32 bits. */
static void old_magic(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    make(&x, SIZE, some_data, "");
    put(&x, 0, "WithoutFreeSpace", 16);
    put32(&x, 40, 0x12345678);
    for (unsigned i = 0; i < 10; i++)
        entry(&x, i, get32(&x, PARALLELS_HEADER_SIZE + 4 * i) * 2048);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    assert_int_equal(x.img.size, SIZE);
    written_check(&x);
    written_release(&x);
}

/* ---- headers --------------------------------------------------------------------------------- */

static void malformed(void **state)
{
    (void)state;
    static const struct {
        unsigned at, n;
        const char *bytes, *text;
    } cases[] = {
        {0, 1, "x", "Image not in Parallels format"},
        {16, 1, "\3", "Image not in Parallels format"},
        {28, 4, "\0\0\0\0", "Invalid image: Zero sectors per track"},
        {28, 4, "\x0f\xe0\x3f\0", ""},
        {28, 4, "\x10\xe0\x3f\0", "Invalid image: Too big cluster"},
        {28, 4, "\xff\xff\xff\xff", "Invalid image: Too big cluster"},
        {32, 4, "\xff\xff\xff\x1f", ""},
        {32, 4, "\0\0\0\x20", "Catalog too large"},
        {36, 8, "\xff\xff\xff\xff\xff\xff\xff\xff",
         "Could not refresh total sector count: File too large"},
        {44, 4, "Yno", ""},
        {56, 1, "\1", "Wrong parallels Format Extension magic: 0x0, expected: 0xab234cef23dcea87"},
        {56, 8, "\xff\xff\xff\xff\xff\xff\xff\xff",
         "Format Extension at sector 18446744073709551615 is out of range"},
    };
    struct written x;
    make(&x, SIZE, some_data, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(written_complaint(&x, cases[i].at, cases[i].bytes, cases[i].n),
                            cases[i].text);
    written_release(&x);
}

static void in_use(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    make(&x, SIZE, some_data, "");
    put32(&x, 44, PARALLELS_IN_USE);
    assert_int_equal(written_open(&x, "{}", &e), 0);
    written_close(&x);
    x.img = (struct image){.format = x.format, .file = x.file, .flags.write = true};
    assert_int_equal(format_parallels.open(&x.img, &e), -1);
    assert_string_equal(e.text,
                        "parallels: Image was not closed correctly; cannot be opened read/write");
    x.img.flags.check = true;
    assert_int_equal(format_parallels.open(&x.img, &e), 0);
    written_release(&x);
}

/* ---- the Format Extension -------------------------------------------------------------------- */

static void md5_of(const char *text, const char *should)
{
    struct md5 m;
    uint8_t sum[MD5_SIZE];
    char hex[2 * MD5_SIZE + 1];
    md5_init(&m);
    for (const char *s = text; *s; s++)
        md5_add(&m, s, 1);
    md5_end(&m, sum);
    for (unsigned i = 0; i < MD5_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", sum[i]);
    assert_string_equal(hex, should);
}

/* The suite of RFC 1321. */
static void sums(void **state)
{
    (void)state;
    md5_of("", "d41d8cd98f00b204e9800998ecf8427e");
    md5_of("abc", "900150983cd24fb0d6963f7d28e17f72");
    md5_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
           "d174ab98d277d9f5a5611c2c9f419d9f");
    md5_of("1234567890123456789012345678901234567890123456789012345678901234567890"
           "1234567890",
           "57edf4a22be3c955ac49da2e2107b67a");
}

struct feature {
    uint64_t magic, flags;
    uint32_t size;
    uint64_t sectors;
};

/* A cluster behind all others, with one feature. */
static void put_extension(struct written *x, const struct feature *f)
{
    uint8_t *cluster = calloc(1, MIB);
    uint64_t at = num_up(file_size(x->file), MIB);
    struct md5 m;
    assert_non_null(cluster);
    le64_store(cluster, UINT64_C(0xab234cef23dcea87));
    le64_store(cluster + 24, f->magic);
    le64_store(cluster + 32, f->flags);
    le32_store(cluster + 40, f->size);
    le64_store(cluster + 48, f->sectors);
    md5_init(&m);
    md5_add(&m, cluster + 24, MIB - 24);
    md5_end(&m, cluster + 8);
    put(x, at, cluster, MIB);
    put32(x, 56, (uint32_t)(at / 512));
    free(cluster);
}

static void extensions(void **state)
{
    (void)state;
    static const uint64_t bitmap = UINT64_C(0x20385fae252cb34a), sectors = SIZE / 512;
    static const struct {
        struct feature f;
        const char *text;
    } cases[] = {
        {{0, 0, 0, 0}, ""},
        {{bitmap, 0, 40, sectors}, ""},
        {{bitmap, 0, 8, sectors},
         "Too small Bitmap Feature area in Parallels Format Extension: 8 "
         "bytes, expected at least 32 bytes"},
        {{bitmap, 0, 32, 7}, "Bitmap size (in sectors) 7 differs from disk size in sectors 18435"},
        {{0x1111, 0, 0, 0}, "Unknown feature: 0x1111"},
        {{0x1111, 2, 0, 0}, "Flags for extension feature are unsupported"},
        {{bitmap, 0, 2 << 20, 0}, "Feature data_size exceedes Format Extension cluster"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct written x;
        make(&x, SIZE, some_data, "");
        put_extension(&x, &cases[i].f);
        assert_string_equal(written_complaint(&x, 0, "W", 1), cases[i].text);
        assert_string_equal(written_complaint(&x, file_size(x.file) - 1, "x", 1),
                            "Wrong checksum in Format Extension header. Format extension is "
                            "corrupted.");
        written_release(&x);
    }
}

/* ---- check and repair ------------------------------------------------------------------------ */

struct report {
    char text[2000];
    struct check_result r;
};

static void line(void *ctx, const char *text)
{
    struct report *l = ctx;
    strcat(l->text, text);
    strcat(l->text, "\n");
}

static void check(struct written *x, enum check_fix fix, uint64_t memory, struct report *l)
{
    struct err e = ERR_INIT;
    const struct check_sink sink = {.line = line, .ctx = l, .memory = memory};
    *l = (struct report){0};
    x->img = (struct image){.format = x->format, .file = x->file};
    x->img.flags.check = true;
    x->img.flags.write = fix;
    assert_int_equal(format_parallels.open(&x->img, &e), 0);
    assert_int_equal(format_parallels.check(&x->img, fix, &sink, &l->r, &e), 0);
    written_close(x);
}

static void counted(void **state)
{
    (void)state;
    struct written x;
    struct report l;
    make(&x, SIZE, some_data, "");
    check(&x, CHECK_FIX_NONE, 0, &l);
    assert_string_equal(l.text, "");
    assert_int_equal(l.r.total_clusters, 10);
    assert_int_equal(l.r.allocated_clusters, 6);
    assert_int_equal(l.r.fragmented_clusters, 0);
    assert_int_equal(l.r.image_end_offset, 7 * MIB);
    entry(&x, 0, get32(&x, 68));
    entry(&x, 1, 1);
    check(&x, CHECK_FIX_NONE, 0, &l);
    assert_int_equal(l.r.fragmented_clusters, 1);
    assert_int_equal(l.r.corruptions, 0);
    written_release(&x);
}

static void repaired(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct written x;
    struct report l;
    make(&x, SIZE, first_four, "");
    entry(&x, 8, 77);
    put32(&x, 44, PARALLELS_IN_USE);
    assert_int_equal(file_truncate(x.file, 7 * MIB + 1, &e), 0);
    check(&x, CHECK_FIX_LEAKS, 0, &l);
    assert_string_equal(l.text, "ERROR image was not closed correctly\n"
                                "ERROR cluster 8 is outside image\n");
    assert_int_equal(l.r.corruptions, 2);
    assert_int_equal(l.r.corruptions_fixed, 0);
    assert_int_equal(file_size(x.file), 7 * MIB + 1);
    check(&x, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, 0, &l);
    assert_string_equal(l.text, "Repairing image was not closed correctly\n"
                                "Repairing cluster 8 is outside image\n"
                                "Repairing space leaked at the end of the image 2097664\n");
    assert_int_equal(l.r.corruptions_fixed, 2);
    assert_int_equal(l.r.leaks_fixed, 3);
    assert_int_equal(file_size(x.file), 5 * MIB);
    assert_int_equal(get32(&x, 44), 0);
    check(&x, CHECK_FIX_NONE, 0, &l);
    assert_string_equal(l.text, "");
    assert_int_equal(written_open(&x, "{}", &e), 0);
    written_check(&x);
    written_release(&x);
}

/* Entries that share a cluster get one each, with the same content; with few marks at a time too.
 */
static void parted(void **state)
{
    (void)state;
    for (uint64_t memory = 0; memory < 3; memory++) {
        struct written x;
        struct report l;
        make(&x, 60 * MIB, first_four, "");
        entry(&x, 20, 2);
        entry(&x, 30, 2);
        put32(&x, 48, 1);
        check(&x, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, memory, &l);
        assert_string_equal(l.text, "Repairing cluster 20 has the place of another\n"
                                    "Repairing cluster 30 has the place of another\n"
                                    "Repairing data_off field has incorrect value\n");
        assert_int_equal(get32(&x, 64 + 80), 5);
        assert_int_equal(get32(&x, 64 + 120), 6);
        assert_int_equal(get32(&x, 48), 2048);
        assert_int_equal(get32(&x, 5 * MIB), MIB); /* begins with its old guest offset */
        assert_int_equal(file_size(x.file), 7 * MIB);
        check(&x, CHECK_FIX_NONE, 0, &l);
        assert_string_equal(l.text, "");
        written_release(&x);
    }
}

/* An extension behind the data goes with the space that it leaks, its mark in the header first. */
static void extension_goes(void **state)
{
    (void)state;
    struct written x;
    struct report l;
    make(&x, SIZE, first_four, "");
    put_extension(&x, &(struct feature){0});
    check(&x, CHECK_FIX_LEAKS, 0, &l);
    assert_string_equal(l.text, "Repairing space leaked at the end of the image 1048576\n");
    assert_int_equal(get32(&x, 56), 0);
    assert_string_equal(written_complaint(&x, 0, "W", 1), "");
    written_release(&x);
}

/* An empty image whose BAT is longer than a cluster has no leak. */
static void long_table(void **state)
{
    (void)state;
    struct written x;
    struct report l;
    make(&x, 9 * MIB, no_data, "cluster_size=512");
    check(&x, CHECK_FIX_LEAKS | CHECK_FIX_ERRORS, 0, &l);
    assert_string_equal(l.text, "");
    assert_int_equal(l.r.image_end_offset, file_size(x.file));
    written_release(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clusters_of_all_sizes),
        cmocka_unit_test(refused),
        cmocka_unit_test(old_magic),
        cmocka_unit_test(malformed),
        cmocka_unit_test(in_use),
        cmocka_unit_test(sums),
        cmocka_unit_test(extensions),
        cmocka_unit_test(counted),
        cmocka_unit_test(repaired),
        cmocka_unit_test(parted),
        cmocka_unit_test(extension_goes),
        cmocka_unit_test(long_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
