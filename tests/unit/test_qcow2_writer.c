/*
 * Fresh qcow2 images: chunks of random needs, in every geometry, walked by a verifier that shares
 * no code with the writer; and by qemu-img where it is installed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/qcow2/qcow2.h"
#include "io/pages.h"

static struct err e;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

static uint64_t seed = 1;
static uint32_t draw(uint32_t n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

/* ---- one image ------------------------------------------------------------------------------- */

struct image_made {
    char path[64], data_path[80];
    struct options *o;
    struct file *file;
    struct writer *w;
    struct pages *pages;
    struct cursor cursor;
    uint64_t size, blocks;
    need_t *need;          /* of all blocks */
    uint64_t *host;        /* of all blocks, as placed */
    uint8_t *raw, *packed; /* what blocks hold; NULL: anything */
};

static const struct option_def *const tables[] = {qcow2_create_options, NULL};

static void made_begin(struct image_made *m, const char *list, uint64_t size, const char *backing)
{
    *m = (struct image_made){.size = size};
    strcpy(m->path, "/tmp/test_qcow2_writer_XXXXXX");
    int fd = mkstemp(m->path);
    assert_true(fd >= 0);
    close(fd);
    snprintf(m->data_path, sizeof m->data_path, "%s.data", m->path);
    m->o = options_new(tables, &e);
    assert_non_null(m->o);
    OK(options_parse(m->o, list, NULL, &e));
    if (strstr(list, "data_file="))
        OK(options_set(m->o, "data_file", m->data_path, &e));
    const struct file_options fo = {.write = true, .create = FILE_CREATE_NEW};
    OK(file_open_path(m->path, &fo, &m->file, &e));
    const struct writer_params p = {
        .options = m->o,
        .size = size,
        .backing_name = backing,
        .backing_format = backing ? "raw" : NULL,
        .file = m->file,
        .path = m->path,
        .compress = !strstr(list, "data_file="),
        .first = true,
    };
    OK(qcow2_writer.open(&p, &m->w, &e));
    OK(pages_new(m->file, &m->pages, &e));
    m->blocks = num_div_up(size, m->w->block_size);
    m->need = mem_new(m->blocks, sizeof *m->need, &e);
    m->host = mem_new(m->blocks, sizeof *m->host, &e);
    qcow2_writer.begin(m->w, &m->cursor);
}

static void made_write(struct image_made *m, uint64_t first, size_t n)
{
    size_t block = m->w->block_size;
    AUTO_FREE uint8_t *any = mem_new(1, block, &e);
    memset(any, 0x5a, block);
    for (uint64_t b = first; b < first + n; b++) {
        bool packed = need_is_packed(m->need[b]);
        size_t len = packed ? need_packed_len(m->need[b]) : block;
        if (m->host[b] == PLACE_NONE || m->need[b] == NEED_RESERVED)
            continue;
        const uint8_t *from = !m->raw ? any : (packed ? m->packed : m->raw) + b * block;
        if (m->w->data_file != m->file)
            OK(file_write(m->w->data_file, from, len, m->host[b], &e));
        else
            OK(writer_put(m->file, m->pages, m->host[b], from, len, &e));
    }
}

/* Places twice: the same answer, from the same cursor. */
static void made_chunk(struct image_made *m, uint64_t chunk)
{
    size_t per = m->w->chunk_size / m->w->block_size;
    uint64_t first = chunk * per;
    size_t n = num_min(per, m->blocks - first);
    const need_t *need = m->need + first;
    struct cursor again = m->cursor;
    struct placing a = {.host = m->host + first}, b = {.host = mem_new(n, 8, &e)};
    OK(qcow2_writer.place(m->w, chunk, need, n, &m->cursor, &a, &e));
    OK(qcow2_writer.publish(m->w, chunk, need, n, &a, m->pages, &e));
    made_write(m, first, n);
    OK(qcow2_writer.place(m->w, chunk, need, n, &again, &b, &e));
    assert_memory_equal(&again, &m->cursor, sizeof again);
    assert_memory_equal(a.host, b.host, n * 8);
    assert_int_equal(a.n_meta, b.n_meta);
    free(b.host);
    placing_release(&a);
    placing_release(&b);
    if (draw(4) == 0) {
        const struct cursor *c = &m->cursor;
        OK(pages_below(m->pages, c->packed_left ? num_min(c->packed, c->end) : c->end, &e));
    }
}

