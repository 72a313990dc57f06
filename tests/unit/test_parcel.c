/* Messages that travel together: what goes into a parcel comes out, in order; who gets one when;
 * how long messages wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/num.h"
#include "mpi/outbox.h"
#include "mpi/pace.h"

static struct err err;

static struct wire_head head(uint32_t kind, uint64_t unit, size_t len)
{
    return (struct wire_head){
        .kind = kind, .worker = 3, .unit = unit, .slot = 2, .len = (uint32_t)len};
}

/* -- parcels ----------------------------------------------------------------------------------- */

static unsigned char byte_of(size_t message, size_t i)
{
    return (unsigned char)(message * 31 + i);
}

static bool add(struct parcel *p, size_t message, size_t len)
{
    unsigned char bytes[PARCEL_MAX];
    for (size_t i = 0; i < len; i++)
        bytes[i] = byte_of(message, i);
    struct wire_head h = head(MESSAGE_NEED, message, len);
    return parcel_add(p, &h, bytes);
}

static void all_lengths_come_out_as_they_went_in(void **state)
{
    (void)state;
    struct parcel p = {0};
    static const size_t lens[] = {0, 1, 7, 8, 9, 88, 0, 1000, 15};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++)
        assert_true(add(&p, i, lens[i]));
    assert_int_equal(p.n, ARRAY_LEN(lens));
    size_t at = 0, n = 0;
    struct wire_head h;
    const void *bytes;
    for (; parcel_next(p.data, p.len, &at, &h, &bytes) > 0; n++) {
        assert_int_equal(h.kind, MESSAGE_NEED);
        assert_int_equal(h.unit, n);
        assert_int_equal(h.len, lens[n]);
        assert_int_equal((uintptr_t)bytes % 8, 0);
        for (size_t i = 0; i < h.len; i++)
            assert_int_equal(((const unsigned char *)bytes)[i], byte_of(n, i));
    }
    assert_int_equal(n, ARRAY_LEN(lens));
    assert_int_equal(at, p.len);
    parcel_release(&p);
}

static void a_full_parcel_takes_no_more(void **state)
{
    (void)state;
    struct parcel p = {0};
    size_t n = 0;
    while (add(&p, n, 100))
        n++;
    assert_int_equal(n, PARCEL_MAX / (sizeof(struct wire_head) + 104));
    assert_true(p.len <= PARCEL_MAX);
    assert_int_equal(p.n, n);
    assert_false(add(&p, n, PARCEL_MAX));
    parcel_release(&p);
    assert_false(add(&p, 0, PARCEL_MAX - 8));
    assert_true(add(&p, 0, PARCEL_MAX - sizeof(struct wire_head)));
    parcel_release(&p);
}

/* Bytes that are no messages, in a block of just this length so that a sanitizer sees more. */
static void broken_parcels_are_refused(void **state)
{
    (void)state;
    struct parcel p = {0};
    assert_true(add(&p, 0, 16));
    for (size_t len = 1; len < p.len; len++) {
        unsigned char *cut = malloc(len);
        assert_non_null(cut);
        memcpy(cut, p.data, len);
        struct wire_head h;
        const void *bytes;
        size_t at = 0;
        assert_int_equal(parcel_next(cut, len, &at, &h, &bytes), -1);
        free(cut);
    }
    struct wire_head h;
    memcpy(&h, p.data, sizeof h);
    h.len = UINT32_MAX;
    memcpy(p.data, &h, sizeof h);
    size_t at = 0;
    const void *bytes;
    assert_int_equal(parcel_next(p.data, p.len, &at, &h, &bytes), -1);
    parcel_release(&p);
}

/* -- the outbox -------------------------------------------------------------------------------- */

#define RANKS 4

/* What the wire was given: for each rank the units, in order. */
static struct {
    unsigned messages; /* of the wire */
    unsigned n[RANKS];
    uint64_t unit[RANKS][1000];
    uint64_t pace[RANKS];
    bool breaks;
} sent;

static void arrived(unsigned to, const struct wire_head *h)
{
    sent.unit[to][sent.n[to]++] = h->unit;
}

static int wire_send(unsigned to, const struct wire_head *h, const void *bytes, struct err *e)
{
    if (sent.breaks)
        return err_set(e, 5, "broken");
    sent.messages++;
    if (h->kind != MESSAGE_PARCEL) {
        arrived(to, h);
        return 0;
    }
    struct wire_head inner;
    const void *body;
    size_t at = 0;
    int more;
    sent.pace[to] = h->unit;
    while ((more = parcel_next(bytes, h->len, &at, &inner, &body)) > 0)
        arrived(to, &inner);
    assert_int_equal(more, 0);
    return 0;
}

static const struct wire_ops wire = {.name = "test", .send = wire_send};
static struct outbox out;

static int outbox_begin(void **state)
{
    (void)state;
    memset(&sent, 0, sizeof sent);
    return outbox_init(&out, &wire, RANKS, &err);
}

static int outbox_over(void **state)
{
    (void)state;
    outbox_release(&out);
    return 0;
}

