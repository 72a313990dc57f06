/* vhdx: checksum, identifiers, headers, regions, metadata, parent locator; what is damaged is
 * refused with one error. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/vhdx/crc32c.h"
#include "formats/vhdx/vhdx.h"
#include "io/fault.h"
#include "io/memory.h"

#define OK(expr)                                                                                   \
    do {                                                                                           \
        if ((expr))                                                                                \
            fail_msg("%s: %s", #expr, e.text);                                                     \
    } while (0)
#define REFUSED(expr)                                                                              \
    do {                                                                                           \
        e = ERR_INIT;                                                                              \
        assert_int_equal((expr), -1);                                                              \
        assert_true(e.set);                                                                        \
        e = ERR_INIT;                                                                              \
    } while (0)

static struct file *empty_file(void)
{
    struct err e = ERR_INIT;
    struct file *f;
    OK(memory_new("image", "", 0, &f, &e));
    OK(file_truncate(f, 8 * MIB, &e));
    return f;
}

/* ---- checksum, identifiers ------------------------------------------------------------------- */

static void checksum(void **state)
{
    (void)state;
    uint8_t buf[200] = {0};
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, buf, 32), 0x8a9136aa);
    for (unsigned i = 0; i < sizeof buf; i++)
        buf[i] = (uint8_t)(i * i + 3);
    uint32_t whole = crc32c(0, buf, sizeof buf);
    for (size_t cut = 0; cut <= sizeof buf; cut++)
        assert_int_equal(crc32c(crc32c(0, buf, cut), buf + cut, sizeof buf - cut), whole);
}

static void identifiers(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0xc3, 0x0e, 0xed, 0x83, 0xc8, 0x24, 0xa6, 0x49,
                             0xa9, 0x59, 0x5e, 0x4b, 0xd1, 0x28, 0x80, 0x15};
    struct vhdx_guid want = vhdx_guid_load(bytes), got;
    assert_true(vhdx_guid_parse("{83ed0ec3-24c8-49a6-a959-5e4bd1288015}", &got));
    assert_true(vhdx_guid_equal(&got, &want));
    assert_true(vhdx_guid_parse("83ED0EC3-24C8-49A6-A959-5E4BD1288015", &got));
    assert_true(vhdx_guid_equal(&got, &want));
    static const char *const bad[] = {"",
                                      "{",
                                      "{83ed0ec3-24c8-49a6-a959-5e4bd1288015",
                                      "83ed0ec3-24c8-49a6-a959-5e4bd1288015}",
                                      "83ed0ec3-24c8-49a6-a959-5e4bd128801",
                                      "83ed0ec3-24c8-49a6-a959-5e4bd12880150",
                                      "83ed0ec3-24c8-49a6+a959-5e4bd1288015",
                                      "83ed0ec3-24c8-49a6-a959-5e4bd128801g"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(vhdx_guid_parse(bad[i], &got));
    uint8_t random[16];
    memset(random, 0xff, sizeof random);
    got = vhdx_guid_make(random);
    assert_int_equal(got.byte[7], 0x4f);
    assert_int_equal(got.byte[8], 0xbf);
}

/* ---- headers --------------------------------------------------------------------------------- */

static struct vhdx_header a_header(uint64_t sequence)
{
    return (struct vhdx_header){
        .sequence = sequence,
        .file_write = {{1, 2, 3}},
        .data_write = {{4, 5, 6}},
        .log = {{7}},
        .version = 1,
        .log_length = MIB,
        .log_offset = MIB,
    };
}

static void put_header(struct file *f, unsigned copy, struct vhdx_header h)
{
    struct err e = ERR_INIT;
    uint8_t buf[VHDX_HEADER_SIZE];
    vhdx_header_store(&h, buf);
    OK(file_write(f, buf, sizeof buf, vhdx_header_place(copy), &e));
}

