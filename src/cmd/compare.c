/* compare: do two images hold the same guest data? */
#include "cmd/command.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cmd/object.h"
#include "cmd/open.h"
#include "flow/compare.h"

#define COMPARE_PROGRESS_STEP 2

enum compare_exit { COMPARE_SAME = 0, COMPARE_DIFFER = 1 };

struct compare_args {
    struct engine_args engine;
    struct image_args image;
    const char *format2; /* -F */
    const char *cache;   /* -T */
    struct progress_arg progress;
    bool quiet, strict;
};

static int compare_fail(const struct err *e, int code)
{
    command_fail(e);
    return code;
}

/* What is said of the result; rank 0's stdout is the only one that is seen. */
static void compare_say(const struct compare_result *r)
{
    switch (r->verdict) {
    case COMPARE_IDENTICAL:
        printf("Images are identical.\n");
        break;
    case COMPARE_CONTENT:
        printf("Content mismatch at offset %" PRIu64 "!\n", r->offset);
        break;
    case COMPARE_STRICT_SIZE:
        printf("Strict mode: Image size mismatch!\n");
        break;
    case COMPARE_STRICT_STATUS:
        printf("Strict mode: Offset %" PRIu64 " block status mismatch!\n", r->offset);
        break;
    }
}

/* The size warning comes before the last of the progress, the verdict after it. */
static int compare_report(const struct compare_result *r, bool quiet, struct progress_line *line)
{
    if (r->size_differs && !quiet)
        printf("Warning: Image size mismatch!\n");
    progress_line_release(line);
    if (!quiet)
        compare_say(r);
    return r->verdict == COMPARE_IDENTICAL ? COMPARE_SAME : COMPARE_DIFFER;
}

static int compare_specs(struct command_run *r, struct compare_options *o, struct err *e)
{
    const struct compare_args *a = r->args;
    struct image_args image = a->image;
    int status = open_cache(a->cache, "Invalid source cache option", &o->cache, e);
    for (int i = 0; i < 2 && !status; i++) {
        o->name[i] = r->operands.text[i];
        image.format = o->driver[i];
        o->spec[i] = open_spec(&image, o->name[i], e);
        status = o->spec[i] ? 0 : -1;
    }
    return engine_agree(r->engine, status, e);
}

static int compare_images(struct command_run *r, struct compare_options *o,
                          struct progress_line *line)
{
    const struct compare_args *a = r->args;
    struct err e = ERR_INIT;
    struct compare_result result = {.failure = COMPARE_READ};
    if (compare_specs(r, o, &e))
        return compare_fail(&e, COMPARE_OPEN);
    struct progress watch = progress_line_watch(line);
    if (compare_run(r->engine, o, &watch, &result, &e))
        return compare_fail(&e, result.failure);
    return compare_report(&result, a->quiet, line);
}

static int compare_main(struct command_run *r)
{
    const struct compare_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD)
        return compare_fail(&e, COMPARE_OPEN);
    if (r->operands.n != 2)
        return command_misused("Expecting two image file names");
    struct compare_options o = {
        .driver = {a->image.format, a->format2},
        .force_share = a->image.force_share,
        .safety = a->image.safety,
        .strict = a->strict,
        .secrets = secrets,
        .memory = a->engine.memory,
    };
    struct progress_line line;
    if (command_progress(r, &a->progress, a->quiet, COMPARE_PROGRESS_STEP, r->operands.text[0],
                         &line, &e))
        return compare_fail(&e, COMPARE_OPEN);
    line.hold_end = true;
    int code = compare_images(r, &o, &line);
    progress_line_end(&line);
    json_decref(o.spec[0]);
    json_decref(o.spec[1]);
    return code;
}

static const struct option_row compare_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct compare_args, image.objects),
    ROW_IMAGE_OPTS(struct compare_args, image.image_opts),
    ROW_TEXT('f', "a-format", "fmt", struct compare_args, image.format,
             "Format of the first image"),
    ROW_TEXT('F', "b-format", "fmt", struct compare_args, format2, "Format of the second image"),
    ROW_TEXT('T', "source-cache", "src_cache", struct compare_args, cache,
             "Cache mode to read the images with"),
    {.name = "cache",
     .metavar = "src_cache",
     .take = TAKE_TEXT,
     .offset = offsetof(struct compare_args, cache),
     .syntax = "",
     .help = "The same as -T"},
    ROW_PROGRESS(struct compare_args, progress),
    ROW_QUIET(struct compare_args, quiet),
    ROW_FLAG('s', "strict", struct compare_args, strict,
             "Images of different size or allocation differ"),
    ROW_FORCE_SHARE(struct compare_args, image.force_share),
    ROWS_SAFETY(struct compare_args, image.safety),
    ROWS_ENGINE(struct compare_args),
    ROW_MEMORY(struct compare_args, engine.memory),
    {0},
};

static const struct exit_status compare_statuses[] = {
    {COMPARE_SAME, "The images are identical (or help was asked for)"},
    {COMPARE_DIFFER, "The images differ, or the command line is wrong"},
    {COMPARE_OPEN, "An image cannot be opened"},
    {COMPARE_STATUS, "The allocation of an image cannot be told"},
    {COMPARE_READ, "An image cannot be read"},
    {0},
};

const struct command command_compare = {
    .name = "compare",
    .summary = "Check whether two images have the same content",
    .operands = "filename1 filename2",
    .description =
        "The images may have different formats. If their sizes differ, they count as identical "
        "when the rest of the longer one reads as zeros; space that is not allocated equals "
        "zeros. With -s both must agree in size and in what is allocated.\n\n"
        "The first difference in the order of the guest disk is reported, whatever the number of "
        "threads and ranks.",
    .rows = compare_rows,
    .statuses = compare_statuses,
    .args_size = sizeof(struct compare_args),
    .parallel = true,
    .run = compare_main,
};
