/* fleet: many images, by a manifest, in one job. */
#include "cmd/command.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/message.h"
#include "cli/size.h"
#include "cmd/fleet_args.h"
#include "cmd/fleet_plan.h"
#include "cmd/fleet_watch.h"
#include "cmd/object.h"
#include "cmd/target.h"
#include "fleet/order.h"

enum fleet_status { FLEET_EXIT_DONE, FLEET_EXIT_FAILED, FLEET_EXIT_STOPPED = 75 };

struct fleet {
    struct command_run *run;
    const struct fleet_args *args;
    struct request_common common;
    json_t *defaults;

    /* rank 0 */
    struct manifest *manifest;
    char *results_name;
    struct results *results;
    struct results_count count; /* what earlier runs have done */
    bool *skip;
    struct fleet_item *items;
    struct fleet_show show;
};

static double wall_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void fleet_release(struct fleet *f)
{
    for (size_t i = 0; i < f->show.n_failures; i++)
        free(f->show.failures[i]);
    results_cleanup(&f->results);
    manifest_free(f->manifest);
    json_decref(f->defaults);
    free(f->results_name);
    free(f->show.here);
    free(f->items);
    free(f->skip);
}

/* ---- what is to be done ---------------------------------------------------------------------- */

/* The last one is the command's own error. */
static int say_wrong(const struct manifest_wrong *w, struct err *e)
{
    for (size_t i = 0; i < w->n && i < MANIFEST_WRONG_MAX; i++) {
        err_set(e, EINVAL, "%s", w->text[i] ? w->text[i] : strerror(ENOMEM));
        message_error(e);
    }
    return err_set(e, EINVAL, "The manifest has %zu error%s%s: nothing was done", w->n,
                   w->n == 1 ? "" : "s", w->n > MANIFEST_WRONG_MAX ? ", the first are above" : "");
}

static int open_manifest(struct fleet *f, struct err *e)
{
    const struct fleet_args *a = f->args;
    struct manifest_wrong wrong = {.n = 0};
    const struct manifest_source from = {
        .path = a->from ? NULL : f->run->operands.text[0],
        .from = a->from,
        .to = a->to,
        .glob = a->glob,
        .defaults = f->defaults,
    };
    int status = manifest_open(&from, &f->manifest, &wrong, e);
    if (!status && wrong.n)
        status = say_wrong(&wrong, e);
    manifest_wrong_release(&wrong);
    return status;
}

static int fill_items(struct fleet *f, struct err *e)
{
    size_t n = manifest_count(f->manifest);
    f->items = mem_new(n, sizeof *f->items, e);
    if (!f->items)
        return -1;
    for (size_t i = 0; i < n; i++) {
        const struct manifest_item *item = manifest_item(f->manifest, i);
        f->items[i] = (struct fleet_item){
            .bytes = item->bytes,
            .after = item->after == ORDER_NONE ? FLEET_NOTHING : item->after,
            .skip = f->skip[i],
        };
        if (!f->skip[i])
            f->show.work += item->bytes;
    }
    return 0;
}

static int find_here(struct fleet *f, struct err *e)
{
    char cwd[PATH_MAX];
    if (!getcwd(cwd, sizeof cwd))
        return err_errno(e, errno, "The current folder");
    f->show.here = mem_printf(e, "%s/", cwd);
    return f->show.here ? 0 : -1;
}

/* Another fleet may be at it: the results are locked before they are read. */
static int open_results(struct fleet *f, struct err *e)
{
    f->results_name = fleet_args_results(f->args, &f->run->operands, e);
    if (!f->results_name)
        return -1;
    return f->args->dry_run ? 0 : results_open(f->results_name, &f->results, e);
}

static int find_done(struct fleet *f, struct err *e)
{
    f->skip = mem_new(manifest_count(f->manifest), sizeof *f->skip, e);
    return f->skip ? results_done(f->results_name, f->manifest, f->skip, &f->count, e) : -1;
}

static void say_done(const struct fleet *f)
{
    size_t n = manifest_count(f->manifest);
    const struct results_count *c = &f->count;
    if (f->args->quiet || !(c->done || c->failed || c->changed))
        return;
    printf("%zu of %zu images were done by an earlier run, %zu are to be done", c->done, n,
           n - c->done);
    if (c->failed)
        printf("; %zu failed then, or were stopped", c->failed);
    if (c->changed)
        printf("; %zu have changed since", c->changed);
    printf("\n");
    fflush(stdout);
}

