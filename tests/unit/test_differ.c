/* What an overlay would show differently on another backing image: by the maps, and by the bytes.
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

#include "base/num.h"
#include "flow/create.h"
#include "flow/differ.h"
#include "formats/format.h"
#include "image/edit.h"

#define UNIT (64 * KIB)
#define SIZE (2 * MIB)

static char folder[] = "/tmp/mpi-img-differ-XXXXXX";

static void must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

static char *path_of(const char *name)
{
    static char text[64];
    snprintf(text, sizeof text, "%s/%s", folder, name);
    return text;
}

static void create(const char *name, const char *backing, uint64_t size)
{
    struct err e = ERR_INIT;
    const struct format *f = format_find("qcow2");
    const struct option_def *const tables[] = {f->create_options, NULL};
    struct options *o = options_new(tables, &e);
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)size);
    must(!o || options_set(o, "size", text, &e), &e);
    if (backing)
        must(options_set(o, "backing_file", backing, &e) ||
                 options_set(o, "backing_fmt", "qcow2", &e),
             &e);
    const struct create_options run = {.path = path_of(name),
                                       .format = f,
                                       .options = o,
                                       .backing_name = backing,
                                       .backing_format = backing ? "qcow2" : NULL};
    must(create_run(&run, &e), &e);
    options_free(o);
}

static struct image *open_image(const char *name, bool write)
{
    struct err e = ERR_INIT;
    struct image *img = NULL;
    const struct image_flags flags = {.write = write, .driver = "qcow2"};
    must(image_open_name(path_of(name), &flags, &img, &e), &e);
    return img;
}

/* `n` bytes of `value` at `guest`. */
static void put(const char *name, uint64_t guest, size_t n, uint8_t value)
{
    struct err e = ERR_INIT;
    struct image *img = open_image(name, true);
    struct edit *d = NULL;
    uint8_t *buf = malloc(n);
    memset(buf, value, n);
    must(edit_begin(img, &d, &e), &e);
    must(edit_write(d, guest, buf, n, &e), &e);
    must(edit_end(d, &e), &e);
    free(buf);
    image_cleanup(&img);
}

/* In units of the disk, 0 to 15; '.' nothing, and the other ends before the others do:
 *
 *     base     1111............
 *     middle   ......2.........   over base
 *     top      ..3.............   over middle
 *     other    1119......4.....   the 9 is a single byte
 */
static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    create("base", NULL, SIZE);
    put("base", 0, 4 * UNIT, 1);
    create("middle", "base", SIZE);
    put("middle", 6 * UNIT, UNIT, 2);
    create("other", NULL, 20 * UNIT);
    put("other", 0, 4 * UNIT, 1);
    put("other", 3 * UNIT + 1000, 1, 9);
    put("other", 10 * UNIT, UNIT, 4);
    create("top", "middle", SIZE);
    put("top", 2 * UNIT, UNIT, 3);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"base", "middle", "other", "top"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        unlink(path_of(names[i]));
    return rmdir(folder);
}

/* The kind of what holds `guest`. */
static enum differ_kind kind_at(struct differ_map *m, uint64_t guest)
{
    struct err e = ERR_INIT;
    struct differ_part p;
    differ_seek(m, 0, SIZE);
    do
        must(differ_next(m, &p, &e), &e);
    while (p.length && p.guest + p.length <= guest);
    assert_true(p.length && p.guest <= guest);
    return p.kind;
}

static void maps_tell(void **state)
{
    (void)state;
    struct image *top = open_image("top", false), *base = open_image("base", false);
    struct image *other = open_image("other", false);
    struct differ_map m = differ_map_of(&(struct differ_images){top, {top->backing, base}});
    assert_int_equal(kind_at(&m, 0), DIFFER_SAME); /* opened twice, one file all the same */
    assert_int_equal(kind_at(&m, 2 * UNIT), DIFFER_OWN);
    assert_int_equal(kind_at(&m, 3 * UNIT), DIFFER_SAME);
    assert_int_equal(kind_at(&m, 6 * UNIT), DIFFER_UNLIKE);
    assert_int_equal(kind_at(&m, 7 * UNIT), DIFFER_ZERO);
    m = differ_map_of(&(struct differ_images){top, {top->backing, other}});
    assert_int_equal(kind_at(&m, 0), DIFFER_UNLIKE);
    assert_int_equal(kind_at(&m, 2 * UNIT), DIFFER_OWN);
    assert_int_equal(kind_at(&m, 10 * UNIT), DIFFER_UNLIKE);
    assert_int_equal(kind_at(&m, SIZE - 1), DIFFER_ZERO); /* behind the end of the other */
    m = differ_map_of(&(struct differ_images){top, {NULL, NULL}});
    assert_int_equal(kind_at(&m, 0), DIFFER_ZERO);
    image_cleanup(&other);
    image_cleanup(&base);
    image_cleanup(&top);
}

/* The pieces of the first MiB, a letter for each unit: what is left, data, zeros. */
static void pieces(struct image *top, struct image *below, char *out)
{
    struct err e = ERR_INIT;
    struct chunk c;
    struct differ *d = NULL;
    struct image_reader *r = image_reader_new(&e);
    const struct differ_images images = {top, {top->backing, below}};
    must(!r || chunk_init(&c, MIB, 0, 0, &e) || differ_new(&images, UNIT, MIB, &d, &e), &e);
    must(differ_read(d, r, &c, 0, MIB, &e), &e);
    for (size_t i = 0; i < c.n_pieces; i++)
        for (uint32_t at = 0; at < c.pieces[i].length; at += UNIT)
            out[(c.pieces[i].at + at) / UNIT] = c.pieces[i].kind == PIECE_DATA   ? 'd'
                                                : c.pieces[i].kind == PIECE_ZERO ? 'z'
                                                                                 : '.';
    out[MIB / UNIT] = '\0';
    for (size_t i = 0; i < MIB; i++)
        if (out[i / UNIT] == 'd')
            assert_int_equal(c.buf[i], i / UNIT < 4 ? 1 : 2); /* what the old chain shows */
    chunk_release(&c);
    differ_free(d);
    image_reader_free(r);
}

static void units_that_differ_become_pieces(void **state)
{
    (void)state;
    char text[MIB / UNIT + 1];
    struct image *top = open_image("top", false), *base = open_image("base", false);
    struct image *other = open_image("other", false);
    pieces(top, base, text);
    assert_string_equal(text, "......d.........");
    pieces(top, other, text);
    assert_string_equal(text, "...d..d...z.....");
    pieces(top, NULL, text);
    assert_string_equal(text, "dd.d..d.........");
    image_cleanup(&other);
    image_cleanup(&base);
    image_cleanup(&top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(maps_tell),
        cmocka_unit_test(units_that_differ_become_pieces),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
