#include "flow/commit.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/inplace.h"
#include "flow/resize.h"
#include "flow/partition.h"
#include "flow/read.h"
#include "flow/walk.h"
#include "formats/format.h"

/* One commit, on rank 0. */
struct commit {
    const struct commit_options *o;
    const struct progress *progress;
    struct image *above; /* the last image that is committed */
    unsigned depth;      /* how many are */
    struct image *base;  /* owned */
    struct edit *edit;

    struct source_part part;
    struct source source; /* the top, down to depth */
    struct read_rules read;
    struct partition partition;
};

/* ---- the base -------------------------------------------------------------------------------- */

/* By the name that the overlay stores, or as any name of the same file. */
static bool is_named(const struct image *above, const char *name)
{
    const struct image *img = above->backing;
    struct stat a, b;
    if (!strcmp(img->name, name) || (above->backing_name && !strcmp(above->backing_name, name)))
        return true;
    return !stat(img->name, &a) && !stat(name, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int find_base(struct commit *c, struct err *e)
{
    const struct commit_options *o = c->o;
    if (!o->image->backing && !o->base)
        return err_set(e, EINVAL, "Image does not have a backing file");
    c->depth = 1;
    for (c->above = o->image; c->above->backing; c->above = c->above->backing, c->depth++)
        if (!o->base || is_named(c->above, o->base))
            return 0;
    return err_set(e, EINVAL, "Did not find '%s' in the backing chain of '%s'", o->base, o->name);
}

/* The base was opened to be read, as a part of the chain: it leaves the chain, and is opened to be
 * written. Nobody can have seen more of it than its lock let them. */
static int open_base(struct commit *c, struct err *e)
{
    struct image *was = MEM_TAKE(c->above->backing);
    AUTO_FREE char *name = mem_strdup(was->name, e);
    struct image_flags flags = was->flags;
    json_t *spec = json_incref(was->spec);
    flags.write = true;
    flags.repairs = c->o->image->flags.repairs;
    int status = image_close(was, e) || !name ? -1 : image_open(spec, name, &flags, &c->base, e);
    json_decref(spec);
    return status;
}

static int job_failed(struct err *e)
{
    if (e->no == EINTR)
        return -1;
    AUTO_FREE char *said = mem_strdup(e->text, e);
    return said ? walk_fail(e, e->no, said, "Block job failed") : -1;
}

/* What is added reads as zeros, whatever lies below the base. */
static int grow_base(struct commit *c, struct err *e)
{
    uint64_t size = c->o->image->size;
    if (size <= c->base->size)
        return 0;
    return resize_image(c->base, size, EDIT_PREALLOC_OFF, e);
}

/* ---- the chunks ------------------------------------------------------------------------------ */

static enum unit_next next(void *ctx, uint64_t *chunk, struct err *e)
{
    struct commit *c = ctx;
    return (enum unit_next)partition_next(&c->partition, chunk, e);
}

static int read_top(void *ctx, struct image_reader *r, struct chunk *chunk, uint64_t guest,
                    uint32_t length, struct err *e)
{
    const struct commit *c = ctx;
    return read_chunk(r, &c->read, chunk, guest, length, e);
}

static void passed(void *ctx, uint64_t chunk, uint64_t data)
{
    const struct commit *c = ctx;
    (void)data;
    progress_bytes(c->progress, chunk * c->partition.chunk_size, c->source.size);
}

static void set_source(struct commit *c)
{
    struct image *top = c->o->image;
    c->source = source_of_image(top, c->o->name, &c->part);
    c->read = (struct read_rules){.source = &c->source, .stop_depth = c->depth};
    c->partition = (struct partition){.source = &c->source,
                                      .chunk_size = inplace_chunk(c->edit),
                                      .stop_depth = c->depth,
                                      .zeros_count = true,
                                      .over = c->base};
}

static int begin(struct commit *c, struct err *e)
{
    if (find_base(c, e) || open_base(c, e))
        return -1;
    if (grow_base(c, e) || edit_begin(c->base, &c->edit, e))
        return job_failed(e);
    set_source(c);
    return 0;
}

static unsigned least_workers(const struct commit *c)
{
    bool waits = image_is_remote(c->o->image) || image_is_remote(c->base);
    return waits ? WALK_WAITING : 0;
}

static int bring_down(struct engine *g, struct commit *c, struct err *e)
{
    struct inplace_job job = {.ctx = c, .next = next, .read = read_top, .passed = passed};
    if (engine_rank(g) == 0) {
        job.edit = c->edit;
        job.image = c->base;
        job.size = c->source.size;
        job.rate_limit = c->o->rate_limit;
        job.memory = c->o->memory;
        job.least_workers = least_workers(c);
        progress_bytes(c->progress, 0, c->source.size);
    }
    return inplace_run(g, &job, e) ? job_failed(e) : 0;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The base is whole, on storage and closed, before the top loses anything. */
static int finish(struct commit *c, struct err *e)
{
    const struct edit_ops *top = c->o->image->format->edit;
    if (edit_end(MEM_TAKE(c->edit), e))
        return job_failed(e);
    if (image_close(MEM_TAKE(c->base), e))
        return err_prefix(e, "Error while closing the image: ");
    bool empties = !c->o->base && !c->o->drop && top && top->empty;
    if (empties && top->empty(c->o->image, e))
        return err_prefix(e, "Could not empty '%s': ", c->o->name);
    progress_update(c->progress, 100);
    return 0;
}

int commit_run(struct engine *g, const struct commit_options *o, const struct progress *p,
               struct err *e)
{
    struct commit c = {.o = o, .progress = p};
    bool first = engine_rank(g) == 0;
    int status = engine_agree(g, first ? begin(&c, e) : 0, e);
    if (!status)
        status = bring_down(g, &c, e);
    if (!status)
        status = engine_agree(g, first ? finish(&c, e) : 0, e);
    edit_cleanup(&c.edit);
    image_cleanup(&c.base);
    return status;
}