static void spoil(struct file *f, uint64_t at)
{
    struct err e = ERR_INIT;
    uint8_t b;
    OK(file_read(f, &b, 1, at, &e));
    b ^= 1;
    OK(file_write(f, &b, 1, at, &e));
}

static void header_that_counts(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = empty_file();
    struct vhdx_header h;
    unsigned copy;
    REFUSED(vhdx_header_read(f, &h, &copy, &e));
    put_header(f, 0, a_header(5));
    put_header(f, 1, a_header(6));
    OK(vhdx_header_read(f, &h, &copy, &e));
    assert_int_equal(copy, 1);
    const struct vhdx_header want = a_header(6);
    assert_int_equal(h.sequence, 6);
    assert_true(vhdx_guid_equal(&h.file_write, &want.file_write));
    assert_true(vhdx_guid_equal(&h.data_write, &want.data_write));
    assert_true(vhdx_guid_equal(&h.log, &want.log));
    assert_int_equal(h.log_length, MIB);
    assert_int_equal(h.log_offset, MIB);

    spoil(f, vhdx_header_place(1) + 4000); /* under the checksum too */
    OK(vhdx_header_read(f, &h, &copy, &e));
    assert_int_equal(copy, 0);
    spoil(f, vhdx_header_place(0));
    REFUSED(vhdx_header_read(f, &h, &copy, &e));

    put_header(f, 0, a_header(6)); /* both the same: either does */
    put_header(f, 1, a_header(6));
    OK(vhdx_header_read(f, &h, &copy, &e));
    struct vhdx_header other = a_header(6);
    other.log_offset = 2 * MIB;
    put_header(f, 1, other);
    REFUSED(vhdx_header_read(f, &h, &copy, &e));
    file_cleanup(&f);
}

static void header_limits(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct file *f = empty_file();
    struct vhdx_header bad[6], h;
    unsigned copy;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        bad[i] = a_header(9);
    bad[0].version = 2;
    bad[1].version = 0;
    bad[2].log_offset = MIB + 1;
    bad[3].log_length = MIB + 4096;
    bad[4].log_offset = 0;
    bad[5].log_offset = UINT64_C(0x7ffffffffff00000);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        put_header(f, 0, bad[i]);
        REFUSED(vhdx_header_read(f, &h, &copy, &e));
    }
    file_cleanup(&f);
}

/* Wherever it stops, a header is left; and only when all is done the old one is gone. */
static void header_update_is_safe(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 5; nth++) {
        struct err e = ERR_INIT;
        struct file *f = empty_file();
        put_header(f, 0, a_header(6));
        put_header(f, 1, a_header(5));
        const struct fault fault = {
            .op = nth < 3 ? FAULT_WRITE : FAULT_SYNC,
            .nth = nth < 3 ? nth : nth - 2,
            .and_after = true,
            .no = 5,
            .partial = 100,
        };
        OK(fault_new(f, &fault, 1, &f, &e));
        struct vhdx_header h = a_header(6), got;
        unsigned copy;
        h.log = vhdx_guid_none;
        int r = vhdx_header_update(f, &h, 0, &e);
        assert_int_equal(r, nth == 5 ? 0 : -1);
        e = ERR_INIT;
        OK(vhdx_header_read(f, &got, &copy, &e));
        assert_true(got.sequence == 6 || vhdx_guid_equal(&got.log, &vhdx_guid_none));
        assert_int_equal(got.sequence, r ? got.sequence : 8);
        file_cleanup(&f);
    }
}

/* ---- regions --------------------------------------------------------------------------------- */

#define REGIONS (64 * KIB)

static const struct vhdx_header region_header = {
    .log_offset = MIB, .log_length = MIB, .version = 1};

static void store_regions(uint8_t *buf)
{
    const struct vhdx_regions r = {.bat = {2 * MIB, 3 * MIB}, .metadata = {3 * MIB, 4 * MIB}};
    vhdx_regions_store(&r, buf);
}

