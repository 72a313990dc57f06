/* Block status as qemu-img 7.2 shows it; each expectation was seen there. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fake_image.h"
#include "flow/status.h"
#include "io/memory.h"

#define STORED  (STATUS_DATA | STATUS_PRESENT | STATUS_ALLOCATED)
#define PLACED  (STORED | STATUS_PLACE)
#define NOTHING STATUS_ZERO
#define ZEROED  (STATUS_ZERO | STATUS_PRESENT | STATUS_ALLOCATED)

static struct file *memory(const char *name, uint64_t size)
{
    struct err e = ERR_INIT;
    struct file *f = NULL;
    assert_int_equal(memory_new(name, NULL, 0, &f, &e), 0);
    assert_int_equal(file_truncate(f, size, &e), 0);
    return f;
}

static void put(struct file *f, uint64_t off, size_t len)
{
    struct err e = ERR_INIT;
    char *bytes = test_malloc(len);
    memset(bytes, 'x', len);
    assert_int_equal(file_write(f, bytes, len, off, &e), 0);
    test_free(bytes);
}

static struct status at(struct fake *f, uint64_t guest)
{
    struct status s;
    struct status_rules *rules;
    struct err e = ERR_INIT;
    assert_int_equal(status_rules_new(&f->image, &rules, &e), 0);
    struct status_reader r = status_reader_of(rules);
    assert_int_equal(status_at(&r, guest, f->image.size, &s, &e), 0);
    status_rules_free(rules);
    return s;
}

static struct status run(struct fake *f, uint64_t guest)
{
    struct status s;
    struct status_rules *rules;
    struct err e = ERR_INIT;
    assert_int_equal(status_rules_new(&f->image, &rules, &e), 0);
    struct status_reader r = status_reader_of(rules);
    assert_int_equal(status_run(&r, guest, &s, &e), 0);
    status_rules_free(rules);
    return s;
}

static void kinds_have_their_flags(void **state)
{
    struct fake f;
    struct file *host = memory("host", MIB);
    (void)state;
    fake_init(&f, "qcow2", MIB, 64 * KIB);
    f.image.file = host;
    fake_add(&f, EXTENT_ZERO, 64 * KIB, 64 * KIB);
    fake_add_data(&f, 128 * KIB, 64 * KIB, host, 512 * KIB);
    fake_add(&f, EXTENT_PACKED, 192 * KIB, 64 * KIB)->file = host;
    struct extent *reserved = fake_add(&f, EXTENT_ZERO, 256 * KIB, 64 * KIB);
    reserved->has_host = true;
    reserved->file = host;
    reserved->host = 640 * KIB;
    put(host, 0, MIB);

    assert_int_equal(at(&f, 0).flags, NOTHING);
    assert_int_equal(at(&f, 0).length, 64 * KIB);
    assert_int_equal(at(&f, 64 * KIB).flags, ZEROED);
    assert_int_equal(at(&f, 128 * KIB + 5).flags, PLACED);
    assert_int_equal(at(&f, 128 * KIB + 5).offset, 512 * KIB + 5);
    assert_string_equal(at(&f, 128 * KIB).file, "host");
    assert_int_equal(at(&f, 192 * KIB).flags, STORED | STATUS_PACKED);
    assert_int_equal(at(&f, 256 * KIB).flags, ZEROED | STATUS_PLACE);

    f.image.encrypted = true;
    assert_int_equal(at(&f, 128 * KIB).flags, STORED);
    assert_null(at(&f, 128 * KIB).file);
    f.image.encrypted = false;
    f.format.name = "vhdx"; /* tells nothing */
    assert_int_equal(at(&f, 0).flags, STORED);
    assert_int_equal(at(&f, 0).length, MIB);
    f.format.name = "vdi"; /* calls absent blocks present */
    assert_int_equal(at(&f, 0).flags, ZEROED);
    file_cleanup(&host);
}

static void shows_holes(struct image *img, struct format_status *out)
{
    (void)img;
    *out = (struct format_status){.shows_holes = true, .reach = 3 * MIB};
}

