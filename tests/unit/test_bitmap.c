/* Persistent bitmaps of an image that is there: whatever is done to them and to the guest's data,
 * they say what a model says; stopped at any write, an image opens, leaks at worst, and each of its
 * bitmaps is right or says of itself that it is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/num.h"
#include "flow/bitmap.h"
#include "flow/create.h"
#include "formats/format.h"
#include "image/edit.h"
#include "io/fault.h"
#include "io/memory.h"

#define MOST   (40 * MIB) /* bytes of a disk */
#define NAMES  5u
#define BYTES  (MOST / 512 / 8) /* of a bitmap */
#define ROUNDS 60u

static uint64_t seed;

static uint64_t draw(uint64_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (seed >> 33) % below;
}

static void must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

/* ---- an image in memory ---------------------------------------------------------------------- */

struct store {
    uint8_t *bytes;
    size_t n;
};

static struct store create(const char *text, uint64_t size)
{
    struct err e = ERR_INIT;
    char path[64], number[32];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.30s/mpi-img-bitmap-%d", tmp ? tmp : "/tmp", (int)getpid());
    snprintf(number, sizeof number, "%u", (unsigned)size);
    const struct format *f = format_find("qcow2");
    const struct option_def *const tables[] = {f->create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    must(options_parse(o, text, NULL, &e), &e);
    must(options_set(o, "size", number, &e), &e);
    const struct create_options run = {.path = path, .format = f, .options = o};
    must(create_run(&run, &e), &e);
    options_free(o);
    FILE *file = fopen(path, "rb");
    fseek(file, 0, SEEK_END);
    struct store s = {.n = (size_t)ftell(file)};
    s.bytes = malloc(s.n);
    rewind(file);
    assert_int_equal(fread(s.bytes, 1, s.n, file), s.n);
    fclose(file);
    unlink(path);
    return s;
}

static void tell(void *ctx, const char *text)
{
    (void)ctx;
    if (strncmp(text, "Leaked", 6) != 0)
        fprintf(stderr, "%s\n", text);
}

static const struct check_sink sink = {.line = tell, .memory = 64 * MIB};

static struct image *open_store(const struct store *s, struct image_flags flags,
                                const struct fault *faults, size_t n_faults)
{
    struct err e = ERR_INIT;
    struct file *f;
    struct image *img;
    flags.driver = "qcow2";
    flags.metadata_budget = 1;
    must(memory_new("memory", s->bytes, s->n, &f, &e), &e);
    if (faults)
        must(fault_new(f, faults, n_faults, &f, &e), &e);
    f->opt.write = flags.write;
    must(image_open_take_file(f, NULL, &flags, &img, &e), &e);
    return img;
}

static struct image *open_to_write(const struct store *s)
{
    return open_store(s, (struct image_flags){.write = true}, NULL, 0);
}

/* What the image's file has now, whether or not somebody finished with it. */
static struct store fetch(struct image *img)
{
    struct err e = ERR_INIT;
    struct store s = {.n = file_size(img->file)};
    s.bytes = malloc(s.n);
    must(file_read(img->file, s.bytes, s.n, 0, &e), &e);
    return s;
}

static void close_image(struct image *img)
{
    struct err e = ERR_INIT;
    must(image_close(img, &e), &e);
}

static void keep(struct store *s, struct image *img)
{
    free(s->bytes);
    *s = fetch(img);
    close_image(img);
}

static void no_fault(const struct store *s, bool leaks)
{
    struct err e = ERR_INIT;
    struct check_result r = {0};
    struct image *img = open_store(s, (struct image_flags){.check = true}, NULL, 0);
    must(img->format->check(img, CHECK_FIX_NONE, &sink, &r, &e), &e);
    assert_int_equal(r.corruptions, 0);
    assert_int_equal(r.check_errors, 0);
    if (!leaks)
        assert_int_equal(r.leaks, 0);
    close_image(img);
}

/* ---- the model ------------------------------------------------------------------------------- */

struct model_bitmap {
    char name[8];
    unsigned granularity_bits;
    bool enabled;
    uint8_t bits[BYTES];
};

struct model {
    struct model_bitmap b[NAMES];
    unsigned n;
    uint64_t size;
};

static struct model_bitmap *model_find(struct model *m, const char *name)
{
    for (unsigned i = 0; i < m->n; i++)
        if (!strcmp(m->b[i].name, name))
            return &m->b[i];
    return NULL;
}

static void model_dirty(struct model_bitmap *b, uint64_t at, uint64_t len)
{
    bits_set(b->bits, at >> b->granularity_bits, ((at + len - 1) >> b->granularity_bits) + 1);
}

static bool is_set(const uint8_t *bits, uint64_t at)
{
    return bits[at / 8] >> at % 8 & 1;
}

static void model_merge(const struct model *m, struct model_bitmap *into,
                        const struct model_bitmap *from)
{
    uint64_t granule = UINT64_C(1) << from->granularity_bits;
    for (uint64_t k = 0; k * granule < m->size; k++)
        if (is_set(from->bits, k))
            model_dirty(into, k * granule, num_min(granule, m->size - k * granule));
}

static void model_resize(struct model *m, uint64_t size)
{
    m->size = size;
    for (unsigned i = 0; i < m->n; i++)
        bits_clear(m->b[i].bits, bitmap_bits(size, m->b[i].granularity_bits), BYTES * 8);
}

/* Does the image have this bitmap with these bits? */
static bool same_bits(struct image *img, struct bitmap *b, const uint8_t *model)
{
    struct err e = ERR_INIT;
    static uint8_t buf[BYTES];
    uint64_t bytes = bitmap_bytes(b);
    for (uint64_t at = 0, n; at < bytes; at += n) {
        bool zero;
        n = num_min(1 + draw(5000), bytes - at);
        must(img->format->bitmap_read(img, b, at, n, buf + at, &zero, &e), &e);
        if (zero)
            memset(buf + at, 0, n);
    }
    return !memcmp(buf, model, bytes);
}

static void same(const struct store *s, const struct model *m)
{
    struct err e = ERR_INIT;
    struct bitmap *list;
    size_t n;
    struct image *img = open_store(s, (struct image_flags){0}, NULL, 0);
    must(img->format->bitmap_list(img, &list, &n, &e), &e);
    assert_int_equal(n, m->n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(list[i].name, m->b[i].name);
        assert_int_equal(list[i].granularity_bits, m->b[i].granularity_bits);
        assert_int_equal(list[i].enabled, m->b[i].enabled);
        assert_false(list[i].inconsistent);
        if (!same_bits(img, &list[i], m->b[i].bits))
            fail_msg("bitmap %s is not what it should be", list[i].name);
    }
    bitmap_list_free(list, n);
    close_image(img);
    no_fault(s, false);
}

/* ---- actions --------------------------------------------------------------------------------- */

static bool model_add(struct model *m, const char *name, uint64_t granularity)
{
    if (model_find(m, name))
        return false;
    struct model_bitmap *b = &m->b[m->n++];
    memset(b, 0, sizeof *b);
    snprintf(b->name, sizeof b->name, "%s", name);
    b->granularity_bits = num_log2(granularity);
    b->enabled = true;
    return true;
}

static bool model_act(struct model *m, const struct bitmap_job *job, const struct bitmap_action *a)
{
    struct model_bitmap *b = model_find(m, job->name);
    struct model_bitmap *from = a->source ? model_find(m, a->source) : NULL;
    if (a->act == BITMAP_ADD)
        return model_add(m, job->name, job->granularity);
    if (!b || (a->act == BITMAP_MERGE && !from))
        return false;
    switch (a->act) {
    case BITMAP_REMOVE:
        m->n--;
        memmove(b, b + 1, (size_t)(&m->b[m->n] - b) * sizeof *b);
        break;
    case BITMAP_CLEAR:
        memset(b->bits, 0, BYTES);
        break;
    case BITMAP_MERGE:
        model_merge(m, b, from);
        break;
    default:
        b->enabled = a->act == BITMAP_ENABLE;
    }
    return true;
}

static const char *const names[NAMES] = {"a", "bb", "ccc", "dddd", "eeeee"};

/* Up to four actions on one bitmap; `source`: the same image once more, to merge from. */
static void bitmap_step(struct image *img, struct image *source, struct model *m)
{
    struct err e = ERR_INIT;
    struct bitmap_action actions[4];
    static const unsigned weight[] = {BITMAP_ADD,    BITMAP_ADD,     BITMAP_MERGE,
                                      BITMAP_MERGE,  BITMAP_MERGE,   BITMAP_CLEAR,
                                      BITMAP_ENABLE, BITMAP_DISABLE, BITMAP_REMOVE};
    struct bitmap_job job = {.image = img,
                             .source = source,
                             .name = names[draw(NAMES)],
                             .granularity = UINT64_C(512) << draw(13),
                             .actions = actions,
                             .n = 1 + draw(4)};
    /* what the other image has while this one changes */
    static struct model before;
    before = *m;
    bool good = true;
    for (size_t i = 0; i < job.n; i++) {
        actions[i].act = weight[draw(ARRAY_LEN(weight))];
        actions[i].source = actions[i].act == BITMAP_MERGE ? names[draw(NAMES)] : NULL;
        if (!good)
            continue;
        struct model_bitmap *b = model_find(m, job.name);
        if (!source || actions[i].act != BITMAP_MERGE) {
            good = model_act(m, &job, &actions[i]);
        } else {
            struct model_bitmap *from = model_find(&before, actions[i].source);
            good = b && from;
            if (good)
                model_merge(m, b, from);
        }
    }
    assert_int_equal(bitmap_run(&job, &e), good ? 0 : -1);
}

static void edit_step(struct image *img, struct model *m, bool large)
{
    static uint8_t buf[100000];
    struct err e = ERR_INIT;
    struct edit *d;
    memset(buf, 1 + (int)draw(255), sizeof buf);
    must(edit_begin(img, &d, &e), &e);
    for (unsigned steps = draw(12); steps--;) {
        uint64_t at = draw(m->size), len = 1 + draw(draw(2) ? 3000 : sizeof buf);
        unsigned what = draw(5);
        if (large && what < 2)
            len = 1 + draw(20 * MIB);
        len = num_min(len, m->size - at);
        if (what == 0)
            must(edit_discard(d, at, len, &e), &e);
        else if (what == 1)
            must(edit_zero(d, at, len, draw(2) ? EDIT_ZERO_KEEP : EDIT_ZERO_DROP, &e), &e);
        else if (what == 2)
            must(edit_flush(d, &e), &e);
        else
            must(edit_write(d, at, buf, len, &e), &e);
        for (unsigned i = 0; what != 2 && i < m->n; i++)
            if (m->b[i].enabled)
                model_dirty(&m->b[i], at, len);
    }
    must(edit_end(d, &e), &e);
}

static void resize_step(struct image *img, struct model *m)
{
    struct err e = ERR_INIT;
    uint64_t size = 512 * (1 + draw(MOST / 512));
    must(img->format->edit->resize(img, size, EDIT_PREALLOC_OFF, &e), &e);
    model_resize(m, size);
}

static void one_round(struct store *s, struct model *m)
{
    struct image *img = open_to_write(s), *source = NULL;
    for (unsigned i = 1 + draw(3); i--;) {
        if (draw(2)) {
            edit_step(img, m, draw(3) == 0);
        } else if (draw(5) == 0) {
            resize_step(img, m);
        } else {
            if (draw(3) == 0) {
                struct store copy = fetch(img);
                source = open_store(&copy, (struct image_flags){0}, NULL, 0);
                free(copy.bytes);
            }
            bitmap_step(img, source, m);
            if (source)
                close_image(source);
            source = NULL;
        }
    }
    keep(s, img);
}

static const char *const options[] = {"cluster_size=64k",
                                      "cluster_size=512",
                                      "cluster_size=4k,refcount_bits=1",
                                      "cluster_size=2M",
                                      "cluster_size=16k,extended_l2=on",
                                      "cluster_size=1k,refcount_bits=64"};

static void any_sequence(void **state)
{
    (void)state;
    static struct model m;
    for (size_t o = 0; o < ARRAY_LEN(options); o++) {
        seed = o;
        memset(&m, 0, sizeof m);
        m.size = 3 * MIB + 512;
        struct store s = create(options[o], m.size);
        for (unsigned round = 0; round < ROUNDS; round++) {
            one_round(&s, &m);
            same(&s, &m);
        }
        free(s.bytes);
    }
}

/* ---- stops ----------------------------------------------------------------------------------- */

/* Three bitmaps with bits and some data. */
static struct store begun(const char *text, struct model *m)
{
    struct err e = ERR_INIT;
    memset(m, 0, sizeof *m);
    m->size = 6 * MIB;
    struct store s = create(text, m->size);
    struct image *img = open_to_write(&s);
    for (unsigned i = 0; i < 3; i++) {
        const struct bitmap_action actions[] = {{BITMAP_ADD, NULL}, {BITMAP_DISABLE, NULL}};
        const struct bitmap_job job = {.image = img,
                                       .name = names[i],
                                       .granularity = UINT64_C(512) << 5 * i,
                                       .actions = actions,
                                       .n = i == 2 ? 2 : 1};
        must(bitmap_run(&job, &e), &e);
        model_add(m, names[i], job.granularity);
        m->b[i].enabled = i != 2;
    }
    for (unsigned i = 0; i < 4; i++)
        edit_step(img, m, false);
    keep(&s, img);
    same(&s, m);
    return s;
}

/* What is tried, and stopped: on the image, and on the model. */
struct trial {
    int (*run)(struct image *img, struct err *e);
    void (*model)(struct model *m);
};

static int run_merge(struct image *img, struct err *e)
{
    const struct bitmap_action actions[] = {
        {BITMAP_ADD, NULL}, {BITMAP_MERGE, "a"}, {BITMAP_MERGE, "bb"}};
    const struct bitmap_job job = {
        .image = img, .name = "dddd", .granularity = 4096, .actions = actions, .n = 3};
    return bitmap_run(&job, e);
}

static void model_run_merge(struct model *m)
{
    model_add(m, "dddd", 4096);
    model_merge(m, &m->b[3], &m->b[0]);
    model_merge(m, &m->b[3], &m->b[1]);
}

static int run_remove(struct image *img, struct err *e)
{
    const struct bitmap_action action = {BITMAP_REMOVE, NULL};
    const struct bitmap_job job = {.image = img, .name = "a", .actions = &action, .n = 1};
    return bitmap_run(&job, e);
}

static void model_run_remove(struct model *m)
{
    memmove(&m->b[0], &m->b[1], 2 * sizeof m->b[0]);
    m->n = 2;
}

static int run_edit(struct image *img, struct err *e)
{
    static uint8_t data[200000];
    struct edit *d;
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 % 251);
    if (edit_begin(img, &d, e))
        return -1;
    int r = edit_write(d, MIB - 77, data, sizeof data, e) || edit_flush(d, e) ||
            edit_zero(d, 4 * MIB, MIB, EDIT_ZERO_DROP, e) || edit_write(d, 3 * MIB + 1, data, 1, e);
    struct err ignored = ERR_INIT;
    return edit_end(d, r ? &ignored : e) || r ? -1 : 0;
}

