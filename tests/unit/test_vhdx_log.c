/* The log of vhdx: random rings of entries against a model; what is seen through an overlay is what
 * a replay leaves, and a replay that stops at any write can be done again. */
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

#define SECTOR   VHDX_LOG_SECTOR
#define LOG_AT   (1 * MIB)
#define LOG_SIZE (1 * MIB)
#define BEGIN    (2 * MIB)
#define SECTORS  256u /* of the file behind the log, that tests update */
#define END      (BEGIN + SECTORS * SECTOR)

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

/* ---- a file with a log ----------------------------------------------------------------------- */

struct trial {
    struct file *file;
    struct vhdx_header header;
    uint8_t *model; /* bytes [BEGIN, END) after the replay */
    uint32_t at;    /* where in the log the next entry goes */
    uint32_t tail;
    uint64_t sequence;
};

static void put(struct trial *t, const void *buf, size_t len, uint64_t off)
{
    struct err e = ERR_INIT;
    OK(file_write(t->file, buf, len, off, &e));
}

static void trial_headers(struct trial *t)
{
    uint8_t buf[VHDX_HEADER_SIZE];
    vhdx_header_store(&t->header, buf);
    put(t, buf, sizeof buf, vhdx_header_place(0));
    put(t, buf, sizeof buf, vhdx_header_place(1));
}

static void trial_begin(struct trial *t)
{
    struct err e = ERR_INIT;
    *t = (struct trial){.sequence = 1 + draw(3) * UINT32_MAX};
    t->header = (struct vhdx_header){.sequence = 3,
                                     .log = {{0x55, 1}},
                                     .version = 1,
                                     .log_length = LOG_SIZE,
                                     .log_offset = LOG_AT};
    OK(memory_new("image", "", 0, &t->file, &e));
    t->model = malloc(END - BEGIN);
    for (size_t i = 0; i < END - BEGIN; i++)
        t->model[i] = (uint8_t)draw(256);
    put(t, t->model, END - BEGIN, BEGIN);
    trial_headers(t);
    t->at = t->tail = (uint32_t)(draw(LOG_SIZE / SECTOR) * SECTOR);
}

static void trial_end(struct trial *t)
{
    file_cleanup(&t->file);
    free(t->model);
}

static void put_ring(struct trial *t, uint64_t at, const uint8_t *buf, size_t len)
{
    for (size_t i = 0; i < len; i += SECTOR)
        put(t, buf + i, SECTOR, LOG_AT + (at + i) % LOG_SIZE);
}

enum { WHOLE, TORN, SPOILT };

