/*
 * Fresh qed and qcow images: chunks of random needs, in several geometries, walked by a verifier
 * that shares no code with the writers. Every block is where its entry says, no two things share a
 * byte, and nothing lies beyond the file's end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow/qcow.h"
#include "formats/qed/qed.h"
#include "formats/writer.h"
#include "io/memory.h"
#include "io/pages.h"

static struct err e;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

static uint64_t seed = 3;
static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- one image ------------------------------------------------------------------------------- */

struct made {
    bool qed;
    struct options *o;
    struct file *file;
    struct writer *w;
    struct pages *pages;
    struct cursor cursor;
    uint64_t size, units;
    need_t *need;   /* of all units */
    uint64_t *host; /* of all units, as placed */
};

static const struct option_def *const qed_tables[] = {qed_create_options, NULL};
static const struct option_def *const qcow_tables[] = {qcow_create_options, NULL};

static void made_begin(struct made *m, bool qed, const char *list, uint64_t size, bool backed)
{
    *m = (struct made){.qed = qed, .size = size};
    m->o = options_new(qed ? qed_tables : qcow_tables, &e);
    OK(options_parse(m->o, list, NULL, &e));
    OK(memory_new("image", "", 0, &m->file, &e));
    m->file->opt.write = true;
    const struct writer_params p = {
        .options = m->o,
        .size = size,
        .backing_name = backed ? "base" : NULL,
        .backing_format = backed ? "raw" : NULL,
        .file = m->file,
        .first = true,
    };
    OK(writer_open(qed ? &qed_writer : &qcow_writer, &p, &m->w, &e));
    OK(pages_new(m->file, &m->pages, &e));
    m->units = num_div_up(size, m->w->block_size);
    m->need = mem_new(m->units, sizeof *m->need, &e);
    m->host = mem_new(m->units, sizeof *m->host, &e);
    m->w->ops->begin(m->w, &m->cursor);
}

static uint8_t content(uint64_t unit)
{
    return (uint8_t)(1 + unit % 251);
}

static void write_units(struct made *m, uint64_t first, size_t n)
{
    size_t size = m->w->block_size;
    AUTO_FREE uint8_t *buf = mem_new(1, size, &e);
    for (uint64_t u = first; u < first + n; u++) {
        size_t len = need_is_packed(m->need[u]) ? need_packed_len(m->need[u]) : size;
        if (m->host[u] == PLACE_NONE)
            continue;
        memset(buf, content(u), len);
        OK(writer_put(m->file, m->pages, m->host[u], buf, len, &e));
    }
}

/* Places twice: the same answer, from the same cursor. */
static void made_chunk(struct made *m, uint64_t chunk)
{
    size_t per = m->w->chunk_size / m->w->block_size;
    uint64_t first = chunk * per;
    size_t n = num_min(per, m->units - first);
    const need_t *need = m->need + first;
    struct cursor again = m->cursor;
    struct placing a = {.host = m->host + first}, b = {.host = mem_new(n, 8, &e)};
    OK(m->w->ops->place(m->w, chunk, need, n, &m->cursor, &a, &e));
    OK(m->w->ops->publish(m->w, chunk, need, n, &a, m->pages, &e));
    write_units(m, first, n);
    OK(m->w->ops->place(m->w, chunk, need, n, &again, &b, &e));
    assert_memory_equal(&again, &m->cursor, sizeof again);
    assert_memory_equal(a.host, b.host, n * 8);
    free(b.host);
    placing_release(&a);
    placing_release(&b);
}

static void made_end(struct made *m)
{
    m->w->ops->free(m->w);
    pages_free(m->pages);
    options_free(m->o);
    file_cleanup(&m->file);
    free(m->need);
    free(m->host);
}

/* ---- the walker ------------------------------------------------------------------------------ */

struct walk {
    const struct made *m;
    const uint8_t *bytes;
    uint64_t length;
    uint8_t *used; /* a flag a byte of the file */
    uint64_t cluster, entries, l1;
};

static uint64_t number(const struct walk *k, uint64_t at, unsigned bytes)
{
    uint64_t v = 0;
    assert_true(at + bytes <= k->length);
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)k->bytes[at + i] << 8 * (k->m->qed ? i : bytes - 1 - i);
    return v;
}

static void use(struct walk *k, uint64_t at, uint64_t len)
{
    assert_true(at + len <= k->length);
    for (uint64_t i = at; i < at + len; i++)
        assert_int_equal(k->used[i]++, 0);
}

static void filled(const struct walk *k, uint64_t at, uint64_t len, uint8_t with)
{
    for (uint64_t i = at; i < at + len; i++)
        if (k->bytes[i] != with)
            fail_msg("byte %llu is %u, not %u", (unsigned long long)i, k->bytes[i], with);
}

static uint64_t entry_at(struct walk *k, uint64_t block)
{
    uint64_t l2 = number(k, k->l1 + block / k->entries * 8, 8);
    return l2 ? number(k, l2 + block % k->entries * 8, 8) : 0;
}

static void walk_packed(struct walk *k, uint64_t unit, uint64_t raw)
{
    unsigned shift = 63 - (unsigned)num_log2(k->cluster);
    uint64_t at = raw & ((UINT64_C(1) << shift) - 1), len = (raw << 1) >> (shift + 1);
    assert_int_equal(len, need_packed_len(k->m->need[unit]));
    use(k, at, len);
    filled(k, at, len, content(unit));
}