static void made_chunks(struct image_made *m)
{
    size_t per = m->w->chunk_size / m->w->block_size;
    for (uint64_t b = 0; b < m->blocks; b++)
        m->host[b] = PLACE_NONE;
    for (uint64_t first = 0; first < m->blocks; first += per) {
        bool any = false;
        for (uint64_t b = first; b < num_min(first + per, m->blocks); b++)
            any |= m->need[b] != NEED_HOLE;
        if (any)
            made_chunk(m, first / per);
    }
}

static void made_end(struct image_made *m)
{
    OK(qcow2_writer.finish(m->w, &m->cursor, m->pages, &e));
    qcow2_writer.free(m->w);
    pages_free(m->pages);
    OK(file_close(m->file, &e));
}

static void made_release(struct image_made *m)
{
    unlink(m->path);
    unlink(m->data_path);
    options_free(m->o);
    free(m->need);
    free(m->host);
}

/* ---- the verifier ---------------------------------------------------------------------------- */

struct walk {
    uint8_t *bytes; /* of the file */
    size_t len;
    uint64_t cluster;
    uint8_t *used;     /* a byte of the file that something owns */
    uint32_t *counted; /* references to each cluster */
    uint64_t clusters;
    size_t last; /* end of the last cluster in use */
};

static void walk_load(struct walk *v, const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    fseek(f, 0, SEEK_END);
    v->len = (size_t)ftell(f);
    rewind(f);
    v->bytes = calloc(v->len + 8, 1);
    assert_int_equal(fread(v->bytes, 1, v->len, f), v->len);
    fclose(f);
    v->cluster = 1ull << be32_load(v->bytes + 20);
    v->clusters = num_div_up(v->len, v->cluster);
    v->used = calloc(v->clusters + 1, v->cluster);
    v->counted = calloc(v->clusters + 1, 4);
}

static void walk_release(struct walk *v)
{
    free(v->bytes);
    free(v->used);
    free(v->counted);
}

/* [off, off+len) belongs to one thing alone; its clusters have one more reference. */
static void walk_own(struct walk *v, uint64_t off, uint64_t len)
{
    assert_true(off / v->cluster < v->clusters);
    assert_true((off + len - 1) / v->cluster < v->clusters);
    for (uint64_t i = off; i < off + len; i++) {
        if (v->used[i])
            fail_msg("byte %llu is used twice", (unsigned long long)i);
        v->used[i] = 1;
    }
    for (uint64_t c = off / v->cluster; c <= (off + len - 1) / v->cluster; c++)
        v->counted[c]++;
    v->last = num_max(v->last, num_up(off + len, v->cluster));
}

static void walk_block(struct walk *v, const struct image_made *m, uint64_t block,
                       const uint8_t *at, bool extended, bool data_file)
{
    uint64_t raw = be64_load(at), bits = extended ? be64_load(at + 8) : 0;
    need_t need = m->need[block];
    unsigned x = 62 - (be32_load(v->bytes + 20) - 8);
    uint64_t host = m->host[block];
    if (need == NEED_HOLE) {
        assert_int_equal(raw, 0);
        assert_int_equal(bits, 0);
    } else if (need_is_packed(need)) {
        assert_int_equal(raw >> 62, 1);
        assert_int_equal(raw & ((1ull << x) - 1), host);
        uint64_t sectors = 1 + (raw >> x & ((1ull << (62 - x)) - 1));
        uint64_t end = num_up(host + need_packed_len(need), 512);
        assert_int_equal(num_down(host, 512) + sectors * 512, end);
        assert_true(end <= v->len);
        assert_int_equal(v->bytes[host], 0x5a);
        assert_int_equal(v->bytes[host + need_packed_len(need) - 1], 0x5a);
        walk_own(v, host, need_packed_len(need));
    } else if (need == NEED_ZERO && host == PLACE_NONE) {
        assert_int_equal(raw, extended ? 0 : 1);
        assert_int_equal(bits, extended ? 0xffffffffull << 32 : 0);
    } else {
        assert_int_equal(raw, host | 1ull << 63);
        assert_int_equal(bits, extended && need == NEED_PLAIN ? 0xffffffffu : 0);
        if (data_file) {
            assert_int_equal(host, block * v->cluster);
            return;
        }
        assert_int_equal(host % v->cluster, 0);
        walk_own(v, host, v->cluster);
        if (need == NEED_PLAIN)
            assert_true(v->bytes[host] == 0x5a && v->bytes[host + v->cluster - 1] == 0x5a);
    }
}

