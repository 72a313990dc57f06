#include "cmd/fleet_args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "cli/size.h"
#include "fleet/request.h"
#include "flow/wanted.h"

#define COUNT_MAX 1000000

static int fleet_take_hash(void *field, const char *value, struct err *e)
{
    struct fleet_hash_arg *a = field;
    struct blkhash_params params;
    a->given = true;
    a->text = value;
    return wanted_hash(value, &params, e);
}

static int fleet_take_level(void *field, const char *value, struct err *e)
{
    return wanted_level(value, field, e);
}

static int fleet_take_retries(void *field, const char *value, struct err *e)
{
    return size_count(value, "number of retries", 0, COUNT_MAX, field, e);
}

static int fleet_take_images(void *field, const char *value, struct err *e)
{
    return size_count(value, "number of images", 1, COUNT_MAX, field, e);
}

static int fleet_take_whole(void *field, const char *value, struct err *e)
{
    return size_operand(value, "size of images that are done whole", field, e);
}

static int fleet_take_interval(void *field, const char *value, struct err *e)
{
    char *end;
    double seconds = strtod(value, &end);
    if (end == value || *end || !(seconds >= 0.01 && seconds <= 86400))
        return err_set(e, EINVAL, "Invalid interval '%s': seconds, from 0.01 to 86400", value);
    *(double *)field = seconds;
    return 0;
}

static int check_source(const struct fleet_args *a, const struct operands *names, struct err *e)
{
    if ((a->to || a->glob) && !a->from)
        return err_set(e, EINVAL, "--to and --glob require use of --from");
    if (a->from && !a->to)
        return err_set(e, EINVAL, "--from requires use of --to");
    if (a->from && names->n)
        return err_set(e, EINVAL, "--from cannot be used with a manifest");
    if (!a->from && names->n != 1)
        return err_set(e, EINVAL,
                       names->n ? "Only one manifest can be given"
                                : "A manifest must be given, or --from and --to");
    return 0;
}

int fleet_args_check(const struct fleet_args *a, const struct operands *names, struct err *e)
{
    if (check_source(a, names, e))
        return -1;
    if (a->progress_interval > 0 && a->dry_run)
        return err_set(e, EINVAL, "--progress-interval cannot be used with --dry-run");
    return 0;
}

/* ---- defaults -------------------------------------------------------------------------------- */

/* Takes v; NULL: the option was not given. */
static int put(json_t *record, const char *field, json_t *v, struct err *e)
{
    if (!v)
        return 0;
    int status = request_check_field(field, v, e);
    if (!status && json_object_set(record, field, v))
        status = err_nomem(e);
    json_decref(v);
    return status;
}

/* What is not UTF-8 has no form in JSON. */
static int put_text(json_t *record, const char *field, const char *text, struct err *e)
{
    json_t *v = text ? json_string(text) : NULL;
    if (text && !v)
        return err_set(e, EILSEQ, "%s: It is not UTF-8", field);
    return put(record, field, v, e);
}

static int put_flag(json_t *record, const char *field, bool given, struct err *e)
{
    return put(record, field, given ? json_true() : NULL, e);
}

static int put_values(json_t *record, const struct fleet_args *a, struct err *e)
{
    if (put_text(record, "source_format", a->source_format, e) ||
        put_text(record, "target_format", a->target_format, e) ||
        put_text(record, "backing_file", a->backing, e) ||
        put_text(record, "backing_format", a->backing_format, e) ||
        put_text(record, "snapshot", a->snapshot, e) ||
        put_text(record, "sparse_size", a->sparse, e) ||
        put_text(record, "max_size", a->max_size, e) ||
        put_flag(record, "compress", a->compress, e) || put_flag(record, "verify", a->verify, e) ||
        put_flag(record, "safe", a->safe, e) || put_flag(record, "salvage", a->salvage, e))
        return -1;
    return put(record, "compression_level", a->level ? json_integer((json_int_t)a->level) : NULL,
               e);
}

static int put_lists(json_t *record, const struct fleet_args *a, struct err *e)
{
    AUTO_FREE char *options = a->options.n ? text_list_join(&a->options, e) : NULL;
    if ((a->options.n && !options) || put_text(record, "options", options, e))
        return -1;
    if (a->hash.text)
        return put_text(record, "hash", a->hash.text, e);
    return put_flag(record, "hash", a->hash.given, e);
}

json_t *fleet_args_record(const struct fleet_args *a, struct err *e)
{
    json_t *record = json_object();
    if (!record)
        err_nomem(e);
    if (record && !put_values(record, a, e) && !put_lists(record, a, e))
        return record;
    json_decref(record);
    return NULL;
}

char *fleet_args_results(const struct fleet_args *a, const struct operands *names, struct err *e)
{
    bool file = !a->from && strcmp(names->text[0], "-") != 0;
    if (a->results)
        return mem_strdup(a->results, e);
    return file ? mem_printf(e, "%s.results", names->text[0]) : mem_strdup("fleet.results", e);
}

/* ---- the table ------------------------------------------------------------------------------- */

#define FLEET_VALUE(l, n, meta, field, function, text)                                             \
    {                                                                                              \
        .letter = (l), .name = (n), .metavar = (meta), .take = TAKE_VALUE, .call = (function),     \
        .offset = offsetof(struct fleet_args, field), .help = (text)                               \
    }
