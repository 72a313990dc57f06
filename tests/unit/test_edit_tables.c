/* Images whose blocks stand in tables, changed in place: what is read is what was written, at once
 * and after opening again, and no check finds a fault. A stop at any write leaves each sector as
 * one of the requests since the last flush made it, or as it was at that flush. Others may read
 * beside.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "flow/create.h"
#include "formats/format.h"
#include "formats/table_edit.h"
#include "formats/vpc/vpc.h"
#include "image/edit.h"
#include "io/memory.h"
#include "tests/unit/crash_disk.h"

#define SIZE    (5 * MIB + 1536)
#define SECTORS (SIZE / DISK_SECTOR)
#define BASE    (SIZE - 70 * DISK_SECTOR) /* bytes of the backing image */
#define STAMPS  16u                       /* requests between two flushes */

static char path[64], base_path[64];
static uint64_t seed = 1;

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

/* ---- what a sector should hold --------------------------------------------------------------- */

enum { STAMP_ZERO, STAMP_BASE, STAMP_FIRST };

/* The stamps that each sector may show, the newest last. */
struct model {
    uint32_t stamp[SECTORS][STAMPS];
    uint8_t n[SECTORS];
};

static struct model model;
static uint32_t next_stamp;
static unsigned requests; /* since the last flush */

static void sector_fill(uint8_t *buf, uint64_t sector, uint32_t stamp)
{
    memset(buf, 0, DISK_SECTOR);
    for (unsigned i = 0; stamp && i < DISK_SECTOR; i += 64) {
        le32_store(buf + i, stamp);
        le32_store(buf + i + 4, (uint32_t)sector);
    }
}

static void base_fill(uint8_t *buf)
{
    for (uint64_t i = 0; i < BASE / DISK_SECTOR; i++)
        sector_fill(buf + i * DISK_SECTOR, i, i % 300 < 200 ? STAMP_BASE : STAMP_ZERO);
}

static void model_reset(bool backed)
{
    for (uint64_t i = 0; i < SECTORS; i++) {
        model.n[i] = 1;
        model.stamp[i][0] =
            backed && i < BASE / DISK_SECTOR && i % 300 < 200 ? STAMP_BASE : STAMP_ZERO;
    }
    requests = 0;
}

static void model_add(uint64_t sector, uint64_t n, uint32_t stamp)
{
    for (uint64_t i = sector; i < sector + n; i++)
        model.stamp[i][model.n[i]++] = stamp;
}

static bool sector_may(const uint8_t *buf, uint64_t sector, unsigned *which)
{
    uint8_t should[DISK_SECTOR];
    for (*which = model.n[sector]; (*which)--;) {
        sector_fill(should, sector, model.stamp[sector][*which]);
        if (!memcmp(buf, should, DISK_SECTOR))
            return true;
    }
    return false;
}

enum look { LOOK_NEWEST, LOOK_ANY, LOOK_SETTLE };

/* SETTLE: what it shows is what it holds, and may show, from now on. */
static void model_check(const uint8_t *buf, enum look how, const char *when)
{
    for (uint64_t i = 0; i < SECTORS; i++) {
        unsigned which;
        if (!sector_may(buf + i * DISK_SECTOR, i, &which))
            fail_msg("%s: sector %u holds %u of %u, may hold %u or %u", when, (unsigned)i,
                     le32_load(buf + i * DISK_SECTOR), le32_load(buf + i * DISK_SECTOR + 4),
                     model.stamp[i][0], model.stamp[i][model.n[i] - 1]);
        if (how == LOOK_NEWEST && which + 1 != model.n[i])
            fail_msg("%s: sector %u is old: %u of %u", when, (unsigned)i, which, model.n[i]);
        if (how == LOOK_SETTLE) {
            model.stamp[i][0] = model.stamp[i][which];
            model.n[i] = 1;
        }
    }
}

/* ---- images ---------------------------------------------------------------------------------- */

struct kind {
    const char *format, *options;
    bool backed;
};

static const struct kind *kind;
static struct crash_disk disk;

