#include "cmd/convert_args.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "cli/size.h"
#include "flow/wanted.h"

#define COROUTINES_MAX 16
#define STRIPES_MAX    65534
#define STRIPE_UNIT    (64 * KIB)
#define STRIPE_LIMIT   (4 * GIB)

void convert_defaults(void *args)
{
    struct convert_args *a = args;
    a->sparse.size = WANTED_SPARSE;
    hash_arg_defaults(&a->hash);
}

const char *convert_target_format(const struct convert_args *a)
{
    return a->target_format ? a->target_format : "raw";
}

static int convert_take_sparse(void *field, const char *value, struct err *e)
{
    struct sparse_arg *sparse = field;
    sparse->given = true;
    return wanted_sparse(value, &sparse->size, e);
}

static int convert_take_parallel(void *field, const char *value, struct err *e)
{
    struct err ignored = ERR_INIT;
    if (size_count(value, "number of coroutines", 1, COROUTINES_MAX, field, &ignored))
        return err_set(e, EINVAL,
                       "Invalid number of coroutines. Allowed number of coroutines is between 1 "
                       "and %d",
                       COROUTINES_MAX);
    return 0;
}

static int convert_take_level(void *field, const char *value, struct err *e)
{
    return wanted_level(value, field, e);
}

/* As lfs setstripe has it: -1 stands for all targets. */
static int convert_take_stripe_count(void *field, const char *value, struct err *e)
{
    struct err ignored = ERR_INIT;
    uint64_t count = 0;
    bool all = strcmp(value, "-1") == 0;
    if (!all && size_count(value, "stripe count", 1, STRIPES_MAX, &count, &ignored))
        return err_set(e, EINVAL, "Invalid stripe count '%s': 1 to %d, or -1 for all targets",
                       value, STRIPES_MAX);
    *(int *)field = all ? -1 : (int)count;
    return 0;
}

static int convert_take_stripe_size(void *field, const char *value, struct err *e)
{
    uint64_t *size = field;
    if (size_operand(value, "stripe size", size, e))
        return -1;
    if (!*size || *size % STRIPE_UNIT || *size >= STRIPE_LIMIT)
        return err_set(e, EINVAL, "Invalid stripe size '%s': a multiple of 64k, less than 4G",
                       value);
    return 0;
}

int convert_args_check(const struct convert_args *a, struct err *e)
{
    const struct {
        bool wrong;
        const char *text;
    } rules[] = {
        {a->target_image_opts && !a->no_create, "--target-image-opts requires use of -n flag"},
        {a->skip_broken_bitmaps && !a->bitmaps, "Use of --skip-broken-bitmaps requires --bitmaps"},
        {a->copy_offload && a->compress, "Cannot enable copy offloading when -c is used"},
        {a->copy_offload && a->sparse.given, "Cannot enable copy offloading when -S is used"},
        {a->copy_offload && a->salvage, "Cannot use copy offloading in salvaging mode"},
        {a->target_is_zero && !a->no_create, "--target-is-zero requires use of -n flag"},
        {a->target_is_zero && a->backing,
         "Cannot use --target-is-zero when the destination image has a backing file"},
        {a->no_create && a->options.n, "-o has no effect when skipping image creation"},
        {a->resume && a->no_create, "--resume cannot be used with -n"},
        {(a->stripes.count || a->stripes.size) && a->no_create,
         "Stripes have no effect when skipping image creation"},
        {a->time_limit && !a->resume, "--time-limit requires use of --resume flag"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i].wrong)
            return err_set(e, EINVAL, "%s", rules[i].text);
    return 0;
}

#define ROW_CONVERT_VALUE(l, n, meta, field, function, text)                                       \
    {                                                                                              \
        .letter = (l), .name = (n), .metavar = (meta), .take = TAKE_VALUE, .call = (function),     \
        .offset = offsetof(struct convert_args, field), .help = (text)                             \
    }

