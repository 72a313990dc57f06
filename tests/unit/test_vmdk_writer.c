/*
 * Fresh vmdk images of every subformat: chunks of random needs, walked by a verifier that shares no
 * code with the writers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/num.h"
#include "formats/protocol.h"
#include "formats/vmdk/create.h"
#include "io/pages.h"
#include "scratch.h"

#define GRAIN 65536u

static struct err e;
#define OK(call)                                                                                   \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: %s", #call, e.text);                                                     \
    } while (0)

static uint64_t seed = 1;
static uint32_t draw(uint32_t n)
{
    return scratch_random(&seed) % n;
}

/* ---- one image ------------------------------------------------------------------------------- */

struct image_made {
    struct scratch scratch;
    const char *path;
    struct options *o;
    struct file *file;
    struct writer *w;
    struct packer *packer;
    struct pages *pages;
    struct cursor cursor;
    uint64_t size, grains;
    need_t *need;
    bool zeroed; /* grains of zeros can be marked */
};

static struct options *options_of(const char *list)
{
    static const struct option_def *const tables[] = {vmdk_create_options, protocol_create_options,
                                                      NULL};
    struct options *o = options_new(tables, &e);
    assert_non_null(o);
    OK(options_parse(o, list, NULL, &e));
    return o;
}

static void made_begin(struct image_made *m, const char *list, uint64_t size)
{
    *m = (struct image_made){.size = size, .grains = num_div_up(size, GRAIN)};
    scratch_init(&m->scratch, "/tmp");
    m->path = scratch_name(&m->scratch, "disk.vmdk");
    m->o = options_of(list);
    const struct file_options fo = {.write = true, .create = FILE_CREATE_NEW};
    OK(file_open_path(m->path, &fo, &m->file, &e));
    const struct writer_params p = {
        .options = m->o,
        .size = size,
        .file = m->file,
        .path = m->path,
        .first = true,
        .random = {0x67, 0x45, 0x23, 0x01},
    };
    OK(writer_open(&vmdk_writer, &p, &m->w, &e));
    OK(pages_new(m->file, &m->pages, &e));
    m->need = mem_new(m->grains, sizeof *m->need, &e);
    m->w->ops->begin(m->w, &m->cursor);
    m->zeroed = m->w->zero_flag;
    if (m->w->packs)
        OK(m->w->ops->packer_new(m->w, &m->packer, &e));
}

/* What a grain holds: noise or words, different for each. */
static void grain_fill(uint64_t grain, uint8_t *out)
{
    uint64_t state = grain + 1;
    scratch_fill(&state, out, GRAIN);
    for (size_t i = 0; grain % 3 && i < GRAIN; i++)
        out[i] = "some words "[out[i] % 11];
}

/* Some grains of some chunks. */
static void made_draw(struct image_made *m, uint32_t one_chunk_in)
{
    size_t per = m->w->chunk_size / GRAIN;
    for (uint64_t first = 0; first < m->grains; first += per) {
        bool last = first + per >= m->grains;
        for (uint64_t g = first; g < m->grains && g < first + per; g++)
            m->need[g] = NEED_HOLE;
        if (!last && draw(one_chunk_in))
            continue;
        for (uint64_t g = first; g < m->grains && g < first + per; g++)
            m->need[g] = draw(3) ? NEED_PLAIN : m->w->zero_flag ? NEED_ZERO : NEED_HOLE;
    }
}

static void write_grain(struct image_made *m, uint64_t chunk, const uint8_t *buf, size_t len,
                        uint64_t host)
{
    struct writer_part part;
    if (!m->w->ops->part) {
        OK(writer_put(m->file, m->pages, host, buf, len, &e));
        return;
    }
    OK(m->w->ops->part(m->w, chunk, &part, &e));
    OK(file_write(part.file, buf, len, host, &e));
}