static void disk_make(void)
{
    struct err e = ERR_INIT;
    const struct format *f = format_find(kind->format);
    const struct option_def *const tables[] = {f->create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    bool stored = kind->backed && !strncmp(kind->format, "q", 1); /* parallels stores none */
    char size[32];
    snprintf(size, sizeof size, "%u", (unsigned)SIZE);
    must(options_parse(o, kind->options, NULL, &e) || options_set(o, "size", size, &e), &e);
    if (stored)
        must(options_set(o, "backing_file", base_path, &e), &e);
    const struct create_options run = {.path = path,
                                       .format = f,
                                       .options = o,
                                       .backing_name = stored ? base_path : NULL,
                                       .backing_format = stored ? "raw" : NULL};
    must(create_run(&run, &e), &e);
    options_free(o);

    static uint8_t all[16 * MIB];
    FILE *in = fopen(path, "rb");
    size_t n = fread(all, 1, sizeof all, in);
    fclose(in);
    assert_true(n < sizeof all);
    crash_disk_init(&disk, all, n);
}

static struct image *raw_image(void)
{
    static uint8_t base[BASE];
    struct err e = ERR_INIT;
    struct file *f;
    struct image *img;
    const struct image_flags flags = {.driver = "raw"};
    base_fill(base);
    must(memory_new("base", base, BASE, &f, &e), &e);
    must(image_open_take_file(f, NULL, &flags, &img, &e), &e);
    return img;
}

static struct image *open_image(struct crash_disk *d, bool write)
{
    struct err e = ERR_INIT;
    struct image *img;
    const struct image_flags flags = {
        .driver = kind->format, .write = write, .metadata_budget = 1, .check = !write};
    must(image_open_take_file(crash_file(d), NULL, &flags, &img, &e), &e);
    if (kind->backed) {
        img->backing = raw_image();
        img->chain_length = 2;
    }
    return img;
}

static void close_image(struct image *img)
{
    struct err e = ERR_INIT;
    must(image_close(img, &e), &e);
}

static void look_at(struct image *img, enum look how, const char *when)
{
    static uint8_t got[SIZE];
    struct err e = ERR_INIT;
    struct image_reader *r = image_reader_new(&e);
    if (image_read(r, img, 0, SIZE, got, &e))
        fail_msg("%s: %s", when, e.text);
    image_reader_free(r);
    model_check(got, how, when);
}

static char told[4096];

static void tell(void *ctx, const char *text)
{
    (void)ctx;
    snprintf(told + strlen(told), sizeof told - strlen(told), "%s\n", text);
}

/* A count of blocks that is too large is all that a stop may leave of a vdi. */
static unsigned forgiven(void)
{
    unsigned is, should;
    const char *line = strstr(told, "ERROR: allocated blocks mismatch");
    return line &&
           sscanf(line, "ERROR: allocated blocks mismatch, is %u, should be %u", &is, &should) ==
               2 &&
           is < should;
}

static void no_fault(struct crash_disk *d, bool stopped, const char *when)
{
    struct err e = ERR_INIT;
    struct check_result result = {0};
    const struct check_sink sink = {.line = tell, .memory = 64 * MIB};
    struct image *img = open_image(d, false);
    told[0] = 0;
    if (img->format->check)
        must(img->format->check(img, CHECK_FIX_NONE, &sink, &result, &e), &e);
    bool in_use = strstr(told, "image was not closed correctly");
    result.corruptions -= stopped ? forgiven() + in_use : 0;
    if (result.corruptions || result.check_errors || (!stopped && result.leaks))
        fail_msg("%s: %u faults, %u leaks\n%s", when, (unsigned)result.corruptions,
                 (unsigned)result.leaks, told);
    close_image(img);
}

/* ---- requests -------------------------------------------------------------------------------- */

static bool may_fail; /* a write fails somewhere: then requests do */

static void done(int r, const struct err *e)
{
    if (r && !may_fail)
        fail_msg("%s", e->text);
}

static void request_flush(struct edit *d, struct image *img)
{
    struct err e = ERR_INIT;
    int r = edit_flush(d, &e);
    done(r, &e);
    requests = 0;
    if (!may_fail || !r)
        look_at(img, LOOK_SETTLE, "flushed");
}

static void request(struct edit *d, struct image *img)
{
    static uint8_t buf[SIZE];
    struct err e = ERR_INIT;
    uint64_t at = draw(SECTORS), n = 1 + draw(draw(3) ? 12 : 2500);
    if (draw(3) == 0) {
        at = num_down(at, 2048);
        n = num_up(n, 2048);
    }
    n = num_min(n, SECTORS - at);
    unsigned what = (unsigned)draw(8);
    if (requests == STAMPS - 1 || !what) {
        request_flush(d, img);
        return;
    }
    requests++;
    if (what == 1) {
        model_add(at, n, STAMP_ZERO);
        done(edit_zero(d, at * DISK_SECTOR, n * DISK_SECTOR,
                       draw(2) ? EDIT_ZERO_KEEP : EDIT_ZERO_DROP, &e),
             &e);
        return;
    }
    uint32_t stamp = next_stamp++;
    for (uint64_t i = 0; i < n; i++)
        sector_fill(buf + i * DISK_SECTOR, at + i, stamp);
    model_add(at, n, stamp);
    done(edit_write(d, at * DISK_SECTOR, buf, n * DISK_SECTOR, &e), &e);
}

static struct edit *begin(struct image *img)
{
    struct err e = ERR_INIT;
    struct edit *d;
    must(edit_begin(img, &d, &e), &e);
    if (!draw(3)) /* the tables' memory is used up all the time */
        ((struct table_edit *)img->state)->most = 1;
    return d;
}

static void start(const struct kind *k)
{
    kind = k;
    next_stamp = STAMP_FIRST;
    model_reset(k->backed);
    disk_make();
}

static void stop(void)
{
    crash_disk_release(&disk);
    unlink(path);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static const struct kind kinds[] = {
    {"vdi", "", false},
    {"vdi", "static=on", false},
    {"vpc", "force_size=on", false},
    {"vpc", "force_size=on,subformat=fixed", false},
    {"parallels", "", false},
    {"parallels", "cluster_size=65536", false},
    {"parallels", "cluster_size=65536", true},
    {"parallels", "cluster_size=1536", false},
    {"qed", "", false},
    {"qed", "cluster_size=4096,table_size=1", false},
    {"qed", "cluster_size=4096,table_size=1", true},
    {"qed", "", true},
    {"qcow", "", false},
    {"qcow", "", true},
};

static void storms(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        start(&kinds[k]);
        for (unsigned round = 0; round < 3; round++) {
            struct err e = ERR_INIT;
            struct image *img = open_image(&disk, true);
            struct edit *d = begin(img);
            for (unsigned i = 0; i < 60; i++) {
                request(d, img);
                if (i % 8 == 0)
                    look_at(img, LOOK_NEWEST, "beside");
            }
            must(edit_end(d, &e), &e);
            look_at(img, LOOK_SETTLE, "ended");
            requests = 0;
            close_image(img);
            img = open_image(&disk, false);
            look_at(img, LOOK_NEWEST, "opened again");
            close_image(img);
            no_fault(&disk, false, kinds[k].format);
        }
        stop();
    }
}

/* A VHD ends with its footer at any time. */
static void has_footer(const struct disk *left, const char *when)
{
    uint8_t buf[VPC_FOOTER_SIZE];
    struct vpc_footer f;
    disk_get(left, left->size - sizeof buf, buf, sizeof buf);
    if (vpc_footer_load(buf, &f) != VPC_FOOTER_GOOD)
        fail_msg("%s: no footer", when);
}

static void stop_once(const struct crash_disk *d)
{
    struct crash_disk left;
    char when[64];
    memset(&left, 0, sizeof left);
    pthread_mutex_init(&left.lock, NULL);
    bool orderly = draw(3) == 0;
    crash_state(d, orderly, draw, &left.now);
    snprintf(when, sizeof when, "%s (%s), stopped at change %u", kind->format, kind->options,
             (unsigned)d->ops);
    if (!strcmp(kind->format, "vpc"))
        has_footer(&left.now, when);
    struct image *img = open_image(&left, false);
    look_at(img, LOOK_ANY, when);
    close_image(img);
    no_fault(&left, true, when);
    crash_disk_release(&left);
}

/* The first changes are the rarest. */
static void stopped(struct crash_disk *d, void *ctx)
{
    (void)ctx;
    unsigned n = d->ops < 10 ? 8 : d->ops < 60 ? 1 : !draw(12);
    while (n--)
        stop_once(d);
}

static void stops(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        start(&kinds[k]);
        disk.changed = stopped;
        for (unsigned round = 0; round < 3; round++) {
            struct err e = ERR_INIT;
            struct image *img = open_image(&disk, true);
            struct edit *d = begin(img);
            for (unsigned i = 0; i < 25; i++)
                request(d, img);
            must(edit_end(d, &e), &e);
            look_at(img, LOOK_SETTLE, "ended");
            requests = 0;
            close_image(img);
        }
        no_fault(&disk, false, kinds[k].format);
        stop();
    }
}

