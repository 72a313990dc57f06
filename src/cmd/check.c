/* check: is the metadata of an image consistent? */
#include "cmd/command.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/message.h"
#include "cmd/one_image.h"
#include "cli/report.h"
#include "cli/size.h"
#include "cmd/open.h"
#include "formats/format.h"

#define CHECK_MEMORY_DEFAULT (256 * MIB)

enum check_exit {
    CHECK_CONSISTENT = 0,
    CHECK_NOT_DONE = 1,
    CHECK_CORRUPT = 2,
    CHECK_LEAKS = 3,
    CHECK_UNSUPPORTED = 63
};

struct check_args {
    struct image_args image;
    const char *output;
    const char *cache; /* -T */
    enum check_fix fix;
    uint64_t memory;
    bool quiet;
};

static int check_take_fix(void *field, const char *value, struct err *e)
{
    enum check_fix *fix = field;
    if (strcmp(value, "leaks") == 0)
        *fix = CHECK_FIX_LEAKS;
    else if (strcmp(value, "all") == 0)
        *fix = CHECK_FIX_LEAKS | CHECK_FIX_ERRORS;
    else {
        err_set(e, 0, "Unknown option value for -r (expecting 'leaks' or 'all'): %s", value);
        return message_usage(e);
    }
    return 0;
}

/* ---- reports --------------------------------------------------------------------------------- */

static json_t *check_tree(const struct check_result *r, const char *name, const char *format)
{
    json_t *tree = json_object();
    if (report_count(tree, "image-end-offset", r->image_end_offset) &&
        report_count(tree, "compressed-clusters", r->compressed_clusters) &&
        report_count(tree, "total-clusters", r->total_clusters) &&
        report_count(tree, "corruptions", r->corruptions) &&
        report_count(tree, "corruptions-fixed", r->corruptions_fixed) &&
        report_number(tree, "check-errors", r->check_errors) &&
        report_count(tree, "leaks", r->leaks) &&
        report_count(tree, "leaks-fixed", r->leaks_fixed) &&
        report_count(tree, "allocated-clusters", r->allocated_clusters) &&
        report_text(tree, "filename", name) && report_text(tree, "format", format) &&
        report_count(tree, "fragmented-clusters", r->fragmented_clusters))
        return tree;
    json_decref(tree);
    return NULL;
}

static uint64_t tree_number(const json_t *tree, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(tree, key));
}

static void check_human_faults(const json_t *t)
{
    uint64_t corruptions = tree_number(t, "corruptions"), leaks = tree_number(t, "leaks");
    uint64_t errors = tree_number(t, "check-errors");
    if (!corruptions && !leaks && !errors) {
        printf("No errors were found on the image.\n");
        return;
    }
    if (corruptions)
        printf("\n%" PRIu64 " errors were found on the image.\n"
               "Data may be corrupted, or further writes to the image may corrupt it.\n",
               corruptions);
    if (leaks)
        printf("\n%" PRIu64 " leaked clusters were found on the image.\n"
               "This means waste of disk space, but no harm to data.\n",
               leaks);
    if (errors)
        printf("\n%" PRIu64 " internal errors have occurred during the check.\n", errors);
}

static void check_human(const json_t *t)
{
    uint64_t total = tree_number(t, "total-clusters");
    uint64_t allocated = tree_number(t, "allocated-clusters");
    uint64_t end = tree_number(t, "image-end-offset");
    check_human_faults(t);
    if (total && allocated)
        printf("%" PRIu64 "/%" PRIu64 " = %0.2f%% allocated, %0.2f%% fragmented, "
               "%0.2f%% compressed clusters\n",
               allocated, total, 100.0 * (double)allocated / (double)total,
               100.0 * (double)tree_number(t, "fragmented-clusters") / (double)allocated,
               100.0 * (double)tree_number(t, "compressed-clusters") / (double)allocated);
    if (end)
        printf("Image end offset: %" PRIu64 "\n", end);
}

static void check_human_fixed(const struct check_result *r)
{
    printf("The following inconsistencies were found and repaired:\n\n"
           "    %" PRIu64 " leaked clusters\n    %" PRIu64 " corruptions\n\n"
           "Double checking the fixed image now...\n",
           r->leaks_fixed, r->corruptions_fixed);
}

/* ---- the check ------------------------------------------------------------------------------- */

static void check_line(void *ctx, const char *text)
{
    (void)ctx;
    message_line(text);
}

static void check_error(void *ctx, const char *text)
{
    (void)ctx;
    message_error_line(text);
}

static int check_once(const struct check_args *a, struct image *img, enum check_fix fix,
                      struct check_result *out, struct err *e)
{
    const struct check_sink sink = {.line = check_line,
                                    .error = check_error,
                                    .memory = a->memory ? a->memory : CHECK_MEMORY_DEFAULT};
    *out = (struct check_result){0};
    return img->format->check(img, fix, &sink, out, e) ? err_prefix(e, "Check failed: ") : 0;
}

