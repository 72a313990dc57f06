/* dd: a part of an image, into a new image. */
#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/message.h"
#include "cli/size.h"
#include "cmd/object.h"
#include "cmd/open.h"
#include "cmd/target.h"
#include "flow/convert.h"

#define DD_BLOCK     512u
#define DD_BLOCK_MAX INT32_MAX
#define DD_SPARSE    (4 * KIB)

struct dd_args {
    struct engine_args engine;
    struct image_args image;
    const char *target_format; /* -O */
};

static void dd_defaults(void *args)
{
    ((struct dd_args *)args)->target_format = "raw";
}

/* ---- operands: key=value, in any order, the last of a key counts ------------------------------
 */

struct dd_operands {
    uint64_t block, count, skip;
    const char *in, *out;
};

static int dd_take_block(struct dd_operands *o, const char *value, struct err *e)
{
    if (size_operand(value, "bs", &o->block, e) && e->no != ERANGE)
        return -1;
    if (e->no == ERANGE || !o->block || o->block > DD_BLOCK_MAX)
        return err_set(e, ERANGE, "Invalid bs specified. Must be between 1 and %d.", DD_BLOCK_MAX);
    return 0;
}

static int dd_take_count(struct dd_operands *o, const char *value, struct err *e)
{
    return size_operand(value, "count", &o->count, e);
}

static int dd_take_skip(struct dd_operands *o, const char *value, struct err *e)
{
    return size_operand(value, "skip", &o->skip, e);
}

static int dd_take_in(struct dd_operands *o, const char *value, struct err *e)
{
    (void)e;
    o->in = value;
    return 0;
}

static int dd_take_out(struct dd_operands *o, const char *value, struct err *e)
{
    (void)e;
    o->out = value;
    return 0;
}

static const struct {
    const char *key;
    int (*take)(struct dd_operands *o, const char *value, struct err *e);
} dd_keys[] = {
    {"bs", dd_take_block}, {"count", dd_take_count}, {"skip", dd_take_skip},
    {"if", dd_take_in},    {"of", dd_take_out},
};

static int dd_take_operand(struct dd_operands *o, const char *text, struct err *e)
{
    size_t n = strcspn(text, "=");
    for (size_t i = 0; text[n] && i < ARRAY_LEN(dd_keys); i++)
        if (strlen(dd_keys[i].key) == n && strncmp(text, dd_keys[i].key, n) == 0)
            return dd_keys[i].take(o, text + n + 1, e);
    return err_set(e, EINVAL, "unrecognized operand %.*s", (int)n, text);
}

static int dd_take_operands(const struct operands *texts, struct dd_operands *o, struct err *e)
{
    *o = (struct dd_operands){.block = DD_BLOCK, .count = UINT64_MAX};
    for (int i = 0; i < texts->n; i++)
        if (dd_take_operand(o, texts->text[i], e))
            return -1;
    if (!o->in || !o->out)
        return err_set(e, EINVAL, "Must specify both input and output files");
    return 0;
}

static uint64_t dd_bytes(uint64_t blocks, uint64_t block)
{
    uint64_t bytes;
    return num_mul(blocks, block, &bytes) ? bytes : UINT64_MAX;
}

/* `count` counts from the beginning of the input, not from where `skip` leads to. */
static struct convert_window dd_window(const struct dd_operands *o)
{
    return (struct convert_window){
        .on = true,
        .from = dd_bytes(o->skip, o->block),
        .to = dd_bytes(o->count, o->block),
    };
}

/* ---- the run --------------------------------------------------------------------------------- */

static int dd_plan_target(const struct dd_args *a, const json_t *spec, struct options **out,
                          struct err *e)
{
    const struct text_list none = {0};
    if (!format_find(a->target_format))
        return err_set(e, EINVAL, "Unknown file format");
    const struct format *format = wanted_format_creatable(a->target_format, e);
    return format ? target_options(format, spec, &none, out, e) : -1;
}

static int dd_flow(struct command_run *r, const struct convert_options *o, struct err *e)
{
    struct convert_report report = {0};
    if (convert_run(r->engine, o, &report, e))
        return -1;
    if (report.skipped_all) {
        char text[512];
        snprintf(text, sizeof text, "%.400s: cannot skip to specified offset", o->sources[0].name);
        message_error_line(text);
    }
    return 0;
}

static int dd_images(struct command_run *r, const struct dd_operands *names,
                     struct secrets *secrets, struct err *e)
{
    const struct dd_args *a = r->args;
    AUTO(options_cleanup) struct options *options = NULL;
    AUTO(json_cleanup) json_t *in = open_spec(&a->image, names->in, e);
    AUTO(json_cleanup) json_t *out = in ? wanted_spec(names->out, e) : NULL;
    int status = out ? dd_plan_target(a, out, &options, e) : -1;
    if (engine_agree(r->engine, status, e))
        return -1;
    const struct convert_source source = {.name = names->in, .spec = in};
    const struct convert_options o = {
        .sources = &source,
        .n_sources = 1,
        .source_driver = a->image.format,
        .force_share = a->image.force_share,
        .safety = a->image.safety,
        .secrets = secrets,
        .target = names->out,
        .target_spec = out,
        .target_driver = a->target_format,
        .options = options,
        .sparse_size = DD_SPARSE,
        .memory = a->engine.memory,
        .window = dd_window(names),
        .is_dd = true,
    };
    return dd_flow(r, &o, e);
}

static int dd_main(struct command_run *r)
{
    const struct dd_args *a = r->args;
    struct err e = ERR_INIT;
    struct dd_operands operands;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD || dd_take_operands(&r->operands, &operands, &e) ||
        dd_images(r, &operands, secrets, &e))
        return command_fail(&e);
    return 0;
}

static const struct option_row dd_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct dd_args, image.objects),
    ROW_IMAGE_OPTS(struct dd_args, image.image_opts),
    ROW_FORCE_SHARE(struct dd_args, image.force_share),
    ROWS_SAFETY(struct dd_args, image.safety),
    ROW_TEXT('f', "format", "fmt", struct dd_args, image.format, "Format of the input"),
    ROW_TEXT('O', "output-format", "output_fmt", struct dd_args, target_format,
             "Format of the output (default raw)"),
    ROWS_ENGINE(struct dd_args),
    ROW_MEMORY(struct dd_args, engine.memory),
    {0},
};

const struct command command_dd = {
    .name = "dd",
    .summary = "Copy a part of an image into a new image",
    .operands = "[bs=block_size] [count=blocks] [skip=blocks] if=input of=output",
    .description =
        "Blocks skip to count of the input, of bs bytes each (default 512), become the output: as "
        "in qemu-img, count is counted from the beginning of the input. Without count the input "
        "is copied to its end. All numbers may have the suffixes of sizes. If skip leads beyond "
        "the end of the input, that is told and the output is empty.\n\n"
        "The output is written as convert writes it: in parallel, with zeros left out, and it has "
        "its name when it is complete. Its size is rounded up to 512 bytes.",
    .rows = dd_rows,
    .args_size = sizeof(struct dd_args),
    .defaults = dd_defaults,
    .parallel = true,
    .run = dd_main,
};