static int check_space(const struct fleet *f, struct err *e)
{
    struct space space;
    if (f->args->space_check_off)
        return 0;
    space_look(&space, f->manifest, f->skip, NULL);
    if (fleet_space_check(&space, e) == 0)
        return 0;
    return err_hint(e, "That is what the sources take on theirs. To begin nevertheless: "
                       "--no-space-check; --dry-run measures");
}

/* Rank 0: all that can be refused is refused before anything is done. */
static int prepare(struct fleet *f, struct err *e)
{
    if (find_here(f, e) || open_manifest(f, e) || open_results(f, e) || find_done(f, e) ||
        fill_items(f, e))
        return -1;
    if (f->args->dry_run)
        return 0;
    return check_space(f, e) || manifest_make_folders(f->manifest, e) ? -1 : 0;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static enum fleet_status show_plan(struct fleet *f, const struct plan_row *rows)
{
    struct err e = ERR_INIT;
    struct space space;
    size_t wrong;
    uint64_t whole_below = f->args->whole_below ? f->args->whole_below : FLEET_WHOLE_BELOW;
    if (fleet_plan_print(f->manifest, rows, f->skip, whole_below, f->show.here, &wrong, &e))
        return command_fail(&e);
    space_look(&space, f->manifest, f->skip, rows);
    fleet_space_print(&space);
    if (fleet_space_check(&space, &e))
        return command_fail(&e);
    return wrong ? FLEET_EXIT_FAILED : FLEET_EXIT_DONE;
}

static enum fleet_status dry_run(struct fleet *f)
{
    struct err e = ERR_INIT;
    struct plan_row *rows = NULL;
    size_t n = f->manifest ? manifest_count(f->manifest) : 0;
    int status = plan_make(f->run->engine, f->manifest, f->skip, &f->common, &rows, &e);
    enum fleet_status code = FLEET_EXIT_FAILED;
    if (status)
        command_fail(&e);
    else
        code = engine_rank(f->run->engine) == 0 ? show_plan(f, rows) : FLEET_EXIT_DONE;
    plan_rows_free(rows, n);
    return code;
}

/* ---- the run --------------------------------------------------------------------------------- */

static json_t *run_record(const struct fleet *f)
{
    const struct engine *g = f->run->engine;
    json_t *threads = json_array(), *hosts = json_array();
    for (unsigned r = 0; r < engine_size(g); r++) {
        json_array_append_new(threads, json_integer(engine_threads_of(g, r)));
        json_array_append_new(hosts, json_string(engine_host(g, r)));
    }
    const char *name = f->args->from ? f->args->from : f->run->operands.text[0];
    return json_pack("{s:s, s:i, s:f, s:i, s:o, s:o, s:I, s:s}", "record", "run", "version", 1,
                     "time", wall_clock(), "ranks", (int)engine_size(g), "threads", threads,
                     "hosts", hosts, "images", (json_int_t)manifest_count(f->manifest), "manifest",
                     name);
}

static const char *status_word(const struct fleet_summary *s)
{
    static const char *const words[] = {
        [FLEET_COMPLETE] = "complete", [FLEET_FAILED] = "failed", [FLEET_STOPPED] = "stopped"};
    return words[s->status];
}

static json_t *end_record(const struct fleet_summary *s)
{
    return json_pack("{s:s, s:f, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "record", "end",
                     "time", wall_clock(), "status", status_word(s), "images",
                     (json_int_t)s->images, "done", (json_int_t)s->done, "failed",
                     (json_int_t)s->failed, "skipped", (json_int_t)s->skipped, "left",
                     (json_int_t)s->left, "bytes", (json_int_t)s->bytes, "seconds", s->seconds,
                     "busy", s->busy);
}

/* Takes the record. */
static int add_record(struct results *r, json_t *record, struct err *e)
{
    int status = record ? results_add(r, record, e) : err_nomem(e);
    json_decref(record);
    return status;
}

static json_t *record_of(void *ctx, size_t i, struct err *e)
{
    return manifest_record(ctx, i, e);
}

static struct fleet_options run_options(const struct fleet *f)
{
    const struct fleet_args *a = f->args;
    return (struct fleet_options){
        .items = f->items,
        .n = f->manifest ? manifest_count(f->manifest) : 0,
        .record = record_of,
        .records = f->manifest,
        .common = f->common,
        .retries = (unsigned)a->retries,
        .fail_fast = a->fail_fast,
        .max_in_flight = (unsigned)a->max_in_flight,
        .rate_limit = a->rate_limit,
        .whole_below = a->whole_below,
        .progress_interval = a->progress_interval,
        .time_limit = (double)a->time_limit,
    };
}

static void say_failures(const struct fleet *f, const struct fleet_summary *s)
{
    if (!f->show.n_failures)
        return;
    printf("Failed:\n");
    for (size_t i = 0; i < f->show.n_failures; i++)
        printf("  %s\n", f->show.failures[i]);
    if (s->failed > f->show.n_failures)
        printf("  and %zu more\n", s->failed - f->show.n_failures);
}

static void say_summary(const struct fleet *f, const struct fleet_summary *s)
{
    char bytes[SIZE_HUMAN_MAX], rate[SIZE_HUMAN_MAX];
    if (f->args->quiet)
        return;
    size_human(s->bytes, bytes);
    size_human(s->seconds > 0 ? (uint64_t)((double)s->bytes / s->seconds) : 0, rate);
    printf("%zu images: %zu done, %zu failed, %zu done before, %zu left\n", s->images, s->done,
           s->failed, s->skipped, s->left);
    printf("%s moved in %.1f seconds, %s/s, workers busy %.1f %%\n", bytes, s->seconds, rate,
           100 * s->busy);
    say_failures(f, s);
    printf("Results: %s\n", f->results_name);
    if (s->status == FLEET_STOPPED)
        printf("Stopped: the same command goes on\n");
    else if (s->failed || s->left)
        printf("The same command does what is missing\n");
}

static int begin_run(struct fleet *f, struct err *e)
{
    f->show.args = f->args;
    f->show.manifest = f->manifest;
    f->show.items = f->items;
    f->show.results = f->results;
    f->show.results_name = f->results_name;
    say_done(f);
    if (fleet_show_begin(&f->show, manifest_count(f->manifest) - f->count.done, e))
        return -1;
    return add_record(f->results, run_record(f), e);
}

static int end_run(struct fleet *f, const struct fleet_summary *s, struct err *e)
{
    int status = add_record(f->results, end_record(s), e);
    if (results_close(MEM_TAKE(f->results), e) || status)
        return -1;
    say_summary(f, s);
    return 0;
}

static enum fleet_status run_all(struct fleet *f)
{
    static const enum fleet_status codes[] = {[FLEET_COMPLETE] = FLEET_EXIT_DONE,
                                              [FLEET_FAILED] = FLEET_EXIT_FAILED,
                                              [FLEET_STOPPED] = FLEET_EXIT_STOPPED};
    struct err e = ERR_INIT;
    struct fleet_summary summary = {.status = FLEET_FAILED};
    bool first = engine_rank(f->run->engine) == 0;
    const struct fleet_options o = run_options(f);
    const struct fleet_watch watch = fleet_show_watch(&f->show);
    if (engine_agree(f->run->engine, first ? begin_run(f, &e) : 0, &e))
        return command_fail(&e);
    int status = fleet_run(f->run->engine, &o, first ? &watch : NULL, &summary, &e);
    if (first)
        fleet_show_end(&f->show);
    if (!status && first)
        status = end_run(f, &summary, &e);
    if (!status)
        return codes[summary.status];
    command_fail(&e);
    /* a lost rank is no fault of the images: the others may go on without it */
    return engine_is_broken(f->run->engine) ? FLEET_EXIT_STOPPED : FLEET_EXIT_FAILED;
}

static enum fleet_status fleet_go(struct fleet *f)
{
    struct err e = ERR_INIT;
    bool first = engine_rank(f->run->engine) == 0;
    f->defaults = fleet_args_record(f->args, &e);
    int status = f->defaults ? 0 : -1;
    if (!status && first)
        status = prepare(f, &e);
    if (engine_agree(f->run->engine, status, &e))
        return command_fail(&e);
    return f->args->dry_run ? dry_run(f) : run_all(f);
}

static void warn(const char *text)
{
    message_warning(text);
}

static int fleet_main(struct command_run *r)
{
    const struct fleet_args *a = r->args;
    struct err e = ERR_INIT;
    AUTO(secrets_cleanup) struct secrets *secrets = NULL;
    AUTO(fleet_release) struct fleet f = {.run = r, .args = a, .show.json = -1};
    enum object_outcome objects = object_load(r->engine, &a->objects, &secrets, &e);
    if (objects == OBJECT_HELPED)
        return 0;
    if (objects == OBJECT_BAD)
        return command_fail(&e);
    if (target_wants_help(&a->options))
        return target_help(a->target_format ? a->target_format : "raw", NULL, &e) ? command_fail(&e)
                                                                                  : 0;
    if (fleet_args_check(a, &r->operands, &e))
        return command_fail(&e);
    f.common = (struct request_common){
        .secrets = secrets,
        .memory = a->engine.memory,
        .warn = a->quiet ? NULL : warn,
    };
    return fleet_go(&f);
}

/* ---- what is known of it --------------------------------------------------------------------- */

static bool fleet_word(size_t i, const char **name, const char **help)
{
    *name = request_fields[i].name;
    *help = request_fields[i].help;
    return *name != NULL;
}

static const struct exit_status fleet_statuses[] = {
    {FLEET_EXIT_DONE, "All images are done, some maybe by an earlier run"},
    {FLEET_EXIT_FAILED,
     "An image has failed, or nothing was begun: the command line or the manifest is wrong"},
    {FLEET_EXIT_STOPPED,
     "Stopped by a signal or the time limit, or another rank was lost; run it again"},
    {0},
};

const struct command command_fleet = {
    .name = "fleet",
    .summary = "Convert many images, named by a manifest, in one job",
    .operands = "manifest | --from folder --to folder [--glob pattern]",
    .description =
        "A manifest has a record for each image: a line of JSON, such as {\"source\":\"a.vmdk\","
        "\"target\":\"a.qcow2\",\"target_format\":\"qcow2\"}, or a row of CSV (RFC 4180) whose "
        "first line names the fields; '-' is standard input. Relative names are relative to the "
        "manifest's folder, that of a backing file to its image's. What a record does not say is "
        "as the options say; null is as without the option. With --from and --to no manifest is "
        "needed.\n\n"
        "All records are checked before anything is begun, and what is wrong is told with its "
        "line, the first 20 of them: unknown fields, values, formats and options, sources that are "
        "missing, folders that are missing or not writable, a target that is there twice or is a "
        "source, chains that go in a circle. An image whose backing file is another record's "
        "target is made after it. --dry-run also opens the sources, measures the targets (with ~ "
        "where the format cannot be measured: the bytes of data) and compares their sum with the "
        "free space; a real run compares what the sources take.\n\n"
        "Images are shared out among all threads of all ranks, small ones whole, large ones by "
        "their parts, so that all have work until the end. One that fails fails alone.\n\n"
        "The results are lines of JSON, appended: one for each image, with its state, sizes, "
        "seconds, hash and error, and some for the run. A later run with the same results does "
        "what is missing, has failed, or was made of another source, or by another record; large "
        "images go on where they were stopped. SIGTERM, SIGINT, SIGHUP, SIGUSR2, the time limit "
        "and the end of a Slurm job (SLURM_JOB_END_TIME) stop it with exit code 75. Two fleets "
        "cannot write the same results.\n\n"
        "Without -p only failures (on standard error) and the summary are printed. With -p a "
        "terminal shows a line for each image that runs and one for the total; elsewhere there is "
        "a line of the total every 10 seconds, and SIGUSR1 asks for one. --progress=json writes a "
        "line when an image begins and when it ends, such as {\"image\":\"a.qcow2\","
        "\"status\":\"done\",\"percent\":100.0,\"bytes\":1048576,\"seconds\":0.5,\"error\":null}, "
        "and each second one of the total: {\"images\":9,\"done\":3,\"failed\":0,\"running\":4,"
        "\"bytes\":4194304,\"percent\":40.0,\"rate\":2097152.0,\"seconds\":2.0,"
        "\"seconds-left\":3.0}.",
    .rows = fleet_rows,
    .word = fleet_word,
    .words = "Fields of a record",
    .statuses = fleet_statuses,
    .args_size = sizeof(struct fleet_args),
    .parallel = true,
    .run = fleet_main,
};
