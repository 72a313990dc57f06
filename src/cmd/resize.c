/* resize: another size for an image that is there. */
#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/message.h"
#include "cmd/object.h"
#include "cmd/open.h"
#include "flow/resize.h"
#include "formats/options.h"

struct resize_args {
    struct image_args image;
    enum edit_prealloc prealloc;
    bool shrink;
    bool quiet;
};

/* The size as the operand gives it. */
struct resize_size {
    char sign; /* '+', '-': relative; 0 = it is the size */
    uint64_t bytes;
};

static int resize_take_prealloc(void *field, const char *value, struct err *e)
{
    static const char *const names[] = {"off", "metadata", "falloc", "full"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(value, names[i]) == 0) {
            *(enum edit_prealloc *)field = (enum edit_prealloc)i;
            return 0;
        }
    return err_set(e, EINVAL, "Invalid preallocation mode '%s'", value);
}

/* ---- the size -------------------------------------------------------------------------------- */

static int resize_parse(const char *text, struct resize_size *out, struct err *e)
{
    static const struct option_def table[] = {{"size", OPTION_SIZE, "", NULL}, {0}};
    const struct option_def *const tables[] = {table, NULL};
    AUTO(options_cleanup) struct options *o = options_new(tables, e);
    out->sign = *text == '+' || *text == '-' ? *text : 0;
    if (!o || options_set(o, "size", text + !!out->sign, e))
        return -1;
    out->bytes = options_size(o, "size", 0);
    return 0;
}

static int resize_total(const struct resize_size *size, uint64_t now, uint64_t *total,
                        struct err *e)
{
    bool good = true;
    *total = size->bytes;
    if (size->sign == '+')
        good = num_add(now, size->bytes, total);
    else if (size->sign == '-') {
        good = size->bytes < now;
        *total = now - size->bytes;
    }
    if (!good || !*total || *total > INT64_MAX)
        return err_set(e, EINVAL, "New image size must be positive");
    return 0;
}

static int resize_check(const struct resize_args *a, uint64_t now, uint64_t total, struct err *e)
{
    if (total <= now && a->prealloc != EDIT_PREALLOC_OFF)
        return err_set(e, EINVAL, "Preallocation can only be used for growing images");
    if (total >= now || a->shrink)
        return 0;
    return err_set(e, EINVAL,
                   "Use the --shrink option to perform a shrink operation.\n"
                   "warning: Shrinking an image will delete all data beyond the shrunken image's "
                   "end. Before performing such an operation, make sure there is no important data "
                   "there.");
}

/* ---- doing it -------------------------------------------------------------------------------- */

static int resize_run(const struct resize_args *a, struct image *img,
                      const struct resize_size *size, struct err *e)
{
    uint64_t total;
    if (resize_total(size, img->size, &total, e) || resize_check(a, img->size, total, e))
        return -1;
    return resize_image(img, total, a->prealloc, e);
}

static int resize_file(const struct resize_args *a, const struct operands *names,
                       struct secrets *secrets, struct err *e)
{
    const struct image_flags flags = {.write = true, .secrets = secrets};
    AUTO(image_cleanup) struct image *img = NULL;
    struct resize_size size;
    if (resize_parse(names->text[1], &size, e) ||
        open_image(&a->image, names->text[0], flags, &img, e) || resize_run(a, img, &size, e) ||
        image_close(MEM_TAKE(img), e))
        return -1;
    return 0;
}

static int resize_main(struct command_run *r)
{
    const struct resize_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD)
        return command_fail(&e);
    if (r->operands.n != 2)
        return command_misused("Expecting image file name and size");
    if (resize_file(a, &r->operands, secrets, &e))
        return command_fail(&e);
    if (!a->quiet)
        printf("Image resized.\n");
    return 0;
}

static const struct option_row resize_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct resize_args, image.objects),
    ROW_IMAGE_OPTS(struct resize_args, image.image_opts),
    ROW_TEXT('f', "format", "fmt", struct resize_args, image.format, "Format of the image"),
    ROWS_SAFETY(struct resize_args, image.safety),
    {.name = "preallocation",
     .metavar = "prealloc",
     .take = TAKE_VALUE,
     .call = resize_take_prealloc,
     .offset = offsetof(struct resize_args, prealloc),
     .help = "How to reserve what is added: off (default), metadata, falloc or full"},
    ROW_QUIET(struct resize_args, quiet),
    ROW_FLAG(0, "shrink", struct resize_args, shrink,
             "The image may get smaller; what is beyond its new end is lost"),
    {0},
};

const struct command command_resize = {
    .name = "resize",
    .summary = "Change the size of an image",
    .operands = "filename [+ | -]size",
    .size_last = true,
    .description =
        "The size is that of the disk that a guest sees; with + or - it is added to the size there "
        "is, or taken off. What is added reads as zeros. Partitions and file systems on the disk "
        "stay as they are: make them smaller before the image, and larger after it.\n\n"
        "raw, qcow2, qed and luks can grow; all of these but qed can shrink. The size changes by "
        "a single write at the end.",
    .rows = resize_rows,
    .args_size = sizeof(struct resize_args),
    .run = resize_main,
};
