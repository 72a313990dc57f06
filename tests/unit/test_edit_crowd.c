/* Threads write one image side by side, each its own stripes, which share clusters: nothing of one
 * is lost to another, and the image is as good as one thread would have left it. */
#include <pthread.h>
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
#include "formats/format.h"
#include "image/edit_crowd.h"

#define SIZE    (3 * MIB + 512)
#define STRIPE  3000u
#define MEMBERS 6u

static char path[64];
static uint8_t model[SIZE];

static void must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

static void create(const char *format, const char *text)
{
    struct err e = ERR_INIT;
    const struct format *f = format_find(format);
    const struct option_def *const tables[] = {f->create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    char size[32];
    snprintf(size, sizeof size, "%u", (unsigned)SIZE);
    must(!o || options_parse(o, text, NULL, &e) || options_set(o, "size", size, &e), &e);
    const struct create_options run = {.path = path, .format = f, .options = o};
    must(create_run(&run, &e), &e);
    options_free(o);
}

static struct image *open_image(const char *format, bool write)
{
    struct err e = ERR_INIT;
    struct image *img;
    const struct image_flags flags = {.write = write, .driver = format, .metadata_budget = 1};
    must(image_open_name(path, &flags, &img, &e), &e);
    return img;
}

struct member {
    unsigned number;
    struct edit_crowd *crowd;
    struct image *img;
    bool failed;
};

static int write_stripes(struct member *m, struct mover *mover, struct err *e)
{
    for (uint64_t at = m->number * STRIPE; at < SIZE; at += MEMBERS * STRIPE) {
        uint64_t len = num_min(STRIPE, SIZE - at);
        memset(model + at, (int)(1 + m->number + at / STRIPE % 7), len);
        if (edit_crowd_write(m->crowd, m->number, mover, at, model + at, len, e) ||
            (at / STRIPE % 97 == 0 && edit_crowd_flush(m->crowd, e)))
            return -1;
    }
    return 0;
}

static void *member_main(void *arg)
{
    struct member *m = arg;
    struct mover mover;
    struct err *e = calloc(1, sizeof *e);
    m->failed = !e || mover_init(&mover, m->img, e);
    if (!m->failed) {
        m->failed = write_stripes(m, &mover, e) != 0;
        mover_release(&mover);
    }
    free(e);
    return NULL;
}

static void write_together(struct image *img)
{
    struct err e = ERR_INIT;
    struct edit *d;
    struct edit_crowd *crowd;
    struct member members[MEMBERS];
    pthread_t threads[MEMBERS];
    must(edit_begin(img, &d, &e), &e);
    must(edit_crowd_new(d, MEMBERS, &crowd, &e), &e);
    for (unsigned i = 0; i < MEMBERS; i++) {
        members[i] = (struct member){.number = i, .crowd = crowd, .img = img};
        assert_int_equal(pthread_create(&threads[i], NULL, member_main, &members[i]), 0);
    }
    for (unsigned i = 0; i < MEMBERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(members[i].failed);
    }
    edit_crowd_free(crowd);
    must(edit_end(d, &e), &e);
}

static void same(const char *format)
{
    static uint8_t got[SIZE];
    struct err e = ERR_INIT;
    struct image *img = open_image(format, false);
    struct image_reader *r = image_reader_new(&e);
    struct check_result result = {0};
    const struct check_sink sink = {.memory = 64 * MIB};
    must(image_read(r, img, 0, SIZE, got, &e), &e);
    assert_memory_equal(got, model, SIZE);
    image_reader_free(r);
    if (img->format->check)
        must(img->format->check(img, CHECK_FIX_NONE, &sink, &result, &e), &e);
    assert_int_equal(result.corruptions + result.leaks + result.check_errors, 0);
    must(image_close(img, &e), &e);
}

static void crowd(const char *format, const char *options)
{
    struct err e = ERR_INIT;
    create(format, options);
    for (unsigned round = 0; round < 2; round++) { /* fresh, and in place */
        struct image *img = open_image(format, true);
        write_together(img);
        must(image_close(img, &e), &e);
        same(format);
    }
}

static void plain_images(void **state)
{
    (void)state;
    crowd("raw", "");
    crowd("qcow2", "");
    crowd("qcow2", "cluster_size=4k");
    crowd("vhdx", "block_size=1M");
    crowd("vmdk", "");
    crowd("vmdk", "subformat=monolithicFlat");
}

static void clusters_in_parts(void **state)
{
    (void)state;
    crowd("qcow2", "cluster_size=64k,extended_l2=on");
    crowd("qcow2", "cluster_size=2M");
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/test_edit_crowd.%d", (int)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_images),
        cmocka_unit_test(clusters_in_parts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
