/* Writing placed blocks: what the worker writes and what its edges carry make up the placed bytes,
 * and the worker touches no page that is not wholly its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/num.h"
#include "flow/place.h"
#include "flow/write.h"
#include "io/memory.h"
#include "io/pages.h"

#define CHUNK  (64u << 10)
#define CHUNKS 8
#define ROOM   (4u << 20)

static unsigned roll(unsigned n)
{
    return (unsigned)random() % n;
}

struct model {
    unsigned char bytes[ROOM];
    unsigned char owner[ROOM]; /* 0 = nobody */
    uint64_t end;
};

/* Random needs, placed one after the other with random gaps, encoded blocks at any byte. */
static void random_chunk(struct chunk *c, uint32_t block, struct model *m, unsigned char owner)
{
    c->length = CHUNK;
    c->n_blocks = CHUNK / block;
    c->packed_len = 0;
    for (size_t i = 0; i < CHUNK; i++)
        c->buf[i] = (unsigned char)roll(256);
    for (size_t i = 0; i < c->n_blocks; i++) {
        unsigned kind = roll(3);
        size_t len = block;
        const unsigned char *from = c->buf + i * block;
        c->need[i] = kind == 0 ? NEED_HOLE : NEED_PLAIN;
        c->host[i] = PLACE_NONE;
        if (kind == 0)
            continue;
        if (kind == 2) {
            len = 1 + roll(block - 1);
            c->need[i] = NEED_PACKED | (need_t)len;
            c->packed_at[i] = (uint32_t)c->packed_len;
            from = memcpy(c->packed + c->packed_len, from, len);
            c->packed_len += len;
        } else if (roll(8) == 0) {
            m->end += block;
        }
        if (kind == 1)
            m->end = num_up(m->end, block);
        c->host[i] = m->end;
        assert_true(m->end + len <= ROOM);
        memcpy(m->bytes + m->end, from, len);
        memset(m->owner + m->end, owner, len);
        m->end += len;
    }
}

/* Every page that holds bytes of somebody else, or of nobody, is left alone by the worker. */
static void assert_only_own_pages(const struct chunk *c, const struct model *m, unsigned char owner)
{
    for (size_t i = 0; i < c->n_io; i++) {
        assert_int_equal(c->io[i].off % PAGES_SIZE, 0);
        assert_int_equal(c->io[i].len % PAGES_SIZE, 0);
        for (size_t k = 0; k < c->io[i].len; k++)
            assert_int_equal(m->owner[c->io[i].off + k], owner);
    }
}

static void put_edges(struct pages *pages, const struct chunk *c, struct err *e)
{
    for (const unsigned char *at = c->message; at < c->message + c->n_message;) {
        struct write_edge edge;
        memcpy(&edge, at, sizeof edge);
        at += sizeof edge;
        assert_int_equal(pages_put(pages, edge.host, at, edge.length, e), 0);
        at += edge.length;
    }
}

static void every_byte_arrives(void **state)
{
    (void)state;
    static struct model m;
    static unsigned char got[ROOM];
    for (unsigned round = 0; round < 60; round++) {
        uint32_t block = 512u << roll(8);
        struct err e = ERR_INIT;
        struct file *f = NULL;
        struct pages *pages = NULL;
        struct chunk c;
        struct throttle t = {0};
        memset(&m, 0, sizeof m);
        assert_int_equal(memory_new("m", NULL, 0, &f, &e), 0);
        assert_int_equal(pages_new(f, &pages, &e), 0);
        assert_int_equal(chunk_init(&c, CHUNK, block, block, &e), 0);
        const struct write_rules rules = {
            .file = f, .block_size = block, .fresh = true, .page = PAGES_SIZE};
        for (unsigned k = 0; k < CHUNKS; k++) {
            random_chunk(&c, block, &m, (unsigned char)(k + 1));
            assert_int_equal(write_placed(&rules, &t, &c, &e), 0);
            assert_only_own_pages(&c, &m, (unsigned char)(k + 1));
            put_edges(pages, &c, &e);
            if (roll(2))
                assert_int_equal(pages_below(pages, roll((unsigned)m.end + 1), &e), 0);
        }
        assert_int_equal(pages_flush(pages, &e), 0);
        assert_int_equal(file_read_padded(f, got, m.end, 0, NULL, &e), 0);
        assert_memory_equal(got, m.bytes, m.end);
        pages_free(pages);
        chunk_release(&c);
        assert_int_equal(file_close(f, &e), 0);
    }
}

int main(void)
{
    srandom(11);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_arrives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
