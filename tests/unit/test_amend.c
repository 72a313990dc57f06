/* Amending, stopped at every write: the image opens, its check finds leaks at worst, and every
 * state of it reads as before, with the options as they were or as they are to be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/num.h"
#include "flow/create.h"
#include "formats/amend.h"
#include "formats/format.h"
#include "image/edit.h"
#include "image/secret.h"
#include "tape.h"

#define SIZE      (256 * KIB)
#define SNAPSHOTS 2
#define STATES    (1 + SNAPSHOTS)

static uint64_t seed;
static char path[64];
static struct secrets *secrets;

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

/* ---- images ---------------------------------------------------------------------------------- */

static void create(const char *format, const char *text, bool backed)
{
    struct err e = ERR_INIT;
    const struct format *f = format_find(format);
    const struct option_def *const tables[] = {f->create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    must(!o, &e);
    must(options_parse(o, text, NULL, &e), &e);
    must(options_set(o, "size", "262144", &e), &e);
    if (backed) {
        must(options_set(o, "backing_file", "below", &e), &e);
        must(options_set(o, "backing_fmt", "raw", &e), &e);
    }
    const struct create_options run = {.path = path,
                                       .format = f,
                                       .options = o,
                                       .backing_name = backed ? "below" : NULL,
                                       .backing_format = backed ? "raw" : NULL,
                                       .secrets = secrets};
    must(create_run(&run, &e), &e);
    options_free(o);
}

static struct image_flags flags_of(const char *format, bool write)
{
    return (struct image_flags){
        .write = write, .driver = format, .metadata_budget = 1, .secrets = secrets};
}

/* The options that say which secret opens an encrypted image. */
static json_t *opening(const char *format, const char *key)
{
    if (!key)
        return NULL;
    return !strcmp(format, "luks") ? json_pack("{s:s}", "key-secret", key)
                                   : json_pack("{s:{s:s}}", "encrypt", "key-secret", key);
}

/* NULL with the error set if it does not open. Takes the file. */
static struct image *image_of(struct file *f, const char *format, const char *key, bool write,
                              struct err *e)
{
    struct image *img = NULL;
    const struct image_flags flags = flags_of(format, write);
    json_t *spec = opening(format, key);
    image_open_take_file(f, spec, &flags, &img, e);
    json_decref(spec);
    return img;
}

static struct image *image_must(struct file *f, const char *format, const char *key, bool write)
{
    struct err e = ERR_INIT;
    struct image *img = image_of(f, format, key, write, &e);
    must(!img, &e);
    return img;
}

static uint8_t *bytes_of(const char *name, size_t *n)
{
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    uint8_t *buf = malloc(8 * MIB);
    assert_non_null(buf);
    *n = fread(buf, 1, 8 * MIB, f);
    assert_true(*n && *n < 8 * MIB);
    fclose(f);
    return buf;
}

static void write_some(struct image *img, unsigned times)
{
    static uint8_t buf[SIZE];
    struct err e = ERR_INIT;
    struct edit *d;
    must(edit_begin(img, &d, &e), &e);
    while (times--) {
        uint64_t at = num_down(draw(SIZE), 4 * KIB), len = num_up(1 + draw(60 * KIB), 4 * KIB);
        len = num_min(len, SIZE - at);
        memset(buf, 1 + (int)draw(255), len);
        must(draw(2) ? edit_write(d, at, buf, len, &e)
                     : edit_zero(d, at, len, draw(2) ? EDIT_ZERO_KEEP : EDIT_ZERO_DROP, &e),
             &e);
    }
    must(edit_end(d, &e), &e);
}

/* Data, zeros with and without a place, snapshots that share them. */
static uint8_t *build(const char *format, const char *options, const char *key, bool backed,
                      unsigned snapshots, size_t *n)
{
    struct err e = ERR_INIT;
    size_t len;
    struct file *f;
    create(format, options, backed);
    uint8_t *fresh = bytes_of(path, &len);
    must(memory_new("image", fresh, len, &f, &e), &e);
    free(fresh);
    struct image *img = image_must(f, format, key, true);
    write_some(img, 6);
    for (unsigned i = 0; i < snapshots; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        must(img->format->edit->snapshot_create(img, name, 1700000000, 5, &e), &e);
        write_some(img, 4);
    }
    *n = file_size(img->file);
    uint8_t *buf = malloc(*n);
    assert_non_null(buf);
    must(file_read(img->file, buf, *n, 0, &e), &e);
    must(image_close(img, &e), &e);
    return buf;
}

/* ---- what it shows --------------------------------------------------------------------------- */

/* A state: its bytes, and where an image below it would be seen. */
struct seen {
    uint8_t data[SIZE];
    bool hole[SIZE / 512];
};

static void look(struct image *img, struct seen *s)
{
    struct err e = ERR_INIT;
    struct extent x;
    uint64_t size = num_min(SIZE, img->size);
    struct image_reader *r = image_reader_new(&e);
    memset(s, 0, sizeof *s);
    must(image_read(r, img, 0, size, s->data, &e), &e);
    image_reader_free(r);
    for (uint64_t at = 0; at < size; at += x.length) {
        must(image_map(img, at, size - at, &x, &e), &e);
        bool hole = x.kind == EXTENT_HOLE && img->backing_name;
        memset(&s->hole[at / 512], hole, x.length / 512);
    }
}

struct all_seen {
    struct seen state[STATES];
    unsigned n;
};

static void look_at_all(struct file *f, const char *key, unsigned snapshots, struct all_seen *all)
{
    struct err e = ERR_INIT;
    struct image *img = image_must(f, "qcow2", key, false);
    look(img, &all->state[0]);
    all->n = 1;
    for (unsigned i = 0; i < snapshots; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%u", i);
        must(img->format->load_snapshot(img, NULL, name, &e), &e);
        look(img, &all->state[all->n++]);
    }
    must(image_close(img, &e), &e);
}

static void tell(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

/* No cluster is counted less than it is referred to; `leaks`: may there be any? */
static void sound(struct file *f, bool leaks, const char *where)
{
    struct err e = ERR_INIT;
    struct image *img;
    struct check_result result = {0};
    const struct check_sink sink = {.line = tell, .memory = 64 * MIB};
    struct image_flags flags = flags_of("qcow2", false);
    flags.check = flags.no_io = true;
    must(image_open_take_file(f, NULL, &flags, &img, &e), &e);
    must(img->format->check(img, CHECK_FIX_NONE, &sink, &result, &e), &e);
    if (result.corruptions || result.check_errors || (result.leaks && !leaks))
        fail_msg("%s: %d faults, %d errors, %d leaks", where, (int)result.corruptions,
                 (int)result.check_errors, (int)result.leaks);
    must(image_close(img, &e), &e);
}

/* ---- amending -------------------------------------------------------------------------------- */

static int amend(struct image *img, const char *text, bool force, struct err *e)
{
    const struct option_def *const tables[] = {img->format->amend->options, NULL};
    struct options *o = options_new(tables, e);
    must(!o, e);
    must(options_parse(o, text, NULL, e), e);
    const struct amend_request r = {.options = o, .force = force};
    int rc = img->format->amend->run(img, &r, e);
    options_free(o);
    return rc;
}

/* Amend the image and keep what was written; false if it was refused: then nothing was. */
static bool record(const uint8_t *bytes, size_t n, const char *format, const char *key,
                   const char *text, bool force, struct tape_log *log)
{
    struct err e = ERR_INIT;
    struct image *img = image_must(tape_new(bytes, n, log), format, key, true);
    int rc = amend(img, text, force, &e);
    struct err late = ERR_INIT;
    must(image_close(img, &late), &late);
    if (!rc)
        return true;
    for (size_t i = 0; i < log->n; i++)
        if (log->steps[i].op == TAPE_WRITE && log->steps[i].off < 512)
            fail_msg("'%s' was refused (%s), but the header was written", text, e.text);
    return false;
}

static void same_states(const struct all_seen *was, const struct all_seen *is, const char *where)
{
    for (unsigned i = 0; i < was->n; i++) {
        if (memcmp(was->state[i].data, is->state[i].data, SIZE))
            fail_msg("%s: state %u reads otherwise", where, i);
        if (memcmp(was->state[i].hole, is->state[i].hole, sizeof was->state[i].hole))
            fail_msg("%s: state %u lets another image through", where, i);
    }
}

static void stops(const struct tape_log *log, const char *key, unsigned snapshots,
                  const struct all_seen *was, const char *text)
{
    static struct all_seen is;
    char where[200];
    for (size_t at = 0; at <= log->n; at++) {
        for (int how = TAPE_IN_ORDER; how <= TAPE_BUT_ONE; how++) {
            snprintf(where, sizeof where, "'%s', step %zu of %zu, %d", text, at, log->n, how);
            look_at_all(tape_stopped(log, at, how), key, snapshots, &is);
            same_states(was, &is, where);
            sound(tape_stopped(log, at, how), at < log->n, where);
        }
    }
}

static void try_one(const char *options, const char *key, bool backed, unsigned snapshots,
                    const char *text)
{
    static struct all_seen was;
    struct err e = ERR_INIT;
    struct tape_log log;
    struct file *f;
    size_t n;
    uint8_t *bytes = build("qcow2", options, key, backed, snapshots, &n);
    must(memory_new("before", bytes, n, &f, &e), &e);
    look_at_all(f, key, snapshots, &was);
    if (record(bytes, n, "qcow2", key, text, false, &log))
        stops(&log, key, snapshots, &was, text);
    tape_log_release(&log);
    free(bytes);
}

static void stopped(void **state)
{
    (void)state;
    static const char *const options[] = {"cluster_size=4k", "cluster_size=512",
                                          "cluster_size=64k,lazy_refcounts=on",
                                          "cluster_size=1k,refcount_bits=64"};
    static const char *const texts[] = {"compat=0.10,refcount_bits=16",
                                        "refcount_bits=64",
                                        "refcount_bits=2",
                                        "refcount_bits=16,lazy_refcounts=on",
                                        "compat=1.1,refcount_bits=8,lazy_refcounts=off",
                                        "size=320k",
                                        "size=320k,refcount_bits=32"};
    for (size_t o = 0; o < ARRAY_LEN(options); o++)
        for (size_t t = 0; t < ARRAY_LEN(texts); t++)
            try_one(options[o], NULL, draw(2), (unsigned)draw(SNAPSHOTS + 1), texts[t]);
    for (unsigned i = 0; i < 8; i++)
        try_one("cluster_size=4k", NULL, i & 1, i % 3, texts[0]);
}

static void upgraded(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        try_one("compat=0.10,cluster_size=4k", NULL, i & 1, i, "compat=1.1,refcount_bits=4");
}

static void shrunk(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct tape_log log;
    size_t n;
    static const char *const texts[] = {"size=100k", "size=0", "size=100k,refcount_bits=64",
                                        "size=100k,compat=0.10,refcount_bits=16"};
    for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
        uint8_t *bytes = build("qcow2", "cluster_size=4k", NULL, t & 1, 0, &n);
        assert_true(record(bytes, n, "qcow2", NULL, texts[t], false, &log));
        for (size_t at = 0; at <= log.n; at++) {
            sound(tape_stopped(&log, at, TAPE_IN_ORDER), at < log.n, texts[t]);
            struct image *img =
                image_must(tape_stopped(&log, at, TAPE_IN_ORDER), "qcow2", NULL, false);
            assert_true(img->size == SIZE || img->size == 100 * KIB || !img->size);
            must(image_close(img, &e), &e);
        }
        tape_log_release(&log);
        free(bytes);
    }
}

/* Zeros of an encrypted image are stored under its key. */
static void encrypted(void **state)
{
    (void)state;
    try_one("cluster_size=64k,encrypt.format=luks,encrypt.key-secret=a", "a", true, 1,
            "compat=0.10");
    try_one("cluster_size=4k,encrypt.format=aes,encrypt.key-secret=a", "a", true, 1, "compat=0.10");
}

/* ---- keys ------------------------------------------------------------------------------------ */

static bool opens(const struct tape_log *log, size_t at, enum tape_stop how, const char *format,
                  const char *key, const uint8_t *data)
{
    static struct seen is;
    struct err e = ERR_INIT;
    struct image *img = image_of(tape_stopped(log, at, how), format, key, false, &e);
    if (!img) {
        assert_string_equal(e.text, "Invalid password, cannot unlock any keyslot");
        return false;
    }
    look(img, &is);
    assert_memory_equal(is.data, data, SIZE);
    must(image_close(img, &e), &e);
    return true;
}

/* After the amendment `now` opens the image, `gone` (may be NULL) does not; at every stop one of
 * them does, and `stays` (may be NULL) always does. */
static uint8_t *keys(uint8_t *bytes, size_t *n, const char *format, const char *open_with,
                     const char *text, const char *now, const char *gone, const char *stays)
{
    static struct seen was;
    struct err e = ERR_INIT;
    struct tape_log log;
    struct file *f;
    must(memory_new("before", bytes, *n, &f, &e), &e);
    struct image *img = image_must(f, format, open_with, false);
    look(img, &was);
    must(image_close(img, &e), &e);
    assert_true(record(bytes, *n, format, open_with, text, true, &log));
    for (size_t at = 0; at <= log.n; at++) {
        for (int how = TAPE_IN_ORDER; how <= TAPE_BUT_ONE; how++) {
            bool first = opens(&log, at, how, format, now, was.data);
            bool second = gone && opens(&log, at, how, format, gone, was.data);
            if (!first && !second && !stays)
                fail_msg("'%s', step %zu: locked out", text, at);
            if (stays)
                assert_true(opens(&log, at, how, format, stays, was.data));
            if (at == log.n)
                assert_true(first && !second);
        }
    }
    f = tape_stopped(&log, log.n, TAPE_IN_ORDER);
    *n = file_size(f);
    bytes = realloc(bytes, *n);
    assert_non_null(bytes);
    must(file_read(f, bytes, *n, 0, &e), &e);
    file_cleanup(&f);
    tape_log_release(&log);
    return bytes;
}

/* The options with their prefix. */
static const char *prefixed(const char *prefix, const char *text)
{
    static char out[200];
    size_t n = (size_t)snprintf(out, sizeof out, "%s", prefix);
    for (; *text; text++)
        n += (size_t)snprintf(out + n, sizeof out - n, "%c%s", *text, *text == ',' ? prefix : "");
    return out;
}

static void slots(const char *format, const char *options, const char *prefix)
{
    static const struct {
        const char *with, *text, *now, *gone, *stays;
    } steps[] = {
        {"a", "state=active,new-secret=b", "b", NULL, "a"},
        {"a", "state=inactive,old-secret=a", "b", "a", "b"},
        {"b", "state=active,new-secret=c,keyslot=1", "c", "b", NULL},
        {"c", "state=active,new-secret=a,keyslot=6", "a", NULL, "c"},
        {"c", "state=active,new-secret=b,keyslot=6", "b", "a", "c"},
    };
    size_t n;
    uint8_t *bytes = build(format, options, "a", false, 0, &n);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        bytes = keys(bytes, &n, format, steps[i].with, prefixed(prefix, steps[i].text),
                     steps[i].now, steps[i].gone, steps[i].stays);
    free(bytes);
}

static void key_slots(void **state)
{
    (void)state;
    slots("luks", "key-secret=a", "");
    slots("qcow2", "encrypt.format=luks,encrypt.key-secret=a", "encrypt.");
}

static int set_up(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.30s/mpi-img-amend-%d", tmp ? tmp : "/tmp", (int)getpid());
    setenv("MPI_IMG_SEED", "1", 1); /* few iterations */
    secrets = secrets_new(&e);
    must(!secrets, &e);
    must(secrets_add(secrets, "secret,id=a,data=one", &e), &e);
    must(secrets_add(secrets, "secret,id=b,data=two", &e), &e);
    must(secrets_add(secrets, "secret,id=c,data=three", &e), &e);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    secrets_free(secrets);
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped),   cmocka_unit_test(upgraded),  cmocka_unit_test(shrunk),
        cmocka_unit_test(encrypted), cmocka_unit_test(key_slots),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
