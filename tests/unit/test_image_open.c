/* Opening: formats by name and by probing, options, chains and their ends, files beside an image.
 * Its own registry of formats stands in for that of the program. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"
#include "image/image.h"

/* ---- a format of one line: "toy SIZE BACKING FORMAT", "-" for none ----------------------------
 */

static int toy_probe(const uint8_t *head, size_t n, const char *filename)
{
    (void)filename;
    return n > 4 && !memcmp(head, "toy ", 4) ? 100 : 0;
}

static int toy_open(struct image *img, struct err *e)
{
    char text[512] = "", backing[256], format[32];
    unsigned long size;
    if (file_read_padded(img->file, text, sizeof text - 1, 0, NULL, e))
        return -1;
    if (sscanf(text, "toy %lu %255s %31s", &size, backing, format) != 3)
        return err_set(e, EINVAL, "Image is not in toy format");
    img->size = size;
    img->backing_name = strcmp(backing, "-") ? strdup(backing) : NULL;
    img->backing_format = strcmp(format, "-") ? strdup(format) : NULL;
    return 0;
}

static int toy_map(struct image *img, uint64_t guest, uint64_t length, struct extent *out,
                   struct err *e)
{
    (void)img;
    (void)guest;
    (void)e;
    out->kind = EXTENT_HOLE;
    out->length = length;
    return 0;
}

static const char *const toy_options[] = {"colour", "encrypt.", NULL};
static const struct format format_toy = {.name = "toy",
                                         .probe = toy_probe,
                                         .runtime_options = toy_options,
                                         .open = toy_open,
                                         .map = toy_map,
                                         .supports_backing = true};

const struct format *const format_all[] = {&format_raw, &format_toy, NULL};

const struct format *format_find(const char *name)
{
    return !strcmp(name, "raw") ? &format_raw : !strcmp(name, "toy") ? &format_toy : NULL;
}

const struct format *format_probe(const uint8_t *head, size_t n, const char *filename)
{
    return toy_probe(head, n, filename) ? &format_toy : &format_raw;
}

/* ---- a folder of images -----------------------------------------------------------------------
 */

static char folder[64];

static void put(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int enter_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/mpi-img-open-XXXXXX");
    return mkdtemp(folder) && !chdir(folder) && !system("mkdir sub") ? 0 : -1;
}

static int leave_folder(void **state)
{
    (void)state;
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return chdir("/") || system(command) ? -1 : 0;
}

static struct image *opened(const char *name, const struct image_flags *flags)
{
    static const struct image_flags none;
    struct err e = ERR_INIT;
    struct image *img = NULL;
    int rc = image_open_name(name, flags ? flags : &none, &img, &e);
    if (rc)
        print_message("%s\n", e.text);
    assert_int_equal(rc, 0);
    return img;
}

/* `want` is what follows "Could not open 'name': ". */
static void refused(const char *name, const struct image_flags *flags, const char *want)
{
    static const struct image_flags none;
    struct err e = ERR_INIT;
    struct image *img = NULL;
    char text[2048];
    assert_int_equal(image_open_name(name, flags ? flags : &none, &img, &e), -1);
    snprintf(text, sizeof text, "Could not open '%s': %s", name, want);
    assert_string_equal(e.text, text);
}