#define FLEET_TEXT(l, n, meta, field, text) ROW_TEXT(l, n, meta, struct fleet_args, field, text)
/* Shown as operands. */
#define FLEET_NAMED(n, meta, field, text)                                                          \
    {                                                                                              \
        .name = (n), .metavar = (meta), .take = TAKE_TEXT,                                         \
        .offset = offsetof(struct fleet_args, field), .syntax = "", .help = (text)                 \
    }
#define FLEET_FLAG(l, n, field, text) ROW_FLAG(l, n, struct fleet_args, field, text)

const struct option_row fleet_rows[] = {
    ROW_HELP,
    FLEET_NAMED(
        "from", "folder", from,
        "Instead of a manifest: convert all files of this folder and of those below it, but "
        "hidden ones, and those that a fleet leaves"),
    FLEET_NAMED("to", "folder", to,
                "Where their targets go: the same path, with the ending of the target's format; "
                "folders are made"),
    FLEET_NAMED(
        "glob", "pattern", glob,
        "Only files whose name fits the pattern (* and ?); with a '/' in it, the path below "
        "the folder"),
    FLEET_FLAG(0, "dry-run", dry_run,
               "Do nothing: check the manifest, measure all targets, print the plan"),
    FLEET_TEXT(0, "results", "file", results,
               "Where results are appended (default: the manifest's name and '.results'; "
               "without one fleet.results)"),
    FLEET_FLAG(0, "no-space-check", space_check_off,
               "Begin although the file systems of the targets seem to be too small"),
    FLEET_VALUE(0, "retries", "n", retries, fleet_take_retries,
                "Try an image that failed so many times again, when all others are done"),
    FLEET_FLAG(0, "fail-fast", fail_fast, "Begin no further image when one has failed for good"),
    FLEET_VALUE(0, "max-images-in-flight", "n", max_in_flight, fleet_take_images,
                "At most so many images are begun and not ended"),
    FLEET_VALUE('r', "rate-limit", "rate_limit", rate_limit, args_take_rate,
                "Bytes to write a second at most, by all ranks together"),
    FLEET_VALUE(0, "whole-below", "size", whole_below, fleet_take_whole,
                "Images whose source takes less are done whole by one worker; larger ones are "
                "spread over all ranks (default 256M)"),
    FLEET_VALUE(0, "time-limit", "time", time_limit, args_take_time,
                "Stop before so many seconds, or HH:MM:SS, are over"),
    FLEET_TEXT('f', "source-format", "fmt", source_format, "Format of the sources"),
    FLEET_TEXT('O', "target-format", "output_fmt", target_format,
               "Format of the targets (default raw)"),
    {.letter = 'o',
     .name = "target-format-options",
     .metavar = "options",
     .take = TAKE_LIST,
     .call = args_check_list,
     .offset = offsetof(struct fleet_args, options),
     .help = "Options of the targets; -o help lists those of the format"},
    FLEET_FLAG('c', "compress", compress, "Compress (qcow, qcow2 and vmdk)"),
    FLEET_VALUE(0, "compression-level", "level", level, fleet_take_level,
                "With -c: 1 (fast) to 9 for zlib, 1 to 19 for zstd"),
    FLEET_TEXT('S', "sparse-size", "sparse_size", sparse,
               "Runs of zeros of at least this size become holes (default 4k)"),
    {.letter = 'B',
     .metavar = "backing_file",
     .take = TAKE_TEXT,
     .offset = offsetof(struct fleet_args, backing),
     .syntax = "[-B backing_file [-F backing_fmt]]",
     .help = "Backing image of the targets, relative to their folders"},
    {.letter = 'F',
     .name = "backing-format",
     .metavar = "backing_fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct fleet_args, backing_format),
     .syntax = "",
     .help = "Format of the backing image; needed with -B"},
    FLEET_TEXT('l', "snapshot", "snapshot_param", snapshot,
               "Convert this internal snapshot of the sources"),
    FLEET_FLAG(0, "safe", safe,
               "Refuse sources that do not pass all checks of untrusted images (see the manual)"),
    FLEET_TEXT(0, "max-size", "size", max_size, "Refuse sources with a larger virtual disk"),
    {.name = "hash",
     .metavar = "algorithm[/block_size]",
     .may_lack = true,
     .take = TAKE_VALUE,
     .call = fleet_take_hash,
     .offset = offsetof(struct fleet_args, hash),
     .syntax = "[--hash[=algorithm[/block_size]]]",
     .help = "Write the hash of each image into the results (default sha256/64k)"},
    FLEET_FLAG(0, "verify", verify, "Read each target back and compare, before it gets its name"),
    FLEET_FLAG(0, "salvage", salvage, "What cannot be read becomes zeros"),
    ROW_OBJECT(struct fleet_args, objects),
    ROW_PROGRESS(struct fleet_args, progress),
    FLEET_VALUE(0, "progress-interval", "seconds", progress_interval, fleet_take_interval,
                "Between records of progress in the results, and lines of -p in a log (default "
                "10)"),
    ROW_FLAG('q', "quiet", struct fleet_args, quiet,
             "Print errors only: no progress, no warnings, no summary"),
    ROWS_ENGINE(struct fleet_args),
    ROW_MEMORY(struct fleet_args, engine.memory),
    {0},
};