/* Places twice: the same answer from the same cursor. */
static void made_chunk(struct image_made *m, uint64_t chunk)
{
    static uint8_t plain[GRAIN], packed[16][VMDK_PACKED_MAX];
    uint64_t host[16], again_host[16], first = chunk * 16;
    size_t n = num_min(16, m->grains - first);
    need_t *need = m->need + first;
    struct cursor again = m->cursor;
    struct placing a = {.host = host}, b = {.host = again_host};
    for (size_t i = 0; i < n && m->w->packs; i++) {
        size_t len;
        if (need[i] != NEED_PLAIN)
            continue;
        grain_fill(first + i, plain);
        OK(vmdk_pack(m->packer, (first + i) * GRAIN, plain, packed[i], sizeof packed[i], &len, &e));
        assert_in_range(len, 512, m->w->packed_max);
        need[i] = NEED_PACKED | (need_t)len;
    }
    OK(m->w->ops->place(m->w, chunk, need, n, &m->cursor, &a, &e));
    OK(m->w->ops->publish(m->w, chunk, need, n, &a, m->pages, &e));
    OK(m->w->ops->place(m->w, chunk, need, n, &again, &b, &e));
    assert_memory_equal(&again, &m->cursor, sizeof again);
    assert_memory_equal(host, again_host, n * sizeof *host);
    for (size_t i = 0; i < n; i++) {
        if (host[i] == PLACE_NONE)
            continue;
        grain_fill(first + i, plain);
        if (need_is_packed(need[i]))
            write_grain(m, chunk, packed[i], need_packed_len(need[i]), host[i]);
        else
            write_grain(m, chunk, plain, GRAIN, host[i]);
    }
    placing_release(&a);
    placing_release(&b);
}

static void made_chunks(struct image_made *m)
{
    for (uint64_t first = 0; first < m->grains; first += 16) {
        bool any = false;
        for (uint64_t g = first; g < first + 16 && g < m->grains; g++)
            any |= m->need[g] != NEED_HOLE;
        if (any)
            made_chunk(m, first / 16);
    }
}

/* Nothing takes it for an image before its end. */
static void assert_no_image(const struct image_made *m)
{
    uint8_t head[4];
    OK(file_read_padded(m->file, head, 4, 0, NULL, &e));
    assert_int_equal(le32_load(head), 0);
}

static void made_end(struct image_made *m)
{
    assert_no_image(m);
    OK(m->w->ops->finish(m->w, &m->cursor, m->pages, &e));
    if (m->packer)
        m->w->ops->packer_free(m->packer);
    m->w->ops->free(m->w);
    pages_free(m->pages);
    OK(file_close(m->file, &e));
}

static void made_release(struct image_made *m)
{
    scratch_release(&m->scratch);
    options_free(m->o);
    free(m->need);
}

/* ---- the verifier ---------------------------------------------------------------------------- */

struct bytes {
    uint8_t *at;
    size_t len;
};

static struct bytes load(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("no %s", path);
    struct bytes b;
    fseek(f, 0, SEEK_END);
    b.len = (size_t)ftell(f);
    rewind(f);
    b.at = calloc(b.len + 1, 1);
    assert_int_equal(fread(b.at, 1, b.len, f), b.len);
    fclose(f);
    return b;
}

static const uint8_t *at(const struct bytes *b, uint64_t sector, size_t len)
{
    assert_true(sector * 512 + len <= b->len);
    return b->at + sector * 512;
}

static void assert_grain(const uint8_t *bytes, uint64_t grain)
{
    static uint8_t want[GRAIN];
    grain_fill(grain, want);
    assert_memory_equal(bytes, want, GRAIN);
}

