/* cloop: header fields and their limits, the table of offsets, reading. */
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
#include "formats/format.h"
#include "memory_image.h"

#define BLOCK  1024u
#define BLOCKS 9000u /* their table is larger than what is looked through at a time */
#define BEGIN  (136 + (BLOCKS + 1) * 8)

static uint8_t disk[BEGIN + BLOCKS * 64];
static size_t used;

/* Block i is full of the byte i. */
static void build(void)
{
    struct err e = ERR_INIT;
    const struct codec *zlib = codec_find("zlib");
    uint8_t block[BLOCK];
    void *encoder;
    memset(disk, 0, sizeof disk);
    strcpy((char *)disk, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop file=$0 && "
                         "mount -r -t iso9660 /dev/cloop $1\n");
    be32_store(disk + 128, BLOCK);
    be32_store(disk + 132, BLOCKS);
    used = BEGIN;
    assert_int_equal(zlib->encoder_new(6, 15, &encoder, &e), 0);
    for (unsigned i = 0; i <= BLOCKS; i++) {
        size_t len = 0;
        be64_store(disk + 136 + 8 * i, used);
        memset(block, (int)i, BLOCK);
        if (i < BLOCKS)
            assert_int_equal(zlib->encode(encoder, block, BLOCK, disk + used, 64, &len, &e), 0);
        used += len;
    }
    zlib->encoder_free(encoder);
}

static void blocks_are_read(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint8_t buf[3 * BLOCK];
    build();
    struct image *img = memory_image_good(NULL, disk, used);
    struct image_reader *r = image_reader_new(&e);
    assert_string_equal(img->format->name, "cloop");
    assert_int_equal(img->size, (uint64_t)BLOCK * BLOCKS);
    assert_int_equal(img->largest_block, BLOCK);
    struct extent x = memory_image_map(img, BLOCK + 24);
    assert_int_equal(x.kind, EXTENT_PACKED);
    assert_int_equal(x.length, BLOCK - 24);
    assert_int_equal(x.block_offset, 24);
    for (unsigned i = 0; i + 4 < BLOCKS; i += 97) {
        assert_int_equal(image_read(r, img, i * BLOCK + 24, sizeof buf, buf, &e), 0);
        assert_int_equal(buf[0], (uint8_t)i);
        assert_int_equal(buf[BLOCK - 25], (uint8_t)i);
        assert_int_equal(buf[BLOCK - 24], (uint8_t)(i + 1));
        assert_int_equal(buf[3 * BLOCK - 1], (uint8_t)(i + 3));
    }
    image_reader_free(r);
    memory_image_close(img);
}

static void refused_with(size_t at, uint32_t value, const char *words)
{
    build();
    be32_store(disk + at, value);
    memory_image_refused("cloop", disk, used, words);
}

static void limits(void **state)
{
    (void)state;
    refused_with(128, 0, "block_size cannot be zero");
    refused_with(128, 1000, "block_size 1000 must be a multiple of 512");
    refused_with(128, 0x4000200, "block_size 67109376 must be 64 MB or less");
    refused_with(132, UINT32_MAX, "n_blocks 4294967295 must be 536870911 or less");
    refused_with(132, 0x4000000, "image requires too many offsets");
    refused_with(132, 0x3ffffff, "invalid compressed block size at index 9001");
    refused_with(136, 1, "offsets not monotonically increasing at index 1,");
    refused_with(136 + 8 * 8999, 1, "invalid compressed block size at index 8999,");
    refused_with(136 + 8 * 9000, 1u << 31, "invalid compressed block size at index 9000,");
    memory_image_refused("cloop", "", 0, "block_size cannot be zero");
    build();
    memory_image_refused("cloop", disk, 1000, "Could not read the table of offsets");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_read),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
