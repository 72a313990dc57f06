/* map: where the data of an image is. */
#include "cmd/command.h"

#include <stdio.h>

#include "base/mem.h"
#include "cmd/one_image.h"
#include "cli/report.h"
#include "cli/size.h"
#include "cmd/open.h"
#include "flow/map.h"

struct map_args {
    struct engine_args engine;
    struct image_args image;
    const char *output;
    uint64_t start, length;
};

static void map_defaults(void *args)
{
    ((struct map_args *)args)->length = UINT64_MAX;
}

static int map_take_start(void *field, const char *value, struct err *e)
{
    return size_operand(value, "start offset", field, e);
}

static int map_take_length(void *field, const char *value, struct err *e)
{
    return size_operand(value, "max length", field, e);
}

static int map_image(struct command_run *r, const char *name, bool json, struct secrets *secrets,
                     struct err *e)
{
    const struct map_args *a = r->args;
    AUTO(json_cleanup) json_t *spec = open_spec(&a->image, name, e);
    int status = engine_agree(r->engine, spec ? 0 : -1, e);
    if (status)
        return status;
    const struct map_options o = {
        .name = name,
        .spec = spec,
        .driver = a->image.format,
        .force_share = a->image.force_share,
        .safety = a->image.safety,
        .json = json,
        .start = a->start,
        .length = a->length,
        .secrets = secrets,
    };
    return map_run(r->engine, &o, stdout, e);
}

static int map_main(struct command_run *r)
{
    const struct map_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    bool json;
    const char *name;
    int begun = one_image_begin(r, &a->image.objects, &secrets, &name);
    if (begun >= 0)
        return begun;
    if (report_format(a->output, &json, &e) || map_image(r, name, json, secrets, &e))
        return command_fail(&e);
    return 0;
}

static const struct option_row map_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct map_args, image.objects),
    ROW_IMAGE_OPTS(struct map_args, image.image_opts),
    ROW_TEXT('f', "format", "fmt", struct map_args, image.format, "Format of the image"),
    {.letter = 's',
     .name = "start-offset",
     .metavar = "offset",
     .take = TAKE_VALUE,
     .call = map_take_start,
     .offset = offsetof(struct map_args, start),
     .syntax = "[--start-offset=offset]",
     .help = "Begin at this offset of the guest disk"},
    {.letter = 'l',
     .name = "max-length",
     .metavar = "len",
     .take = TAKE_VALUE,
     .call = map_take_length,
     .offset = offsetof(struct map_args, length),
     .syntax = "[--max-length=len]",
     .help = "End after this many bytes"},
    ROW_OUTPUT(struct map_args, output),
    ROW_FORCE_SHARE(struct map_args, image.force_share),
    ROWS_SAFETY(struct map_args, image.safety),
    ROWS_ENGINE(struct map_args),
    {0},
};

const struct command command_map = {
    .name = "map",
    .summary = "Show where in which file the data of an image is",
    .operands = "filename",
    .description =
        "Lists the extents of the image and of its backing chain. The human form shows what holds "
        "data: offset in the guest disk, length, offset in the file, and the file's name. "
        "Compressed or encrypted data cannot be shown in this form.\n\n"
        "The JSON form lists every extent with start, length, depth (0 is the image itself, 1 its "
        "backing image, and so on), present (some image of the chain holds it), zero (reads as "
        "zeros), data (holds data), and offset where the data stands as it is in the "
        "file of that depth.",
    .rows = map_rows,
    .args_size = sizeof(struct map_args),
    .defaults = map_defaults,
    .parallel = true,
    .run = map_main,
};
