/* convert: one image, or several joined, into a new format. */
#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/message.h"
#include "cmd/object.h"
#include "cli/size.h"
#include "cmd/convert_args.h"
#include "cmd/open.h"
#include "cmd/target.h"
#include "flow/convert.h"
#include "flow/wanted.h"

#define CONVERT_PROGRESS_STEP 1

struct convert_proof {
    const struct digest_kind *kind;
    uint8_t hash[DIGEST_MAX];
};

struct convert_names {
    struct convert_source *sources;
    unsigned n;
    json_t *target;
};

/* ---- the target's format and options --------------------------------------------------------- */

/* With -n there are no options: the image is there. */
static int convert_plan_target(const struct convert_args *a, const struct convert_names *names,
                               struct options **out, struct err *e)
{
    AUTO(options_cleanup) struct options *o = NULL;
    if (a->no_create)
        return 0;
    const struct format *format = wanted_format_creatable(convert_target_format(a), e);
    if (!format || target_options(format, names->target, &a->options, &o, e) ||
        wanted_backing(format, o, a->backing, a->backing_format, e) ||
        wanted_check_backing(o, names->n, e) ||
        (a->compress && wanted_check_compress(format, o, e)))
        return -1;
    *out = MEM_TAKE(o);
    return 0;
}

/* ---- sources and target by name -------------------------------------------------------------- */

static void convert_names_release(struct convert_names *n)
{
    for (unsigned i = 0; i < n->n; i++)
        json_decref(n->sources[i].spec);
    free(n->sources);
    json_decref(n->target);
}

static json_t *convert_target_spec(const struct convert_args *a, const char *name, struct err *e)
{
    const struct image_args target = {.image_opts = a->target_image_opts,
                                      .format = a->target_image_opts ? a->target_format : NULL};
    return a->no_create ? open_spec(&target, name, e) : wanted_spec(name, e);
}

static int convert_names_fill(struct convert_names *n, const struct convert_args *a,
                              const struct operands *names, struct err *e)
{
    unsigned n_sources = (unsigned)names->n - 1;
    n->sources = mem_new(n_sources, sizeof *n->sources, e);
    if (!n->sources)
        return -1;
    for (; n->n < n_sources; n->n++) {
        struct convert_source *s = &n->sources[n->n];
        s->name = names->text[n->n];
        s->spec = open_spec(&a->image, s->name, e);
        if (!s->spec)
            return -1;
    }
    n->target = convert_target_spec(a, names->text[names->n - 1], e);
    return n->target ? 0 : -1;
}

/* ---- the run --------------------------------------------------------------------------------- */

enum convert_status { CONVERT_DONE, CONVERT_FAILED, CONVERT_STOPPED = 75 };

static void convert_warn(void *ctx, const char *text)
{
    (void)ctx;
    message_warning(text);
}

static int convert_caches(const struct convert_args *a, struct convert_options *o, struct err *e)
{
    if (open_cache(a->source_cache, "Invalid source cache option", &o->source_cache, e))
        return -1;
    return open_cache(a->target_cache, "Invalid cache option", &o->target_cache, e);
}

static struct convert_options convert_flow_options(const struct convert_args *a,
                                                   const struct convert_names *n)
{
    return (struct convert_options){
        .sources = n->sources,
        .n_sources = n->n,
        .source_driver = a->image.format,
        .force_share = a->image.force_share,
        .safety = a->image.safety,
        .snapshot = a->snapshot,
        .target_spec = n->target,
        .target_driver = a->target_image_opts ? NULL : convert_target_format(a),
        .no_create = a->no_create,
        .target_is_zero = a->target_is_zero,
        .compress = a->compress,
        .level = (int)a->level,
        .sparse_size = a->sparse.size,
        .copy_offload = a->copy_offload,
        .salvage = a->salvage,
        .quiet = a->quiet,
        .warn = message_warning,
        .bitmaps = a->bitmaps,
        .skip_broken_bitmaps = a->skip_broken_bitmaps,
        .rate_limit = a->rate_limit,
        .memory = a->engine.memory,
        .verify = a->verify,
        .resume = a->resume,
        .time_limit = (double)a->time_limit,
        .stripes = a->stripes,
    };
}