/* One sparse extent that holds grains [first, first + n). Grains lie one behind the other. */
static void walk_sparse(const struct image_made *m, const struct bytes *b, uint64_t first,
                        uint64_t n)
{
    const uint8_t *h = at(b, 0, 512);
    assert_memory_equal(h, "KDMV", 4);
    uint64_t next = le64_load(h + 64);
    assert_int_equal(next % 128, 0);
    assert_int_equal(num_div_up(le64_load(h + 12), 128), n);
    assert_int_equal(le32_load(h + 4), m->zeroed ? 2 : 1);
    for (uint64_t g = 0; g < n; g++) {
        uint32_t entry[2];
        for (unsigned copy = 0; copy < 2; copy++) {
            const uint8_t *gd = at(b, le64_load(h + 48 + 8 * copy), num_div_up(n, 512) * 4);
            uint32_t gt = le32_load(gd + g / 512 * 4);
            assert_true(gt && gt < le64_load(h + 64));
            entry[copy] = le32_load(at(b, gt, 2048) + g % 512 * 4);
        }
        assert_int_equal(entry[0], entry[1]);
        need_t need = m->need[first + g];
        if (need != NEED_PLAIN) {
            assert_int_equal(entry[0], need == NEED_ZERO);
            continue;
        }
        assert_int_equal(entry[0], next);
        assert_grain(at(b, next, GRAIN), first + g);
        next += 128;
    }
    assert_int_equal(b->len, next * 512);
}

/* ---- sparse ---------------------------------------------------------------------------------- */

static void sparse_case(const char *list, uint64_t size, uint32_t one_chunk_in)
{
    struct image_made m;
    made_begin(&m, list, size);
    made_draw(&m, one_chunk_in);
    made_chunks(&m);
    made_end(&m);
    struct bytes b = load(m.path);
    walk_sparse(&m, &b, 0, m.grains);
    free(b.at);
    made_release(&m);
}

static void sparse_is_one_extent(void **state)
{
    (void)state;
    const uint64_t sizes[] = {512, GRAIN, GRAIN + 512, 32 * MIB, 32 * MIB + 512, 80 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        sparse_case("", sizes[i], 3);
        sparse_case("zeroed_grain=on", sizes[i], 3);
    }
    sparse_case("", 3 * GIB, 900);
}

static void split_begins_anew_in_each_part(void **state)
{
    (void)state;
    struct image_made m;
    const uint64_t per = 2 * GIB / GRAIN;
    made_begin(&m, "subformat=twoGbMaxExtentSparse", 4 * GIB + 5 * MIB + 512);
    made_draw(&m, 1500);
    for (uint64_t g = per; g < 2 * per; g++)
        m.need[g] = NEED_HOLE; /* a part without data */
    m.need[per - 1] = m.need[2 * per] = NEED_PLAIN;
    made_chunks(&m);
    made_end(&m);
    for (unsigned i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof name, "disk-s%03u.vmdk", i + 1);
        struct bytes b = load(scratch_name(&m.scratch, name));
        walk_sparse(&m, &b, i * per, num_min(per, m.grains - i * per));
        free(b.at);
    }
    made_release(&m);
}

static void empty_images(void **state)
{
    (void)state;
    static const char *const lists[] = {
        "", "subformat=monolithicFlat", "subformat=twoGbMaxExtentSparse",
        "subformat=twoGbMaxExtentFlat", "subformat=streamOptimized"};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        struct image_made m;
        made_begin(&m, lists[i], 0);
        made_end(&m);
        struct bytes b = load(m.path);
        assert_true(b.len > 100);
        free(b.at);
        made_release(&m);
    }
}

/* ---- flat ------------------------------------------------------------------------------------ */

static void flat_parts(void **state)
{
    (void)state;
    struct image_made m;
    struct writer_part part;
    made_begin(&m, "subformat=twoGbMaxExtentFlat", 4 * GIB + 512);
    assert_true(m.w->in_place);
    OK(m.w->ops->part(m.w, 2047, &part, &e));
    assert_int_equal(part.guest, 0);
    OK(m.w->ops->part(m.w, 4096, &part, &e));
    assert_int_equal(part.guest, 4 * GIB);
    assert_int_equal(file_size(part.file), 512);
    made_end(&m);
    made_release(&m);
}