static void seal(uint8_t *buf, size_t len)
{
    le32_store(buf + 4, 0);
    le32_store(buf + 4, crc32c(0, buf, len));
}

static int load_regions(const uint8_t *first, const uint8_t *second, struct vhdx_regions *out,
                        struct err *e)
{
    struct file *f = empty_file();
    if (first)
        assert_int_equal(file_write(f, first, REGIONS, vhdx_region_place(0), e), 0);
    if (second)
        assert_int_equal(file_write(f, second, REGIONS, vhdx_region_place(1), e), 0);
    *out = (struct vhdx_regions){0};
    int r = vhdx_regions_read(f, &region_header, out, e);
    file_cleanup(&f);
    return r;
}

static void regions(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(REGIONS), *bad = calloc(1, REGIONS);
    struct vhdx_regions r;
    store_regions(buf);
    const uint8_t *const pairs[][2] = {{buf, buf}, {buf, NULL}, {NULL, buf}, {bad, buf}};
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        OK(load_regions(pairs[i][0], pairs[i][1], &r, &e));
        assert_int_equal(r.n, 3);
        assert_int_equal(r.bat.start, 2 * MIB);
        assert_int_equal(r.metadata.end, 4 * MIB);
        assert_false(vhdx_regions_touch(&r, 0, MIB));
        assert_true(vhdx_regions_touch(&r, 0, MIB + 1));
        assert_true(vhdx_regions_touch(&r, 4 * MIB - 1, 8 * MIB));
        assert_false(vhdx_regions_touch(&r, 4 * MIB, 8 * MIB));
        vhdx_regions_release(&r);
    }
    REFUSED(load_regions(bad, bad, &r, &e));
    free(buf);
    free(bad);
}

static void regions_damaged(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(REGIONS);
    struct vhdx_regions r;
    static const struct {
        unsigned at;
        uint32_t value;
    } cases[] = {
        {8, 0}, /* no entries */
        {8, 1}, /* no metadata */
        {8, 3}, /* an empty entry */
        {8, 2048},
        {8, UINT32_MAX},        /* too many */
        {16 + 16, 2 * MIB + 1}, /* not aligned */
        {16 + 16, 0},           /* in front */
        {16 + 16, MIB},         /* the log's */
        {16 + 16, 3 * MIB},     /* the other's */
        {16 + 20, UINT32_MAX},  /* far away */
        {16 + 24, 0},           /* no length */
        {16 + 24, MIB + 1},     /* not aligned */
        {16 + 24, 2 * MIB},     /* into the other */
        {16, 0x12345678},       /* an unknown kind, required; no BAT */
        {16 + 32, 0x2dc27766},  /* not quite the BAT's identifier */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        store_regions(buf);
        le32_store(buf + cases[i].at, cases[i].value);
        seal(buf, REGIONS);
        REFUSED(load_regions(buf, NULL, &r, &e));
        vhdx_regions_release(&r);
    }
    store_regions(buf);
    memcpy(buf + 16 + 32, buf + 16, 16); /* the BAT twice */
    seal(buf, REGIONS);
    REFUSED(load_regions(buf, NULL, &r, &e));
    vhdx_regions_release(&r);

    store_regions(buf); /* an unknown one that is not required */
    le32_store(buf + 8, 3);
    le64_store(buf + 16 + 64 + 16, 5 * MIB);
    le32_store(buf + 16 + 64 + 24, MIB);
    seal(buf, REGIONS);
    OK(load_regions(buf, NULL, &r, &e));
    assert_int_equal(r.n, 4);
    vhdx_regions_release(&r);
    free(buf);
}

/* ---- metadata -------------------------------------------------------------------------------- */

static const struct vhdx_metadata good_metadata = {
    .block_size = 2 * MIB,
    .leave_allocated = true,
    .size = 5 * GIB,
    .disk_id = {{9, 8, 7}},
    .logical_sector = 512,
    .physical_sector = 4096,
};