/* Check; after a repair once more, so that the report is of the image as it now is. */
static int check_image(const struct check_args *a, struct image *img, bool json,
                       struct check_result *out, struct err *e)
{
    if (check_once(a, img, a->fix, out, e))
        return -1;
    if (!out->corruptions_fixed && !out->leaks_fixed)
        return 0;
    if (!json && !a->quiet)
        check_human_fixed(out);
    const struct check_result first = *out;
    if (check_once(a, img, CHECK_FIX_NONE, out, e))
        return -1;
    out->corruptions_fixed = first.corruptions_fixed;
    out->leaks_fixed = first.leaks_fixed;
    return 0;
}

static int check_exit_code(const struct check_result *r)
{
    if (r->corruptions)
        return CHECK_CORRUPT;
    return r->leaks ? CHECK_LEAKS : CHECK_CONSISTENT;
}

static int check_report(const struct check_args *a, const struct image *img, const char *name,
                        bool json, const struct check_result *r)
{
    struct err e = ERR_INIT;
    AUTO(json_cleanup) json_t *tree = check_tree(r, name, img->format->name);
    if (!tree) {
        err_nomem(&e);
        return command_fail(&e);
    }
    if (json && !a->quiet)
        report_json(stdout, tree);
    else if (!a->quiet)
        check_human(tree);
    if (r->check_errors) {
        err_set(&e, 0, "Check failed");
        return command_fail(&e);
    }
    return check_exit_code(r);
}

static int check_open_image(const struct check_args *a, const char *name, struct secrets *secrets)
{
    struct err e = ERR_INIT;
    AUTO(image_cleanup) struct image *img = NULL;
    struct image_flags flags = {.check = true, .write = a->fix, .secrets = secrets};
    struct check_result result;
    bool json;
    if (report_format(a->output, &json, &e) ||
        open_cache(a->cache, "Invalid source cache option", &flags.cache, &e) ||
        open_image(&a->image, name, flags, &img, &e))
        return command_fail(&e);
    if (!img->format->check || (a->fix && img->format->check_only)) {
        err_set(&e, 0, "This image format does not support checks");
        command_fail(&e);
        return CHECK_UNSUPPORTED;
    }
    if (check_image(a, img, json, &result, &e))
        return command_fail(&e);
    int code = check_report(a, img, name, json, &result);
    return image_close(MEM_TAKE(img), &e) ? command_fail(&e) : code;
}

static int check_main(struct command_run *r)
{
    const struct check_args *a = r->args;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    const char *name;
    int begun = one_image_begin(r, &a->image.objects, &secrets, &name);
    if (begun >= 0)
        return begun;
    return check_open_image(a, name, secrets);
}

static const struct option_row check_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct check_args, image.objects),
    ROW_IMAGE_OPTS(struct check_args, image.image_opts),
    ROW_QUIET(struct check_args, quiet),
    ROW_TEXT('f', "format", "fmt", struct check_args, image.format, "Format of the image"),
    ROW_OUTPUT(struct check_args, output),
    {.letter = 'r',
     .name = "repair",
     .metavar = "leaks|all",
     .take = TAKE_VALUE,
     .call = check_take_fix,
     .offset = offsetof(struct check_args, fix),
     .syntax = "[-r [leaks | all]]",
     .help = "Repair what is found: leaked clusters only, or all kinds of errors (with a higher "
             "risk of choosing the wrong repair)"},
    ROW_TEXT('T', "source-cache", "src_cache", struct check_args, cache,
             "Cache mode to read the image with"),
    {.name = "cache",
     .metavar = "src_cache",
     .take = TAKE_TEXT,
     .offset = offsetof(struct check_args, cache),
     .syntax = "",
     .help = "The same as -T"},
    ROW_FORCE_SHARE(struct check_args, image.force_share),
    ROWS_SAFETY(struct check_args, image.safety),
    ROW_MEMORY(struct check_args, memory),
    {0},
};

static const struct exit_status check_statuses[] = {
    {CHECK_CONSISTENT, "The image is consistent, perhaps after a repair"},
    {CHECK_NOT_DONE, "The check could not be completed"},
    {CHECK_CORRUPT, "The image is corrupt"},
    {CHECK_LEAKS, "The image has leaked clusters, but its data is good"},
    {CHECK_UNSUPPORTED, "The format of the image has no check"},
    {0},
};

const struct command command_check = {
    .name = "check",
    .summary = "Check an image for consistency",
    .operands = "filename",
    .description =
        "Each fault is a line on standard error; a summary goes to standard output. A leak wastes "
        "space, an error means that data is lost or can be lost by further writes.",
    .rows = check_rows,
    .statuses = check_statuses,
    .args_size = sizeof(struct check_args),
    .run = check_main,
};
