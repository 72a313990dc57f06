/* Layouts: where blocks go, against what must hold for any layout and any need. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "formats/layout.h"

#define UNITS 600u

static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

/* ---- a run over a whole image ---------------------------------------------------------------- */

struct piece {
    uint64_t from, end;
};

struct run {
    struct layout l;
    need_t need[UNITS];
    uint64_t host[UNITS];
    struct piece pieces[2 * UNITS]; /* all that has a place, in the order of the file */
    size_t n_pieces;
    uint64_t last_table, last_block; /* index + 1 */
    struct cursor cursor;
};

static void add_piece(struct run *r, uint64_t from, uint64_t len)
{
    uint64_t end = r->n_pieces ? r->pieces[r->n_pieces - 1].end : r->l.begin;
    assert_true(from >= end); /* behind all others: nothing overlaps */
    r->pieces[r->n_pieces++] = (struct piece){from, from + len};
}

/* Tables, then blocks, both ascending, aligned, with room for their lead. */
static void look_at_tables(struct run *r, const struct placing *p)
{
    for (size_t i = 0; i < p->n_meta && p->meta[i].kind == PLACE_TABLE; i++) {
        assert_true(p->meta[i].index >= r->last_table);
        assert_int_equal(p->meta[i].host % r->l.align, 0);
        r->last_table = p->meta[i].index + 1;
        add_piece(r, p->meta[i].host, r->l.table_bytes);
    }
}

static void look_at_packed(struct run *r, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++) {
        if (!need_is_packed(r->need[i]))
            continue;
        assert_int_equal(r->host[i] % r->l.packed_align, 0);
        add_piece(r, r->host[i], need_packed_len(r->need[i]));
    }
}

static void look_at_blocks(struct run *r, const struct placing *p)
{
    bool blocks = false;
    for (size_t i = 0; i < p->n_meta; i++) {
        const struct place_meta *m = &p->meta[i];
        if (m->kind == PLACE_TABLE) {
            assert_false(blocks);
            continue;
        }
        blocks = true;
        assert_int_equal(m->kind, PLACE_BLOCK);
        assert_true(m->index >= r->last_block);
        assert_int_equal(m->host % r->l.align, 0);
        r->last_block = m->index + 1;
        add_piece(r, m->host - r->l.lead, r->l.lead + r->l.block);
    }
}

static void place_chunk(struct run *r, size_t first, size_t n)
{
    struct err e = ERR_INIT;
    uint64_t again_host[UNITS];
    struct placing p = {.host = r->host + first}, again = {.host = again_host};
    struct cursor before = r->cursor;
    assert_int_equal(layout_place(&r->l, first, r->need + first, n, &r->cursor, &p, &e), 0);
    assert_int_equal(layout_place(&r->l, first, r->need + first, n, &before, &again, &e), 0);
    assert_memory_equal(&before, &r->cursor, sizeof before); /* pure */
    assert_memory_equal(again_host, p.host, n * sizeof *p.host);
    look_at_tables(r, &p);
    look_at_packed(r, first, n);
    look_at_blocks(r, &p);
    placing_release(&p);
    placing_release(&again);
}

static void place_all(struct run *r, size_t chunk)
{
    layout_begin(&r->l, &r->cursor);
    assert_int_equal(r->cursor.end, r->l.begin);
    for (size_t at = 0; at < UNITS; at += chunk)
        place_chunk(r, at, num_min(chunk, UNITS - at));
    if (r->n_pieces)
        assert_int_equal(r->cursor.end, r->pieces[r->n_pieces - 1].end);
}

/* The units of a block stand at their offset in it; holes have no place. */
static void check_hosts(const struct run *r)
{
    uint64_t per = r->l.block / r->l.unit, base = 0;
    for (size_t i = 0; i < UNITS; i++) {
        bool placed = r->need[i] != NEED_HOLE && r->need[i] != NEED_ZERO;
        assert_int_equal(r->host[i] != PLACE_NONE, placed);
        if (i % per == 0)
            base = 0;
        if (!placed || need_is_packed(r->need[i]))
            continue;
        if (base)
            assert_int_equal(r->host[i], base + i % per * r->l.unit);
        base = r->host[i] - i % per * r->l.unit;
        assert_int_equal(base % r->l.align, 0);
    }
}

static void draw_needs(struct run *r)
{
    for (size_t i = 0; i < UNITS; i++) {
        static const need_t kinds[] = {NEED_HOLE,  NEED_HOLE,     NEED_PLAIN,
                                       NEED_PLAIN, NEED_RESERVED, NEED_ZERO};
        bool pack = r->l.packed_align && draw(3) == 0;
        r->need[i] =
            pack ? NEED_PACKED | (need_t)(1 + draw(r->l.unit - 1)) : kinds[draw(ARRAY_LEN(kinds))];
        if (draw(20) == 0) /* a long hole */
            for (size_t k = draw(60); k && i + 1 < UNITS; k--)
                r->need[i++] = NEED_HOLE;
    }
}

