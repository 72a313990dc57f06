/* hash: what the guest reads from images, as a hash that does not depend on their format. */
#include "cmd/command.h"

#include <stdio.h>

#include "base/mem.h"
#include "cli/report.h"
#include "cmd/hash_args.h"
#include "cmd/object.h"
#include "cmd/open.h"
#include "flow/hash.h"

#define HASH_PROGRESS_STEP 1

struct hash_args {
    struct engine_args engine;
    struct image_args image;
    struct hash_arg hash;
    const char *cache;  /* -T */
    const char *output; /* --output */
    struct progress_arg progress;
    bool quiet;
};

static void hash_defaults(void *args)
{
    hash_arg_defaults(&((struct hash_args *)args)->hash);
}

/* What all images have in common. */
struct hash_job {
    struct command_run *run;
    struct hash_options o;
    json_t *report; /* an array, with --output=json */
};

/* ---- one image ------------------------------------------------------------------------------- */

static bool hash_report(const struct hash_job *j, const struct hash_result *r)
{
    const struct digest_kind *k = j->o.params.kind;
    char text[DIGEST_TEXT];
    digest_text(k, r->hash, text);
    json_t *image = json_object();
    bool good = image && report_text(image, "filename", j->o.name) &&
                report_text(image, "format", r->format) &&
                report_number(image, "virtual-size", r->size) &&
                report_text(image, "algorithm", k->name) &&
                report_number(image, "block-size", j->o.params.block_size) &&
                report_text(image, "hash", text);
    return json_array_append_new(j->report, image) == 0 && good;
}

static int hash_told(const struct hash_job *j, const struct hash_result *r, struct err *e)
{
    if (j->report)
        return hash_report(j, r) ? 0 : err_nomem(e);
    if (engine_rank(j->run->engine) == 0)
        hash_say(j->o.params.kind, r->hash, j->o.name);
    return 0;
}

static int hash_opened(struct hash_job *j, struct progress_line *line, struct hash_result *out,
                       struct err *e)
{
    const struct hash_args *a = j->run->args;
    AUTO(json_cleanup) json_t *spec = open_spec(&a->image, j->o.name, e);
    if (engine_agree(j->run->engine, spec ? 0 : -1, e))
        return -1;
    const struct progress watch = progress_line_watch(line);
    j->o.spec = spec;
    return hash_run(j->run->engine, &j->o, &watch, out, e);
}

static int hash_image(struct hash_job *j, const char *name)
{
    const struct hash_args *a = j->run->args;
    struct err e = ERR_INIT;
    struct progress_line line;
    struct hash_result result;
    j->o.name = name;
    int status =
        command_progress(j->run, &a->progress, a->quiet, HASH_PROGRESS_STEP, name, &line, &e);
    if (!status)
        status = hash_opened(j, &line, &result, &e);
    line.shown &= line.started;
    progress_line_end(&line);
    if (!status)
        status = hash_told(j, &result, &e);
    return status ? command_fail(&e) : 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

/* One that fails does not keep the others from being hashed. */
static int hash_images(struct hash_job *j)
{
    int code = 0;
    for (int i = 0; i < j->run->operands.n; i++)
        code |= hash_image(j, j->run->operands.text[i]);
    if (j->report)
        report_json(stdout, j->report);
    return code;
}

static int hash_options_fill(const struct hash_args *a, struct hash_job *j, bool *json,
                             struct err *e)
{
    j->o.driver = a->image.format;
    j->o.force_share = a->image.force_share;
    j->o.safety = a->image.safety;
    j->o.memory = a->engine.memory;
    if (report_format(a->output, json, e) ||
        open_cache(a->cache, "Invalid source cache option", &j->o.cache, e) ||
        hash_arg_params(&a->hash, &j->o.params, e))
        return -1;
    return 0;
}

static int hash_main(struct command_run *r)
{
    const struct hash_args *a = r->args;
    struct err e = ERR_INIT;
    struct hash_job j = {.run = r};
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    bool json;
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD)
        return command_fail(&e);
    if (r->operands.n < 1)
        return command_misused("Expecting at least one image file name");
    if (hash_options_fill(a, &j, &json, &e))
        return command_fail(&e);
    j.o.secrets = secrets;
    j.report = json ? json_array() : NULL;
    int code = hash_images(&j);
    json_decref(j.report);
    return code;
}

static const struct option_row hash_rows[] = {
    ROW_HELP,
    ROW_OBJECT(struct hash_args, image.objects),
    ROW_IMAGE_OPTS(struct hash_args, image.image_opts),
    ROW_TEXT('f', "format", "fmt", struct hash_args, image.format, "Format of the images"),
    {.name = "algorithm",
     .metavar = "algorithm",
     .take = TAKE_VALUE,
     .call = hash_take_algorithm,
     .offset = offsetof(struct hash_args, hash),
     .help = "md5, sha1, sha256 (default) or sha512"},
    {.name = "block-size",
     .metavar = "size",
     .take = TAKE_VALUE,
     .call = hash_take_block_size,
     .offset = offsetof(struct hash_args, hash),
     .help = "Bytes of a block, a power of two of 512 to 16M (default 64k)"},
    ROW_OUTPUT(struct hash_args, output),
    ROW_TEXT('T', "source-cache", "src_cache", struct hash_args, cache,
             "Cache mode to read the images with"),
    ROW_PROGRESS(struct hash_args, progress),
    ROW_QUIET(struct hash_args, quiet),
    ROW_FORCE_SHARE(struct hash_args, image.force_share),
    ROWS_SAFETY(struct hash_args, image.safety),
    ROWS_ENGINE(struct hash_args),
    ROW_MEMORY(struct hash_args, engine.memory),
    {0},
};

const struct command command_hash = {
    .name = "hash",
    .summary = "Print a hash of what the guest reads",
    .operands = "filename [filename2 [...]]",
    .description =
        "Images with the same content have the same hash, whatever their format, and however many "
        "threads and ranks work on it. One line an image is printed: the hash in hexadecimal "
        "digits, two spaces, the name. The JSON form is a list with filename, format, "
        "virtual-size, algorithm, block-size and hash.\n\n"
        "The hash is that of `nbdcopy --blkhash`: with H the algorithm and the guest's disk cut "
        "into blocks, of which the last may be shorter, it is H of all blocks' H one after "
        "the other and the size of the disk in eight bytes, the lowest first. So it differs from "
        "what sha256sum prints; and two images differ when their sizes do. The size is that which "
        "info shows: a raw file counts as whole sectors of 512 bytes.\n\n"
        "What is not stored is not read, and blocks of zeros are not hashed again.",
    .rows = hash_rows,
    .defaults = hash_defaults,
    .args_size = sizeof(struct hash_args),
    .parallel = true,
    .run = hash_main,
};