static void convert_tell_output(const char *name, const char *fate, struct err *e)
{
    char hint[ERR_HINT_MAX];
    memcpy(hint, e->hint, sizeof hint);
    err_hint(e, "%s%sThe unfinished output '%s' was %s.", hint, hint[0] ? "\n" : "", name, fate);
}

static enum convert_status convert_flow(struct command_run *r, const struct convert_options *o,
                                        struct progress_line *line, uint8_t *hash, struct err *e)
{
    struct convert_report report = {
        .progress = progress_line_watch(line),
        .exact = line->shown || line->json.on,
        .warn = convert_warn,
    };
    if (convert_run(r->engine, o, &report, e) == 0) {
        memcpy(hash, report.hash, sizeof report.hash);
        return CONVERT_DONE;
    }
    /* before the first byte there was nothing that could be missed */
    if (report.removed[0] && line->moved)
        convert_tell_output(report.removed, "removed", e);
    if (report.kept[0] && !report.stopped)
        convert_tell_output(report.kept, "kept: the same command goes on", e);
    /* a lost rank is no fault of the image: the others may go on without it */
    bool again = report.stopped || (report.kept[0] && engine_is_broken(r->engine));
    return again ? CONVERT_STOPPED : CONVERT_FAILED;
}

/* The hash that --hash or --verify needs. */
static int convert_hash_params(const struct convert_args *a, struct blkhash_params *out,
                               struct err *e)
{
    return a->hash.given || a->verify ? hash_arg_params(&a->hash, out, e) : 0;
}

static enum convert_status convert_images(struct command_run *r, struct secrets *secrets,
                                          struct progress_line *line, struct convert_proof *proof,
                                          struct err *e)
{
    const struct convert_args *a = r->args;
    AUTO(options_cleanup) struct options *options = NULL;
    AUTO(convert_names_release) struct convert_names names = {0};
    int status = convert_names_fill(&names, a, &r->operands, e);
    struct convert_options o = convert_flow_options(a, &names);
    if (!status)
        status = convert_plan_target(a, &names, &options, e);
    if (!status)
        status = convert_caches(a, &o, e);
    if (!status)
        status = convert_hash_params(a, &o.hash, e);
    /* every rank has the same command line, but not every rank the same files */
    if (engine_agree(r->engine, status, e))
        return CONVERT_FAILED;
    o.target = r->operands.text[r->operands.n - 1];
    o.options = options;
    o.secrets = secrets;
    o.backing_in_target = a->backing || options_str(options, "backing_file", NULL);
    proof->kind = o.hash.kind;
    return convert_flow(r, &o, line, proof->hash, e);
}

static const char *convert_target_name(const struct command_run *r)
{
    return r->operands.n ? r->operands.text[r->operands.n - 1] : NULL;
}

/* After the last of the progress. */
static void convert_say_hash(const struct command_run *r, const struct convert_proof *proof)
{
    const struct convert_args *a = r->args;
    if (a->hash.given)
        hash_say(proof->kind, proof->hash, r->operands.text[r->operands.n - 1]);
}

static int convert_shown(struct command_run *r, struct secrets *secrets)
{
    const struct convert_args *a = r->args;
    struct err e = ERR_INIT;
    struct progress_line line;
    struct convert_proof proof = {0};
    int status = command_progress(r, &a->progress, a->quiet, CONVERT_PROGRESS_STEP,
                                  convert_target_name(r), &line, &e);
    if (line.shown)
        progress_line_update(&line, 0);
    if (!status)
        status = convert_images(r, secrets, &line, &proof, &e);
    if ((line.shown || line.json.on) && !status)
        progress_line_update(&line, 100);
    if (status)
        command_fail(&e);
    progress_line_end(&line);
    if (!status)
        convert_say_hash(r, &proof);
    return status;
}