/* An entry of `n` random updates. Torn: its last sector did not arrive. */
static void trial_entry(struct trial *t, unsigned n, int how)
{
    uint32_t from = (uint32_t)num_up(64 + 32 * n, SECTOR), length = from;
    uint8_t *buf = calloc(1, from + n * SECTOR);
    for (unsigned i = 0; i < n; i++) {
        uint8_t *p = buf + 64 + 32 * (size_t)i, *sector = buf + length;
        uint64_t first = draw(SECTORS), count = 1;
        if (draw(3)) {
            uint8_t data[SECTOR];
            for (unsigned k = 0; k < SECTOR; k++)
                data[k] = (uint8_t)draw(256);
            memcpy(p, "desc", 4);
            memcpy(p + 4, data + SECTOR - 4, 4);
            memcpy(p + 8, data, 8);
            memcpy(sector, data, SECTOR);
            memcpy(sector, "data", 4);
            le32_store(sector + 4, (uint32_t)(t->sequence >> 32));
            le32_store(sector + SECTOR - 4, (uint32_t)t->sequence);
            length += SECTOR;
            if (how == WHOLE)
                memcpy(t->model + first * SECTOR, data, SECTOR);
        } else {
            count = 1 + draw(SECTORS - first);
            memcpy(p, "zero", 4);
            le64_store(p + 8, count * SECTOR);
            if (how == WHOLE)
                memset(t->model + first * SECTOR, 0, count * SECTOR);
        }
        le64_store(p + 16, BEGIN + first * SECTOR);
        le64_store(p + 24, t->sequence);
    }
    memcpy(buf, "loge", 4);
    le32_store(buf + 8, length);
    le32_store(buf + 12, t->tail);
    le64_store(buf + 16, t->sequence);
    le32_store(buf + 24, n);
    memcpy(buf + 32, t->header.log.byte, 16);
    le64_store(buf + 48, END);
    le64_store(buf + 56, END);
    le32_store(buf + 4, crc32c(0, buf, length));
    buf[draw(length)] ^= how == SPOILT;
    put_ring(t, t->at, buf, how == TORN ? length - SECTOR : length);
    t->at = (t->at + length) % LOG_SIZE;
    t->sequence++;
    free(buf);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void check_bytes(struct trial *t, struct file *f)
{
    struct err e = ERR_INIT;
    uint8_t *got = malloc(END - BEGIN);
    OK(file_read(f, got, END - BEGIN, BEGIN, &e));
    assert_memory_equal(got, t->model, END - BEGIN);
    for (unsigned i = 0; i < 50; i++) {
        uint64_t off = draw(END - BEGIN), len = 1 + draw(num_min(20000, END - BEGIN - off));
        OK(file_read(f, got, len, BEGIN + off, &e));
        assert_memory_equal(got, t->model + off, len);
    }
    free(got);
}

static void check_overlay(struct trial *t)
{
    struct err e = ERR_INIT;
    struct vhdx_log log;
    struct file *over;
    OK(vhdx_log_read(t->file, &t->header, &log, &e));
    assert_true(log.found);
    OK(vhdx_overlay_new(t->file, &log, &over, &e));
    assert_int_equal(file_size(over), END);
    check_bytes(t, over);
    for (uint64_t at = BEGIN, n; at < END; at += n) {
        bool hole;
        OK(file_span(over, at, END - at, &hole, &n, &e));
        assert_true(n > 0 && !hole);
    }
    file_cleanup(&over);
}

static int replay(struct file *f, struct err *e)
{
    struct vhdx_header h;
    struct vhdx_log log;
    unsigned copy;
    if (vhdx_header_read(f, &h, &copy, e))
        return -1;
    if (vhdx_guid_equal(&h.log, &vhdx_guid_none))
        return 0;
    if (vhdx_log_read(f, &h, &log, e))
        return -1;
    int r = vhdx_replay(f, &log, &h, copy, e);
    vhdx_log_release(&log);
    return r;
}

/* A replay that stops somewhere, then one that does not. */
static void check_replay(struct trial *t, enum fault_op op, uint64_t nth)
{
    struct err e = ERR_INIT;
    const struct fault fault = {
        .op = op, .nth = nth, .and_after = true, .no = 5, .partial = draw(SECTOR)};
    uint8_t *all = malloc(END);
    struct file *f;
    OK(file_read(t->file, all, END, 0, &e));
    OK(memory_new("copy", all, END, &f, &e));
    free(all);
    OK(fault_new(f, &fault, 1, &f, &e));
    replay(f, &e);
    e = ERR_INIT;
    struct file *good;
    all = malloc(END);
    OK(file_read(f, all, END, 0, &e));
    OK(memory_new("again", all, END, &good, &e));
    free(all);
    file_cleanup(&f);
    OK(replay(good, &e));
    check_bytes(t, good);
    struct vhdx_header h;
    unsigned copy;
    OK(vhdx_header_read(good, &h, &copy, &e));
    assert_true(vhdx_guid_equal(&h.log, &vhdx_guid_none));
    file_cleanup(&good);
}

static void random_logs(void **state)
{
    (void)state;
    for (uint64_t i = 1; i < 60; i += 2) {
        struct trial t;
        seed = i;
        trial_begin(&t);
        for (uint64_t n = 1 + draw(6); n; n--)
            trial_entry(&t, (unsigned)draw(20), WHOLE);
        if (draw(2))
            trial_entry(&t, 1 + (unsigned)draw(20), draw(2) ? TORN : SPOILT);
        check_overlay(&t);
        check_replay(&t, FAULT_WRITE, 1 + draw(40));
        check_replay(&t, FAULT_SYNC, 1 + draw(4));
        trial_end(&t);
    }
}

/* More descriptors than the first sector of an entry holds. */
static void long_entry(void **state)
{
    (void)state;
    struct trial t;
    seed = 5;
    trial_begin(&t);
    trial_entry(&t, 200, WHOLE);
    check_overlay(&t);
    trial_end(&t);
}

/* The tail moves on; what is older than it is done already, and the ring comes round. */
static void tail_moves(void **state)
{
    (void)state;
    struct trial t;
    seed = 77;
    trial_begin(&t);
    for (unsigned i = 0; i < 40; i++) {
        uint8_t before[SECTOR * 4];
        memcpy(before, t.model, sizeof before);
        if (i % 3 == 0) { /* all that came so far has reached its place */
            put(&t, t.model, END - BEGIN, BEGIN);
            t.tail = t.at;
        }
        trial_entry(&t, 1 + (unsigned)draw(30), WHOLE);
        check_overlay(&t);
    }
    trial_end(&t);
}

static void expect_none(struct trial *t)
{
    struct err e = ERR_INIT;
    struct vhdx_log log;
    OK(vhdx_log_read(t->file, &t->header, &log, &e));
    assert_false(log.found);
}

static void expect_damaged(struct trial *t)
{
    struct err e = ERR_INIT;
    struct vhdx_log log;
    assert_int_equal(vhdx_log_read(t->file, &t->header, &log, &e), -1);
    assert_true(e.set);
    vhdx_log_release(&log);
}

static void nothing_to_replay(void **state)
{
    (void)state;
    struct trial t;
    seed = 3;
    trial_begin(&t);
    expect_none(&t); /* zeros */
    uint32_t at = t.at;
    trial_entry(&t, 5, TORN);
    expect_none(&t);
    t.at = at;
    trial_entry(&t, 5, SPOILT);
    expect_none(&t);
    t.at = at;
    trial_entry(&t, 5, WHOLE);
    t.header.log.byte[3] ^= 1; /* of another log */
    expect_none(&t);
    trial_end(&t);
}

/* An entry patched after it was made, its checksum right. */
static void patched(struct trial *t, uint32_t at, const void *bytes, size_t len)
{
    struct err e = ERR_INIT;
    uint32_t length;
    uint8_t *buf = malloc(LOG_SIZE);
    OK(file_read(t->file, buf, LOG_SIZE, LOG_AT, &e));
    length = le32_load(buf + 8);
    memcpy(buf + at, bytes, len);
    le32_store(buf + 4, 0);
    le32_store(buf + 4, crc32c(0, buf, num_min(length, LOG_SIZE)));
    put(t, buf, LOG_SIZE, LOG_AT);
    free(buf);
}

static void at_zero(struct trial *t)
{
    seed = 12;
    trial_begin(t);
    t->at = t->tail = 0;
    trial_entry(t, 3, WHOLE);
}

static void entries_that_do_not_count(void **state)
{
    (void)state;
    static const struct {
        uint32_t at;
        uint32_t value;
    } cases[] = {
        {0, 0},
        {8, 0},
        {8, 4095},
        {8, 2 * MIB},
        {8, 4096},
        {12, 1},
        {12, 2 * MIB},
        {16, 77},
        {24, 4},
        {24, 200},
        {24, UINT32_MAX},
        {64, 0x12345678},
        {64 + 24, 99},
        {96 + 24, 99},
        {SECTOR, 0x1234567},
        {SECTOR + 4, 77},
        {2 * SECTOR - 4, 77},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct trial t;
        uint8_t value[4];
        at_zero(&t);
        le32_store(value, cases[i].value);
        patched(&t, cases[i].at, value, 4);
        expect_none(&t);
        trial_end(&t);
    }
}

static void updates_where_none_may_be(void **state)
{
    (void)state;
    static const uint64_t places[] = {0,          65536,
                                      131072,     192 * KIB - SECTOR,
                                      LOG_AT,     LOG_AT + LOG_SIZE - SECTOR,
                                      BEGIN + 1,  UINT64_C(0xfffffffffffff000),
                                      UINT64_MAX, UINT64_C(0x7ffffffffffff000)};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct trial t;
        uint8_t value[8];
        at_zero(&t);
        le64_store(value, places[i]);
        patched(&t, 64 + 16, value, 8);
        expect_damaged(&t);
        trial_end(&t);
    }
}