/* ---- stream ---------------------------------------------------------------------------------- */

/* Front to back, as an importer reads it. */
struct stream {
    const struct image_made *m;
    const struct bytes *b;
    uint64_t sector;
    uint32_t *entry;   /* of each grain, as met */
    uint32_t *written; /* sector of each grain table, as met */
    uint64_t gd;
};

static void meet_grain(struct stream *s, const uint8_t *marker)
{
    static uint8_t plain[GRAIN];
    uint64_t grain = le64_load(marker) / 128;
    uint32_t size = le32_load(marker + 8);
    uLongf len = sizeof plain;
    assert_true(grain < s->m->grains);
    assert_int_equal(s->entry[grain], 0);
    assert_int_equal(s->written[grain / 512], 0); /* its table comes later */
    s->entry[grain] = (uint32_t)s->sector;
    const uint8_t *bytes = at(s->b, s->sector, 12 + size);
    assert_int_equal(uncompress(plain, &len, bytes + 12, size), Z_OK);
    assert_int_equal(len, GRAIN);
    assert_grain(plain, grain);
    s->sector += num_div_up(12 + size, 512);
}

static void meet_table(struct stream *s)
{
    const uint8_t *table = at(s->b, s->sector + 1, 2048);
    uint64_t index = UINT64_MAX;
    for (uint64_t g = 0; g < s->m->grains && index == UINT64_MAX; g++)
        if (s->m->need[g] != NEED_HOLE && !s->written[g / 512])
            index = g / 512;
    assert_true(index != UINT64_MAX);
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t g = index * 512 + i;
        bool zero = g < s->m->grains && s->m->need[g] == NEED_ZERO;
        assert_int_equal(le32_load(table + i * 4), zero ? 1 : g < s->m->grains ? s->entry[g] : 0);
    }
    s->written[index] = (uint32_t)s->sector + 1;
    s->sector += 5;
}

static void meet_directory(struct stream *s, uint64_t sectors)
{
    uint64_t tables = num_div_up(s->m->grains, 512);
    assert_int_equal(sectors, num_div_up(tables * 4, 512));
    s->gd = s->sector + 1;
    const uint8_t *gd = at(s->b, s->gd, sectors * 512);
    for (uint64_t i = 0; i < sectors * 128; i++)
        assert_int_equal(le32_load(gd + i * 4), i < tables ? s->written[i] : 0);
    s->sector += 1 + sectors;
}

/* Returns false at the end of the stream. */
static bool meet_marker(struct stream *s)
{
    const uint8_t *marker = at(s->b, s->sector, 512);
    if (le32_load(marker + 8)) {
        meet_grain(s, marker);
        return true;
    }
    switch (le32_load(marker + 12)) {
    case 1:
        assert_int_equal(le64_load(marker), 4);
        meet_table(s);
        return true;
    case 2:
        meet_directory(s, le64_load(marker));
        return true;
    case 3:
        assert_int_equal(le64_load(marker), 1);
        assert_int_equal(le64_load(at(s->b, s->sector + 1, 512) + 56), s->gd);
        s->sector += 2;
        return true;
    default:
        assert_int_equal(le64_load(marker), 0);
        s->sector++;
        return false;
    }
}

static void walk_stream(const struct image_made *m, const struct bytes *b)
{
    struct stream s = {.m = m, .b = b, .sector = 128};
    const uint8_t *h = at(b, 0, 512);
    assert_int_equal(le64_load(h + 56), UINT64_MAX);
    assert_int_equal(le32_load(h + 4), 3);
    assert_int_equal(le32_load(h + 8) & ~4u, 0x30001);
    assert_int_equal(le64_load(h + 64), 128);
    s.entry = calloc(m->grains + 1, sizeof *s.entry);
    s.written = calloc(m->grains / 512 + 1, sizeof *s.written);
    while (meet_marker(&s))
        ;
    assert_int_equal(s.sector * 512, b->len);
    for (uint64_t g = 0; g < m->grains; g++)
        assert_int_equal(s.entry[g] != 0, need_is_packed(m->need[g]));
    free(s.entry);
    free(s.written);
}