static int convert_main(struct command_run *r)
{
    const struct convert_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    enum object_outcome objects = object_load(r->engine, &a->image.objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD || convert_args_check(a, &e))
        return command_fail(&e);
    if (target_wants_help(&a->options))
        return target_help(convert_target_format(a), convert_target_name(r), &e) ? command_fail(&e)
                                                                                 : 0;
    if (r->operands.n < 2)
        err_set(&e, EINVAL, "Must specify image file name");
    else if (r->operands.n > 2 && a->snapshot)
        err_set(&e, EINVAL, "No support for concatenating multiple snapshot");
    else
        return convert_shown(r, secrets);
    return command_fail(&e);
}

static const struct exit_status convert_statuses[] = {
    {CONVERT_DONE, "The output is complete"},
    {CONVERT_FAILED, "The output could not be made, or the command line is wrong"},
    {CONVERT_STOPPED,
     "With --resume: stopped by a signal or the time limit, or another rank was lost; run it "
     "again"},
    {0},
};

const struct command command_convert = {
    .name = "convert",
    .summary = "Convert an image to another format",
    .operands = "filename [filename2 [...]] output_filename",
    .description =
        "Several sources are joined in their order. Work is shared out among all threads of all "
        "ranks; the bytes that are written do not depend on their number.\n\n"
        "The new image grows under a temporary name in the folder of the output and gets its name "
        "when it is complete and on storage. After a failure the unfinished file is removed and "
        "what stood under the name stays. Only with -t unsafe the file is not synced.\n\n"
        "--progress=json writes lines such as {\"image\":\"disk.qcow2\",\"bytes\":1048576,"
        "\"total\":8388608,\"percent\":12.50,\"rate\":524288,\"seconds\":2.0,\"seconds-left\":14.0}"
        ", "
        "at most four a second: bytes of the data done (what is read back with --verify counts "
        "again), bytes a second so far; what is not known is null. The last line of a run that "
        "ends well has percent 100.\n\n"
        "--hash prints a hash of what the guest reads (see the command hash): of the sources, "
        "whose size is "
        "part of it, also when the format of the output rounds sizes up (vpc). With --verify the "
        "finished image is read back under its temporary name; when it does not hold what was "
        "converted, it is removed and the exit code is 1. With -n it can only be told.\n\n"
        "With -B, or -o backing_file=, what the topmost image of the source does not hold is left "
        "to the backing image, which must have the same content as that of the source.\n\n"
        "On shared storage no two ranks write one page of the output, and what a rank wrote is "
        "synced before rank 0 makes it an image. On Lustre a new file has the layout of its "
        "folder, or that of --stripe-count and --stripe-size, as lfs setstripe has them; this "
        "needs liblustreapi (Lustre 2.7).\n\n"
        "With --resume an unfinished output stays, beside it a journal (NAME.mpi-img-journal) of "
        "what "
        "is on storage already. SIGTERM, SIGINT, SIGHUP and SIGUSR2, the time limit and the end of "
        "a Slurm job (SLURM_JOB_END_TIME) stop it with exit code 75, SIGUSR1 brings the journal up "
        "to date. The same command, on any number of ranks and threads, does the rest, and the "
        "bytes are those of a run that was not stopped. Nothing may have changed: other options, "
        "or "
        "a source of another size, time or beginning, are refused. Once the output is complete the "
        "command begins anew. Without --resume an unfinished output is written over. Outputs of "
        "several files, encrypted ones and those that are written in place cannot be resumed.",
    .rows = convert_rows,
    .statuses = convert_statuses,
    .args_size = sizeof(struct convert_args),
    .defaults = convert_defaults,
    .parallel = true,
    .run = convert_main,
};
