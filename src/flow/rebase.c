#include "flow/rebase.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/differ.h"
#include "flow/inplace.h"
#include "formats/format.h"
#include "image/node.h"

/* Threads that are done with a chunk leave their differ for the next one. */
struct pool {
    pthread_mutex_t lock;
    struct differ **item;
    size_t n, cap;
};

struct rebase {
    const struct rebase_options *o;
    struct image *image, *below; /* below: the new one, NULL: none */
    struct edit *edit;
    struct differ_images images;
    struct pool pool;

    /* rank 0 */
    const struct progress *progress;
    struct differ_map map;
    uint64_t chunk, at; /* gone through up to here */
    uint64_t passed;    /* chunks before this offset are on their way */
};

/* ---- a pool of differs ----------------------------------------------------------------------- */

static struct differ *pool_take(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    struct differ *d = p->n ? p->item[--p->n] : NULL;
    pthread_mutex_unlock(&p->lock);
    return d;
}

/* One that finds no room is not kept. */
static void pool_give(struct pool *p, struct differ *d)
{
    struct err ignored = ERR_INIT;
    pthread_mutex_lock(&p->lock);
    if (p->n == p->cap) {
        size_t cap = num_max(16, 2 * p->cap);
        struct differ **grown = mem_grow(p->item, cap, sizeof(struct differ *), &ignored);
        p->item = grown ? grown : p->item;
        p->cap = grown ? cap : p->cap;
    }
    bool fits = p->n < p->cap;
    if (fits)
        p->item[p->n++] = d;
    pthread_mutex_unlock(&p->lock);
    if (!fits)
        differ_free(d);
}

static void pool_release(struct pool *p)
{
    while (p->n)
        differ_free(p->item[--p->n]);
    free(p->item);
    pthread_mutex_destroy(&p->lock);
}

/* ---- the copying ----------------------------------------------------------------------------- */

static enum unit_next next_chunk(void *ctx, uint64_t *chunk, struct err *e)
{
    struct rebase *r = ctx;
    struct differ_part p;
    for (differ_seek(&r->map, r->at, r->image->size);;) {
        if (differ_next(&r->map, &p, e))
            return UNIT_FAILED;
        if (!p.length)
            return UNIT_NONE;
        if (p.kind == DIFFER_UNLIKE)
            break;
    }
    *chunk = p.guest / r->chunk;
    r->at = num_min((*chunk + 1) * r->chunk, r->image->size);
    return UNIT_THERE;
}

static int read_chunk(void *ctx, struct image_reader *reader, struct chunk *c, uint64_t guest,
                      uint32_t length, struct err *e)
{
    struct rebase *r = ctx;
    struct differ *d = pool_take(&r->pool);
    if (!d && differ_new(&r->images, edit_unit(r->edit), r->chunk, &d, e))
        return -1;
    int rc = differ_read(d, reader, c, guest, length, e);
    pool_give(&r->pool, d);
    return rc;
}

static void passed(void *ctx, uint64_t chunk, uint64_t data_bytes)
{
    struct rebase *r = ctx;
    (void)data_bytes;
    r->passed = num_min((chunk + 1) * r->chunk, r->image->size);
    progress_bytes(r->progress, r->passed, r->image->size);
}

static int fail_write(void *ctx, uint64_t guest, struct err *e)
{
    (void)ctx;
    (void)guest;
    return err_prefix(e, "Error while writing to COW image: ");
}

static int copy_unlike(struct engine *g, struct rebase *r, struct err *e)
{
    struct inplace_job job = {
        .ctx = r,
        .zero = EDIT_ZERO_DROP,
        .compress = r->o->compress,
        .next = next_chunk,
        .read = read_chunk,
        .passed = passed,
        .fail_write = fail_write,
    };
    if (engine_rank(g) == 0) {
        job.edit = r->edit;
        job.image = r->image;
        job.size = r->image->size;
        job.memory = r->o->memory / 3 * 2; /* a differ holds a chunk too */
        if (image_is_remote(r->image) || (r->below && image_is_remote(r->below)))
            job.least_workers = WALK_WAITING;
        r->chunk = inplace_chunk(r->edit);
        r->map = differ_map_of(&r->images);
    }
    if (inplace_run(g, &job, e))
        return -1;
    if (engine_rank(g) == 0 && r->passed < r->image->size)
        progress_update(r->progress, 100);
    return 0;
}

/* ---- the new backing image ------------------------------------------------------------------- */

