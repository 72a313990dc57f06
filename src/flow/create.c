#include "flow/create.h"

#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/place.h"
#include "flow/target.h"
#include "io/output.h"

/* What create holds while it writes. */
struct creation {
    struct output *output;
    struct writer *writer;
    struct pages *pages;
    struct placer *placer;
    need_t *need;
};

static void creation_release(struct creation *c)
{
    placer_free(c->placer);
    pages_free(c->pages);
    if (c->writer)
        c->writer->ops->free(c->writer);
    output_abandon(c->output, NULL);
    free(c->need);
}

/* Preallocation: every block of every chunk has its place. */
static int reserve_all(struct creation *c, uint64_t size, struct err *e)
{
    const struct writer *w = c->writer;
    size_t blocks = num_div_up(w->chunk_size, w->block_size);
    struct cursor granted;
    c->need = mem_new(blocks, sizeof *c->need, e);
    if (!c->need)
        return -1;
    for (size_t i = 0; i < blocks; i++)
        c->need[i] = NEED_RESERVED;
    for (uint64_t k = 0; k * w->chunk_size < size; k++) {
        uint64_t left = size - k * w->chunk_size;
        size_t n = num_min(blocks, num_div_up(left, w->block_size));
        if (placer_place(c->placer, k, c->need, n, &granted, e) < 0 ||
            placer_done(c->placer, k, NULL, 0, e) < 0)
            return -1;
    }
    return 0;
}

static int write_image(struct creation *c, const struct writer_params *p, struct err *e)
{
    struct cursor *cursor = NULL;
    if (!c->writer->in_place) {
        if (placer_new(c->writer, p->file, c->pages, &c->placer, e) < 0 ||
            (c->writer->reserve && reserve_all(c, p->size, e) < 0))
            return -1;
        cursor = placer_cursor(c->placer);
    }
    return c->writer->ops->finish(c->writer, cursor, c->pages, e);
}

static int begin(const struct create_options *o, const struct file_options *fo, struct creation *c,
                 struct err *e)
{
    const json_t *node = json_object_get(o->spec, "file");
    return node ? output_begin_node(node, fo, &c->output, e)
                : output_begin(o->path, fo, &c->output, e);
}

static int create(const struct create_options *o, struct creation *c, struct err *e)
{
    const struct file_options fo = {.write = true, .create = FILE_CREATE_NEW};
    struct writer_params p = {
        .options = o->options,
        .size = options_size(o->options, "size", 0),
        .backing_name = o->backing_name,
        .backing_format = o->backing_format,
        .path = o->path,
        .secrets = o->secrets,
        .warn = o->warn,
        .first = true,
    };
    if (target_draw(p.random, &p.time, e) < 0 || begin(o, &fo, c, e) < 0)
        return -1;
    p.file = output_file(c->output);
    p.output = c->output;
    int opened = pages_new(p.file, &c->pages, e);
    if (opened == 0)
        opened = writer_open(o->format->writer, &p, &c->writer, e);
    explicit_bzero(p.random, sizeof p.random); /* keys are made of it */
    if (opened < 0 || output_clear(c->output, e) < 0 || write_image(c, &p, e) < 0)
        return -1;
    c->writer->ops->free(c->writer);
    c->writer = NULL;
    return output_commit(MEM_TAKE(c->output), e);
}

int create_run(const struct create_options *o, struct err *e)
{
    AUTO(creation_release) struct creation c = {0};
    return create(o, &c, e) < 0 ? err_prefix(e, "%s: ", o->path) : 0;
}