static void put(unsigned to, uint64_t unit, size_t len)
{
    static unsigned char bytes[2 * PARCEL_MAX];
    struct wire_head h = head(MESSAGE_WORK, unit, len);
    assert_int_equal(outbox_put(&out, to, &h, bytes, &err), 0);
}

static void in_order(unsigned to, unsigned n)
{
    assert_int_equal(sent.n[to], n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(sent.unit[to][i], i);
}

static void one_parcel_for_each_rank(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        for (unsigned r = 1; r < RANKS; r++)
            put(r, i, 20 * r);
    assert_int_equal(sent.messages, 0);
    assert_int_equal(outbox_flush(&out, &err), 0);
    assert_int_equal(sent.messages, RANKS - 1);
    for (unsigned r = 1; r < RANKS; r++)
        in_order(r, 10);
    assert_int_equal(outbox_flush(&out, &err), 0);
    assert_int_equal(sent.messages, RANKS - 1);
    put(1, 10, 0); /* and again */
    assert_int_equal(outbox_flush(&out, &err), 0);
    in_order(1, 11);
}

static void what_is_urgent_goes_after_what_waits(void **state)
{
    (void)state;
    put(1, 0, 8);
    put(1, 1, 8);
    put(2, 0, 8);
    struct wire_head stop = head(MESSAGE_STOP, 2, 0);
    assert_int_equal(outbox_send(&out, 1, &stop, NULL, &err), 0);
    in_order(1, 3);
    in_order(2, 0);
    assert_int_equal(outbox_flush(&out, &err), 0);
    in_order(1, 3);
    in_order(2, 1);
}

static void full_parcels_and_large_messages_keep_the_order(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 1000; i++)
        put(1, i, i % 100 == 99 ? PARCEL_MAX + 5 : i % 300);
    assert_int_equal(outbox_flush(&out, &err), 0);
    in_order(1, 1000);
    assert_true(sent.messages < 100);
}

static void the_pace_is_told(void **state)
{
    (void)state;
    out.pace = 1234;
    put(1, 0, 8); /* alone, but there is something to tell */
    put(2, 0, 8);
    put(2, 1, 8);
    assert_int_equal(outbox_flush(&out, &err), 0);
    assert_int_equal(sent.pace[1], 1234);
    assert_int_equal(sent.pace[2], 1234);
}

static void a_wire_that_breaks_is_reported(void **state)
{
    (void)state;
    sent.breaks = true;
    put(1, 0, 8);
    put(2, 0, 8);
    assert_int_equal(outbox_flush(&out, &err), -1);
    assert_string_equal(err.text, "broken");
    err_clear(&err);
}

/* -- the pace ---------------------------------------------------------------------------------- */

static double now = 1000;

/* Rank 0 sleeps for this part of so many seconds. */
static void live(struct pace *p, double seconds, double part)
{
    for (double end = now + seconds; now < end;) {
        now += 0.0005;
        pace_watch(p, now, 0.0005 * part);
    }
}

static void nothing_waits_while_rank_0_sleeps(void **state)
{
    (void)state;
    struct pace p = {.begun = now};
    live(&p, 2, 0.9);
    assert_int_equal(p.us, 0);
    live(&p, 2, 0.2);
    assert_int_equal(p.us, 0);
    p.sent = now;
    assert_int_equal(pace_left(&p, now), 0);
}

static void a_busy_rank_0_is_sent_to_less_often(void **state)
{
    (void)state;
    struct pace p = {.begun = now};
    live(&p, 0.1, 0);
    assert_true(p.us >= 100 && p.us < 20000);
    live(&p, 5, 0);
    assert_int_equal(p.us, 20000); /* and no less often than that */
    p.sent = now;
    assert_in_range(pace_left(&p, now + 0.005), 14990, 15010);
    assert_int_equal(pace_left(&p, now + 0.021), 0);
    unsigned before = p.us;
    live(&p, 1, 0.15); /* just right */
    assert_int_equal(p.us, before);
    live(&p, 5, 0.9);
    assert_int_equal(p.us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_lengths_come_out_as_they_went_in),
        cmocka_unit_test(a_full_parcel_takes_no_more),
        cmocka_unit_test(broken_parcels_are_refused),
        cmocka_unit_test_setup_teardown(one_parcel_for_each_rank, outbox_begin, outbox_over),
        cmocka_unit_test_setup_teardown(what_is_urgent_goes_after_what_waits, outbox_begin,
                                        outbox_over),
        cmocka_unit_test_setup_teardown(full_parcels_and_large_messages_keep_the_order,
                                        outbox_begin, outbox_over),
        cmocka_unit_test_setup_teardown(the_pace_is_told, outbox_begin, outbox_over),
        cmocka_unit_test_setup_teardown(a_wire_that_breaks_is_reported, outbox_begin, outbox_over),
        cmocka_unit_test(nothing_waits_while_rank_0_sleeps),
        cmocka_unit_test(a_busy_rank_0_is_sent_to_less_often),
    };
    return cmocka_run_group_tests_name("parcel", tests, NULL, NULL);
}
