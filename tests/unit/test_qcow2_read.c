/* qcow2 read through the driver, on images built here byte by byte: the map of both kinds of L2,
 * snapshots, bitmaps, what info says, what a check counts. */
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
#include "formats/qcow2/state.h"
#include "io/memory.h"

static uint64_t seed = 7;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

/* ---- building -------------------------------------------------------------------------------- */

/* Header, refcount table, its block, L1, then L2 tables, then whatever a test puts there. */
struct build {
    struct qcow2_head head;
    struct file *file;
    uint32_t cluster;
    uint64_t next; /* first free cluster's offset */
};

static void put64(struct build *b, uint64_t at, uint64_t v)
{
    struct err e = ERR_INIT;
    uint8_t p[8];
    be64_store(p, v);
    assert_int_equal(file_write(b->file, p, 8, at, &e), 0);
}

static uint64_t take(struct build *b, uint64_t clusters)
{
    uint64_t at = b->next;
    struct err e = ERR_INIT;
    b->next += clusters * b->cluster;
    assert_int_equal(file_truncate(b->file, b->next, &e), 0);
    return at;
}

static void build_begin(struct build *b, unsigned cluster_bits, uint64_t size,
                        uint64_t incompatible)
{
    struct err e = ERR_INIT;
    *b = (struct build){.cluster = 1u << cluster_bits};
    assert_int_equal(memory_new("image", "", 0, &b->file, &e), 0);
    b->file->opt.write = true;
    take(b, 1);
    uint64_t per = (uint64_t)b->cluster * b->cluster / 8;
    if (incompatible & QCOW2_INCOMPAT_EXTENDED_L2)
        per /= 2;
    uint32_t l1 = (uint32_t)num_div_up(size, per);
    b->head.header = (struct qcow2_header){.version = 3,
                                           .cluster_bits = cluster_bits,
                                           .size = size,
                                           .l1_entries = l1,
                                           .reftable_clusters = 1,
                                           .incompatible = incompatible,
                                           .refcount_order = 4};
    b->head.header.reftable_offset = take(b, 1);
    b->head.header.l1_offset = take(b, num_div_up((uint64_t)l1 * 8, b->cluster));
}

static void build_head(struct build *b)
{
    struct err e = ERR_INIT;
    uint8_t *buf = malloc(b->cluster);
    assert_int_equal(qcow2_head_store(&b->head, buf, b->cluster, &e), 0);
    assert_int_equal(file_write(b->file, buf, b->cluster, 0, &e), 0);
    free(buf);
}

/* Entry `index` of the L2 tables below this L1; makes the table. */
static uint64_t l2_place(struct build *b, uint64_t l1, uint64_t index, unsigned entry)
{
    struct err e = ERR_INIT;
    uint8_t p[8];
    uint64_t per = b->cluster / entry, at = l1 + index / per * 8;
    assert_int_equal(file_read(b->file, p, 8, at, &e), 0);
    if (!be64_load(p)) {
        be64_store(p, take(b, 1) | QCOW2_COPIED);
        assert_int_equal(file_write(b->file, p, 8, at, &e), 0);
    }
    return (be64_load(p) & QCOW2_PLACE_MASK) + index % per * entry;
}

static int open_built(struct build *b, struct image *img, struct image_flags flags, struct err *e)
{
    build_head(b);
    *img = (struct image){.format = &format_qcow2, .file = b->file, .flags = flags};
    img->spec = json_object();
    return format_qcow2.open(img, e);
}

static void open_good(struct build *b, struct image *img, struct image_flags flags)
{
    struct err e = ERR_INIT;
    int r = open_built(b, img, flags, &e);
    assert_string_equal(e.text, "");
    assert_int_equal(r, 0);
}

static void close_built(struct build *b, struct image *img)
{
    if (img->state)
        format_qcow2.close(img);
    json_decref(img->spec);
    free(img->backing_name);
    free(img->backing_format);
    qcow2_head_release(&b->head);
    file_cleanup(&b->file);
}

/* ---- maps ------------------------------------------------------------------------------------ */

struct piece { /* a cluster or a subcluster */
    enum extent_kind kind;
    bool has_host;
    uint64_t host;
    uint32_t packed; /* where in the cluster a packed piece begins, + 1 */
};

#define CLUSTERS 700u

