/* info: what an image is. */
#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cmd/one_image.h"
#include "cli/report.h"
#include "cmd/info_limits.h"
#include "cmd/info_safety.h"
#include "cmd/info_text.h"
#include "cmd/open.h"
#include "formats/format.h"

struct info_args {
    struct image_args image;
    const char *output;
    const char *cache; /* -t */
    bool chain, limits;
};

/* ---- the report of one image ----------------------------------------------------------------- */

/* Bytes on storage of all files of the image; -1 if not known. */
static int64_t info_allocated(struct image *img)
{
    int64_t sum = file_allocated(img->file);
    struct file *f;
    if (sum < 0 || !img->format->further)
        return sum;
    for (size_t i = 0; (f = img->format->further(img, i)); i++) {
        int64_t n = file_allocated(f);
        sum += n > 0 ? n : 0;
    }
    return sum;
}

static bool info_add_files(json_t *tree, struct image *img)
{
    struct err ignored = ERR_INIT;
    if (!img->backing_name)
        return true;
    /* a name that cannot be resolved is shown by its absence */
    AUTO_FREE char *path = image_backing_path(img, &ignored);
    return (!path || report_text(tree, "full-backing-filename", path));
}

static bool info_add_specific(json_t *tree, const struct image *img, struct format_info *more)
{
    if (!more->specific)
        return true;
    json_t *specific = json_object();
    bool good = report_text(specific, "type", img->format->name) &&
                report_add(specific, "data", json_incref(more->specific));
    return report_add(tree, "format-specific", specific) && good;
}

/* The keys in the order in which qemu-img shows them. */
static bool info_fill(json_t *tree, struct image *img, const char *name, bool limits,
                      struct format_info *more)
{
    int64_t allocated = info_allocated(img);
    return (!limits || info_add_limits(tree, img)) &&
           (!img->backing_format ||
            report_text(tree, "backing-filename-format", img->backing_format)) &&
           (!more->snapshots || !json_array_size(more->snapshots) ||
            report_add(tree, "snapshots", json_incref(more->snapshots))) &&
           report_number(tree, "virtual-size", img->size) && report_text(tree, "filename", name) &&
           report_count(tree, "cluster-size", img->cluster_size) &&
           report_text(tree, "format", image_format_name(img)) &&
           (allocated < 0 || report_number(tree, "actual-size", (uint64_t)allocated)) &&
           info_add_specific(tree, img, more) && info_add_files(tree, img) &&
           (!img->encrypted || report_bool(tree, "encrypted", true)) &&
           (!img->backing_name || report_text(tree, "backing-filename", img->backing_name)) &&
           (!more->has_dirty || report_bool(tree, "dirty-flag", more->dirty));
}

static json_t *info_tree(struct image *img, bool limits, struct err *e)
{
    struct format_info more = {0};
    AUTO_FREE char *name = image_spec_name(img->spec, e);
    if (!name || (img->format->info && img->format->info(img, &more, e)))
        return NULL;
    AUTO(json_cleanup) json_t *tree = json_object();
    bool good = tree && info_fill(tree, img, name, limits, &more);
    json_decref(more.snapshots);
    json_decref(more.specific);
    if (!good) {
        err_nomem(e);
        return NULL;
    }
    return MEM_TAKE(tree);
}

/* ---- the chain ------------------------------------------------------------------------------- */

/* Where the walk down a chain stands. */
struct info_walk {
    struct image_args image;
    struct file_cache cache;
    bool limits;
    struct secrets *secrets;
    char *name;   /* the next image's; NULL = the chain has ended */
    char *format; /* its format as the overlay has it, or NULL */
    json_t *seen; /* object: names as keys */
};

static void info_walk_cleanup(struct info_walk *w)
{
    free(w->name);
    free(w->format);
    json_decref(w->seen);
}

static int info_walk_enter(struct info_walk *w, struct err *e)
{
    if (json_object_get(w->seen, w->name))
        return err_set(e, ELOOP, "Backing file '%s' creates an infinite loop.", w->name);
    if (json_object_set_new_nocheck(w->seen, w->name, json_true()))
        return err_nomem(e);
    return 0;
}

/* What the image says of the one below it. Names of the options' form end with the first image. */
static int info_walk_down(struct info_walk *w, struct image *img, struct err *e)
{
    free(w->name);
    free(w->format);
    w->name = w->format = NULL;
    w->image.image_opts = false;
    if (!img->backing_name)
        return 0;
    w->name = image_backing_path(img, e);
    if (!w->name)
        return -1;
    w->format = img->backing_format ? mem_strdup(img->backing_format, e) : NULL;
    w->image.format = w->format;
    return img->backing_format && !w->format ? -1 : 0;
}