static void stream_case(const char *list, uint64_t size, uint32_t one_chunk_in)
{
    struct image_made m;
    made_begin(&m, list, size);
    made_draw(&m, one_chunk_in);
    made_chunks(&m);
    made_end(&m);
    struct bytes b = load(m.path);
    walk_stream(&m, &b);
    free(b.at);
    made_release(&m);
}

static void stream_is_read_front_to_back(void **state)
{
    (void)state;
    const uint64_t sizes[] = {512, GRAIN, 32 * MIB, 32 * MIB + 512, 80 * MIB};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        stream_case("subformat=streamOptimized", sizes[i], 3);
        stream_case("subformat=streamOptimized,zeroed_grain=on", sizes[i], 3);
    }
    stream_case("subformat=streamOptimized", 40 * GIB, 3000);
}

/* What no encoder makes smaller is stored; so is all where there is too little room. */
static void any_grain_can_be_packed(void **state)
{
    (void)state;
    static uint8_t plain[GRAIN], back[GRAIN], out[VMDK_PACKED_MAX];
    for (int level = 0; level <= 9; level++) {
        struct packer *p;
        OK(vmdk_packer_new(level, &p, &e));
        for (uint64_t grain = 0; grain < 6; grain++) {
            size_t len;
            uLongf n = sizeof back;
            grain_fill(grain, plain);
            OK(vmdk_pack(p, grain * GRAIN, plain, out, sizeof out, &len, &e));
            assert_int_equal(le64_load(out), grain * 128);
            assert_int_equal(len, num_up(12 + le32_load(out + 8), 512));
            assert_int_equal(uncompress(back, &n, out + 12, le32_load(out + 8)), Z_OK);
            assert_int_equal(n, GRAIN);
            assert_memory_equal(back, plain, GRAIN);
        }
        vmdk_packer_free(p);
    }
}

/* ---- options, descriptor, names -------------------------------------------------------------- */

static void refused(const char *list, const char *backing, const char *format, const char *text)
{
    struct options *o = options_of(list);
    const struct writer_params p = {.options = o,
                                    .size = MIB,
                                    .path = "x.vmdk",
                                    .backing_name = backing,
                                    .backing_format = format};
    struct vmdk_create c;
    assert_int_equal(vmdk_create_parse(&p, &c, &e), -1);
    assert_string_equal(e.text, text);
    options_free(o);
}

static void what_cannot_be_asked_for(void **state)
{
    (void)state;
    refused("adapter_type=IDE", NULL, NULL, "invalid parameter value: IDE");
    refused("subformat=foo", NULL, NULL, "invalid parameter value: foo");
    refused("compat6=on,hwversion=7", NULL, NULL, "compat6 cannot be enabled with hwversion set");
    refused("subformat=monolithicFlat", "b", "vmdk", "Flat image can't have backing file");
    refused("subformat=twoGbMaxExtentFlat,zeroed_grain=on", NULL, NULL,
            "Flat image can't enable zeroed grain");
    refused("", NULL, "raw", "backing_file must be a vmdk image");
    refused("", "b", "qcow2", "backing_file must be a vmdk image");
    refused("preallocation=metadata", NULL, NULL, "Unsupported preallocation mode: metadata");
    refused("hwversion=1\"", NULL, NULL, "A vmdk descriptor cannot hold the name '1\"'");
}