static int load_metadata(const uint8_t *buf, struct vhdx_metadata *out, struct err *e)
{
    const struct vhdx_range region = {MIB, 2 * MIB};
    struct file *f = empty_file();
    assert_int_equal(file_write(f, buf, VHDX_METADATA_SIZE, region.start, e), 0);
    int r = vhdx_metadata_read(f, &region, out, e);
    file_cleanup(&f);
    return r;
}

static void metadata(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(VHDX_METADATA_SIZE);
    struct vhdx_metadata m;
    vhdx_metadata_store(&good_metadata, buf);
    OK(load_metadata(buf, &m, &e));
    assert_int_equal(m.block_size, 2 * MIB);
    assert_true(m.leave_allocated);
    assert_false(m.has_parent);
    assert_int_equal(m.size, 5 * GIB);
    assert_true(vhdx_guid_equal(&m.disk_id, &good_metadata.disk_id));
    assert_int_equal(m.logical_sector, 512);
    assert_int_equal(m.physical_sector, 4096);
    free(buf);
}

static void metadata_damaged(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(VHDX_METADATA_SIZE);
    struct vhdx_metadata m;
    enum { TABLE = 65536, ENTRY = 32 };
    static const struct {
        unsigned at;
        uint32_t value;
    } cases[] = {
        {0, 0},     /* signature */
        {10, 2048}, /* more entries than there may be */
        {10, 0},
        {10, 4},                  /* items lack */
        {10, 6},                  /* one of no kind, but fine: see below */
        {ENTRY + 16, 0},          /* in the table */
        {ENTRY + 16, MIB},        /* outside */
        {ENTRY + 16, UINT32_MAX}, /* ... far */
        {ENTRY + 16, TABLE + 8},  /* on another item */
        {ENTRY + 20, 0},          /* a place without a length */
        {ENTRY + 20, 7},          /* another length than it has */
        {ENTRY + 20, 2 * MIB},    /* too long */
        {ENTRY, 1},               /* an unknown kind, required */
        {ENTRY + 24, 5},          /* one of a user's */
        {TABLE, 0},
        {TABLE, 3 * MIB},
        {TABLE, 512},         /* block size */
        {TABLE, 512 * MIB},   /* ... */
        {TABLE + 4, 2},       /* a parent without a locator */
        {TABLE + 8, 511},     /* size: not in sectors */
        {TABLE + 12, 0x4001}, /* ... beyond 64 TiB */
        {TABLE + 32, 1024},   /* logical sector */
        {TABLE + 32, 0},      /* ... */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        vhdx_metadata_store(&good_metadata, buf);
        le32_store(buf + cases[i].at, cases[i].value);
        if (cases[i].at == 10 && cases[i].value == 6) {
            OK(load_metadata(buf, &m, &e)); /* not required, not placed: nothing */
            continue;
        }
        REFUSED(load_metadata(buf, &m, &e));
    }
    vhdx_metadata_store(&good_metadata, buf);
    le32_store(buf + 10, 6);
    memcpy(buf + 6 * ENTRY, buf + ENTRY, 16); /* twice */
    REFUSED(load_metadata(buf, &m, &e));
    vhdx_metadata_store(&good_metadata, buf);
    le32_store(buf + TABLE + 32, 4096);
    OK(load_metadata(buf, &m, &e));
    free(buf);
}

/* ---- parent locator -------------------------------------------------------------------------- */

struct locator {
    uint8_t bytes[4096];
    uint32_t n, at; /* pairs, end of the text */
};

#define PAIRS_MAX 8u
#define LINKAGE   "{83ed0ec3-24c8-49a6-a959-5e4bd1288015}"

static void locator_begin(struct locator *l)
{
    static const uint8_t type[16] = {0xb7, 0xef, 0x4a, 0xb0, 0x9e, 0xd1, 0x81, 0x4a,
                                     0xb7, 0x89, 0x25, 0xb8, 0xe9, 0x44, 0x59, 0x13};
    *l = (struct locator){.at = 20 + PAIRS_MAX * 12};
    memcpy(l->bytes, type, 16);
}