static void close_image(struct image *img)
{
    struct err e = ERR_INIT;
    assert_int_equal(image_close(img, &e), 0);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void formats_are_found(void **state)
{
    (void)state;
    put("a", "toy 4096 - -");
    put("empty", "");
    struct image *img = opened("a", NULL);
    assert_string_equal(image_format_name(img), "toy");
    assert_true(img->probed);
    assert_int_equal(img->size, 4096);
    close_image(img);
    img = opened("a", &(struct image_flags){.driver = "raw"});
    assert_string_equal(image_format_name(img), "raw");
    assert_false(img->probed);
    assert_int_equal(img->size, 512);
    close_image(img);
    img = opened("json:{\"driver\":\"file\",\"filename\":\"a\"}", NULL);
    assert_string_equal(image_format_name(img), "file");
    close_image(img);
    img = opened("a", &(struct image_flags){.driver = "file"});
    assert_string_equal(image_format_name(img), "file");
    close_image(img);
    img = opened("empty", NULL);
    assert_string_equal(image_format_name(img), "raw");
    assert_int_equal(img->size, 0);
    close_image(img);
}

static void what_cannot_be_opened(void **state)
{
    (void)state;
    put("r", "no toy");
    refused("nope", NULL, "Could not open 'nope': No such file or directory");
    refused("", NULL, "The 'file' block driver requires a file name");
    refused(".", NULL, "'file' driver requires '.' to be a regular file");
    refused("r", &(struct image_flags){.driver = "foo"}, "Unknown driver 'foo'");
    refused("r", &(struct image_flags){.driver = "toy"}, "Image is not in toy format");
    refused("json:{}", NULL, "Must specify either driver or file");
    refused("json:{\"driver\":\"raw\"}", NULL, "A block device must be specified for \"file\"");
    refused("json:{\"driver\":\"raw\",\"file\":\"r\"}", NULL,
            "Cannot find device='r' nor node-name='r'");
    refused("json:{\"driver\":\"raw\",\"file\":{\"driver\":\"x\"}}", NULL, "Unknown driver 'x'");
    refused("file:/dev/null", NULL, "'file' driver requires '/dev/null' to be a regular file");
}

static void options_are_checked(void **state)
{
    (void)state;
    static const struct image_flags writes = {.write = true};
    put("a", "toy 4096 - -");
#define A(more)                                                                                    \
    "json:{\"driver\":\"toy\",\"file\":{\"driver\":\"file\",\"filename\":\"a\"}," more "}"
    close_image(opened(A("\"colour\":1,\"encrypt\":{\"x\":1},\"node-name\":\"n\""), NULL));
    refused(A("\"taste\":{\"of\":[1,2]}"), NULL,
            "Block format 'toy' does not support the option 'taste.of.0'");
    refused(A("\"read-only\":\"x\""), NULL, "Parameter 'read-only' expects 'on' or 'off'");
    refused(A("\"read-only\":true"), &writes, "Block node is read-only");
    refused(A("\"force-share\":\"on\""), &writes,
            "force-share=on can only be used with read-only images");
    refused(A("\"discard\":\"x\""), NULL, "Invalid discard option");
    struct image *img = opened(A("\"cache\":{\"direct\":true},\"cache.no-flush\":\"on\""), NULL);
    assert_true(img->flags.cache.direct && img->flags.cache.no_flush);
    close_image(img);
#undef A
}

static void chains_are_opened(void **state)
{
    (void)state;
    put("base", "some raw bytes");
    put("sub/mid", "toy 8192 ../base raw");
    put("top", "toy 4096 sub/mid -");
    struct image *img = opened("top", NULL);
    assert_int_equal(img->chain_length, 3);
    assert_string_equal(img->backing->name, "sub/mid");
    assert_int_equal(img->backing->chain_length, 2);
    assert_string_equal(img->backing->backing->name, "sub/../base");
    assert_string_equal(img->backing->backing->format->name, "raw");
    assert_false(img->backing->backing->probed);
    close_image(img);
    img = opened("top", &(struct image_flags){.no_backing = true});
    assert_null(img->backing);
    close_image(img);
    img = opened("json:{\"driver\":\"toy\",\"backing\":null,\"file.filename\":\"top\"}", NULL);
    assert_null(img->backing);
    close_image(img);
    img = opened("json:{\"driver\":\"toy\",\"backing.driver\":\"raw\",\"file.filename\":\"top\"}",
                 NULL);
    assert_string_equal(img->backing->format->name, "raw");
    assert_null(img->backing->backing);
    close_image(img);
    img = opened("json:{\"driver\":\"toy\",\"backing\":{\"driver\":\"raw\",\"file\":{\"driver\":"
                 "\"file\",\"filename\":\"base\"}},\"file.filename\":\"top\"}",
                 NULL);
    assert_string_equal(img->backing->name, "base");
    close_image(img);
}

static void chains_that_end_badly(void **state)
{
    (void)state;
    put("m1", "toy 1 nope -");
    put("m2", "toy 1 m1 toy");
    put("m3", "toy 1 m2 raw");
    put("m4", "toy 1 foo:x -");
    put("m5", "toy 1 m2 foo");
    refused("m1", NULL,
            "Could not open backing file: Could not open 'nope': No such file or "
            "directory");
    refused("m2", NULL,
            "Could not open backing file: Could not open backing file: Could not open "
            "'nope': No such file or directory");
    close_image(opened("m3", NULL));
    refused("m4", NULL, "Could not open backing file: Unknown protocol 'foo'");
    refused("m5", NULL, "Could not open backing file: Unknown driver 'foo'");
    refused("json:{\"driver\":\"toy\",\"backing\":\"x\",\"file.filename\":\"m1\"}", NULL,
            "Could not open backing file: Cannot find device='x' nor node-name='x'");
}

static void loops_are_refused(void **state)
{
    (void)state;
    put("self", "toy 1 ./self -");
    put("l1", "toy 1 sub/l2 -");
    put("sub/l2", "toy 1 ../l3 toy");
    put("l3", "toy 1 ./l1 -");
    refused("self", NULL, "Backing file './self' creates an infinite loop.");
    refused("l1", NULL, "Backing file 'sub/.././l1' creates an infinite loop.");
    /* the same file twice, but not read twice as an overlay */
    put("twice", "toy 1 twice raw");
    struct image *img = opened("twice", NULL);
    assert_int_equal(img->chain_length, 2);
    close_image(img);
}

static void names_beside_an_image(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"o.img", "b", "b"},
        {"d/o.img", "b", "d/b"},
        {"/d/o.img", "../b", "/d/../b"},
        {"d/o.img", "/b", "/b"},
        {"d/o.img", "nbd:h:1", "nbd:h:1"},
        {"d/o.img", "json:{}", "json:{}"},
        {"d/o.img", "./a:b", "d/./a:b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = ERR_INIT;
        struct image img = {.name = (char *)cases[i][0], .backing_name = (char *)cases[i][1]};
        char *path = image_backing_path(&img, &e);
        assert_string_equal(path, cases[i][2]);
        free(path);
        img.name = "not this one";
        img.spec = json_pack("{s:s, s:{s:s, s:{s:s, s:s}}}", "driver", "toy", "file", "driver",
                             "raw", "file", "driver", "file", "filename", cases[i][0]);
        path = image_backing_path(&img, &e);
        assert_string_equal(path, cases[i][2]);
        free(path);
        json_decref(img.spec);
    }
    struct err e = ERR_INIT;
    struct image img = {.name = "x", .backing_name = "b"};
    img.spec = json_pack("{s:s, s:{s:s}}", "driver", "toy", "file", "driver", "nbd");
    assert_null(image_backing_path(&img, &e));
    assert_string_equal(e.text, "Could not determine absolute backing filename, but backing "
                                "filename 'b' present");
    json_decref(img.spec);
}