/* The driver's map against the pieces, at all kinds of places. */
static void map_compare(struct image *img, const struct piece *pieces, uint32_t piece)
{
    struct err e = ERR_INIT;
    for (unsigned i = 0; i < 4000; i++) {
        uint64_t at = draw(img->size), n = 1 + draw(num_min(img->size - at, 3 * MIB));
        struct extent x = {0};
        assert_int_equal(format_qcow2.map(img, at, n, &x, &e), 0);
        assert_true(x.length > 0 && x.length <= n);
        for (uint64_t k = at; k < at + x.length; k = num_down(k, piece) + piece) {
            const struct piece *p = &pieces[k / piece];
            assert_int_equal(x.kind, p->kind);
            if (p->kind == EXTENT_PACKED) {
                assert_int_equal(x.host, p->host);
                assert_int_equal(x.block_offset + (k - at), p->packed - 1 + k % piece);
                continue;
            }
            assert_int_equal(x.has_host, p->has_host);
            if (p->has_host)
                assert_int_equal(x.host + (k - at), p->host + k % piece);
        }
    }
}

static uint64_t packed_entry(unsigned cluster_bits, uint64_t host, uint64_t sectors)
{
    return QCOW2_COMPRESSED | (sectors - 1) << (62 - (cluster_bits - 8)) | host;
}

static void standard_l2_maps_as_the_model(void **state)
{
    (void)state;
    static const unsigned bits[] = {9, 12, 16, 21};
    for (size_t t = 0; t < ARRAY_LEN(bits); t++) {
        struct build b;
        struct image img;
        struct piece *pieces = calloc(CLUSTERS, sizeof *pieces);
        uint32_t cluster = 1u << bits[t];
        build_begin(&b, bits[t], (uint64_t)CLUSTERS * cluster, 0);
        uint64_t place = (uint64_t)5000 * cluster;
        for (unsigned i = 0; i < CLUSTERS; i++) {
            uint64_t raw = 0;
            place += draw(4) ? cluster : (uint64_t)cluster * draw(5);
            switch (draw(8)) {
            case 0:
            case 1:
                continue;
            case 2:
                raw = QCOW2_ZERO;
                pieces[i].kind = EXTENT_ZERO;
                break;
            case 3:
                raw = QCOW2_ZERO | QCOW2_COPIED | place;
                pieces[i] = (struct piece){EXTENT_ZERO, true, place, 0};
                break;
            case 4:
                raw = packed_entry(bits[t], place + 77, 1);
                pieces[i] = (struct piece){EXTENT_PACKED, false, place + 77, 1};
                break;
            default:
                raw = (draw(2) ? QCOW2_COPIED : 0) | place;
                pieces[i] = (struct piece){EXTENT_DATA, true, place, 0};
            }
            put64(&b, l2_place(&b, b.head.header.l1_offset, i, 8), raw);
        }
        open_good(&b, &img, (struct image_flags){0});
        map_compare(&img, pieces, cluster);
        close_built(&b, &img);
        free(pieces);
    }
}

static void extended_l2_maps_as_the_model(void **state)
{
    (void)state;
    struct build b;
    struct image img;
    uint32_t cluster = 16384, piece = cluster / 32;
    struct piece *pieces = calloc(CLUSTERS * 32, sizeof *pieces);
    build_begin(&b, 14, (uint64_t)CLUSTERS * cluster, QCOW2_INCOMPAT_EXTENDED_L2);
    uint64_t place = 5000 * (uint64_t)cluster;
    for (unsigned i = 0; i < CLUSTERS; i++) {
        struct piece *p = &pieces[i * 32];
        uint64_t entry = l2_place(&b, b.head.header.l1_offset, i, 16), kind = draw(6);
        uint32_t stored = 0, zero = 0;
        place += draw(3) ? cluster : 3 * cluster;
        if (kind == 0)
            continue;
        if (kind == 1) {
            put64(&b, entry, packed_entry(14, place + 5, 2));
            for (uint32_t k = 0; k < 32; k++)
                p[k] = (struct piece){EXTENT_PACKED, false, place + 5, k * piece + 1};
            continue;
        }
        bool has_host = kind != 2;
        for (uint32_t k = 0, n = 0, what = 0; k < 32; k++, n--) {
            if (!n) {
                n = (uint32_t)(kind == 5 ? 32 : 1 + draw(9));
                what = (uint32_t)draw(3);
            }
            p[k] = (struct piece){EXTENT_HOLE, has_host, place + (uint64_t)k * piece, 0};
            if (what == 1) {
                p[k].kind = EXTENT_ZERO;
                zero |= 1u << k;
            } else if (what == 2 && has_host) {
                p[k].kind = EXTENT_DATA;
                stored |= 1u << k;
            }
        }
        put64(&b, entry, has_host ? place | QCOW2_COPIED : 0);
        put64(&b, entry + 8, (uint64_t)zero << 32 | stored);
    }
    open_good(&b, &img, (struct image_flags){0});
    map_compare(&img, pieces, piece);
    close_built(&b, &img);
    free(pieces);
}

