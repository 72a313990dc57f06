/*
 * Any bytes as an image of one format: opened, mapped, read, looked at and checked, with nothing
 * worse than an error. The fuzzer of a format is this file with its name in FUZZ_FORMAT; without
 * that it is what samples.c calls.
 *
 * What is asked is bounded, not what is answered: a driver that needs time or memory out of all
 * proportion to the bytes in the file has a fault that the fuzzer's limits show.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/num.h"
#include "formats/format.h"
#include "harness.h"
#include "image/inspect.h"
#include "image/secret.h"
#include "io/memory.h"

#define WALK_MOST    1000u      /* answers of a walk from the front */
#define JUMPS        50u        /* places that are asked about, all over */
#define READ_MOST    (64 * KIB) /* of an extent */
#define READS        20u
#define BLOCK_MOST   (1 * MIB) /* larger blocks are decoded once */
#define CHECK_MEMORY (2 * MIB)
#define BITMAP_MOST  (1u << 26) /* bits */

enum purpose { TO_READ, TO_INFO, TO_CHECK };

struct harness {
    struct image *image;
    struct image_reader *reader;
    uint64_t random;
    unsigned reads, large;
    struct err e;
    uint8_t buf[READ_MOST];
};

#define HOLDS(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static uint64_t draw(struct harness *h, uint64_t below)
{
    h->random = h->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (h->random >> 17 ^ h->random << 20) % below;
}

/* ---- input ----------------------------------------------------------------------------------- */

static void put_records(struct file *f, const uint8_t *p, size_t n, struct err *e)
{
    while (n > HARNESS_RECORD) {
        uint64_t at = le64_load(p), len = le32_load(p + 8);
        p += HARNESS_RECORD;
        n -= HARNESS_RECORD;
        len = num_min(len, n);
        if (num_inside(at, len, HARNESS_FILE_MAX))
            HOLDS(!file_write(f, p, len, at, e));
        p += len;
        n -= len;
    }
}

static struct file *file_of(const char *format, const uint8_t *p, size_t n, struct err *e)
{
    struct file *f = NULL;
    char name[64];
    bool sparse = n >= HARNESS_HEAD && !memcmp(p, HARNESS_MAGIC, 8);
    snprintf(name, sizeof name, "/nonexistent/image.%s", format);
    HOLDS(!memory_new(name, p, sparse ? 0 : n, &f, e));
    f->opt.write = true;
    if (sparse) {
        HOLDS(!file_truncate(f, num_min(le64_load(p + 8), HARNESS_FILE_MAX), e));
        put_records(f, p + HARNESS_HEAD, n - HARNESS_HEAD, e);
    }
    harness_seal(format, f, n % 8 == 0);
    f->opt.write = false;
    return f;
}

static void probe(struct file *f, struct err *e)
{
    uint8_t head[512];
    size_t got = 0;
    HOLDS(!file_read_padded(f, head, sizeof head, 0, &got, e));
    HOLDS(format_probe(head, got, file_name(f)));
}

/* ---- map and read ---------------------------------------------------------------------------- */

static void expect_packed(const struct image *img, const struct extent *x)
{
    HOLDS(x->codec);
    HOLDS(x->block_size <= img->largest_block);
    HOLDS(num_inside(x->block_offset, x->length, x->block_size));
}

static void expect_extent(struct harness *h, const struct extent *x, uint64_t length)
{
    HOLDS(x->length && x->length <= length);
    if (x->kind == EXTENT_PACKED)
        expect_packed(h->image, x);
    if (x->kind == EXTENT_DATA || x->kind == EXTENT_PACKED)
        HOLDS(x->file);
}

/* Asked about its middle, the driver says the same. */
static void expect_same_inside(struct harness *h, const struct extent *x)
{
    struct extent y;
    uint64_t skip = x->length / 2;
    if (!skip)
        return;
    HOLDS(!image_map(h->image, x->guest + skip, x->length - skip, &y, &h->e));
    HOLDS(y.kind == x->kind);
    if (x->kind == EXTENT_DATA)
        HOLDS(y.file == x->file && y.host == x->host + skip);
    if (x->kind == EXTENT_PACKED)
        HOLDS(y.host == x->host && y.block_offset == x->block_offset + skip);
}

static void read_some(struct harness *h, const struct extent *x)
{
    struct extent part = *x;
    bool large =
        x->kind == EXTENT_PACKED && (x->block_size > BLOCK_MOST || x->packed_len > BLOCK_MOST);
    if (h->reads == READS || (large && h->large))
        return;
    h->reads++;
    h->large += large;
    part.length = num_min(part.length, sizeof h->buf);
    if (part.crypt)
        part.length = num_max(num_down(part.length, 512), 512);
    if (part.length <= x->length)
        image_read_extents(h->reader, &part, 1, h->buf, NULL, &h->e);
}

/* One answer, looked at; how long it is, or 0 if there is none. */
static uint64_t ask(struct harness *h, uint64_t guest, uint64_t length)
{
    struct extent x;
    if (image_map(h->image, guest, length, &x, &h->e))
        return 0;
    expect_extent(h, &x, length);
    expect_same_inside(h, &x);
    read_some(h, &x);
    return x.length;
}

static void walk(struct harness *h)
{
    uint64_t at = 0, size = h->image->size;
    for (unsigned i = 0; i < WALK_MOST && at < size; i++) {
        uint64_t length = ask(h, at, size - at);
        at += length ? length : num_min(size - at, 64 * KIB);
    }
    for (unsigned i = 0; i < JUMPS && size; i++) {
        at = draw(h, size);
        ask(h, at, 1 + draw(h, size - at));
    }
    h->reads = h->large = 0;
}

