/* create: a new image. */
#include "cmd/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/message.h"
#include "cmd/object.h"
#include "cli/size.h"
#include "cmd/open.h"
#include "cmd/target.h"
#include "flow/create.h"

#define SIZE_NOT_GIVEN UINT64_MAX

struct create_args {
    const char *format;         /* -f */
    const char *backing;        /* -b */
    const char *backing_format; /* -F */
    struct text_list options;   /* -o */
    struct text_list objects;
    bool unsafe; /* -u */
    bool quiet;
};

static void create_defaults(void *args)
{
    ((struct create_args *)args)->format = "raw";
}

/* ---- the backing image ----------------------------------------------------------------------- */

/* The name is in the text once too often when the image is only asked for its size. */
static int create_backing_failed(const char *path, struct err *e)
{
    AUTO_FREE char *prefix = mem_printf(e, "Could not open '%s': ", path);
    if (!prefix)
        return -1;
    size_t n = strlen(prefix), len = strlen(e->text);
    if (strncmp(e->text, prefix, n) == 0)
        memmove(e->text, e->text + n, len - n + 1);
    AUTO_FREE char *hint =
        mem_printf(e, "%s%sCould not open backing image.", e->hint, *e->hint ? "\n" : "");
    return hint ? err_hint(e, "%s", hint) : -1;
}

/* Open it to see that it is there, of which format it is and how large. */
static int create_look_at_backing(const char *target, const char *name, const char *format,
                                  struct options *o, struct err *e)
{
    struct image beside = {.name = (char *)target, .backing_name = (char *)name};
    AUTO_FREE char *path = image_backing_path(&beside, e);
    if (!path)
        return -1;
    const struct image_flags flags = {.force_share = true, .no_io = true, .driver = format};
    AUTO(image_cleanup) struct image *img = NULL;
    if (image_open_name(path, &flags, &img, e))
        return create_backing_failed(path, e);
    if (!format) {
        err_set(e, EINVAL, "Backing file specified without backing format");
        return err_hint(e, "Detected format of %s.", image_format_name(img));
    }
    char size[32];
    snprintf(size, sizeof size, "%" PRIu64, img->size);
    return options_given(o, "size") ? 0 : options_set(o, "size", size, e);
}

static int create_check_backing(const struct create_args *a, const char *target, struct options *o,
                                struct err *e)
{
    const char *name = options_str(o, "backing_file", NULL);
    const char *format = options_str(o, "backing_fmt", NULL);
    if (!name)
        return 0;
    if (!*name)
        return err_set(e, EINVAL, "Expected backing file name, got empty string");
    if (strcmp(name, target) == 0)
        return err_set(e, EINVAL,
                       "Error: Trying to create an image with the same filename as the backing "
                       "file");
    if (!a->unsafe)
        return create_look_at_backing(target, name, format, o, e);
    if (!format)
        return err_set(e, EINVAL, "Backing file specified without backing format");
    return 0;
}

/* ---- the new image --------------------------------------------------------------------------- */

static int create_set_size(struct options *o, uint64_t size, struct err *e)
{
    char text[32];
    if (size == SIZE_NOT_GIVEN)
        return 0;
    if (options_given(o, "size"))
        return err_set(e, EINVAL, "The image size must be specified only once");
    snprintf(text, sizeof text, "%" PRIu64, size);
    return options_set(o, "size", text, e);
}

static int create_options(const struct create_args *a, const struct format *format,
                          const char *target, const json_t *spec, uint64_t size,
                          struct options **out, struct err *e)
{
    AUTO(options_cleanup) struct options *o = NULL;
    if (target_options(format, spec, &a->options, &o, e) || create_set_size(o, size, e) ||
        wanted_backing(format, o, a->backing, a->backing_format, e) ||
        create_check_backing(a, target, o, e))
        return -1;
    if (!options_given(o, "size"))
        return err_set(e, EINVAL, "Image creation needs a size parameter");
    *out = MEM_TAKE(o);
    return 0;
}

