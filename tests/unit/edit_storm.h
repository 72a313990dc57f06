/*
 * Random writes, zeros, discards and flushes in an image that is there, mirrored on plain memory:
 * what is read back is what was written, at once, after a flush and after opening again, and the
 * check finds nothing. Needs cmocka.h included before.
 */
#ifndef TESTS_EDIT_STORM_H
#define TESTS_EDIT_STORM_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "flow/create.h"
#include "formats/format.h"
#include "image/edit.h"

struct storm {
    const char *driver;
    const char *path;
    const char *options; /* of create; NULL: the image is there already */
    const char *base;    /* name of a backing image of the same format, or NULL */
    json_t *spec;        /* options to open it with, borrowed, or NULL */
    struct secrets *secrets;
    uint64_t size;
    uint64_t seed;
    unsigned rounds, steps; /* steps: of each round */
    uint64_t at_most;       /* bytes of a request; 0 = 400000 */
    uint8_t *model;
};

static inline uint64_t storm_draw(struct storm *s, uint64_t below)
{
    s->seed = s->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (s->seed >> 33) % below;
}

static inline void storm_must(int r, const struct err *e)
{
    if (r)
        fail_msg("%s", e->text);
}

static inline void storm_create(const char *driver, const char *path, const char *text,
                                uint64_t size, const char *base, struct secrets *secrets)
{
    struct err e = ERR_INIT;
    const struct format *f = format_find(driver);
    const struct option_def *const tables[] = {f->create_options, file_create_options, NULL};
    struct options *o = options_new(tables, &e);
    storm_must(!o, &e);
    storm_must(options_parse(o, text, NULL, &e), &e);
    char number[32];
    snprintf(number, sizeof number, "%llu", (unsigned long long)size);
    storm_must(options_set(o, "size", number, &e), &e);
    if (base)
        storm_must(options_set(o, "backing_file", base, &e), &e);
    const struct create_options run = {.path = path,
                                       .format = f,
                                       .options = o,
                                       .backing_name = base,
                                       .backing_format = base ? driver : NULL,
                                       .secrets = secrets};
    storm_must(create_run(&run, &e), &e);
    options_free(o);
}

static inline struct image *storm_open(const struct storm *s, bool write, bool check)
{
    struct err e = ERR_INIT;
    struct image *img = NULL;
    const struct image_flags flags = {.write = write,
                                      .driver = s->driver,
                                      .metadata_budget = 1,
                                      .check = check,
                                      .secrets = s->secrets};
    if (s->spec)
        storm_must(image_open(s->spec, s->path, &flags, &img, &e), &e);
    else
        storm_must(image_open_name(s->path, &flags, &img, &e), &e);
    return img;
}

static inline void storm_close(struct image *img)
{
    struct err e = ERR_INIT;
    storm_must(image_close(img, &e), &e);
}

static inline void storm_same(const struct storm *s, struct image *img)
{
    struct err e = ERR_INIT;
    uint8_t *got = malloc(s->size);
    struct image_reader *r = image_reader_new(&e);
    storm_must(image_read(r, img, 0, s->size, got, &e), &e);
    for (size_t i = 0; i < s->size; i++)
        if (got[i] != s->model[i])
            fail_msg("byte %zu is %02x, should be %02x", i, got[i], s->model[i]);
    image_reader_free(r);
    free(got);
}

static inline void storm_tell(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s\n", text);
}

static inline void storm_sound(const struct storm *s)
{
    struct err e = ERR_INIT;
    struct check_result result = {0};
    const struct check_sink sink = {.line = storm_tell, .memory = 64 * MIB};
    struct image *img = storm_open(s, false, true);
    if (img->format->check)
        storm_must(img->format->check(img, CHECK_FIX_NONE, &sink, &result, &e), &e);
    assert_int_equal(result.corruptions + result.check_errors + result.leaks, 0);
    storm_close(img);
}

static inline void storm_step(struct storm *s, struct edit *d)
{
    struct err e = ERR_INIT;
    uint64_t most = s->at_most ? s->at_most : 400000;
    uint64_t at = storm_draw(s, s->size), len = 1 + storm_draw(s, storm_draw(s, 3) ? 5000 : most);
    if (storm_draw(s, 2)) {
        at = num_down(at, 65536);
        len = num_up(len, 65536);
    }
    len = num_min(len, s->size - at);
    uint64_t kind = storm_draw(s, 6);
    if (kind == 1) {
        storm_must(edit_flush(d, &e), &e);
    } else if (kind == 0) {
        enum edit_zero how = storm_draw(s, 2) ? EDIT_ZERO_KEEP : EDIT_ZERO_DROP;
        storm_must(edit_zero(d, at, len, how, &e), &e);
        memset(s->model + at, 0, len);
    } else {
        for (uint64_t i = 0; i < len; i++)
            s->model[at + i] = (uint8_t)(1 + storm_draw(s, 255));
        storm_must(edit_write(d, at, s->model + at, len, &e), &e);
    }
}

/* One time open for writing. */
static inline void storm_round(struct storm *s)
{
    struct err e = ERR_INIT;
    struct edit *d;
    struct image *img = storm_open(s, true, false);
    assert_int_equal(img->size, s->size);
    storm_must(edit_begin(img, &d, &e), &e);
    for (unsigned i = 0; i < s->steps; i++) {
        storm_step(s, d);
        if (i % 16 == 0)
            storm_same(s, img);
    }
    storm_must(edit_end(d, &e), &e);
    storm_same(s, img);
    storm_close(img);
}

static inline void storm_run(struct storm *s)
{
    bool own = !s->model;
    if (own)
        s->model = calloc(1, s->size);
    if (s->options)
        storm_create(s->driver, s->path, s->options, s->size, s->base, s->secrets);
    for (unsigned i = 0; i < s->rounds; i++) {
        storm_round(s);
        struct image *img = storm_open(s, false, false);
        storm_same(s, img);
        storm_close(img);
        storm_sound(s);
    }
    if (own) {
        free(s->model);
        s->model = NULL;
    }
}

#endif