const struct option_row convert_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct convert_args, image.objects),
    ROW_IMAGE_OPTS(struct convert_args, image.image_opts),
    ROW_FLAG(0, "target-image-opts", struct convert_args, target_image_opts,
             "Take the output file name as a key=value list; needs -n, not with -O"),
    ROW_FLAG(0, "target-is-zero", struct convert_args, target_is_zero,
             "With -n: the output is known to read as zeros"),
    {.name = "bitmaps",
     .take = TAKE_FLAG,
     .offset = offsetof(struct convert_args, bitmaps),
     .syntax = "[--bitmaps [--skip-broken-bitmaps]]",
     .help = "Copy the persistent bitmaps of the topmost source image too"},
    {.name = "skip-broken-bitmaps",
     .take = TAKE_FLAG,
     .offset = offsetof(struct convert_args, skip_broken_bitmaps),
     .syntax = "",
     .help = "Leave out bitmaps that are inconsistent"},
    ROW_FORCE_SHARE(struct convert_args, image.force_share),
    ROWS_SAFETY(struct convert_args, image.safety),
    ROW_FLAG('C', "copy-range-offloading", struct convert_args, copy_offload,
             "Let the storage copy the data where it can (reflinks)"),
    ROW_FLAG('c', "compress", struct convert_args, compress, "Compress (qcow, qcow2 and vmdk)"),
    ROW_PROGRESS(struct convert_args, progress),
    ROW_QUIET(struct convert_args, quiet),
    ROW_FLAG('n', "no-create", struct convert_args, no_create,
             "Write into the output that is there; do not create it"),
    ROW_TEXT('f', "source-format", "fmt", struct convert_args, image.format,
             "Format of the sources"),
    ROW_TEXT('t', "target-cache", "cache", struct convert_args, target_cache,
             "Cache mode to write the output with"),
    ROW_TEXT('T', "source-cache", "src_cache", struct convert_args, source_cache,
             "Cache mode to read the sources with"),
    ROW_TEXT('O', "target-format", "output_fmt", struct convert_args, target_format,
             "Format of the output (default raw)"),
    {.letter = 'B',
     .metavar = "backing_file",
     .take = TAKE_TEXT,
     .offset = offsetof(struct convert_args, backing),
     .syntax = "[-B backing_file [-F backing_fmt]]",
     .help = "Backing image of the output"},
    {.letter = 'b',
     .name = "backing",
     .metavar = "backing_file",
     .take = TAKE_TEXT,
     .offset = offsetof(struct convert_args, backing),
     .syntax = "",
     .help = "The same as -B"},
    {.letter = 'F',
     .name = "backing-format",
     .metavar = "backing_fmt",
     .take = TAKE_TEXT,
     .offset = offsetof(struct convert_args, backing_format),
     .syntax = "",
     .help = "Format of the backing image; needed with -B"},
    {.letter = 'o',
     .name = "target-format-options",
     .metavar = "options",
     .take = TAKE_LIST,
     .call = args_check_list,
     .offset = offsetof(struct convert_args, options),
     .help = "Options of the output; -o help lists those of the format"},
    {.letter = 'l',
     .name = "snapshot",
     .metavar = "snapshot_param",
     .take = TAKE_TEXT,
     .call = args_check_snapshot,
     .offset = offsetof(struct convert_args, snapshot),
     .help = "Convert this internal snapshot of the source"},
    {.letter = 's',
     .metavar = "snapshot",
     .take = TAKE_TEXT,
     .offset = offsetof(struct convert_args, snapshot),
     .help = "As -l, by id or name: the spelling of versions before 3.1"},
    ROW_CONVERT_VALUE('S', "sparse-size", "sparse_size", sparse, convert_take_sparse,
                      "Runs of zeros of at least this size become holes (default 4k); 0 writes "
                      "everything, so that the output is fully allocated"),
    ROW_CONVERT_VALUE('r', "rate-limit", "rate_limit", rate_limit, args_take_rate,
                      "Bytes to write a second at most, by all ranks together"),
    ROW_CONVERT_VALUE('m', "parallel", "num_coroutines", engine.threads, convert_take_parallel,
                      "Worker threads of each process, 1 to 16; see --threads for more"),
    ROW_FLAG('W', "oob-writes", struct convert_args, out_of_order,
             "Taken and ignored: order costs nothing here"),
    ROW_FLAG(0, "salvage", struct convert_args, salvage,
             "What cannot be read becomes zeros; each place is told unless -q"),
    ROW_CONVERT_VALUE(0, "compression-level", "level", level, convert_take_level,
                      "With -c: 1 (fast) to 9 for zlib, where 6 gives qemu-img's size and 2 is the "
                      "default; 1 to 19 for zstd, default 3"),
    {.name = "hash",
     .metavar = "algorithm[/block_size]",
     .may_lack = true,
     .take = TAKE_VALUE,
     .call = hash_take,
     .offset = offsetof(struct convert_args, hash),
     .syntax = "[--hash[=algorithm[/block_size]]] [--verify]",
     .help = "Print the hash of what was converted, made in the same pass (default sha256/64k): "
             "what hash prints of the sources, and nbdcopy with --blkhash"},
    {.name = "verify",
     .take = TAKE_FLAG,
     .offset = offsetof(struct convert_args, verify),
     .syntax = "",
     .help = "Read the output back from storage, each part by another rank than the one that wrote "
             "it, and compare its hash; only then it gets its name"},
    ROW_FLAG(
        0, "resume", struct convert_args, resume,
        "Keep a journal beside the unfinished output, and go on with what an earlier run left"),
    ROW_CONVERT_VALUE(0, "time-limit", "time", time_limit, args_take_time,
                      "With --resume: stop before so many seconds, or HH:MM:SS, are over"),
    ROW_CONVERT_VALUE(0, "stripe-count", "count", stripes.count, convert_take_stripe_count,
                      "On Lustre: stripe the output over so many targets, -1 for all (default: as "
                      "its folder says)"),
    ROW_CONVERT_VALUE(0, "stripe-size", "size", stripes.size, convert_take_stripe_size,
                      "On Lustre: bytes of a stripe, a multiple of 64k; the chunks of a raw output "
                      "are as long, up to 16M"),
    ROWS_ENGINE(struct convert_args),
    ROW_MEMORY(struct convert_args, engine.memory),
    {0},
};