static uint16_t locator_text(struct locator *l, const uint16_t *text)
{
    uint32_t from = l->at;
    for (; *text; text++, l->at += 2)
        le16_store(l->bytes + l->at, *text);
    return (uint16_t)(l->at - from);
}

static void locator_pair16(struct locator *l, const uint16_t *key, const uint16_t *value)
{
    uint8_t *entry = l->bytes + 20 + 12 * (size_t)l->n++;
    le32_store(entry, l->at);
    le16_store(entry + 8, locator_text(l, key));
    le32_store(entry + 4, l->at);
    le16_store(entry + 10, locator_text(l, value));
    le16_store(l->bytes + 18, (uint16_t)l->n);
}

static void locator_pair(struct locator *l, const char *key, const char *value)
{
    uint16_t k[256], v[256];
    for (size_t i = 0; !i || key[i - 1]; i++)
        k[i] = (uint8_t)key[i];
    for (size_t i = 0; !i || value[i - 1]; i++)
        v[i] = (uint8_t)value[i];
    locator_pair16(l, k, v);
}

static void parent_names(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"relative_path", ".\\base.vhdx", "base.vhdx"},
        {"relative_path", "..\\disks\\base.vhdx", "../disks/base.vhdx"},
        {"relative_path", "sub/base.vhdx", "sub/base.vhdx"},
        {"relative_path", "nbd:host:10809", "./nbd:host:10809"},
        {"relative_path", "json:{}", "./json:{}"},
        {"absolute_win32_path", "\\\\?\\C:\\disks\\base.vhdx", "/disks/base.vhdx"},
        {"absolute_win32_path", "c:\\base.vhdx", "/base.vhdx"},
        {"volume_path", "\\\\?\\Volume{26a21bda-a627-11d7-9931-806e6f6e6963}\\d\\base.vhdx",
         "/d/base.vhdx"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct locator l;
        struct vhdx_parent p = {0};
        locator_begin(&l);
        locator_pair(&l, "parent_linkage", LINKAGE);
        locator_pair(&l, cases[i][0], cases[i][1]);
        locator_pair(&l, "something", "else");
        OK(vhdx_locator_load(l.bytes, l.at, &p, &e));
        assert_string_equal(p.name, cases[i][2]);
        assert_int_equal(p.n_linkage, 1);
        free(p.name);
    }
}

static void parent_names_in_order(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct locator l;
    struct vhdx_parent p = {0};
    locator_begin(&l);
    locator_pair(&l, "absolute_win32_path", "C:\\a");
    locator_pair(&l, "volume_path", "\\\\?\\Volume{1}\\v");
    locator_pair(&l, "parent_linkage2", LINKAGE);
    locator_pair(&l, "relative_path", "r");
    locator_pair(&l, "parent_linkage", LINKAGE);
    OK(vhdx_locator_load(l.bytes, l.at, &p, &e));
    assert_string_equal(p.name, "r");
    assert_int_equal(p.n_linkage, 2);
    free(p.name);

    static const uint16_t key[] = {'r', 'e', 'l', 'a', 't', 'i', 'v',
                                   'e', '_', 'p', 'a', 't', 'h', 0};
    static const uint16_t value[] = {0x65, 0xe9, 0x4e2d, 0xd83d, 0xdcbe, 0};
    p = (struct vhdx_parent){0};
    locator_begin(&l);
    locator_pair(&l, "parent_linkage", LINKAGE);
    locator_pair16(&l, key, value);
    OK(vhdx_locator_load(l.bytes, l.at, &p, &e));
    assert_string_equal(p.name, "e\xc3\xa9\xe4\xb8\xad\xf0\x9f\x92\xbe");
    free(p.name);
}

