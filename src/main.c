/*
 * mpi-img: the command line as a whole, the engine, the only exit.
 *
 * The command line is parsed first and silently; then the engine is started, if there is need for
 * one; only then is anything said or done. So under a launcher every rank knows whether it may
 * speak, and all ranks end together with one exit code, whatever was wrong.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/signals.h"
#include "cli/completion.h"
#include "cli/help.h"
#include "cli/manual.h"
#include "cli/message.h"
#include "cli/version.h"
#include "cmd/command.h"
#include "cmd/trace.h"
#include "mpi/engine.h"

struct global_args {
    bool version;
    struct text_list trace;
    const char *generate;
};

/* -V ends parsing as -h does: what follows does not count. */
static int global_take_version(void *field, const char *value, struct err *e)
{
    (void)value;
    (void)e;
    *(bool *)field = true;
    return -1;
}

static const struct option_row global_rows[] = {
    ROW_HELP,
    {.letter = 'V',
     .name = "version",
     .take = TAKE_FLAG,
     .call = global_take_version,
     .offset = offsetof(struct global_args, version)},
    {.letter = 'T',
     .name = "trace",
     .metavar = "trace",
     .take = TAKE_LIST,
     .offset = offsetof(struct global_args, trace)},
    {.name = "generate",
     .metavar = "what",
     .take = TAKE_TEXT,
     .offset = offsetof(struct global_args, generate)},
    {0},
};

/* What the command line asks for. */
enum plan_kind { PLAN_COMMAND, PLAN_HELP, PLAN_VERSION, PLAN_GENERATE, PLAN_NOTHING, PLAN_WRONG };

struct plan {
    enum plan_kind kind;
    struct global_args global;
    const struct command *command;
    struct command_run run;
    int code;       /* of what ends the program before it does what it was asked */
    struct err err; /* PLAN_WRONG */
};

/* ---- the plan -------------------------------------------------------------------------------- */

static enum plan_kind plan_wrong(struct plan *p, const char *fmt, const char *what)
{
    char text[512];
    snprintf(text, sizeof text, "%s%.400s", fmt, what);
    err_set(&p->err, EINVAL, "%s", text);
    message_usage(&p->err);
    return PLAN_WRONG;
}

static enum option_outcome plan_parse(struct plan *p, int argc, char **argv)
{
    const struct command *c = p->command;
    if (c->size_last)
        return option_parse_size_last(c->rows, argc, argv, p->run.args, &p->run.operands, &p->err);
    return option_parse(c->rows, false, argc, argv, p->run.args, &p->run.operands, &p->err);
}

static enum plan_kind plan_command(struct plan *p, int argc, char **argv)
{
    p->command = command_find(argv[0]);
    if (!p->command)
        return plan_wrong(p, "Command not found: ", argv[0]);
    p->run.args = mem_new(1, p->command->args_size, &p->err);
    if (!p->run.args)
        return PLAN_WRONG;
    if (p->command->defaults)
        p->command->defaults(p->run.args);
    enum option_outcome outcome = plan_parse(p, argc, argv);
    if (p->command->size_last && argc < 3 && outcome != OPTION_WANT_HELP)
        return plan_wrong(p, "Not enough arguments", "");
    switch (outcome) {
    case OPTION_OK:
        return PLAN_COMMAND;
    case OPTION_WANT_HELP:
        return PLAN_HELP;
    case OPTION_BAD:
        break;
    }
    return PLAN_WRONG;
}

static enum plan_kind plan_make(struct plan *p, int argc, char **argv)
{
    struct operands rest;
    switch (option_parse(global_rows, true, argc, argv, &p->global, &rest, &p->err)) {
    case OPTION_OK:
        break;
    case OPTION_WANT_HELP:
        return PLAN_HELP;
    case OPTION_BAD:
        return p->global.version ? PLAN_VERSION : PLAN_WRONG;
    }
    if (p->global.generate)
        return PLAN_GENERATE;
    if (rest.n)
        return plan_command(p, rest.n, rest.text);
    return p->global.trace.n ? PLAN_NOTHING : plan_wrong(p, "Not enough arguments", "");
}

static void plan_release(struct plan *p)
{
    option_release(global_rows, &p->global);
    if (p->run.args)
        option_release(p->command->rows, p->run.args);
    free(p->run.args);
}

/* ---- the engine ------------------------------------------------------------------------------ */