static void damaged_logs(void **state)
{
    (void)state;
    struct trial t;
    seed = 31;
    trial_begin(&t); /* the first entry is lost, the second says that there was one */
    trial_entry(&t, 3, SPOILT);
    trial_entry(&t, 3, WHOLE);
    expect_damaged(&t);
    trial_end(&t);

    at_zero(&t); /* the file was cut off */
    uint8_t value[8];
    le64_store(value, END + 1);
    patched(&t, 48, value, 8);
    expect_damaged(&t);
    trial_end(&t);

    at_zero(&t);
    t.header.log_version = 1;
    expect_damaged(&t);
    t.header.log_version = 0;
    t.header.log_length = 0;
    expect_damaged(&t);
    t.header.log_length = 512 * MIB;
    expect_damaged(&t);
    t.header.log_length = 8 * MIB; /* behind the end of the file */
    expect_damaged(&t);
    trial_end(&t);
}

/* Each sector claims to begin an entry of all the log: no endless summing up. */
static void overlapping_entries(void **state)
{
    (void)state;
    struct trial t;
    seed = 41;
    trial_begin(&t);
    uint8_t *buf = calloc(1, LOG_SIZE);
    for (uint32_t at = 0; at < LOG_SIZE; at += SECTOR) {
        memcpy(buf + at, "loge", 4);
        le32_store(buf + at + 8, LOG_SIZE);
        le64_store(buf + at + 16, 1 + at);
        memcpy(buf + at + 32, t.header.log.byte, 16);
    }
    put(&t, buf, LOG_SIZE, LOG_AT);
    free(buf);
    expect_damaged(&t);
    trial_end(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_logs),
        cmocka_unit_test(long_entry),
        cmocka_unit_test(tail_moves),
        cmocka_unit_test(nothing_to_replay),
        cmocka_unit_test(entries_that_do_not_count),
        cmocka_unit_test(updates_where_none_may_be),
        cmocka_unit_test(damaged_logs),
        cmocka_unit_test(overlapping_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