static void model_run_edit(struct model *m)
{
    for (unsigned i = 0; i < 2; i++) {
        model_dirty(&m->b[i], MIB - 77, 200000);
        model_dirty(&m->b[i], 4 * MIB, MIB);
        model_dirty(&m->b[i], 3 * MIB + 1, 1);
    }
}

static int run_resize(struct image *img, struct err *e)
{
    return img->format->edit->resize(img, MIB + 512, EDIT_PREALLOC_OFF, e);
}

static void model_run_resize(struct model *m)
{
    model_resize(m, MIB + 512);
}

static uint8_t before[MOST], now[MOST];

static void read_guest(struct image *img, uint8_t *out)
{
    struct err e = ERR_INIT;
    struct image_reader *r = image_reader_new(&e);
    must(image_read(r, img, 0, img->size, out, &e), &e);
    image_reader_free(r);
}

/* Whatever is not as it was before is marked. */
static void tells_changes(struct image *img, struct bitmap *b)
{
    struct err e = ERR_INIT;
    static uint8_t bits[BYTES];
    bool zero;
    must(img->format->bitmap_read(img, b, 0, bitmap_bytes(b), bits, &zero, &e), &e);
    for (uint64_t at = 0; at < img->size; at += 512)
        if (memcmp(now + at, before + at, 512) != 0)
            assert_true(!zero && is_set(bits, at >> b->granularity_bits));
}

