/* bochs: header fields and their limits, the map over catalog and bitmaps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/num.h"
#include "memory_image.h"

#define EXTENT  8192u /* 16 sectors: two bytes of bitmap */
#define ENTRIES 6u
#define STRIDE  (512 + EXTENT)
#define BEGIN   (512 + ENTRIES * 4)
#define SIZE    (BEGIN + 2 * STRIDE)

static uint8_t disk[SIZE];

/* Extents 0 to 2 and 4 are not there, 3 is the second in the file, 5 the first. */
static void build(unsigned version)
{
    memset(disk, 0, sizeof disk);
    strcpy((char *)disk, "Bochs Virtual HD Image");
    strcpy((char *)disk + 32, "Redolog");
    strcpy((char *)disk + 48, "Growing");
    le32_store(disk + 64, version << 16);
    le32_store(disk + 68, 512);
    le32_store(disk + 72, ENTRIES);
    le32_store(disk + 76, EXTENT / 512 / 8);
    le32_store(disk + 80, EXTENT);
    le64_store(disk + (version == 1 ? 84 : 88), ENTRIES * EXTENT - 1024);
    for (unsigned i = 0; i < ENTRIES; i++)
        le32_store(disk + 512 + 4 * i, i == 3 ? 1 : i == 5 ? 0 : 0xffffffff);
    disk[BEGIN] = 0xff;
    disk[BEGIN + 1] = 0xff;
    disk[BEGIN + STRIDE] = 0xfc; /* sectors 2 to 8 */
    disk[BEGIN + STRIDE + 1] = 0x01;
}

static void expect(struct image *img, uint64_t guest, enum extent_kind kind, uint64_t length,
                   uint64_t host)
{
    struct extent x = memory_image_map(img, guest);
    assert_int_equal(x.kind, kind);
    assert_int_equal(x.length, length);
    if (kind == EXTENT_DATA)
        assert_int_equal(x.host, host);
}

static void map_follows_catalog_and_bitmap(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        build(version);
        struct image *img = memory_image_good(NULL, disk, sizeof disk);
        uint64_t third = BEGIN + STRIDE + 512;
        assert_int_equal(img->size, ENTRIES * EXTENT - 1024);
        expect(img, 0, EXTENT_ZERO, 3 * EXTENT, 0);
        expect(img, EXTENT + 100, EXTENT_ZERO, 2 * EXTENT - 100, 0);
        expect(img, 3 * EXTENT, EXTENT_ZERO, 1024, 0);
        expect(img, 3 * EXTENT + 1024, EXTENT_DATA, 7 * 512, third + 1024);
        expect(img, 3 * EXTENT + 1500, EXTENT_DATA, 7 * 512 - 476, third + 1500);
        expect(img, 3 * EXTENT + 9 * 512, EXTENT_ZERO, 7 * 512, 0);
        expect(img, 4 * EXTENT, EXTENT_ZERO, EXTENT, 0);
        expect(img, 5 * EXTENT, EXTENT_DATA, EXTENT - 1024, BEGIN + 512);
        memory_image_close(img);
    }
}

static void refused_with(size_t at, uint32_t value, const char *words)
{
    build(2);
    le32_store(disk + at, value);
    memory_image_refused("bochs", disk, sizeof disk, words);
}

static void headers_out_of_limits(void **state)
{
    (void)state;
    refused_with(0, 0, "Image not in Bochs format");
    refused_with(64, 0x30000, "Image not in Bochs format");
    refused_with(68, SIZE - 4, "Could not read the catalog");
    refused_with(72, ENTRIES - 1, "Catalog size is too small");
    refused_with(72, 0x100001, "Catalog size is too large");
    refused_with(76, 0, "Bitmap size 0");
    refused_with(76, UINT32_MAX, "Bitmap size 4294967295");
    refused_with(80, 0, "at least 512");
    refused_with(80, 768, "not a power of two");
    refused_with(80, 1u << 24, "is too large");
    refused_with(92, UINT32_MAX, "Catalog size is too small");
    memory_image_refused("bochs", "", 0, "Image not in Bochs format");
}

static void extent_behind_the_file(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct extent x;
    build(2);
    le32_store(disk + 512 + 4 * 3, 0xfffffffe);
    struct image *img = memory_image_good("bochs", disk, sizeof disk);
    assert_int_equal(image_map(img, 3 * EXTENT, 512, &x, &e), -1);
    memory_image_close(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_follows_catalog_and_bitmap),
        cmocka_unit_test(headers_out_of_limits),
        cmocka_unit_test(extent_behind_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