static void descriptor_is_as_ever(void **state)
{
    (void)state;
    struct options *o = options_of("subformat=twoGbMaxExtentFlat,adapter_type=lsilogic,compat6=on");
    const struct writer_params p = {.options = o,
                                    .size = 2 * GIB + 1,
                                    .path = "some/where/disk.a.vmdk",
                                    .random = {0x67, 0x45, 0x23, 0x01}};
    struct vmdk_create c;
    size_t len;
    OK(vmdk_create_parse(&p, &c, &e));
    c.parent_cid = 0xabc;
    c.parent_name = "../p.vmdk";
    char *text = vmdk_descriptor_text(&c, p.path, &len, &e);
    assert_string_equal(text, "# Disk DescriptorFile\n"
                              "version=1\n"
                              "CID=01234567\n"
                              "parentCID=00000abc\n"
                              "createType=\"twoGbMaxExtentFlat\"\n"
                              "parentFileNameHint=\"../p.vmdk\"\n"
                              "\n"
                              "# Extent description\n"
                              "RW 4194304 FLAT \"disk.a-f001.vmdk\" 0\n"
                              "RW 1 FLAT \"disk.a-f002.vmdk\" 0\n"
                              "\n"
                              "# The Disk Data Base\n"
                              "#DDB\n"
                              "\n"
                              "ddb.virtualHWVersion = \"6\"\n"
                              "ddb.geometry.cylinders = \"261\"\n"
                              "ddb.geometry.heads = \"255\"\n"
                              "ddb.geometry.sectors = \"63\"\n"
                              "ddb.adapterType = \"lsilogic\"\n"
                              "ddb.toolsVersion = \"2147483647\"\n");
    assert_int_equal(len, strlen(text));
    free(text);
    options_free(o);
}

static void names_of_extents(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum vmdk_subformat subformat;
        size_t index;
        const char *name;
    } cases[] = {
        {"disk.vmdk", VMDK_MONOLITHIC_FLAT, 0, "disk-flat.vmdk"},
        {"a.b/disk", VMDK_SPLIT_SPARSE, 0, "a.b/disk-s001"},
        {"./a.b.c", VMDK_SPLIT_FLAT, 11, "./a.b-f012.c"},
        {".hidden", VMDK_SPLIT_SPARSE, 4095, "-s4096.hidden"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct vmdk_create c = {.subformat = cases[i].subformat};
        char *name = vmdk_part_name(cases[i].path, &c, cases[i].index, &e);
        assert_string_equal(name, cases[i].name);
        free(name);
    }
}

static void too_much_for_32_bits(void **state)
{
    (void)state;
    struct vmdk_sparse_layout l;
    OK(vmdk_sparse_plan(1024 * TIB / 512, &l, &e));
    assert_true(l.overhead < UINT32_MAX);
    assert_int_equal(vmdk_sparse_plan(16 * 1024 * TIB / 512, &l, &e), -1);
    struct image_made m;
    made_begin(&m, "", 3 * MIB);
    uint64_t host[16];
    need_t need[16] = {[3] = NEED_PLAIN};
    struct placing p = {.host = host};
    m.cursor.end = 2 * TIB - MIB;
    OK(m.w->ops->place(m.w, 1, need, 16, &m.cursor, &p, &e));
    m.cursor.end = 2 * TIB - 1024;
    assert_int_equal(m.w->ops->place(m.w, 2, need, 16, &m.cursor, &p, &e), -1);
    placing_release(&p);
    m.w->ops->free(m.w);
    pages_free(m.pages);
    file_cleanup(&m.file);
    made_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparse_is_one_extent),
        cmocka_unit_test(split_begins_anew_in_each_part),
        cmocka_unit_test(empty_images),
        cmocka_unit_test(flat_parts),
        cmocka_unit_test(stream_is_read_front_to_back),
        cmocka_unit_test(any_grain_can_be_packed),
        cmocka_unit_test(what_cannot_be_asked_for),
        cmocka_unit_test(descriptor_is_as_ever),
        cmocka_unit_test(names_of_extents),
        cmocka_unit_test(too_much_for_32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