static int info_walk_image(struct info_walk *w, bool chain, json_t *list, struct err *e)
{
    AUTO(image_cleanup) struct image *img = NULL;
    const struct image_flags flags = {
        .no_backing = true, .no_io = true, .secrets = w->secrets, .cache = w->cache};
    if (info_walk_enter(w, e) || open_image(&w->image, w->name, flags, &img, e))
        return -1;
    json_t *tree = info_tree(img, w->limits, e);
    if (!tree)
        return -1;
    if (json_array_append_new(list, tree))
        return err_nomem(e);
    if (chain)
        return info_walk_down(w, img, e);
    free(w->name);
    w->name = NULL;
    return 0;
}

/* An array: the image, or the image and all below it. */
static json_t *info_collect(const struct info_args *a, const char *name, struct secrets *secrets,
                            struct err *e)
{
    AUTO(json_cleanup) json_t *list = json_array();
    AUTO(info_walk_cleanup)
    struct info_walk w = {
        .image = a->image, .limits = a->limits, .secrets = secrets, .seen = json_object()};
    if (open_cache(a->cache, "Invalid cache option", &w.cache, e))
        return NULL;
    w.name = mem_strdup(name, e);
    if (!w.name || !list || !w.seen) {
        err_nomem(e);
        return NULL;
    }
    while (w.name)
        if (info_walk_image(&w, a->chain, list, e))
            return NULL;
    return MEM_TAKE(list);
}

static void info_print(const json_t *list, bool chain, bool json)
{
    size_t i;
    json_t *tree;
    if (json) {
        report_json(stdout, chain ? list : json_array_get(list, 0));
        return;
    }
    json_array_foreach(list, i, tree)
    {
        if (i)
            putchar('\n');
        info_text(stdout, tree);
        info_safety_text(stdout, tree);
    }
}

/* A program that reads JSON wants to know which check failed. */
static void info_print_refused(const char *name, bool chain, json_t *checks)
{
    AUTO(json_cleanup) json_t *tree = info_refused(name, checks);
    AUTO(json_cleanup) json_t *list = chain ? json_pack("[O]", tree) : json_incref(tree);
    if (tree && list)
        report_json(stdout, list);
}

/* --safe lists what it looked at; such an image has no other below it. */
static int info_image(const struct info_args *a, const char *name, bool json,
                      struct secrets *secrets, struct err *e)
{
    struct info_args told = *a;
    AUTO(json_cleanup) json_t *checks = a->image.safety.on ? json_array() : NULL;
    told.image.safety.told = checks;
    AUTO(json_cleanup) json_t *list = info_collect(&told, name, secrets, e);
    if (!list && json && info_is_refused(checks))
        info_print_refused(name, a->chain, checks);
    if (!list)
        return -1;
    if (checks && !info_add_safety(json_array_get(list, 0), checks))
        return err_nomem(e);
    info_print(list, a->chain, json);
    return 0;
}

static int info_main(struct command_run *r)
{
    const struct info_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    bool json;
    const char *name;
    int begun = one_image_begin(r, &a->image.objects, &secrets, &name);
    if (begun >= 0)
        return begun;
    if (report_format(a->output, &json, &e) || info_image(a, name, json, secrets, &e))
        return command_fail(&e);
    return 0;
}

static const struct option_row info_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct info_args, image.objects),
    ROW_IMAGE_OPTS(struct info_args, image.image_opts),
    ROW_TEXT('f', "format", "fmt", struct info_args, image.format, "Format of the image"),
    ROW_OUTPUT(struct info_args, output),
    {.letter = 'b',
     .name = "backing-chain",
     .take = TAKE_FLAG,
     .offset = offsetof(struct info_args, chain),
     .syntax = "[--backing-chain]",
     .help = "Show the backing image too, and its backing image, and so on"},
    ROW_TEXT('t', "cache", "cache", struct info_args, cache,
             "Cache mode to open the image with, for --limits"),
    ROW_FLAG(0, "limits", struct info_args, limits,
             "Show what requests must keep to: alignments and largest sizes"),
    ROW_FORCE_SHARE(struct info_args, image.force_share),
    ROWS_SAFETY(struct info_args, image.safety),
    {0},
};

const struct command command_info = {
    .name = "info",
    .summary = "Show what an image is",
    .operands = "filename",
    .description =
        "Shows format, size, what the image takes on storage, its backing image, its snapshots "
        "and what else its format knows. Neither the backing image nor any other file that the "
        "image names is read, unless --backing-chain is given.\n\n"
        "With --output=json an object is printed, with --backing-chain an array of objects.",
    .rows = info_rows,
    .args_size = sizeof(struct info_args),
    .run = info_main,
};