/* After a stop the image is opened and written on: what was lost is used again, or leaks. */
static void goes_on(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        start(&kinds[k]);
        for (unsigned round = 0; round < 6; round++) {
            struct err e = ERR_INIT;
            struct image *img = open_image(&disk, true);
            struct edit *d = begin(img);
            may_fail = true;
            disk.fail_at = disk.ops + 1 + draw(40);
            for (unsigned i = 0; i < 15; i++)
                request(d, img);
            may_fail = false;
            disk.fail_at = draw(2) ? disk.ops + 1 + draw(3) : 0;
            int r = edit_end(d, &e);
            assert_true(!r || disk.fail_at);
            disk.fail_at = 0;
            d = r ? begin(img) : NULL; /* what was not written is written now */
            must(edit_end(d, &e), &e);
            look_at(img, LOOK_SETTLE, "ended after a failure");
            requests = 0;
            close_image(img);
            no_fault(&disk, true, kinds[k].format);
        }
        stop();
    }
}

/* ---- reading beside -------------------------------------------------------------------------- */

struct reading {
    struct image *img;
    atomic_bool over;
    atomic_uint bad;
};

/* Each sector holds what belongs there at some time. */
static void *read_beside(void *ctx)
{
    struct reading *x = ctx;
    struct err *e = calloc(1, sizeof *e);
    struct image_reader *r = image_reader_new(e);
    uint8_t *buf = malloc(64 * DISK_SECTOR);
    for (uint64_t i = 0; !x->over; i += 61) {
        uint64_t at = i * 64 % (SECTORS - 64);
        if (image_read(r, x->img, at * DISK_SECTOR, 64 * DISK_SECTOR, buf, e))
            x->bad++;
        for (unsigned k = 0; k < 64; k++)
            if (le32_load(buf + k * DISK_SECTOR) && le32_load(buf + k * DISK_SECTOR + 4) != at + k)
                x->bad++;
    }
    image_reader_free(r);
    free(buf);
    free(e);
    return NULL;
}