/* The units of one block: all say the same of its entry. */
static void walk_block(struct walk *k, uint64_t block)
{
    const struct made *m = k->m;
    uint64_t per = k->cluster / m->w->block_size, raw = entry_at(k, block);
    bool any = false;
    for (uint64_t u = block * per; u < (block + 1) * per && u < m->units; u++) {
        if (need_is_packed(m->need[u])) {
            walk_packed(k, u, raw);
            return;
        }
        any |= m->need[u] != NEED_HOLE;
        if (m->need[u] == NEED_ZERO)
            assert_int_equal(raw, 1);
        if (m->need[u] == NEED_PLAIN)
            filled(k, raw + u % per * m->w->block_size, m->w->block_size, content(u));
        if (m->need[u] == NEED_HOLE && raw > 1)
            filled(k, raw + u % per * m->w->block_size, m->w->block_size, 0);
    }
    assert_int_equal(any, raw != 0);
    if (raw > 1) {
        assert_int_equal(raw % k->cluster, 0);
        use(k, raw, k->cluster);
    }
}

static void walk_header(struct walk *k)
{
    bool qed = k->m->qed;
    assert_memory_equal(k->bytes, qed ? "QED" : "QFI\xfb\0\0\0\1", qed ? 4 : 8);
    k->cluster = qed ? number(k, 4, 4) : UINT64_C(1) << number(k, 32, 1);
    k->entries = qed ? k->cluster * number(k, 8, 4) / 8 : UINT64_C(1) << number(k, 33, 1);
    k->l1 = number(k, 40, 8);
    assert_int_equal(number(k, qed ? 48 : 24, 8), num_up(k->m->size, 512));
    use(k, 0, qed ? k->cluster : 48);
}

static void walk(struct made *m)
{
    struct walk k = {.m = m, .length = file_size(m->file)};
    AUTO_FREE uint8_t *bytes = mem_new(k.length, 1, &e), *used = mem_new(k.length, 1, &e);
    OK(file_read(m->file, bytes, k.length, 0, &e));
    k.bytes = bytes;
    k.used = used;
    walk_header(&k);
    uint64_t blocks = num_div_up(m->size, k.cluster), tables = num_div_up(blocks, k.entries);
    use(&k, k.l1, m->qed ? k.entries * 8 : tables * 8);
    for (uint64_t i = 0; i < tables; i++) {
        uint64_t l2 = number(&k, k.l1 + i * 8, 8);
        assert_int_equal(l2 % k.cluster, 0);
        if (l2)
            use(&k, l2, k.entries * 8);
    }
    for (uint64_t b = 0; b < blocks; b++)
        walk_block(&k, b);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static need_t draw_need(const struct made *m, bool packed, bool backed)
{
    switch (draw(5)) {
    case 0:
    case 1:
        return NEED_HOLE;
    case 2:
        return packed ? NEED_PACKED | (1 + draw(m->w->block_size - 1)) : NEED_PLAIN;
    case 3:
        return backed && m->w->zero_flag ? NEED_ZERO : NEED_PLAIN;
    default:
        return NEED_PLAIN;
    }
}

/* Chunks that need nothing may be left out. */
static void one(bool qed, const char *list, uint64_t size, bool backed, bool packed)
{
    struct made m;
    made_begin(&m, qed, list, size, backed);
    size_t per = m.w->chunk_size / m.w->block_size;
    for (uint64_t chunk = 0; chunk * per < m.units; chunk++) {
        if (draw(3) == 0)
            continue;
        for (uint64_t u = chunk * per; u < m.units && u < (chunk + 1) * per; u++)
            m.need[u] = draw_need(&m, packed, backed);
        made_chunk(&m, chunk);
    }
    OK(m.w->ops->finish(m.w, &m.cursor, m.pages, &e));
    walk(&m);
    made_end(&m);
}

static void qed_images(void **state)
{
    (void)state;
    static const char *const lists[] = {"cluster_size=4k,table_size=1", "cluster_size=4k",
                                        "cluster_size=64k", "cluster_size=256k,table_size=2",
                                        "cluster_size=4k,table_size=16"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        for (unsigned backed = 0; backed < 2; backed++)
            one(true, lists[i], 9 * MIB + 1536, backed, false);
}

static void qcow_images(void **state)
{
    (void)state;
    for (unsigned backed = 0; backed < 2; backed++)
        for (unsigned packed = 0; packed < 2; packed++)
            one(false, "size=0", 9 * MIB + 1536, backed, packed);
}

/* Blocks of several units, opened by one chunk and gone on with by the next. */
static void qed_large_clusters(void **state)
{
    (void)state;
    one(true, "cluster_size=4M,table_size=2", 13 * MIB, false, false);
}

static void empty_images(void **state)
{
    (void)state;
    struct made m;
    made_begin(&m, true, "size=0", 0, false);
    OK(m.w->ops->finish(m.w, &m.cursor, m.pages, &e));
    assert_int_equal(file_size(m.file), 5 * 65536);
    walk(&m);
    made_end(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qed_images),
        cmocka_unit_test(qcow_images),
        cmocka_unit_test(qed_large_clusters),
        cmocka_unit_test(empty_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