static void random_layouts(void **state)
{
    (void)state;
    static struct run r, other;
    for (unsigned trial = 0; trial < 2000; trial++) {
        uint32_t unit = 512u << draw(8);
        uint64_t units = 1 + draw(40);
        r = (struct run){0};
        r.l = (struct layout){
            .unit = unit,
            .block = unit * units,
            .lead = draw(2) ? 0 : 512,
            .align = (uint64_t[]){512, 4096, unit * units, 65536}[draw(4)],
            .begin = draw(100000),
            .table_blocks = draw(2) ? 0 : 1 + draw(9),
            .table_bytes = 512 * (1 + draw(4)),
            .packed_align = units == 1 && draw(2) ? 1u << draw(10) : 0,
        };
        draw_needs(&r);
        other = r;
        place_all(&r, 1 + draw(50));
        check_hosts(&r);
        if (r.l.table_blocks || r.l.packed_align)
            continue; /* those gather by chunk */
        place_all(&other, 1 + draw(50));
        assert_memory_equal(other.host, r.host, sizeof r.host);
        assert_memory_equal(&other.cursor, &r.cursor, sizeof r.cursor);
    }
}

/* ---- single cases ---------------------------------------------------------------------------- */

static void block_goes_on_in_the_next_chunk(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const struct layout l = {
        .unit = 1024, .block = 4096, .lead = 512, .align = 4096, .begin = 1536};
    const need_t need[4] = {NEED_HOLE, NEED_PLAIN, NEED_HOLE, NEED_PLAIN};
    uint64_t host[4];
    struct cursor c;
    struct placing p = {.host = host};
    layout_begin(&l, &c);
    assert_int_equal(layout_place(&l, 0, need, 2, &c, &p, &e), 0);
    assert_int_equal(p.n_meta, 1);
    assert_int_equal(p.meta[0].host, 4096);
    assert_int_equal(host[0], PLACE_NONE);
    assert_int_equal(host[1], 5120);
    assert_int_equal(c.end, 8192);
    p.n_meta = 0;
    assert_int_equal(layout_place(&l, 2, need + 2, 2, &c, &p, &e), 0);
    assert_int_equal(p.n_meta, 0); /* it is open already */
    assert_int_equal(host[1], 4096 + 3072);
    assert_int_equal(c.end, 8192);
    assert_int_equal(layout_place(&l, 4, need, 2, &c, &p, &e), 0);
    assert_int_equal(p.meta[0].index, 1);
    assert_int_equal(p.meta[0].host, 12288); /* 512 before it, so not at 8192 */
    placing_release(&p);
}

static void packed_stand_before_plain(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const struct layout l = {
        .unit = 4096, .block = 4096, .align = 4096, .begin = 100, .packed_align = 512};
    const need_t need[4] = {NEED_PLAIN, NEED_PACKED | 700, NEED_PLAIN, NEED_PACKED | 100};
    uint64_t host[4];
    struct cursor c;
    struct placing p = {.host = host};
    layout_begin(&l, &c);
    assert_int_equal(layout_place(&l, 0, need, 4, &c, &p, &e), 0);
    assert_int_equal(host[1], 512);
    assert_int_equal(host[3], 1536);
    assert_int_equal(host[0], 4096);
    assert_int_equal(host[2], 8192);
    placing_release(&p);
}

static void end_of_all_offsets(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const struct layout l = {
        .unit = 65536, .block = 65536, .align = 65536, .begin = INT64_MAX - 65536 * 2};
    const need_t need[3] = {NEED_PLAIN, NEED_PLAIN, NEED_PLAIN};
    uint64_t host[3];
    struct cursor c;
    struct placing p = {.host = host};
    layout_begin(&l, &c);
    assert_int_equal(layout_place(&l, 0, need, 1, &c, &p, &e), 0);
    assert_int_equal(layout_place(&l, 0, need, 3, &c, &p, &e), -1);
    assert_string_equal(e.text, "File too large");
    placing_release(&p);
}

static void units_and_chunks(void **state)
{
    (void)state;
    assert_int_equal(layout_unit(MIB), 65536);
    assert_int_equal(layout_unit(512), 512);
    assert_int_equal(layout_unit(12288), 4096);
    assert_int_equal(layout_unit(512 * 24113), 512);
    assert_int_equal(layout_chunk(65536), MIB);
    assert_int_equal(layout_chunk(512), MIB);
    assert_int_equal(layout_chunk(4 << 20), 4 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_layouts),
        cmocka_unit_test(block_goes_on_in_the_next_chunk),
        cmocka_unit_test(packed_stand_before_plain),
        cmocka_unit_test(end_of_all_offsets),
        cmocka_unit_test(units_and_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
