/* rebase: an image gets another backing image. */
#include "cmd/command.h"

#include "base/mem.h"
#include "cmd/one_image.h"
#include "cmd/open.h"
#include "flow/rebase.h"

#define REBASE_PROGRESS_STEP 2

struct rebase_args {
    struct engine_args engine;
    struct image_args image;
    const char *backing;        /* -b */
    const char *backing_format; /* -F */
    const char *cache;          /* -t */
    const char *source_cache;   /* -T */
    struct progress_arg progress;
    bool unsafe, compress, quiet;
};

/* What lies below is read as -T says, and -U is about the new backing images alone. */
static int rebase_open(const struct rebase_args *a, const char *name, struct rebase_options *o,
                       struct image **out, struct err *e)
{
    struct image_args image = a->image;
    struct image_flags flags = {
        .write = true, .no_backing = a->unsafe, .secrets = o->secrets, .backing_cache = &o->cache};
    image.force_share = false;
    if (open_cache(a->cache, "Invalid cache option", &flags.cache, e) ||
        open_cache(a->source_cache, "Invalid source cache option", &o->cache, e))
        return -1;
    return open_image(&image, name, flags, out, e);
}

static int rebase_image(struct command_run *r, struct rebase_options *o, struct progress_line *line)
{
    struct err e = ERR_INIT;
    AUTO(image_cleanup) struct image *img = NULL;
    bool first = engine_rank(r->engine) == 0;
    int status = first ? rebase_open(r->args, r->operands.text[0], o, &img, &e) : 0;
    if (engine_agree(r->engine, status, &e))
        return command_fail(&e);
    struct progress watch = progress_line_watch(line);
    if (rebase_run(r->engine, img, o, &watch, &e))
        return command_fail(&e);
    return image_close(MEM_TAKE(img), &e) ? command_fail(&e) : 0;
}

static int rebase_main(struct command_run *r)
{
    const struct rebase_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    const char *name;
    int begun = one_image_begin(r, &a->image.objects, &secrets, &name);
    if (begun >= 0)
        return begun;
    if (!a->unsafe && !a->backing)
        return command_misused("Must specify backing file (-b) or use unsafe mode (-u)");
    struct rebase_options o = {
        .backing = a->backing,
        .backing_format = a->backing_format,
        .unsafe = a->unsafe,
        .compress = a->compress,
        .force_share = a->image.force_share,
        .secrets = secrets,
        .memory = a->engine.memory,
    };
    struct progress_line line;
    if (command_progress(r, &a->progress, a->quiet, REBASE_PROGRESS_STEP, r->operands.text[0],
                         &line, &e))
        return command_fail(&e);
    progress_line_update(&line, 0);
    int code = rebase_image(r, &o, &line);
    progress_line_end(&line);
    return code;
}

static const struct option_row rebase_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct rebase_args, image.objects),
    ROW_IMAGE_OPTS(struct rebase_args, image.image_opts),
    ROW_FORCE_SHARE(struct rebase_args, image.force_share),
    ROW_QUIET(struct rebase_args, quiet),
    ROW_TEXT('f', "format", "fmt", struct rebase_args, image.format, "Format of the image"),
    ROW_TEXT('t', "cache", "cache", struct rebase_args, cache,
             "Cache mode to write the image with"),
    ROW_TEXT('T', "source-cache", "src_cache", struct rebase_args, source_cache,
             "Cache mode to read the backing images with"),
    ROW_FLAG('c', "compress", struct rebase_args, compress, "Compress what is copied (qcow2)"),
    ROW_PROGRESS(struct rebase_args, progress),
    ROW_FLAG('u', "backing-unsafe", struct rebase_args, unsafe,
             "Only store the new name: the caller knows that both backing images show the same"),
    {.letter = 'b',
     .name = "backing",
     .metavar = "backing_file",
     .take = TAKE_TEXT,
     .offset = offsetof(struct rebase_args, backing),
     .syntax = "-b backing_file [-F backing_fmt]",
     .help = "The new backing image; an empty name stands for none"},
    {.letter = 'F',
     .metavar = "backing_fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct rebase_args, backing_format),
     .syntax = "",
     .help = "Format of the new backing image"},
    {.letter = 'B',
     .name = "backing-format",
     .metavar = "backing_fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct rebase_args, backing_format),
     .syntax = "",
     .help = "The same as -F"},
    ROWS_ENGINE(struct rebase_args),
    ROW_MEMORY(struct rebase_args, engine.memory),
    {0},
};

const struct command command_rebase = {
    .name = "rebase",
    .summary = "Give an image another backing image",
    .operands = "filename",
    .description =
        "What would read differently on the new backing image is copied into the image first, so "
        "that its content stays what it is. A relative name is looked up in the folder of the "
        "image. With -b \"\" the image needs no other any more.\n\n"
        "With -u only the name is stored, and neither the old nor the new backing image is opened: "
        "for a backing image that was moved or renamed. Without -b the image then has none.\n\n"
        "When this is stopped at any time the image shows what it did before.",
    .rows = rebase_rows,
    .args_size = sizeof(struct rebase_args),
    .parallel = true,
    .run = rebase_main,
};
