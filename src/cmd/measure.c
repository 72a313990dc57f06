/* measure: how large a new image file will be. */
#include "cmd/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "cmd/object.h"
#include "cli/report.h"
#include "cli/size.h"
#include "cmd/open.h"
#include "cmd/target.h"
#include "flow/measure.h"
#include "formats/format.h"

#define SIZE_NOT_GIVEN UINT64_MAX

struct measure_args {
    struct image_args image;
    const char *output;
    const char *target_format; /* -O */
    struct text_list options;  /* -o */
    const char *snapshot;      /* -l */
    uint64_t size;             /* --size */
};

static void measure_defaults(void *args)
{
    struct measure_args *a = args;
    a->size = SIZE_NOT_GIVEN;
    a->target_format = "raw";
}

static int measure_take_size(void *field, const char *value, struct err *e)
{
    return size_operand(value, "image size", field, e);
}

static int measure_check(const struct measure_args *a, int n_operands, struct err *e)
{
    bool sized = a->size != SIZE_NOT_GIVEN;
    if (n_operands > 1)
        return err_set(e, 0, "At most one filename argument is allowed.");
    if (!n_operands && (a->image.image_opts || a->image.format || a->snapshot))
        return err_set(e, 0, "--image-opts, -f, and -l require a filename argument.");
    if (!n_operands && !sized)
        return err_set(e, 0, "Either --size N or one filename must be specified.");
    if (n_operands && sized)
        return err_set(e, 0, "--size N cannot be used together with a filename.");
    return 0;
}

/* ---- what is measured ------------------------------------------------------------------------ */

static int measure_open(const struct measure_args *a, const char *name, struct secrets *secrets,
                        struct image **out, struct err *e)
{
    const struct image_flags flags = {.secrets = secrets};
    if (open_image(&a->image, name, flags, out, e))
        return -1;
    if (a->snapshot && image_load_snapshot(*out, a->snapshot, e))
        return err_prefix(e, "Failed to load snapshot: ");
    return 0;
}

/* What is wrong, and of which format. */
static int measure_bad_options(const struct format *format, struct err *e)
{
    if (e->no == ENOMEM)
        return -1;
    AUTO_FREE char *what = mem_strdup(e->text, e);
    return what ? err_set(e, 0, "%s\nInvalid options for file format '%s'", what, format->name)
                : -1;
}

static int measure_target(const struct measure_args *a, struct image *src,
                          struct measure_result *out, struct err *e)
{
    AUTO(options_cleanup) struct options *o = NULL;
    const struct format *format = wanted_format(a->target_format, e);
    if (!format)
        return -1;
    if (target_options(format, NULL, &a->options, &o, e))
        return measure_bad_options(format, e);
    uint64_t size = src ? src->size : a->size;
    return measure_new(format, o, size, src, out, e);
}

/* ---- report ---------------------------------------------------------------------------------- */

static json_t *measure_tree(const struct measure_result *r)
{
    json_t *tree = json_object();
    if ((!r->has_bitmaps || report_number(tree, "bitmaps", r->bitmaps)) &&
        report_number(tree, "required", r->required) &&
        report_number(tree, "fully-allocated", r->fully_allocated))
        return tree;
    json_decref(tree);
    return NULL;
}

static void measure_human(const json_t *t)
{
    static const char *const lines[][2] = {{"required", "required size"},
                                           {"fully-allocated", "fully allocated size"},
                                           {"bitmaps", "bitmaps size"}};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        const json_t *v = json_object_get(t, lines[i][0]);
        if (v)
            printf("%s: %" PRIu64 "\n", lines[i][1], (uint64_t)json_integer_value(v));
    }
}

static int measure_run(const struct measure_args *a, const struct operands *names,
                       struct secrets *secrets, struct err *e)
{
    AUTO(image_cleanup) struct image *src = NULL;
    struct measure_result result = {0};
    bool json;
    if (report_format(a->output, &json, e) || measure_check(a, names->n, e) ||
        (names->n && measure_open(a, names->text[0], secrets, &src, e)) ||
        measure_target(a, src, &result, e))
        return -1;
    AUTO(json_cleanup) json_t *tree = measure_tree(&result);
    if (!tree)
        return err_nomem(e);
    if (json)
        report_json(stdout, tree);
    else
        measure_human(tree);
    return 0;
}

static int measure_main(struct command_run *r)
{
    const struct measure_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD || measure_run(a, &r->operands, secrets, &e))
        return command_fail(&e);
    return 0;
}

static const struct option_row measure_rows[] = {
    ROW_HELP,
    ROW_OUTPUT(struct measure_args, output),
    ROW_TEXT('O', "target-format", "output_fmt", struct measure_args, target_format,
             "Format of the new image (default raw)"),
    {.letter = 'o',
     .name = "options",
     .metavar = "options",
     .take = TAKE_LIST,
     .call = args_check_list,
     .offset = offsetof(struct measure_args, options),
     .help = "Options of the new image"},
    {.letter = 's',
     .name = "size",
     .metavar = "N",
     .take = TAKE_VALUE,
     .call = measure_take_size,
     .offset = offsetof(struct measure_args, size),
     .syntax = "",
     .help = "Measure an empty image of this size"},
    {.name = "object",
     .metavar = "objectdef",
     .take = TAKE_LIST,
     .offset = offsetof(struct measure_args, image.objects),
     .syntax = "",
     .help = "Define a secret that other options name, e.g. secret,id=sec0,file=key.txt"},
    {.name = "image-opts",
     .take = TAKE_FLAG,
     .offset = offsetof(struct measure_args, image.image_opts),
     .syntax = "",
     .help = "Take the file name as a key=value list; not with -f"},
    {.letter = 'f',
     .name = "format",
     .metavar = "fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct measure_args, image.format),
     .syntax = "",
     .help = "Format of the source image"},
    {.letter = 'l',
     .name = "snapshot",
     .metavar = "snapshot_param",
     .take = TAKE_TEXT,
     .call = args_check_snapshot,
     .offset = offsetof(struct measure_args, snapshot),
     .syntax = "",
     .help = "Measure this internal snapshot of the source"},
    ROW_FORCE_SHARE(struct measure_args, image.force_share),
    ROWS_SAFETY(struct measure_args, image.safety),
    {0},
};

const struct command command_measure = {
    .name = "measure",
    .summary = "Calculate how large a new image file will be",
    .operands = "[--size N | [--object objectdef] [--image-opts] [-f fmt] [-l snapshot_param] "
                "filename]",
    .description =
        "With --size an empty new image is measured, with a file name the image that convert would "
        "make of it. Shown are the size of the new file, its size once all of the guest disk is "
        "written, and what persistent bitmaps would add.",
    .rows = measure_rows,
    .args_size = sizeof(struct measure_args),
    .defaults = measure_defaults,
    .run = measure_main,
};