static void bad_locator(struct locator *l, uint32_t length)
{
    struct err e = ERR_INIT;
    struct vhdx_parent p = {0};
    REFUSED(vhdx_locator_load(l->bytes, length, &p, &e));
    free(p.name);
}

static void parent_locator_damaged(void **state)
{
    (void)state;
    static const struct {
        unsigned at, bytes;
        uint32_t value;
    } cases[] = {
        {0, 4, 0},
        {18, 2, 0},
        {18, 2, 1},
        {18, 2, 65535},
        {20, 4, 100000},
        {20, 4, UINT32_MAX},
        {28, 2, 65534},
        {28, 2, 3},
        {30, 2, 75},
        {20 + 16, 4, 5000},
        {20 + 22, 2, 0},
        {20 + 22, 2, 1},
        {20 + 96 - 12, 2, 0}, /* nothing: the last entry is not used */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct locator l;
        locator_begin(&l);
        locator_pair(&l, "parent_linkage", LINKAGE);
        locator_pair(&l, "relative_path", "base.vhdx");
        if (cases[i].bytes == 2)
            le16_store(l.bytes + cases[i].at, (uint16_t)cases[i].value);
        else
            le32_store(l.bytes + cases[i].at, cases[i].value);
        if (i + 1 < ARRAY_LEN(cases))
            bad_locator(&l, l.at);
    }
    struct locator l;
    locator_begin(&l);
    bad_locator(&l, 19);
    bad_locator(&l, 0);
    locator_pair(&l, "relative_path", "base.vhdx");
    bad_locator(&l, l.at);
    locator_pair(&l, "parent_linkage", "not a linkage");
    bad_locator(&l, l.at);
    locator_begin(&l);
    locator_pair(&l, "parent_linkage", LINKAGE);
    bad_locator(&l, l.at);
    locator_pair(&l, "relative_path", "");
    bad_locator(&l, l.at);
    locator_pair(&l, "relative_path", "twice");
    bad_locator(&l, l.at);
    static const uint16_t key[] = {'x', 0}, lone[] = {0xd83d, 'x', 0}, low[] = {0xdcbe, 0},
                          last[] = {'x', 0xd83d, 0};
    const uint16_t *const bad[] = {lone, low, last};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        locator_begin(&l);
        locator_pair(&l, "parent_linkage", LINKAGE);
        locator_pair(&l, "relative_path", "base");
        locator_pair16(&l, bad[i], key);
        bad_locator(&l, l.at);
    }
}

/* ---- table sizes ----------------------------------------------------------------------------- */

static void bat_sizes(void **state)
{
    (void)state;
    assert_int_equal(vhdx_chunk_ratio(512, MIB), 4096);
    assert_int_equal(vhdx_chunk_ratio(512, 256 * MIB), 16);
    assert_int_equal(vhdx_chunk_ratio(4096, MIB), 32768);
    assert_int_equal(vhdx_bat_entries(0, 16, false), 0);
    assert_int_equal(vhdx_bat_entries(16, 16, false), 16);
    assert_int_equal(vhdx_bat_entries(17, 16, false), 18);
    assert_int_equal(vhdx_bat_entries(1, 16, true), 17);
    assert_int_equal(vhdx_bat_entries(16, 16, true), 17);
    assert_int_equal(vhdx_bat_entries(17, 16, true), 34);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum),
        cmocka_unit_test(identifiers),
        cmocka_unit_test(header_that_counts),
        cmocka_unit_test(header_limits),
        cmocka_unit_test(header_update_is_safe),
        cmocka_unit_test(regions),
        cmocka_unit_test(regions_damaged),
        cmocka_unit_test(metadata),
        cmocka_unit_test(metadata_damaged),
        cmocka_unit_test(parent_names),
        cmocka_unit_test(parent_names_in_order),
        cmocka_unit_test(parent_locator_damaged),
        cmocka_unit_test(bat_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
