#include "flow/target.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/mem.h"
#include "base/num.h"
#include "flow/inplace.h"
#include "image/inspect.h"
#include "io/join.h"

#define CHUNK_IN_PLACE MIB /* of targets without a writer */

/* ---- drawing --------------------------------------------------------------------------------- */

/* splitmix64: any stream of well-mixed bytes that a seed fixes will do */
static uint64_t next_mixed(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int target_draw(uint8_t random[64], uint64_t *when, struct err *e)
{
    const char *seed = getenv("MPI_IMG_SEED");
    *when = (uint64_t)time(NULL);
    if (!seed)
        return getrandom(random, 64, 0) == 64 ? 0 : err_errno(e, errno, "No random numbers");
    uint64_t state = *when = strtoull(seed, NULL, 10);
    for (unsigned i = 0; i < 64; i += 8) {
        uint64_t word = next_mixed(&state);
        memcpy(random + i, &word, 8);
    }
    return 0;
}

/* ---- a fresh image ----------------------------------------------------------------------------
 */

static int creation_failed(const struct convert_options *o, struct err *e)
{
    if (o->is_dd)
        return err_prefix(e, "%s: error while creating output image: ", o->target);
    return err_prefix(e, "%s: error while converting %s: ", o->target, o->target_driver);
}

static struct file_options target_file_options(const struct convert_options *o,
                                               enum file_create create)
{
    return (struct file_options){.write = true,
                                 .create = create,
                                 .cache = o->target_cache,
                                 .stripes = o->stripes,
                                 .forget = !o->target_cache.no_flush};
}

const json_t *target_node(const struct convert_options *o)
{
    const json_t *node = o->target_spec, *below;
    while (json_is_object(below = json_object_get(node, "file")))
        node = below;
    return node;
}

#define STRIPE_MAX (16 * MIB) /* a chunk's memory is to be had for each worker */

/* Where data stands at its guest offset, a chunk is as long as a stripe: one rank writes it. */
static uint64_t whole_stripes(const struct convert_options *o, const struct writer *w)
{
    uint64_t stripe = o->stripes.size;
    bool fits = w->in_place && !w->ops->part && stripe <= STRIPE_MAX &&
                stripe % w->chunk_size == 0 && num_is_pow2(stripe);
    return stripe && fits && w->data_offset % stripe == 0 ? stripe : w->chunk_size;
}

static int open_writer(const struct convert_options *o, const struct target_plan *plan,
                       struct target *t, bool first, struct err *e)
{
    if (!t->format->writer)
        return err_set(e, ENOTSUP, "Format driver '%s' does not support image creation",
                       t->format->name);
    struct writer_params p = {
        .options = o->options,
        .size = plan->size,
        .backing_name = options_str(o->options, "backing_file", NULL),
        .backing_format = options_str(o->options, "backing_fmt", NULL),
        .file = t->file,
        .path = o->target,
        .output = t->output,
        .secrets = o->secrets,
        .compress = o->compress,
        .level = o->level,
        .memory = o->memory,
        .first = first,
        .go_on = plan->go_on,
        .time = plan->time,
        .warn = o->warn,
    };
    memcpy(p.random, plan->random, sizeof p.random);
    int status = writer_open(t->format->writer, &p, &t->writer, e);
    explicit_bzero(p.random, sizeof p.random);
    if (status < 0)
        return -1;
    t->data = t->writer->data_file;
    t->compress = o->compress;
    t->chunk_size = whole_stripes(o, t->writer);
    t->block_size = t->writer->in_place ? 0 : t->writer->block_size;
    t->fresh_zero = !t->data || file_grows_zero(t->data);
    return 0;
}

/* The backing image that the target names, opened without what is below it. */
static int open_backing(const struct convert_options *o, const char *name, struct image **out,
                        struct err *e)
{
    struct image beside = {.name = (char *)o->target, .backing_name = (char *)name};
    AUTO_FREE char *path = image_backing_path(&beside, e);
    if (!path)
        return -1;
    json_t *spec = image_spec_from_name(path, e);
    const struct image_flags flags = {.force_share = true,
                                      .no_backing = true,
                                      .no_io = true,
                                      .driver = options_str(o->options, "backing_fmt", NULL)};
    int status = spec ? image_open_plain(spec, path, &flags, out, e) : -1;
    json_decref(spec);
    return status;
}

/* How much of the guest range the target's backing image covers: behind it zeros need no mark. */
static int look_at_backing(const struct convert_options *o, struct target_plan *plan, struct err *e)
{
    const char *name = options_str(o->options, "backing_file", NULL);
    AUTO(image_cleanup) struct image *backing = NULL;
    if (!name)
        return 0;
    if (open_backing(o, name, &backing, e) < 0)
        return err_prefix(e, "Could not open '%s': Could not open backing file: ", o->target);
    plan->backed = num_min(backing->size, plan->size);
    return 0;
}

/* --safe: what would be refused when it is done is not begun. */
static int check_begun(const struct convert_options *o, const struct target *t, struct err *e)
{
    if (!o->safety.on)
        return 0;
    if (options_str(o->options, "backing_file", NULL))
        return err_set(e, EPERM, "Safety check 'backing-file' failed: the output would have one");
    if (output_has_members(t->output))
        return err_set(e, EPERM,
                       "Safety check 'second-file' failed: the output would be several files");
    return 0;
}

static int begin_output(const struct convert_options *o, struct target *t,
                        const struct target_plan *plan, struct err *e)
{
    const struct file_options fo = target_file_options(o, FILE_CREATE_NEW);
    t->lasts = plan->go_on;
    return o->resume ? output_begin_lasting(target_node(o), &fo, plan->go_on, &t->output, e)
                     : output_begin_node(target_node(o), &fo, &t->output, e);
}

static int begin_fresh(const struct convert_options *o, struct target *t, struct target_plan *plan,
                       struct err *e)
{
    char size[32];
    snprintf(size, sizeof size, "%llu", (unsigned long long)plan->size);
    if (options_set(o->options, "size", size, e) < 0 ||
        (!plan->go_on && target_draw(plan->random, &plan->time, e) < 0) ||
        begin_output(o, t, plan, e) < 0)
        return -1;
    t->file = output_file(t->output);
    if (strlen(output_temp(t->output)) >= sizeof plan->path)
        return err_set(e, ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
    strcpy(plan->path, output_temp(t->output));
    if (open_writer(o, plan, t, true, e) < 0 || check_begun(o, t, e) < 0 ||
        output_clear(t->output, e) < 0)
        return -1;
    return pages_new(t->file, &t->pages, e);
}

/* ---- an existing image ------------------------------------------------------------------------
 */

/* A raw image may be a window of its file. */
static int find_shift(struct target *t, struct target_plan *plan, struct err *e)
{
    struct extent first;
    if (t->image->size == 0)
        return 0;
    if (image_map(t->image, 0, 1, &first, e) < 0)
        return -1;
    t->shift = plan->shift = first.host;
    return 0;
}

/* Guest offset is file offset: all ranks write. */
static int begin_raw(const struct convert_options *o, struct target *t, struct target_plan *plan,
                     struct err *e)
{
    t->chunk_size = CHUNK_IN_PLACE;
    t->fresh_zero = o->target_is_zero;
    if (find_shift(t, plan, e) < 0)
        return -1;
    if (strlen(file_name(t->file)) >= sizeof plan->path)
        return err_set(e, ENAMETOOLONG, "%s", strerror(ENAMETOOLONG));
    strcpy(plan->path, file_name(t->file));
    return 0;
}

static int begin_edit(const struct convert_options *o, struct target *t, struct target_plan *plan,
                      struct err *e)
{
    if (edit_begin(t->image, &t->edit, e) < 0)
        return err_prefix(e, "%s: ", o->target);
    if (o->compress && !edit_packing(t->edit))
        return err_set(e, ENOTSUP, "Compression not supported for this file format");
    if (o->compress && !t->image->cluster_size)
        return err_set(e, EINVAL, "invalid cluster size");
    t->chunk_size = inplace_chunk(t->edit);
    plan->alone = true;
    return 0;
}

static int begin_existing(const struct convert_options *o, struct target *t,
                          struct target_plan *plan, struct err *e)
{
    const struct image_flags flags = {
        .write = true,
        .cache = o->target_cache,
        .forget = !o->target_cache.no_flush,
        .secrets = o->secrets,
        .driver = o->target_driver,
    };
    if (image_open(o->target_spec, o->target, &flags, &t->image, e) < 0)
        return -1;
    t->format = t->image->format;
    if (o->compress && !t->format->supports_compression)
        return err_set(e, ENOTSUP, "Compression not supported for this file format");
    if (t->image->backing && o->target_is_zero)
        return err_set(e, 0,
                       "Cannot use --target-is-zero when the destination image has a backing file");
    if (t->image->size < plan->size)
        return err_set(e, 0, "output file is smaller than input file");
    t->file = t->data = t->image->file;
    return strcmp(t->format->name, "raw") ? begin_edit(o, t, plan, e) : begin_raw(o, t, plan, e);
}

/* ---- public -----------------------------------------------------------------------------------
 */

static int begin(const struct convert_options *o, struct target *t, struct target_plan *plan,
                 struct err *e)
{
    if (o->no_create)
        return begin_existing(o, t, plan, e);
    t->format = format_find(o->target_driver);
    if (look_at_backing(o, plan, e) < 0)
        return -1;
    return begin_fresh(o, t, plan, e) < 0 ? creation_failed(o, e) : 0;
}

/* Does each zero of the source have to be written over what is there? */
static bool is_to_be_zeroed(const struct convert_options *o, const struct target *t)
{
    const struct writer *w = t->writer;
    bool plain = t->edit ? false : !w || (w->in_place && !w->crypt && !w->ops->part);
    return plain && o->sparse_size && !t->fresh_zero && t->data;
}

/* One request to a device or a server instead of one for each stretch of zeros. Where that fails,
 * writing will tell. */
static void zero_at_once(struct target *t, struct target_plan *plan, struct err *e)
{
    uint64_t from = t->writer ? t->writer->data_offset : t->shift;
    bool done = false;
    if (file_zero_fast(t->data, from, plan->size, &done, e) < 0 ||
        (done && file_sync(t->data, e) < 0)) {
        err_clear(e);
        done = false;
    }
    t->fresh_zero = plan->zeroed = done;
}

/* What the others find under the path must be this file. */
static void note_file(const struct target *t, struct target_plan *plan)
{
    struct file_mark mark;
    file_mark(t->file, &mark);
    plan->inode = mark.inode;
}

/* A host of larger pages than was reckoned with could write over what others write. */
static int check_page(const struct target_plan *plan, struct err *e)
{
    if (pages_here() <= plan->page)
        return 0;
    return err_set(
        e, ENOTSUP,
        "This host has memory pages of %u bytes, that of rank 0 of %u: let a host of the "
        "largest pages be the first",
        pages_here(), plan->page);
}

int target_begin(const struct convert_options *o, struct target *t, struct target_plan *plan,
                 struct err *e)
{
    plan->page = pages_here();
    if (begin(o, t, plan, e) < 0)
        return -1;
    note_file(t, plan);
    if (is_to_be_zeroed(o, t))
        zero_at_once(t, plan, e);
    return 0;
}

/* The file that rank 0 writes too; what has no path is opened as rank 0 did. */
static int open_own(const struct convert_options *o, const struct target_plan *plan,
                    struct target *t, struct err *e)
{
    const json_t *file = json_object_get(o->target_spec, "file");
    if (json_object_get(file, "file"))
        return err_set(e, ENOTSUP, "%s: a target below another node is written by one rank alone",
                       o->target);
    const struct file_options fo = target_file_options(o, FILE_EXISTING);
    if (json_object_get(target_node(o), "filename"))
        return join_open(plan->path, plan->inode, &fo, &t->own, e);
    return file_open(target_node(o), &fo, &t->own, e);
}

int target_join(const struct convert_options *o, const struct target_plan *plan, struct target *t,
                struct err *e)
{
    t->format = format_find(o->no_create ? "raw" : o->target_driver);
    if (check_page(plan, e) < 0 || open_own(o, plan, t, e) < 0)
        return -1;
    t->file = t->data = t->own;
    t->chunk_size = CHUNK_IN_PLACE;
    t->fresh_zero = o->target_is_zero;
    t->shift = plan->shift;
    t->fresh_zero |= plan->zeroed;
    if (o->no_create)
        return 0;
    char size[32];
    snprintf(size, sizeof size, "%llu", (unsigned long long)plan->size);
    if (options_set(o->options, "size", size, e) < 0)
        return -1;
    if (open_writer(o, plan, t, false, e) < 0)
        return creation_failed(o, e);
    t->fresh_zero |= plan->zeroed;
    return 0;
}

uint32_t target_packed_max(const struct target *t)
{
    const struct writer *w = t->writer;
    if (!w || (!t->compress && !w->packs))
        return 0;
    return w->packed_max ? w->packed_max : w->block_size;
}

bool target_shares_pages(const struct target *t, uint32_t page)
{
    const struct writer *w = t->writer;
    if (t->block_size)
        return false;
    return (w ? w->data_offset : t->shift) % page || t->chunk_size % page;
}

int target_sync(struct target *t, struct err *e)
{
    const struct writer_ops *ops = t->writer ? t->writer->ops : NULL;
    return ops && ops->sync ? ops->sync(t->writer, e) : file_sync(t->data, e);
}

/* --safe: the output has to pass what the sources had to, as the format that was asked for. */
static int check_done(const struct convert_options *o, struct file *f, const struct format *format,
                      struct err *e)
{
    return o->safety.on ? inspect_file(f, format, true, NULL, e) : 0;
}

static int finish_fresh(const struct convert_options *o, struct target *t, struct cursor *c,
                        struct err *e)
{
    if (t->writer->ops->finish(t->writer, c, t->pages, e) < 0 ||
        check_done(o, output_file(t->output), t->format, e) < 0)
        return -1;
    t->writer->ops->free(t->writer);
    t->writer = NULL;
    return o->verify ? output_sync(t->output, e) : 0;
}

int target_finish(const struct convert_options *o, struct target *t, struct cursor *c,
                  struct err *e)
{
    if (!o->no_create)
        return finish_fresh(o, t, c, e) < 0 ? creation_failed(o, e) : 0;
    struct edit *edit = MEM_TAKE(t->edit);
    struct image *image = MEM_TAKE(t->image);
    if (edit_end(edit, e) < 0 || file_sync(image->file, e) < 0 ||
        check_done(o, image->file, image->format, e) < 0) {
        image_cleanup(&image);
        return err_prefix(e, "%s: ", o->target);
    }
    return image_close(image, e) < 0 ? err_prefix(e, "%s: ", o->target) : 0;
}

int target_publish(const struct convert_options *o, struct target *t, struct err *e)
{
    if (!t->output)
        return 0;
    struct output *output = MEM_TAKE(t->output);
    return output_commit(output, e) < 0 ? creation_failed(o, e) : 0;
}

void target_release(struct target *t, char *removed)
{
    removed[0] = '\0';
    if (t->writer)
        t->writer->ops->free(t->writer);
    pages_free(t->pages);
    file_cleanup(&t->own);
    edit_cleanup(&t->edit);
    image_cleanup(&t->image);
    if (t->lasts)
        output_keep(t->output);
    else
        output_abandon(t->output, removed);
    *t = (struct target){0};
}