static void parts_of_an_image(void **state)
{
    (void)state;
    struct err e = ERR_INIT;
    put("sub/a", "toy 1 - -");
    put("sub/nbd:b", "data");
    struct image *img = opened("sub/a", NULL);
    struct file *f = NULL;
    assert_int_equal(image_open_member(img, "nbd:b", &f, &e), 0);
    assert_int_equal(file_size(f), 4);
    file_cleanup(&f);
    assert_int_equal(image_open_member(img, "json:{}", &f, &e), -1);
    assert_string_equal(e.text, "Could not open 'sub/json:{}': No such file or directory");
    close_image(img);
}

static void windows_and_images_below(void **state)
{
    (void)state;
    put("w", "AAAABBBBCCCC");
    struct err e = ERR_INIT;
    char buf[512];
    struct image *img = opened("json:{\"driver\":\"raw\",\"file\":{\"driver\":\"raw\",\"offset\":4,"
                               "\"file\":{\"driver\":\"file\",\"filename\":\"w\"}}}",
                               NULL);
    struct image_reader *r = image_reader_new(&e);
    assert_int_equal(img->size, 512);
    assert_int_equal(image_read(r, img, 0, 512, buf, &e), 0);
    assert_memory_equal(buf, "BBBBCCCC\0\0\0", 11);
    image_reader_free(r);
    close_image(img);
    put("t", "toy 4096 w raw");
    img = opened("json:{\"driver\":\"raw\",\"offset\":8,\"file\":{\"driver\":\"toy\",\"file\":{"
                 "\"driver\":\"file\",\"filename\":\"t\"}}}",
                 NULL);
    r = image_reader_new(&e);
    assert_int_equal(image_read(r, img, 0, 512, buf, &e), 0);
    assert_memory_equal(buf, "CCCC\0\0\0", 7);
    image_reader_free(r);
    close_image(img);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_found),        cmocka_unit_test(what_cannot_be_opened),
        cmocka_unit_test(options_are_checked),      cmocka_unit_test(chains_are_opened),
        cmocka_unit_test(chains_that_end_badly),    cmocka_unit_test(loops_are_refused),
        cmocka_unit_test(names_beside_an_image),    cmocka_unit_test(parts_of_an_image),
        cmocka_unit_test(windows_and_images_below),
    };
    return cmocka_run_group_tests(tests, enter_folder, leave_folder);
}
