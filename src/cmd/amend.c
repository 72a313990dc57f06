/* amend: change the options of an image. */
#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "cli/progress.h"
#include "cmd/object.h"
#include "cmd/open.h"
#include "cmd/target.h"
#include "flow/amend.h"

#define AMEND_PROGRESS_STEP 1

struct amend_args {
    struct image_args image;
    struct text_list options; /* -o */
    const char *cache;        /* -t */
    bool force;
    bool progress;
    bool quiet;
};

/* ---- help ------------------------------------------------------------------------------------ */

static int amend_help(const struct format *format, struct err *e)
{
    const struct option_def *options = amend_options(format, e);
    if (!options)
        return -1;
    printf("Amend options for '%s':\n", format->name);
    target_help_table(options);
    return 0;
}

/* Nothing is opened where -f says the format. */
static int amend_help_of_format(const char *name, struct err *e)
{
    const struct format *format = wanted_format(name, e);
    return format ? amend_help(format, e) : -1;
}

/* ---- the change ------------------------------------------------------------------------------ */

/* Late errors of the file count too: what was changed must have arrived. */
static int amend_apply(const struct amend_args *a, struct image **img, struct progress_line *line,
                       struct err *e)
{
    const struct progress progress = progress_line_watch(line);
    AUTO_FREE char *text = text_list_join(&a->options, e);
    AUTO(options_cleanup) struct options *o = NULL;
    if (!text || !(o = amend_parse((*img)->format, text, e)) ||
        amend_run(*img, o, a->force, &progress, e))
        return -1;
    return image_close(MEM_TAKE(*img), e);
}

static int amend_image(const struct amend_args *a, const char *name, struct secrets *secrets,
                       struct progress_line *line, struct err *e)
{
    AUTO(image_cleanup) struct image *img = NULL;
    struct image_flags flags = {.write = true, .secrets = secrets};
    if (open_cache(a->cache, "Invalid cache option", &flags.cache, e) ||
        open_image(&a->image, name, flags, &img, e))
        return -1;
    if (target_wants_help(&a->options))
        return amend_help(img->format, e);
    return amend_apply(a, &img, line, e);
}

static int amend_one(const struct amend_args *a, const struct operands *names,
                     struct secrets *secrets, struct progress_line *line, struct err *e)
{
    if (a->image.format && target_wants_help(&a->options))
        return amend_help_of_format(a->image.format, e);
    if (names->n != 1)
        return err_set(e, EINVAL, "Expecting one image file name");
    return amend_image(a, names->text[0], secrets, line, e);
}

static int amend_main(struct command_run *r)
{
    const struct amend_args *a = r->args;
    struct err e = ERR_INIT;
    struct progress_line line;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD)
        return command_fail(&e);
    if (!a->options.n)
        return command_misused("Must specify options (-o)");
    progress_line_init(&line, a->progress, a->quiet, AMEND_PROGRESS_STEP);
    int rc = amend_one(a, &r->operands, secrets, &line, &e);
    if (rc)
        command_fail(&e);
    progress_line_end(&line);
    return rc ? 1 : 0;
}

static const struct option_row amend_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct amend_args, image.objects),
    ROW_IMAGE_OPTS(struct amend_args, image.image_opts),
    ROW_FLAG('p', "progress", struct amend_args, progress, "Show the progress"),
    ROW_QUIET(struct amend_args, quiet),
    ROW_TEXT('f', "format", "fmt", struct amend_args, image.format, "Format of the image"),
    ROWS_SAFETY(struct amend_args, image.safety),
    ROW_TEXT('t', "cache", "cache", struct amend_args, cache, "Cache mode to open the image with"),
    ROW_FLAG(0, "force", struct amend_args, force,
             "Also change what cannot be undone: erase the last key, write over one in use"),
    {.letter = 'o',
     .name = "options",
     .metavar = "options",
     .take = TAKE_LIST,
     .call = args_check_list,
     .offset = offsetof(struct amend_args, options),
     .syntax = "-o options",
     .help = "What to change; -o help lists what the format can"},
    {0},
};

const struct command command_amend = {
    .name = "amend",
    .summary = "Change the options of an image",
    .operands = "filename",
    .description =
        "All options are checked before anything is written; the change comes about as a whole. "
        "What the guest sees stays as it is, unless the size shrinks.\n\n"
        "For encrypted images, keys are added (state=active,new-secret=ID) and erased "
        "(state=inactive with old-secret=ID or keyslot=N).",
    .rows = amend_rows,
    .args_size = sizeof(struct amend_args),
    .run = amend_main,
};