static void beside(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        struct err e = ERR_INIT;
        start(&kinds[k]);
        struct image *img = open_image(&disk, true);
        struct edit *d = begin(img);
        struct reading x = {.img = img};
        pthread_t threads[3];
        for (unsigned i = 0; i < 3; i++)
            pthread_create(&threads[i], NULL, read_beside, &x);
        for (unsigned i = 0; i < 30; i++)
            request(d, img);
        x.over = true;
        for (unsigned i = 0; i < 3; i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(x.bad, 0);
        must(edit_end(d, &e), &e);
        look_at(img, LOOK_NEWEST, "read beside");
        close_image(img);
        stop();
    }
}

/* ---- qed: what the header alone says -----------------------------------------------------------
 */

static const char *old_name, *new_name;

static bool is_name(const char *is, const char *name)
{
    return is && name ? !strcmp(is, name) : is == name;
}

/* At any moment the image has the old name, or the new one. */
static void renaming(struct crash_disk *d, void *ctx)
{
    (void)ctx;
    for (unsigned i = 0; i < 8; i++) {
        struct err e = ERR_INIT;
        struct crash_disk left;
        struct image *img;
        const struct image_flags flags = {.driver = "qed"};
        memset(&left, 0, sizeof left);
        pthread_mutex_init(&left.lock, NULL);
        crash_state(d, i == 0, draw, &left.now);
        must(image_open_take_file(crash_file(&left), NULL, &flags, &img, &e), &e);
        if (!is_name(img->backing_name, old_name) && !is_name(img->backing_name, new_name))
            fail_msg("'%s' is neither '%s' nor '%s'", img->backing_name, old_name, new_name);
        close_image(img);
        crash_disk_release(&left);
    }
}