static void create_say(const char *target, const struct format *format, const struct options *o)
{
    const char *name, *value;
    size_t at = 0;
    printf("Formatting '%s', fmt=%s", target, format->name);
    while (options_next(o, &at, &name, &value))
        printf(" %s=%s", name, value);
    putchar('\n');
    fflush(stdout);
}

/* Too large for the format, or for the file: which one it is, users know best by the format. */
static int create_too_large(const char *target, const struct format *format,
                            const struct options *o, struct err *e)
{
    bool clusters = options_str(o, "cluster_size", NULL);
    return err_set(e, EFBIG, "%s: The image size is too large for file format '%s'%s", target,
                   format->name, clusters ? " (try using a larger cluster size)" : "");
}

static int create_image(const struct create_args *a, const char *target, uint64_t size,
                        const struct secrets *secrets, struct err *e)
{
    AUTO(options_cleanup) struct options *o = NULL;
    const struct format *format = wanted_format_creatable(a->format, e);
    AUTO(json_cleanup) json_t *spec = format ? wanted_spec(target, e) : NULL;
    if (!spec || create_options(a, format, target, spec, size, &o, e))
        return err_prefix(e, "%s: ", target);
    if (!a->quiet)
        create_say(target, format, o);
    const struct create_options run = {
        .path = target,
        .spec = spec,
        .format = format,
        .options = o,
        .backing_name = options_str(o, "backing_file", NULL),
        .backing_format = options_str(o, "backing_fmt", NULL),
        .secrets = secrets,
        .warn = message_warning,
    };
    if (!create_run(&run, e))
        return 0;
    return e->no == EFBIG ? create_too_large(target, format, o, e) : -1;
}

static int create_main(struct command_run *r)
{
    const struct create_args *a = r->args;
    const struct operands *names = &r->operands;
    struct err e = ERR_INIT;
    uint64_t size = SIZE_NOT_GIVEN;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    enum object_outcome objects = object_load(r->engine, &a->objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD)
        return command_fail(&e);
    if (target_wants_help(&a->options))
        return target_help(a->format, names->n ? names->text[0] : NULL, &e) ? command_fail(&e) : 0;
    if (names->n == 0)
        return command_misused("Expecting image file name");
    if (names->n > 1 && size_operand(names->text[1], "image size", &size, &e))
        return command_fail(&e);
    if (names->n > 2)
        return command_unexpected(names->text[2]);
    return create_image(a, names->text[0], size, secrets, &e) ? command_fail(&e) : 0;
}

static const struct option_row create_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct create_args, objects),
    ROW_QUIET(struct create_args, quiet),
    ROW_TEXT('f', "format", "fmt", struct create_args, format,
             "Format of the new image (default raw)"),
    {.letter = 'b',
     .name = "backing",
     .metavar = "backing_file",
     .take = TAKE_TEXT,
     .offset = offsetof(struct create_args, backing),
     .syntax = "[-b backing_file [-F backing_fmt]]",
     .help = "The new image holds only what differs from this image"},
    {.letter = 'F',
     .name = "backing-format",
     .metavar = "backing_fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct create_args, backing_format),
     .syntax = "",
     .help = "Format of the backing image; needed with -b"},
    {.letter = 'B',
     .metavar = "backing_fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct create_args, backing_format),
     .syntax = "",
     .help = "The same as -F"},
    ROW_FLAG('u', "backing-unsafe", struct create_args, unsafe,
             "Do not open the backing image; a size must be given"),
    {.letter = 'o',
     .name = "options",
     .metavar = "options",
     .take = TAKE_LIST,
     .call = args_check_list,
     .offset = offsetof(struct create_args, options),
     .help = "Options of the new image; -o help lists those of the format"},
    {0},
};

const struct command command_create = {
    .name = "create",
    .summary = "Create a new image",
    .operands = "filename [size]",
    .description =
        "The size is needed unless a backing image or -o size= gives it. A file of that name is "
        "replaced when the new image is complete.\n\n"
        "A relative name of a backing image is looked up in the folder of the new image.",
    .rows = create_rows,
    .args_size = sizeof(struct create_args),
    .defaults = create_defaults,
    .run = create_main,
};