static void holes_shine_through_where_the_format_shows_them(void **state)
{
    struct fake f;
    struct file *host = memory("host", 4 * MIB);
    (void)state;
    fake_init(&f, "vmdk", 4 * MIB, 64 * KIB);
    f.image.file = host;
    fake_add_data(&f, 0, 4 * MIB, host, 0);
    put(host, MIB, MIB);
    assert_int_equal(at(&f, 0).flags, PLACED); /* sparse: never; flat: always */
    f.image.cluster_size = 0;
    assert_int_equal(at(&f, 0).flags, PLACED | STATUS_ZERO);
    assert_int_equal(at(&f, 0).length, MIB);
    assert_int_equal(at(&f, MIB).flags, PLACED);
    assert_int_equal(at(&f, MIB).length, MIB);
    assert_int_equal(at(&f, 2 * MIB).length, 2 * MIB);
    f.image.cluster_size = 64 * KIB;
    f.format.status = shows_holes; /* the format itself says */
    assert_int_equal(at(&f, 0).flags, PLACED | STATUS_ZERO);
    assert_int_equal(run(&f, 2 * MIB).length, MIB);
    file_cleanup(&host);
}

static void backing_ends_before(void **state)
{
    struct fake top, base;
    struct file *host = memory("host", MIB);
    (void)state;
    put(host, 0, MIB);
    fake_init(&base, "raw", MIB, 0);
    fake_add_data(&base, 0, MIB, host, 0);
    base.image.file = host;
    fake_init(&top, "qcow2", 2 * MIB, 64 * KIB);
    top.image.file = host;
    top.image.backing = &base.image;
    struct status s = at(&top, 0);
    assert_int_equal(s.flags, PLACED);
    assert_int_equal(s.depth, 1);
    s = at(&top, MIB);
    assert_int_equal(s.flags, STATUS_ZERO | STATUS_ALLOCATED);
    assert_int_equal(s.depth, 0);
    base.n = 0;
    base.format.name = "qcow2";
    base.image.cluster_size = 64 * KIB;
    s = at(&top, 0); /* nothing in the whole chain: the last image's depth */
    assert_int_equal(s.flags, NOTHING);
    assert_int_equal(s.depth, 1);
    assert_int_equal(run(&top, 0).flags, NOTHING | STATUS_END); /* the backing image's end */
    file_cleanup(&host);
}

static void status_by_2_gib(struct image *img, struct format_status *out)
{
    (void)img;
    out->reach = 2 * GIB;
}

static void runs_end_where_the_driver_ends_them(void **state)
{
    struct fake f;
    (void)state;
    fake_init(&f, "raw", 8 * GIB, 0);
    assert_int_equal(run(&f, 5).length, 8 * GIB - 5);
    assert_int_equal(run(&f, 5).flags, NOTHING | STATUS_END);
    fake_init(&f, "any", 4 * GIB, 64 * KIB);
    f.format.status = status_by_2_gib;
    assert_int_equal(run(&f, MIB).length, 2 * GIB - MIB);
    assert_int_equal(run(&f, MIB).flags, NOTHING);
    assert_int_equal(run(&f, 2 * GIB).flags, NOTHING | STATUS_END);
    fake_init(&f, "vdi", 8 * MIB, MIB);
    assert_int_equal(run(&f, 3 * MIB + 7).length, MIB - 7);
    f.fails_at = 2 * MIB; /* what is behind is met when it is asked for */
    f.format.name = "vpc";
    assert_int_equal(run(&f, 0).length, 2 * MIB);
    assert_int_equal(run(&f, 0).flags, ZEROED);
}

/* A table that runs backwards through a file that is one hole. */
static void holes_are_asked_for_rarely(void **state)
{
    struct file *host = memory("host", 64 * GIB);
    struct err e = ERR_INIT;
    struct view v = view_of(NULL);
    (void)state;
    put(host, 40 * GIB, 64 * KIB);
    for (uint64_t at = 64 * GIB; at; at -= MIB) {
        struct extent x = {
            .kind = EXTENT_DATA, .length = MIB, .file = host, .host = at - MIB, .has_host = true};
        bool data = at - MIB == 40 * GIB;
        assert_int_equal(view_refine(&v, &x, &e), 0);
        assert_int_equal(x.file_hole, !data);
        assert_int_equal(x.length, data ? 64 * KIB : MIB);
        assert_true(x.host >= v.told[0].from && x.host + x.length <= v.told[0].to);
    }
    file_cleanup(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_have_their_flags),
        cmocka_unit_test(holes_shine_through_where_the_format_shows_them),
        cmocka_unit_test(backing_ends_before),
        cmocka_unit_test(runs_end_where_the_driver_ends_them),
        cmocka_unit_test(holes_are_asked_for_rarely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