static void absent_tables_are_skipped(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    for (int extended = 0; extended < 2; extended++) {
        struct build b;
        struct image img;
        struct extent x = {0};
        uint64_t size = 16 * TIB;
        build_begin(&b, 16, size, extended ? QCOW2_INCOMPAT_EXTENDED_L2 : 0);
        open_good(&b, &img, (struct image_flags){0});
        assert_int_equal(format_qcow2.map(&img, 5, size - 5, &x, &e), 0);
        assert_int_equal(x.kind, EXTENT_HOLE);
        assert_int_equal(x.length, size - 5);
        close_built(&b, &img);
    }
}

static void damaged_entries_are_told_where_they_are(void **state)
{
    (void)state;
    static const struct {
        uint64_t raw;
        const char *text;
    } cases[] = {
        {UINT64_C(0x8000000000500200), "Cluster allocation offset 0x500200 unaligned"},
        {UINT64_C(0x8000000000500002), "reserved bits"},
        {UINT64_C(0x8100000000500000), "reserved bits"},
        {UINT64_C(0x7fffffffffffffff), NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct build b;
        struct image img;
        struct extent x = {0};
        build_begin(&b, 16, 64 * MIB, 0);
        put64(&b, l2_place(&b, b.head.header.l1_offset, 3, 8), cases[i].raw);
        open_good(&b, &img, (struct image_flags){0});
        assert_int_equal(format_qcow2.map(&img, 0, img.size, &x, &e), 0);
        assert_int_equal(x.length, 3 * 65536); /* the good part in front of it */
        int r = format_qcow2.map(&img, 3 * 65536 + 7, 100, &x, &e);
        if (cases[i].text) {
            assert_int_equal(r, -1);
            assert_non_null(strstr(e.text, cases[i].text));
            assert_non_null(strstr(e.text, "guest offset: 0x30000"));
        }
        close_built(&b, &img);
    }
}

/* ---- snapshots ------------------------------------------------------------------------------- */

static uint64_t snapshot_put(struct build *b, uint64_t at, const char *id, const char *name,
                             uint64_t l1, uint64_t size)
{
    struct err e = ERR_INIT;
    uint8_t p[128] = {0};
    be64_store(p, l1);
    be32_store(p + 8, b->head.header.l1_entries);
    be16_store(p + 12, (uint16_t)strlen(id));
    be16_store(p + 14, (uint16_t)strlen(name));
    be32_store(p + 16, 1000);
    be32_store(p + 20, 5);
    be64_store(p + 24, UINT64_C(3000000007));
    be32_store(p + 36, 24);
    be64_store(p + 48, size);
    be64_store(p + 56, UINT64_MAX); /* no icount */
    memcpy(p + 64, id, strlen(id));
    memcpy(p + 64 + strlen(id), name, strlen(name));
    uint64_t n = num_up(64 + strlen(id) + strlen(name), 8);
    assert_int_equal(file_write(b->file, p, n, at, &e), 0);
    return at + n;
}

static void snapshots_are_listed_and_read(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct build b;
    struct image img;
    struct extent x = {0};
    build_begin(&b, 16, 64 * MIB, 0);
    uint64_t other = take(&b, 1), table = take(&b, 1);
    put64(&b, l2_place(&b, b.head.header.l1_offset, 0, 8), 0x900000 | QCOW2_COPIED);
    put64(&b, l2_place(&b, other, 1, 8), 0xa00000);
    b.head.header.snapshots_offset = table;
    b.head.header.n_snapshots = 2;
    snapshot_put(&b, snapshot_put(&b, table, "1", "first", other, 32 * MIB), "2", "1", other,
                 64 * MIB);
    open_good(&b, &img, (struct image_flags){0});

    struct format_info info = {0};
    assert_int_equal(format_qcow2.info(&img, &info, &e), 0);
    char *text = json_dumps(info.snapshots, JSON_COMPACT);
    assert_string_equal(text, "[{\"vm-clock-nsec\":7,\"name\":\"first\",\"date-sec\":1000,"
                              "\"date-nsec\":5,\"vm-clock-sec\":3,\"id\":\"1\","
                              "\"vm-state-size\":0},{\"vm-clock-nsec\":7,\"name\":\"1\","
                              "\"date-sec\":1000,\"date-nsec\":5,\"vm-clock-sec\":3,\"id\":\"2\","
                              "\"vm-state-size\":0}]");
    free(text);
    json_decref(info.snapshots);
    json_decref(info.specific);

    assert_int_equal(format_qcow2.load_snapshot(&img, NULL, "none", &e), -1);
    assert_string_equal(e.text, "Can't find snapshot");
    assert_int_equal(format_qcow2.load_snapshot(&img, "1", NULL, &e), 0);
    assert_int_equal(img.size, 32 * MIB);
    assert_int_equal(format_qcow2.map(&img, 0, img.size, &x, &e), 0);
    assert_int_equal(x.kind, EXTENT_HOLE);
    assert_int_equal(x.length, 65536);
    assert_int_equal(format_qcow2.map(&img, 65536, 1, &x, &e), 0);
    assert_int_equal(x.host, 0xa00000);
    close_built(&b, &img);
}

/* ---- bitmaps --------------------------------------------------------------------------------- */

static void directory_put(struct build *b, uint64_t at, uint64_t table, unsigned flags,
                          const char *name)
{
    struct err e = ERR_INIT;
    uint8_t p[32] = {0};
    be64_store(p, table);
    be32_store(p + 8, 1);
    be32_store(p + 12, flags);
    p[16] = 1;
    p[17] = 16;
    be16_store(p + 18, (uint16_t)strlen(name));
    memcpy(p + 24, name, strlen(name));
    assert_int_equal(file_write(b->file, p, 32, at, &e), 0);
}

static void build_bitmaps(struct build *b)
{
    struct err e = ERR_INIT;
    static const uint8_t bits[] = {0x01, 0x80, 0xff};
    /* 21 granules: the last byte has 5 */
    build_begin(b, 16, 20 * 65536 + 512, 0);
    uint64_t directory = take(b, 1), table = take(b, 1), ones = take(b, 1), data = take(b, 1);
    put64(b, table, data);
    put64(b, ones, 1);
    assert_int_equal(file_write(b->file, bits, sizeof bits, data, &e), 0);
    directory_put(b, directory, table, 2, "kept");
    directory_put(b, directory + 32, ones, 0, "ones");
    directory_put(b, directory + 64, ones, 1, "open");
    b->head.header.autoclear = QCOW2_AUTOCLEAR_BITMAPS;
    b->head.ext.has_bitmaps = true;
    b->head.ext.n_bitmaps = 3;
    b->head.ext.bitmap_dir_offset = directory;
    b->head.ext.bitmap_dir_size = 96;
}

static void bitmaps_are_listed_and_read(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct build b;
    struct image img;
    struct bitmap *list;
    uint8_t bits[3];
    bool zero;
    size_t n;
    build_bitmaps(&b);
    open_good(&b, &img, (struct image_flags){0});
    assert_int_equal(format_qcow2.bitmap_list(&img, &list, &n, &e), 0);
    assert_int_equal(n, 3);
    assert_string_equal(list[0].name, "kept");
    assert_true(list[0].enabled && !list[0].inconsistent);
    assert_true(!list[1].enabled && list[2].inconsistent);
    assert_int_equal(list[0].n_bits, 21);
    assert_int_equal(format_qcow2.bitmap_read(&img, &list[0], 0, 3, bits, &zero, &e), 0);
    assert_memory_equal(bits, ((uint8_t[]){0x01, 0x80, 0x1f}), 3);
    assert_int_equal(format_qcow2.bitmap_read(&img, &list[1], 1, 2, bits, &zero, &e), 0);
    assert_memory_equal(bits, ((uint8_t[]){0xff, 0x1f}), 2);
    assert_int_equal(format_qcow2.bitmap_read(&img, &list[2], 0, 3, bits, &zero, &e), -1);
    bitmap_list_free(list, n);
    close_built(&b, &img);
}

static void bitmaps_not_kept_up_are_not_there(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct build b;
    struct image img;
    struct bitmap *list;
    size_t n;
    build_bitmaps(&b);
    b.head.header.autoclear = 0;
    open_good(&b, &img, (struct image_flags){0});
    assert_int_equal(format_qcow2.bitmap_list(&img, &list, &n, &e), 0);
    assert_int_equal(n, 0);
    bitmap_list_free(list, n);
    close_built(&b, &img);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void encrypted_images_show_but_do_not_read(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct build b;
    struct image img;
    build_begin(&b, 16, MIB, 0);
    b.head.header.crypt_method = QCOW2_CRYPT_AES;
    open_good(&b, &img, (struct image_flags){.no_io = true});
    assert_true(img.encrypted);
    struct format_info info = {0};
    assert_int_equal(format_qcow2.info(&img, &info, &e), 0);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(info.specific, "encrypt"), "format")),
        "aes");
    json_decref(info.specific);
    format_qcow2.close(&img);
    json_decref(img.spec);
    assert_int_equal(open_built(&b, &img, (struct image_flags){0}, &e), -1);
    close_built(&b, &img);
}