/* ---- what else there is ---------------------------------------------------------------------- */

static void look(struct harness *h)
{
    struct format_info info = {0};
    const struct format *format = h->image->format;
    if (format->info && !format->info(h->image, &info, &h->e)) {
        const json_t *first = json_array_get(info.snapshots, 0);
        const char *id = json_string_value(json_object_get(first, "id"));
        if (id && format->load_snapshot && !image_load_snapshot(h->image, id, &h->e))
            walk(h);
    }
    json_decref(info.snapshots);
    json_decref(info.specific);
    if (format->status) {
        struct format_status status = {0};
        format->status(h->image, &status);
    }
    for (size_t i = 0; format->further && format->further(h->image, i);)
        i++;
}

static void read_bitmap(struct harness *h, struct bitmap *b)
{
    static uint8_t buf[4096];
    uint64_t bytes = bitmap_bytes(b), most = bytes > BITMAP_MOST ? BITMAP_MOST : bytes;
    for (uint64_t at = 0, n; at < most; at += n) {
        bool zero;
        n = most - at < sizeof buf ? most - at : sizeof buf;
        if (h->image->format->bitmap_read(h->image, b, at, n, buf, &zero, &h->e))
            return;
        if (at + n == bytes && b->n_bits % 8 && !zero)
            HOLDS(!(buf[n - 1] >> b->n_bits % 8));
    }
}

static void look_at_bitmaps(struct harness *h)
{
    const struct format *format = h->image->format;
    struct bitmap *list = NULL;
    size_t n = 0;
    if (!format->bitmap_list || format->bitmap_list(h->image, &list, &n, &h->e))
        return;
    for (size_t i = 0; i < n; i++)
        read_bitmap(h, &list[i]);
    bitmap_list_free(list, n);
}

static void measure(struct harness *h)
{
    const struct format *format = h->image->format;
    struct measure_result result = {0};
    const struct option_def *const tables[] = {format->create_options, NULL};
    if (!format->measure || !format->create_options || h->image->size > GIB)
        return;
    struct options *o = options_new(tables, &h->e);
    HOLDS(o);
    format->measure(o, h->image->size, h->image, &result, &h->e);
    options_free(o);
}

static void ignore_line(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static void check(struct harness *h)
{
    struct check_sink sink = {.line = ignore_line, .memory = CHECK_MEMORY};
    struct check_result result = {0};
    if (h->image->format->check)
        h->image->format->check(h->image, CHECK_FIX_NONE, &sink, &result, &h->e);
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* The key of all seeds. That of LUKS inside of qcow2 is not given: its cost cannot be cut. */
static struct secrets *secrets(void)
{
    struct err e = ERR_INIT;
    struct secrets *s = secrets_new(&e);
    HOLDS(s && !secrets_add(s, "secret,id=s,data=x", &e));
    return s;
}

static json_t *key_of(const char *format, struct file *f)
{
    uint8_t method[4] = {0};
    struct err e = ERR_INIT;
    if (!strcmp(format, "luks"))
        return json_pack("{s:s}", "key-secret", "s");
    HOLDS(!file_read_padded(f, method, 4, 32, NULL, &e));
    if (!strcmp(format, "qcow") || (!strcmp(format, "qcow2") && be32_load(method) == 1))
        return json_pack("{s:{s:s}}", "encrypt", "key-secret", "s");
    return NULL;
}

static void look_all(struct harness *h, enum purpose purpose)
{
    switch (purpose) {
    case TO_READ:
        walk(h);
        measure(h);
        look_at_bitmaps(h);
        look(h);
        break;
    case TO_CHECK:
        check(h);
        break;
    case TO_INFO:
        look(h);
        break;
    }
}

/* --safe: what a check says is of no interest here. */
static void inspect(struct file *f, const char *format)
{
    struct err e = ERR_INIT;
    inspect_file(f, format_find(format), true, NULL, &e);
    err_clear(&e);
    inspect_file(f, format_find("raw"), false, NULL, &e);
}

static void run(const char *format, const uint8_t *input, size_t n, enum purpose purpose)
{
    struct harness *h = calloc(1, sizeof *h);
    HOLDS(h);
    struct file *f = file_of(format, input, n, &h->e);
    struct image_flags flags = {.driver = format,
                                .no_backing = true,
                                .check = purpose == TO_CHECK,
                                .no_io = purpose == TO_INFO,
                                .secrets = secrets()};
    json_t *options = purpose == TO_READ ? key_of(format, f) : NULL;
    h->random = n;
    probe(f, &h->e);
    if (purpose == TO_INFO)
        inspect(f, format);
    if (!image_open_take_file(f, options, &flags, &h->image, &h->e)) {
        h->reader = image_reader_new(&h->e);
        HOLDS(h->reader);
        look_all(h, purpose);
        image_reader_free(h->reader);
        image_close(h->image, &h->e);
    }
    secrets_free(flags.secrets);
    json_decref(options);
    free(h);
}

void harness_run(const char *format, const uint8_t *input, size_t n)
{
    run(format, input, n, TO_READ);
    run(format, input, n, TO_INFO);
    if (format_find(format)->check)
        run(format, input, n, TO_CHECK);
}

#ifdef FUZZ_FORMAT
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    harness_run(FUZZ_FORMAT, data, size);
    return 0;
}
#endif