/* Each bitmap is as it was, or as it was to be, or inconsistent. */
static void old_or_new(const struct store *s, const struct model *was, const struct model *is)
{
    struct err e = ERR_INIT;
    struct bitmap *list;
    size_t n;
    struct image *img = open_store(s, (struct image_flags){0}, NULL, 0);
    must(img->format->bitmap_list(img, &list, &n, &e), &e);
    assert_true(n == was->n || n == is->n);
    read_guest(img, now);
    for (size_t i = 0; i < n; i++) {
        struct model_bitmap *a = model_find((struct model *)was, list[i].name);
        struct model_bitmap *b = model_find((struct model *)is, list[i].name);
        assert_true(a || b);
        if (!list[i].inconsistent && a && list[i].enabled)
            tells_changes(img, &list[i]);
        if (!list[i].inconsistent)
            assert_true((a && same_bits(img, &list[i], a->bits)) ||
                        (b && same_bits(img, &list[i], b->bits)));
    }
    bitmap_list_free(list, n);
    close_image(img);
    no_fault(s, true);
}

/* Stopped at write `nth`; true: it went through. */
static bool stopped(const struct store *s, const struct trial *t, uint64_t nth,
                    const struct model *was, const struct model *is)
{
    struct err e = ERR_INIT;
    const struct fault fault = {.op = FAULT_WRITE, .nth = nth, .and_after = true, .no = EIO};
    struct image *img = open_store(s, (struct image_flags){.write = true}, &fault, 1);
    int r = t->run(img, &e);
    struct store left = fetch(img);
    close_image(img);
    if (r)
        old_or_new(&left, was, is);
    else
        same(&left, is);
    free(left.bytes);
    return !r;
}

static void stops(void **state)
{
    (void)state;
    static const struct trial trials[] = {{run_merge, model_run_merge},
                                          {run_remove, model_run_remove},
                                          {run_edit, model_run_edit},
                                          {run_resize, model_run_resize}};
    static struct model was, is;
    for (size_t o = 0; o < 3; o++) {
        seed = 99 + o;
        struct store s = begun(options[o], &was);
        struct image *img = open_store(&s, (struct image_flags){0}, NULL, 0);
        read_guest(img, before);
        close_image(img);
        for (size_t i = 0; i < ARRAY_LEN(trials); i++) {
            is = was;
            trials[i].model(&is);
            uint64_t nth = 1;
            while (!stopped(&s, &trials[i], nth, &was, &is))
                nth++;
            assert_true(nth > 3);
        }
        free(s.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_sequence),
        cmocka_unit_test(stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