static void a_missing_data_file_is_told_unless_info(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct build b;
    struct image img;
    build_begin(&b, 16, MIB, QCOW2_INCOMPAT_DATA_FILE);
    b.head.ext.data_file = strdup("json:no-such-file");
    open_good(&b, &img, (struct image_flags){.no_io = true});
    format_qcow2.close(&img);
    json_decref(img.spec);
    assert_int_equal(open_built(&b, &img, (struct image_flags){0}, &e), -1);
    assert_non_null(strstr(e.text, "No such file or directory"));
    close_built(&b, &img);
}

/* ---- check ----------------------------------------------------------------------------------- */

struct lines {
    size_t n;
    char *text; /* all of them */
    size_t len;
};

static void line_take(void *ctx, const char *text)
{
    struct lines *l = ctx;
    size_t n = strlen(text);
    l->n++;
    l->text = realloc(l->text, l->len + n + 2);
    memcpy(l->text + l->len, text, n);
    l->len += n;
    memcpy(l->text + l->len++, "\n", 2);
}

static void check_built(struct build *b, uint64_t memory, struct lines *l, struct check_result *r)
{
    struct err e = ERR_INIT;
    struct image img;
    struct check_sink sink = {.line = line_take, .ctx = l, .memory = memory};
    *l = (struct lines){0};
    *r = (struct check_result){0};
    open_good(b, &img, (struct image_flags){.check = true});
    assert_int_equal(format_qcow2.check(&img, CHECK_FIX_NONE, &sink, r, &e), 0);
    format_qcow2.close(&img);
    json_decref(img.spec);
}