static enum engine_kind engine_kind_of(const char *name)
{
    if (!name)
        return ENGINE_AUTO;
    if (strcmp(name, "serial") == 0)
        return ENGINE_SERIAL;
    return strcmp(name, "mpi") == 0 ? ENGINE_MPI : ENGINE_THREADS;
}

/* Ranks that would each do the whole work on one output would destroy it. */
static int engine_check(const struct engine_args *a, struct err *e)
{
    enum engine_kind kind = engine_kind_of(a->engine);
    if (engine_launched() && (kind == ENGINE_SERIAL || kind == ENGINE_THREADS))
        return err_set(e, EINVAL, "--engine=%s cannot be used under an MPI launcher", a->engine);
    return 0;
}

/* An engine for a parallel subcommand, and under a launcher for everything. */
static int plan_start_engine(struct plan *p, struct err *e)
{
    struct engine_options o = {.kind = ENGINE_AUTO};
    bool parallel = p->kind == PLAN_COMMAND && p->command->parallel;
    if (!parallel && !engine_launched())
        return 0;
    if (parallel) {
        const struct engine_args *a = p->run.args;
        if (engine_check(a, &p->err))
            p->kind = PLAN_WRONG;
        else
            o.kind = engine_kind_of(a->engine);
        o.threads = (unsigned)a->threads;
    }
    if (engine_start(&o, &p->run.engine, e))
        return -1;
    if (engine_rank(p->run.engine) != 0)
        message_silence();
    return 0;
}

/* ---- doing it -------------------------------------------------------------------------------- */

static int generate(const char *what)
{
    struct err e = ERR_INIT;
    if (strcmp(what, "man") == 0)
        manual_print(stdout, command_all);
    else if (strcmp(what, "bash-completion") == 0)
        completion_print(stdout, command_all);
    else {
        err_set(&e, EINVAL, "--generate expects 'man' or 'bash-completion', not '%s'", what);
        return command_fail(&e);
    }
    return 0;
}

/* Ranks other than 0 take part in parallel subcommands only. */
static int plan_do(struct plan *p)
{
    bool alone = p->kind != PLAN_COMMAND || !p->command->parallel;
    if (alone && p->run.engine && engine_rank(p->run.engine) != 0)
        return 0;
    switch (p->kind) {
    case PLAN_COMMAND:
        return p->command->run(&p->run);
    case PLAN_HELP:
        if (p->command)
            help_command(stdout, p->command);
        else
            help_print(stdout, command_all);
        return 0;
    case PLAN_VERSION:
        version_print(stdout);
        return 0;
    case PLAN_GENERATE:
        return generate(p->global.generate);
    case PLAN_NOTHING:
        return 0;
    case PLAN_WRONG:
        break;
    }
    return command_fail(&p->err);
}

/* -T is for all that follows, on all ranks. false: the program is to end, with p->code. */
static bool plan_trace(struct plan *p)
{
    const struct text_list *values = &p->global.trace;
    struct err e = ERR_INIT;
    unsigned rank = p->run.engine ? engine_rank(p->run.engine) : 0;
    if (!values->n)
        return true;
    enum trace_outcome outcome = trace_options(values, rank, &e);
    int status = outcome == TRACE_BAD ? -1 : 0;
    if (p->run.engine)
        status = engine_agree(p->run.engine, status, &e);
    if (status && e.set)
        command_fail(&e);
    p->code = status ? 1 : 0;
    return !status && outcome == TRACE_SET;
}

/* A report that could not be written is no success. */
static int flush_report(int code)
{
    struct err e = ERR_INIT;
    bool failed = ferror(stdout) || fflush(stdout);
    if (!failed || code)
        return code;
    err_errno(&e, errno ? errno : EIO, "Could not write to standard output");
    return command_fail(&e);
}

/* An image of many files (a split vmdk) holds them all open: more than is usual for a program, not
 * more than it may. */
static void allow_many_files(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files))
        return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(int argc, char **argv)
{
    static struct plan p;
    struct err e = ERR_INIT;
    message_init(argv[0]);
    message_hold();
    signals_install();
    allow_many_files();
    p.kind = plan_make(&p, argc, argv);
    int started = plan_start_engine(&p, &e);
    message_go_on();
    if (started)
        return command_fail(&e);
    int code = flush_report(plan_trace(&p) ? plan_do(&p) : p.code);
    plan_release(&p);
    return p.run.engine ? engine_end(p.run.engine, code) : code;
}