static void backing_names(void **state)
{
    (void)state;
    static char longest[4000];
    static const char *const names[] = {
        "a", "abc", NULL, "x/longer than that", "abcdefghi", longest, "b", "", "short"};
    static const struct kind qed = {"qed", "cluster_size=4096,table_size=2", false};
    memset(longest, 'l', sizeof longest - 1);
    start(&qed);
    disk.changed = renaming;
    old_name = NULL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err e = ERR_INIT;
        struct image *img = open_image(&disk, true);
        bool raw = draw(2);
        new_name = names[i] && *names[i] ? names[i] : NULL;
        must(img->format->edit->set_backing(img, names[i], raw ? "raw" : "qcow2", &e), &e);
        assert_true(is_name(img->backing_name, new_name));
        close_image(img);
        img = open_image(&disk, false);
        assert_true(is_name(img->backing_name, new_name));
        assert_true(is_name(img->backing_format, new_name && raw ? "raw" : NULL));
        close_image(img);
        old_name = new_name;
    }
    struct err e = ERR_INIT;
    struct image *img = open_image(&disk, true);
    static char too_long[4096];
    memset(too_long, 'l', sizeof too_long - 1);
    assert_int_equal(img->format->edit->set_backing(img, too_long, NULL, &e), -1);
    assert_true(is_name(img->backing_name, old_name));
    close_image(img);
    stop();
}

static void refuses(struct image *img, uint64_t size, enum edit_prealloc prealloc,
                    const char *words)
{
    struct err e = ERR_INIT;
    uint64_t was = img->size;
    assert_int_equal(img->format->edit->resize(img, size, prealloc, &e), -1);
    assert_string_equal(e.text, words);
    assert_int_equal(img->size, was);
}

static void qed_grows(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    struct edit *d;
    static uint8_t buf[512];
    static const struct kind qed = {"qed", "cluster_size=4096,table_size=2", false},
                             backed = {"qed", "", true};
    start(&qed);
    struct image *img = open_image(&disk, true);
    refuses(img, SIZE - 512, EDIT_PREALLOC_OFF, "Shrinking images is currently not supported");
    refuses(img, SIZE, EDIT_PREALLOC_FULL, "Unsupported preallocation mode 'full'");
    refuses(img, 8 * GIB, EDIT_PREALLOC_OFF, "Invalid image size specified");
    must(img->format->edit->resize(img, 4 * GIB, EDIT_PREALLOC_OFF, &e), &e);
    assert_int_equal(img->size, 4 * GIB);
    memset(buf, 7, sizeof buf);
    must(edit_begin(img, &d, &e) || edit_write(d, 4 * GIB - 512, buf, 512, &e) || edit_end(d, &e),
         &e);
    close_image(img);
    img = open_image(&disk, false);
    assert_int_equal(img->size, 4 * GIB);
    look_at(img, LOOK_NEWEST, "grown");
    close_image(img);
    no_fault(&disk, false, "grown");
    stop();

    start(&backed); /* a larger backing image would show */
    img = open_image(&disk, true);
    img->backing->size = SIZE + 512;
    refuses(img, SIZE + 512, EDIT_PREALLOC_OFF, "Block driver does not support requested flags");
    close_image(img);
    stop();
}

/* ---- qcow: emptied --------------------------------------------------------------------------- */

static void qcow_empties(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct err e = ERR_INIT;
        const struct kind qcow = {"qcow", "", i == 1};
        start(&qcow);
        uint64_t fresh = disk.now.size;
        struct image *img = open_image(&disk, true);
        struct edit *d = begin(img);
        for (unsigned k = 0; k < 20; k++)
            request(d, img);
        must(edit_end(d, &e), &e);
        must(img->format->edit->empty(img, &e), &e);
        model_reset(qcow.backed);
        look_at(img, LOOK_NEWEST, "emptied");
        assert_true(disk.now.size <= fresh);
        d = begin(img);
        for (unsigned k = 0; k < 20; k++)
            request(d, img);
        must(edit_end(d, &e), &e);
        look_at(img, LOOK_SETTLE, "written again");
        close_image(img);
        img = open_image(&disk, false);
        look_at(img, LOOK_NEWEST, "opened again");
        close_image(img);
        stop();
    }
}

static int set_up(void **state)
{
    (void)state;
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%.30s/mpi-img-tables-%d", tmp ? tmp : "/tmp", (int)getpid());
    snprintf(base_path, sizeof base_path, "%.58s.base", path);
    FILE *f = fopen(base_path, "wb");
    fclose(f);
    return truncate(base_path, BASE);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(base_path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(storms),        cmocka_unit_test(stops),
        cmocka_unit_test(goes_on),       cmocka_unit_test(beside),
        cmocka_unit_test(backing_names), cmocka_unit_test(qed_grows),
        cmocka_unit_test(qcow_empties),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