static int line_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The same lines? Their order may differ: a window tells of its own refcount blocks. */
static void same_lines(struct lines *a, struct lines *b)
{
    assert_int_equal(a->n, b->n);
    char **x = calloc(a->n, sizeof *x), **y = calloc(b->n, sizeof *y), *save;
    for (size_t i = 0; i < a->n; i++)
        x[i] = strtok_r(i ? NULL : a->text, "\n", &save);
    for (size_t i = 0; i < b->n; i++)
        y[i] = strtok_r(i ? NULL : b->text, "\n", &save);
    qsort(x, a->n, sizeof *x, line_order);
    qsort(y, b->n, sizeof *y, line_order);
    for (size_t i = 0; i < a->n; i++)
        assert_string_equal(x[i], y[i]);
    free(x);
    free(y);
}

/* Refcounts as they should be, for all clusters taken so far. */
static void refcounts_put(struct build *b)
{
    struct err e = ERR_INIT;
    uint64_t per = b->cluster / 2, blocks = 1;
    while (blocks < num_div_up(b->next / b->cluster + blocks, per))
        blocks++;
    uint64_t at = take(b, blocks), n = b->next / b->cluster;
    uint8_t *p = calloc(n + per, 2);
    for (uint64_t i = 0; i < n; i++)
        be16_store(p + 2 * i, 1);
    assert_int_equal(file_write(b->file, p, blocks * b->cluster, at, &e), 0);
    for (uint64_t i = 0; i < blocks; i++)
        put64(b, b->head.header.reftable_offset + 8 * i, at + i * b->cluster);
    free(p);
}