static void walk_tables(struct walk *v, const struct image_made *m)
{
    uint32_t n1 = be32_load(v->bytes + 36);
    uint64_t l1 = be64_load(v->bytes + 40);
    bool v3 = be32_load(v->bytes + 4) == 3;
    bool extended = v3 && be64_load(v->bytes + 72) & 16,
         data_file = v3 && be64_load(v->bytes + 72) & 4;
    size_t width = extended ? 16 : 8;
    if (n1)
        walk_own(v, l1, num_up(n1 * 8ull, v->cluster));
    assert_int_equal(n1, num_div_up(m->blocks, v->cluster / width));
    for (uint64_t b = 0; b < m->blocks; b++) {
        uint64_t per = v->cluster / width;
        uint64_t entry = be64_load(v->bytes + l1 + 8 * (b / per));
        static const uint8_t none[16];
        uint64_t table = entry & 0x00fffffffffffe00;
        if (table && b % per == 0) {
            assert_int_equal(entry, table | 1ull << 63);
            walk_own(v, table, v->cluster);
        }
        walk_block(v, m, b, table ? v->bytes + table + width * (b % per) : none, extended,
                   data_file);
    }
}

static uint64_t walk_refcount(const struct walk *v, unsigned order, uint64_t cluster)
{
    uint64_t per = v->cluster * 8 >> order;
    uint64_t table = be64_load(v->bytes + 48), n = be32_load(v->bytes + 56) * (v->cluster / 8);
    if (cluster / per >= n)
        return 0;
    uint64_t block = be64_load(v->bytes + table + 8 * (cluster / per));
    if (!block)
        return 0;
    uint64_t bit = (cluster % per) << order, value = 0;
    if (order < 3)
        return v->bytes[block + bit / 8] >> bit % 8 & ((1u << (1 << order)) - 1);
    for (unsigned i = 0; i < (1u << order) / 8; i++)
        value = value << 8 | v->bytes[block + bit / 8 + i];
    return value;
}

static void walk_refcounts(struct walk *v)
{
    bool v3 = be32_load(v->bytes + 4) == 3;
    unsigned order = v3 ? be32_load(v->bytes + 96) : 4;
    uint64_t per = v->cluster * 8 >> order;
    uint64_t table = be64_load(v->bytes + 48), n = be32_load(v->bytes + 56) * v->cluster;
    walk_own(v, 0, v->cluster);
    walk_own(v, table, n);
    uint64_t blocks = 0;
    for (uint64_t i = 0; i < n / 8; i++) {
        uint64_t block = be64_load(v->bytes + table + 8 * i);
        if (!block)
            continue;
        walk_own(v, block, v->cluster);
        blocks = i + 1;
    }
    assert_true(blocks * per >= v->clusters);
    for (uint64_t c = 0; c < blocks * per; c++) {
        uint64_t is = walk_refcount(v, order, c), should = c < v->clusters ? v->counted[c] : 0;
        if (is != should)
            fail_msg("cluster %llu: refcount %llu, references %llu", (unsigned long long)c,
                     (unsigned long long)is, (unsigned long long)should);
    }
}

static void qemu_check(const char *path)
{
    static int there = -1;
    if (there < 0)
        there = system("qemu-img --version >/dev/null 2>&1") == 0;
    if (!there) {
        print_message("qemu-img is not installed: its check is left out\n");
        return;
    }
    char command[200];
    snprintf(command, sizeof command, "qemu-img check -q -f qcow2 %s", path);
    assert_int_equal(system(command), 0);
}

static void verify(const struct image_made *m)
{
    struct walk v = {0};
    walk_load(&v, m->path);
    walk_tables(&v, m);
    walk_refcounts(&v);
    bool any = false;
    for (uint64_t b = 0; b < m->blocks; b++)
        any |= m->need[b] != NEED_HOLE;
    if (any)
        assert_int_equal(v.len, v.last);
    walk_release(&v);
}

/* ---- needs ----------------------------------------------------------------------------------- */

enum mood { ALL_PLAIN, ALL_PACKED, TINY_PACKED, MIXED, SPARSE, MOODS };

static need_t draw_packed(uint32_t cluster)
{
    uint32_t most = draw(3) ? cluster - 1 : num_max(cluster / 16, 2);
    return NEED_PACKED | (1 + draw(most));
}

