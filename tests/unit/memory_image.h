/* Images in memory: for the tests of drivers. Needs cmocka.h included before. */
#ifndef TESTS_MEMORY_IMAGE_H
#define TESTS_MEMORY_IMAGE_H

#include "image/image.h"
#include "io/memory.h"

/* NULL with the error set if the driver refuses it. */
static inline struct image *memory_image(const char *driver, const void *data, size_t n,
                                         struct err *e)
{
    struct file *f = NULL;
    struct image *img = NULL;
    struct image_flags flags = {.driver = driver};
    err_clear(e);
    assert_int_equal(memory_new("image", data, n, &f, e), 0);
    image_open_take_file(f, NULL, &flags, &img, e);
    return img;
}

static inline struct image *memory_image_good(const char *driver, const void *data, size_t n)
{
    struct err e = ERR_INIT;
    struct image *img = memory_image(driver, data, n, &e);
    if (!img)
        print_error("%s\n", e.text);
    assert_non_null(img);
    return img;
}

/* It is refused, and these words say so. */
static inline void memory_image_refused(const char *driver, const void *data, size_t n,
                                        const char *words)
{
    struct err e = ERR_INIT;
    assert_null(memory_image(driver, data, n, &e));
    assert_true(e.set);
    if (!strstr(e.text, words))
        print_error("'%s' is not '%s'\n", e.text, words);
    assert_non_null(strstr(e.text, words));
}

static inline void memory_image_close(struct image *img)
{
    struct err e = ERR_INIT;
    assert_int_equal(image_close(img, &e), 0);
}

/* The extent at `guest`, as far as it goes. */
static inline struct extent memory_image_map(struct image *img, uint64_t guest)
{
    struct err e = ERR_INIT;
    struct extent x;
    assert_int_equal(image_map(img, guest, img->size - guest, &x, &e), 0);
    return x;
}

#endif
