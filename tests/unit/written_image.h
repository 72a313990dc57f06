/* An image that a driver's writer wrote into memory, chunk by chunk, opened again by the driver:
 * what it maps must be what went in. Needs cmocka.h included before. */
#ifndef TESTS_WRITTEN_IMAGE_H
#define TESTS_WRITTEN_IMAGE_H

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "formats/format.h"
#include "formats/writer.h"
#include "io/memory.h"
#include "io/pages.h"

#define WRITTEN_GRAIN 512u /* each sector of data begins with its guest offset */

struct written {
    const struct format *format;
    struct file *file;
    struct image img;
    uint64_t size;     /* as asked for */
    uint64_t one_unit; /* the writer's; 0: in place */
    /* Is there data at that guest offset? Called for the first byte of each unit, or grain. */
    bool (*data_at)(uint64_t guest);
};

static const struct option_def *written_tables[3];

static inline struct options *written_options(const struct format *format, const char *text)
{
    struct err e = ERR_INIT;
    written_tables[0] = format->create_options;
    written_tables[1] = file_create_options;
    struct options *o = options_new(written_tables, &e);
    assert_non_null(o);
    assert_int_equal(options_parse(o, text, NULL, &e), 0);
    return o;
}

static inline void written_sector(uint64_t guest, uint8_t *buf)
{
    memset(buf, 0x5a, WRITTEN_GRAIN);
    memcpy(buf, &guest, sizeof guest);
}

static inline void written_put(struct file *f, uint64_t guest, uint64_t host, uint64_t len)
{
    struct err e = ERR_INIT;
    uint8_t buf[WRITTEN_GRAIN];
    for (uint64_t at = 0; at < len; at += sizeof buf) {
        written_sector(guest + at, buf);
        assert_int_equal(file_write(f, buf, sizeof buf, host + at, &e), 0);
    }
}

static inline void written_chunk(struct written *x, struct writer *w, uint64_t chunk,
                                 struct cursor *c, struct pages *pages)
{
    struct err e = ERR_INIT;
    size_t n = w->chunk_size / w->block_size;
    uint64_t first = chunk * w->chunk_size;
    n = num_min(n, num_div_up(x->size - first, w->block_size));
    need_t *need = calloc(n, sizeof *need);
    struct placing p = {.host = calloc(n, sizeof *p.host)};
    assert_true(need && p.host);
    for (size_t i = 0; i < n; i++)
        need[i] = x->data_at(first + i * w->block_size) ? NEED_PLAIN : NEED_HOLE;
    assert_int_equal(w->ops->place(w, chunk, need, n, c, &p, &e), 0);
    assert_int_equal(w->ops->publish(w, chunk, need, n, &p, pages, &e), 0);
    for (size_t i = 0; i < n; i++)
        if (need[i] == NEED_PLAIN)
            written_put(x->file, first + i * w->block_size, p.host[i], w->block_size);
    placing_release(&p);
    free(p.host);
    free(need);
}

static inline void written_fill(struct written *x, struct writer *w, struct cursor *c,
                                struct pages *pages)
{
    if (!w->in_place) {
        w->ops->begin(w, c);
        for (uint64_t k = 0; k * w->chunk_size < x->size; k++)
            written_chunk(x, w, k, c, pages);
        return;
    }
    for (uint64_t at = 0; at < x->size; at += WRITTEN_GRAIN)
        if (x->data_at(at))
            written_put(x->file, at, at + w->data_offset, WRITTEN_GRAIN);
}

/* Make it; -1 with the error where the writer refuses. x->size and x->data_at are set. */
static inline int written_make(struct written *x, const struct format *format, const char *options,
                               struct err *e)
{
    struct options *o = written_options(format, options);
    struct writer_params p = {.options = o, .size = x->size, .first = true, .time = 1000000000};
    struct pages *pages = NULL;
    struct writer *w = NULL;
    struct cursor c = {0};
    memset(p.random, 0x77, sizeof p.random);
    x->format = format;
    assert_int_equal(memory_new("m", "", 0, &x->file, e), 0);
    assert_int_equal(pages_new(x->file, &pages, e), 0);
    p.file = x->file;
    int rc = writer_open(format->writer, &p, &w, e);
    if (!rc) {
        x->one_unit = w->in_place ? 0 : w->block_size;
        written_fill(x, w, &c, pages);
        rc = w->ops->finish(w, w->in_place ? NULL : &c, pages, e);
        w->ops->free(w);
    }
    pages_free(pages);
    options_free(o);
    return rc;
}

static inline int written_open(struct written *x, const char *spec, struct err *e)
{
    x->img = (struct image){.format = x->format, .file = x->file, .name = (char *)"m"};
    x->img.spec = json_loads(spec, 0, NULL);
    x->img.chain_length = 1;
    return x->format->open(&x->img, e);
}

static inline void written_close(struct written *x)
{
    if (x->img.state)
        x->format->close(&x->img);
    free(x->img.backing_name);
    free(x->img.backing_format);
    json_decref(x->img.spec);
    x->img = (struct image){0};
}

static inline void written_release(struct written *x)
{
    written_close(x);
    file_cleanup(&x->file);
}

/* All that it maps: data where it was put, zeros elsewhere. */
static inline void written_check(struct written *x)
{
    struct err e = ERR_INIT;
    uint8_t is[WRITTEN_GRAIN], should[WRITTEN_GRAIN];
    uint64_t unit = x->one_unit ? x->one_unit : WRITTEN_GRAIN;
    assert_true(x->img.size >= x->size);
    for (uint64_t at = 0; at < x->img.size;) {
        struct extent m;
        assert_int_equal(image_map(&x->img, at, x->img.size - at, &m, &e), 0);
        assert_true(m.length && m.length <= x->img.size - at);
        for (uint64_t end = at + m.length; at < end; at += WRITTEN_GRAIN) {
            memset(is, 0, sizeof is);
            memset(should, 0, sizeof should);
            if (m.kind == EXTENT_DATA)
                assert_int_equal(file_read(m.file, is, sizeof is, m.host + (at - m.guest), &e), 0);
            if (at < x->size && x->data_at(at / unit * unit))
                written_sector(at, should);
            assert_memory_equal(is, should, sizeof is);
        }
    }
}

/* Patch bytes, open: the error's text, "" for none. */
static inline const char *written_complaint(struct written *x, uint64_t at, const void *bytes,
                                            size_t n)
{
    static struct err e;
    uint8_t *was = calloc(n, 1);
    err_clear(&e);
    assert_int_equal(file_read_padded(x->file, was, n, at, NULL, &e), 0);
    assert_int_equal(file_write(x->file, bytes, n, at, &e), 0);
    int rc = written_open(x, "{}", &e);
    written_close(x);
    struct err late = ERR_INIT;
    assert_int_equal(file_write(x->file, was, n, at, &late), 0);
    free(was);
    return rc ? e.text : "";
}

#endif