static need_t draw_need(enum mood mood, const struct writer *w, bool packs)
{
    need_t zero = w->zero_flag ? NEED_ZERO : NEED_PLAIN;
    need_t packed = packs ? draw_packed(w->block_size) : NEED_PLAIN;
    switch (mood) {
    case ALL_PLAIN:
        return NEED_PLAIN;
    case ALL_PACKED:
        return packed;
    case TINY_PACKED:
        return packs ? NEED_PACKED | (1 + draw(20)) : NEED_PLAIN;
    case MIXED: {
        const need_t all[] = {NEED_HOLE, zero, NEED_PLAIN, packed, packed};
        return all[draw(5)];
    }
    default:
        return draw(100) ? NEED_HOLE : draw(2) ? packed : NEED_PLAIN;
    }
}

static void draw_needs(struct image_made *m, bool packs)
{
    enum mood mood = draw(MOODS);
    for (uint64_t b = 0; b < m->blocks; b++) {
        if (draw(200) == 0)
            mood = draw(MOODS);
        m->need[b] = draw_need(mood, m->w, packs);
        if (m->need[b] == NEED_HOLE && m->w->reserve)
            m->need[b] = NEED_RESERVED;
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void any_sequence(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 120; i++) {
        unsigned bits = 9 + draw(13);
        char list[200];
        bool v2 = draw(6) == 0, extended = !v2 && bits >= 14 && draw(3) == 0;
        snprintf(list, sizeof list, "cluster_size=%u,compat=%s,refcount_bits=%u,extended_l2=%s%s%s",
                 1u << bits, v2 ? "v2" : "v3", v2 ? 16 : 1u << draw(7), extended ? "on" : "off",
                 draw(5) ? "" : ",preallocation=metadata",
                 !v2 && draw(8) == 0 ? ",compression_type=zstd" : "");
        bool data_file = !v2 && draw(8) == 0;
        if (data_file)
            strcat(list, draw(2) ? ",data_file=x" : ",data_file=x,data_file_raw=on");
        uint64_t size = draw(1u << (bits < 12 ? 21 : bits < 16 ? 23 : 25));
        struct image_made m;
        made_begin(&m, list, num_up(size, 512), NULL);
        draw_needs(&m, !data_file);
        made_chunks(&m);
        made_end(&m);
        verify(&m);
        if (i % 5 == 0)
            qemu_check(m.path);
        made_release(&m);
    }
}

/* More refcount blocks than one cluster of the refcount table holds: it moves to the end. */
static void refcount_table_moves(void **state)
{
    (void)state;
    const char *const lists[] = {"cluster_size=512,refcount_bits=64",
                                 "cluster_size=512,refcount_bits=16",
                                 "cluster_size=1024,refcount_bits=64"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct image_made m;
        made_begin(&m, lists[i], 24 * MIB, NULL);
        for (uint64_t b = 0; b < m.blocks; b++)
            m.need[b] = NEED_PLAIN;
        made_chunks(&m);
        made_end(&m);
        verify(&m);
        qemu_check(m.path);
        made_release(&m);
    }
}

/* The bytes of an empty image are those of qemu-img create. */
static void empty_as_qemu(void **state)
{
    (void)state;
    if (system("qemu-img --version >/dev/null 2>&1")) {
        print_message("qemu-img is not installed\n");
        skip();
    }
    const struct {
        const char *list, *size;
        bool backing;
    } cases[] = {
        {"cluster_size=64k", "1G", false},
        {"cluster_size=64k", "0", false},
        {"cluster_size=64k", "512", false},
        {"cluster_size=64k", "100T", false},
        {"cluster_size=512", "1M", false},
        {"cluster_size=512", "64M", true},
        {"cluster_size=1k", "64M", false},
        {"cluster_size=4k", "10G", false},
        {"cluster_size=8k", "10G", false},
        {"cluster_size=16k", "10G", true},
        {"cluster_size=2M", "10G", false},
        {"compat=0.10", "1G", true},
        {"compat=v2,cluster_size=4k", "1G", false},
        {"lazy_refcounts=on,refcount_bits=1", "1G", false},
        {"refcount_bits=64,extended_l2=on", "1G", true},
        {"compression_type=zstd,refcount_bits=8", "1G", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct image_made m;
        uint64_t size;
        assert_int_equal(size_parse(cases[i].size, &size), 0);
        made_begin(&m, cases[i].list, size, cases[i].backing ? "base" : NULL);
        made_end(&m);
        char command[400];
        snprintf(command, sizeof command,
                 "qemu-img create -q -f qcow2 -u %s -o %s %s.q %s && cmp %s %s.q; r=$?; rm %s.q; "
                 "exit $r",
                 cases[i].backing ? "-b base -F raw" : "", cases[i].list, m.path, cases[i].size,
                 m.path, m.path, m.path);
        if (system(command))
            fail_msg("-o %s, %s: not as qemu-img makes it", cases[i].list, cases[i].size);
        made_release(&m);
    }
}

/* Real data, packed by the real encoders, reads back: by qemu-img. */
static void packed_data_reads_back(void **state)
{
    (void)state;
    if (system("qemu-img --version >/dev/null 2>&1")) {
        print_message("qemu-img is not installed\n");
        skip();
    }
    const char *const lists[] = {"cluster_size=64k", "cluster_size=4k", "cluster_size=512",
                                 "compression_type=zstd,refcount_bits=2",
                                 "cluster_size=2M,extended_l2=on"};
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        struct image_made m;
        made_begin(&m, lists[k], 9 * MIB, NULL);
        uint32_t block = m.w->block_size;
        uint8_t *raw = calloc(m.blocks, block), *packed = calloc(m.blocks, block);
        struct packer *packer;
        OK(qcow2_writer.packer_new(m.w, &packer, &e));
        for (uint64_t b = 0; b < m.blocks; b++) {
            uint32_t kind = draw(4);
            for (uint32_t i = 0; i < block && kind; i++)
                raw[b * block + i] = (uint8_t)(kind == 1 ? draw(256) : kind == 2 ? draw(3) : 7);
            size_t len;
            OK(qcow2_writer.pack(packer, b * block, raw + b * block, packed + b * block, block,
                                 &len, &e));
            m.need[b] = !kind ? NEED_HOLE : len ? NEED_PACKED | (need_t)len : NEED_PLAIN;
        }
        qcow2_writer.packer_free(packer);
        m.raw = raw;
        m.packed = packed;
        made_chunks(&m);
        made_end(&m);
        char command[300], path[80];
        snprintf(path, sizeof path, "%s.raw", m.path);
        FILE *f = fopen(path, "wb");
        assert_int_equal(fwrite(raw, 9 * MIB, 1, f), 1);
        fclose(f);
        snprintf(command, sizeof command, "qemu-img compare -q -f raw -F qcow2 %s %s", path,
                 m.path);
        assert_int_equal(system(command), 0);
        qemu_check(m.path);
        unlink(path);
        free(raw);
        free(packed);
        made_release(&m);
    }
}

static int some_bits(struct image *img, struct bitmap *b, uint64_t at, size_t n, uint8_t *buf,
                     bool *zero, struct err *error)
{
    static const uint8_t bits[64 * MIB / 512 / 8] = {
        [0] = 1, [5000] = 0xff, [sizeof bits - 1] = 0x80};
    (void)img;
    (void)error;
    assert_true(at + n <= bitmap_bytes(b));
    *zero = false;
    memcpy(buf, bits + at, n);
    return 0;
}

static void bitmaps(void **state)
{
    (void)state;
    const struct format source = {.bitmap_read = some_bits};
    struct image img = {.format = &source};
    const char *const lists[] = {"cluster_size=64k", "cluster_size=512", "cluster_size=4k"};
    for (size_t k = 0; k < ARRAY_LEN(lists); k++) {
        struct image_made m;
        made_begin(&m, lists[k], 64 * MIB, NULL);
        m.need[3] = NEED_PLAIN;
        made_chunks(&m);
        char *names[] = {"first", "the second bitmap", "none"};
        for (unsigned i = 0; i < 3; i++) {
            struct bitmap b = {.name = names[i], .granularity_bits = i ? 16 : 9, .enabled = i != 1};
            b.n_bits = bitmap_bits(64 * MIB, b.granularity_bits);
            OK(qcow2_writer.add_bitmap(m.w, &m.cursor, i == 2 ? NULL : &img, &b, m.pages, &e));
        }
        made_end(&m);
        qemu_check(m.path);
        made_release(&m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_sequence),  cmocka_unit_test(refcount_table_moves),
        cmocka_unit_test(empty_as_qemu), cmocka_unit_test(packed_data_reads_back),
        cmocka_unit_test(bitmaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