static bool names_one(const struct rebase_options *o)
{
    return o->backing && *o->backing;
}

static int open_by_spec(const struct rebase *r, const json_t *spec, const char *name,
                        struct image **out, struct err *e)
{
    const struct image_flags flags = {.cache = r->o->cache,
                                      .force_share = r->o->force_share,
                                      .secrets = r->o->secrets,
                                      .driver = r->o->backing_format};
    return image_open_plain(spec, name, &flags, out, e);
}

static int open_below(struct rebase *r, struct err *e)
{
    struct image beside = {
        .name = r->image->name, .spec = r->image->spec, .backing_name = (char *)r->o->backing};
    AUTO_FREE char *path = image_backing_path(&beside, e);
    json_t *spec = path ? image_spec_of_name(path, e) : NULL;
    int rc = spec ? open_by_spec(r, spec, path, &r->below, e) : -1;
    json_decref(spec);
    return rc;
}

/* Nothing below the image may be the image itself. */
static int check_loop(const struct rebase *r, struct err *e)
{
    for (const struct image *i = r->below; i; i = i->backing)
        if (file_is_same(i->file, r->image->file))
            return err_set(e, ELOOP, "Backing file '%s' creates an infinite loop.", i->name);
    return 0;
}

static int look_at_below(struct rebase *r, struct err *e)
{
    if (r->o->unsafe || !names_one(r->o))
        return 0;
    if (open_below(r, e) || check_loop(r, e))
        return err_prefix(e, "Could not open new backing file '%s': ", r->o->backing);
    return 0;
}

/* ---- the new name ---------------------------------------------------------------------------- */

static int change_failed(const struct rebase *r, const char *why, struct err *e)
{
    const char *name = r->o->backing ? r->o->backing : "(null)";
    return err_set(e, e->no, "Could not change the backing file to '%s': %s", name, why);
}

/* What would only fail when all is copied. */
static int check_change(const struct rebase *r, struct err *e)
{
    const struct edit_ops *ops = r->image->format->edit;
    if (names_one(r->o) && !r->o->backing_format)
        return change_failed(r, "backing format must be specified", e);
    if (!ops || !ops->set_backing)
        return change_failed(r, strerror(ENOTSUP), e);
    if (r->o->compress && !ops->packing)
        return err_set(e, ENOTSUP, "Compression not supported for this file format");
    return 0;
}

static int change(struct rebase *r, struct err *e)
{
    bool named = names_one(r->o);
    if (!r->image->format->edit->set_backing(r->image, named ? r->o->backing : NULL,
                                             named ? r->o->backing_format : NULL, e))
        return 0;
    if (e->no == ENOSPC)
        return change_failed(r, "No space left in the file header", e);
    return e->no ? change_failed(r, strerror(e->no), e) : -1;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Rank 0: everything but what takes time. */
static int begin(struct rebase *r, struct err *e)
{
    const char *format = r->o->backing_format;
    if (format && !format_find(format) && !node_is_protocol(format))
        return err_set(e, EINVAL, "Invalid format name: '%s'", format);
    if (look_at_below(r, e) || check_change(r, e))
        return -1;
    r->images = (struct differ_images){r->image, {r->image->backing, r->below}};
    r->image->backing_changes = true;
    return edit_begin(r->image, &r->edit, e);
}

/* Rank 0, when all that was unlike is the image's own and on storage. */
static int end(struct rebase *r, struct err *e)
{
    if (change(r, e))
        return -1;
    if (edit_end(MEM_TAKE(r->edit), e))
        return -1;
    progress_update(r->progress, 100);
    return 0;
}

static int run(struct engine *g, struct rebase *r, struct err *e)
{
    bool first = engine_rank(g) == 0;
    if (engine_agree(g, first ? begin(r, e) : 0, e))
        return -1;
    if (!r->o->unsafe && copy_unlike(g, r, e))
        return -1;
    return engine_agree(g, first ? end(r, e) : 0, e);
}

int rebase_run(struct engine *g, struct image *img, const struct rebase_options *o,
               const struct progress *p, struct err *e)
{
    struct rebase r = {.o = o, .image = img, .progress = engine_rank(g) ? NULL : p};
    pthread_mutex_init(&r.pool.lock, NULL);
    int status = run(g, &r, e);
    edit_cleanup(&r.edit);
    pool_release(&r.pool);
    image_cleanup(&r.below);
    return status;
}