/* Small clusters in random order, more than one window of the least memory has room for. */
static void build_scattered(struct build *b, uint64_t n)
{
    uint64_t *order = calloc(n, sizeof *order);
    build_begin(b, 9, n * 512, 0);
    b->head.header.reftable_clusters = 1;
    for (uint64_t i = 0; i < n; i++)
        l2_place(b, b->head.header.l1_offset, i, 8);
    uint64_t data = take(b, n);
    for (uint64_t i = 0; i < n; i++)
        order[i] = i;
    for (uint64_t i = n; i > 1; i--) {
        uint64_t k = draw(i), t = order[k];
        order[k] = order[i - 1];
        order[i - 1] = t;
    }
    for (uint64_t i = 0; i < n; i++)
        put64(b, l2_place(b, b->head.header.l1_offset, i, 8),
              (data + order[i] * 512) | QCOW2_COPIED);
    refcounts_put(b);
    free(order);
}

static void windows_find_what_one_walk_finds(void **state)
{
    (void)state;
    struct build b;
    struct check_result one, many;
    struct lines l1, lm;
    uint64_t n = 12000;
    build_scattered(&b, n);
    check_built(&b, 0, &l1, &one);
    check_built(&b, 1, &lm, &many);
    assert_int_equal(l1.n, 0);
    assert_int_equal(lm.n, 0);
    assert_int_equal(one.allocated_clusters, n);
    assert_int_equal(one.total_clusters, n);
    assert_int_equal(one.image_end_offset, file_size(b.file));
    assert_memory_equal(&one, &many, sizeof one);

    for (unsigned i = 0; i < 200; i++) { /* damage everywhere */
        uint64_t value = draw(file_size(b.file) / 512 + 3) * 512;
        if (draw(2))
            value |= QCOW2_COPIED;
        if (!draw(10))
            value |= draw(600);
        if (!draw(10))
            value |= QCOW2_COMPRESSED;
        put64(&b, l2_place(&b, b.head.header.l1_offset, draw(n), 8), value);
    }
    check_built(&b, 0, &l1, &one);
    check_built(&b, 1, &lm, &many);
    assert_true(one.corruptions > 100 && one.leaks > 100);
    assert_memory_equal(&one, &many, sizeof one);
    same_lines(&l1, &lm);
    free(l1.text);
    free(lm.text);
    close_built(&b, &(struct image){.spec = json_null()});
}

static void wrong_refcounts_are_told(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct build b;
    struct lines l;
    struct check_result r;
    build_begin(&b, 16, 64 * MIB, 0);
    uint64_t entry = l2_place(&b, b.head.header.l1_offset, 0, 8), data = take(&b, 2);
    put64(&b, entry, data | QCOW2_COPIED);
    put64(&b, entry + 8, data + 65536);
    refcounts_put(&b);
    uint8_t five[] = {0, 5};
    uint64_t block = b.next - 65536;
    assert_int_equal(file_write(b.file, five, 2, block + data / 65536 * 2, &e), 0);
    check_built(&b, 0, &l, &r);
    assert_string_equal(l.text, "Leaked cluster 4 refcount=5 reference=1\n"
                                "ERROR OFLAG_COPIED data cluster: l2_entry=8000000000040000 "
                                "refcount=5\n"
                                "ERROR OFLAG_COPIED data cluster: l2_entry=50000 refcount=1\n");
    assert_int_equal(r.leaks, 1);
    assert_int_equal(r.corruptions, 2);
    assert_int_equal(r.allocated_clusters, 2);
    assert_int_equal(r.fragmented_clusters, 0);
    free(l.text);
    close_built(&b, &(struct image){.spec = json_null()});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(standard_l2_maps_as_the_model),
        cmocka_unit_test(extended_l2_maps_as_the_model),
        cmocka_unit_test(absent_tables_are_skipped),
        cmocka_unit_test(damaged_entries_are_told_where_they_are),
        cmocka_unit_test(snapshots_are_listed_and_read),
        cmocka_unit_test(bitmaps_are_listed_and_read),
        cmocka_unit_test(bitmaps_not_kept_up_are_not_there),
        cmocka_unit_test(encrypted_images_show_but_do_not_read),
        cmocka_unit_test(a_missing_data_file_is_told_unless_info),
        cmocka_unit_test(windows_find_what_one_walk_finds),
        cmocka_unit_test(wrong_refcounts_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
