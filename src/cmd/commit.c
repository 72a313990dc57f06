/* commit: what an overlay holds goes into its backing image. */
#include "cmd/command.h"

#include <stdio.h>

#include "base/mem.h"
#include "cmd/one_image.h"
#include "cmd/open.h"
#include "flow/commit.h"

#define COMMIT_PROGRESS_STEP 1

struct commit_args {
    struct engine_args engine;
    struct image_args image;
    const char *cache; /* -t */
    const char *base;  /* -b */
    bool drop;         /* -d */
    uint64_t rate_limit;
    struct progress_arg progress;
    bool quiet;
};

static int commit_open(const struct commit_args *a, const char *name, struct secrets *secrets,
                       struct image **out, struct err *e)
{
    struct image_flags flags = {.write = true, .secrets = secrets};
    if (open_cache(a->cache, "Invalid cache option", &flags.cache, e))
        return -1;
    return open_image(&a->image, name, flags, out, e);
}

/* Rank 0 alone opens the image; what is written late shows when it is closed. */
static int commit_image(struct command_run *r, struct secrets *secrets, struct progress_line *line,
                        struct err *e)
{
    const struct commit_args *a = r->args;
    const char *name = r->operands.text[0];
    struct commit_options o = {.name = name,
                               .base = a->base,
                               .drop = a->drop,
                               .rate_limit = a->rate_limit,
                               .memory = a->engine.memory};
    bool first = engine_rank(r->engine) == 0;
    struct progress watch = progress_line_watch(line);
    int status = first ? commit_open(a, name, secrets, &o.image, e) : 0;
    status = engine_agree(r->engine, status, e);
    if (!status)
        status = commit_run(r->engine, &o, &watch, e);
    if (!status && image_close(o.image, e))
        status = err_prefix(e, "Error while closing the image: ");
    else if (status)
        image_cleanup(&o.image);
    return engine_agree(r->engine, status, e);
}

static int commit_shown(struct command_run *r, struct secrets *secrets)
{
    const struct commit_args *a = r->args;
    struct err e = ERR_INIT;
    struct progress_line line;
    int status = command_progress(r, &a->progress, a->quiet, COMMIT_PROGRESS_STEP,
                                  r->operands.text[0], &line, &e);
    if (!status)
        status = commit_image(r, secrets, &line, &e);
    line.shown &= line.started;
    progress_line_end(&line);
    if (status)
        return command_fail(&e);
    if (!a->quiet)
        printf("Image committed.\n");
    return 0;
}

static int commit_main(struct command_run *r)
{
    const struct commit_args *a = r->args;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    const char *name;
    int begun = one_image_begin(r, &a->image.objects, &secrets, &name);
    if (begun >= 0)
        return begun;
    return commit_shown(r, secrets);
}

static const struct option_row commit_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct commit_args, image.objects),
    ROW_IMAGE_OPTS(struct commit_args, image.image_opts),
    ROW_QUIET(struct commit_args, quiet),
    ROW_TEXT('f', "format", "fmt", struct commit_args, image.format, "Format of the image"),
    ROW_TEXT('t', "cache", "cache", struct commit_args, cache, "Cache mode to write with"),
    ROW_TEXT('b', "base", "base", struct commit_args, base,
             "The image of the backing chain that takes it all; the image is not emptied then"),
    ROW_FLAG('d', "drop", struct commit_args, drop, "Do not empty the image: it is not needed"),
    ROW_RATE_LIMIT(struct commit_args, rate_limit),
    ROW_PROGRESS(struct commit_args, progress),
    ROWS_ENGINE(struct commit_args),
    ROW_MEMORY(struct commit_args, engine.memory),
    {0},
};

const struct command command_commit = {
    .name = "commit",
    .summary = "Write what an image holds into its backing image",
    .operands = "filename",
    .description =
        "What filename holds over its backing image is written into that, or into the image of "
        "the chain that -b names: then what the images between hold goes with it, and these are "
        "not to be used any more. A backing image that is shorter grows.\n\n"
        "Without -b and -d the image is emptied afterwards, where its format can do that; it is "
        "emptied only when the backing image has everything on storage. A run that is stopped can "
        "be begun again.\n\n"
        "The threads of the first rank share the work; other ranks wait.",
    .rows = commit_rows,
    .args_size = sizeof(struct commit_args),
    .parallel = true,
    .run = commit_main,
};
