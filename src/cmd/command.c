#include "cmd/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/message.h"
#include "cli/size.h"
#include "formats/options.h"
#include "image/image.h"

#define THREADS_MAX    4096
#define TIME_LIMIT_MAX 999999999

/* clang-format off */
const struct command *const command_all[] = {
    &command_amend,
    &command_bench,
    &command_bitmap,
    &command_check,
    &command_commit,
    &command_compare,
    &command_convert,
    &command_create,
    &command_dd,
    &command_fleet,
    &command_hash,
    &command_info,
    &command_map,
    &command_measure,
    &command_rebase,
    &command_report,
    &command_resize,
    &command_snapshot,
    NULL,
};
/* clang-format on */

const struct command *command_find(const char *name)
{
    for (const struct command *const *c = command_all; *c; c++)
        if (strcmp((*c)->name, name) == 0)
            return *c;
    return NULL;
}

int command_fail(const struct err *e)
{
    message_error(e);
    return 1;
}

static int command_usage_error(struct err *e)
{
    message_usage(e);
    return command_fail(e);
}

int command_misused(const char *text)
{
    struct err e = ERR_INIT;
    err_set(&e, EINVAL, "%s", text);
    return command_usage_error(&e);
}

int command_unexpected(const char *operand)
{
    struct err e = ERR_INIT;
    err_set(&e, EINVAL, "Unexpected argument: %s", operand);
    return command_usage_error(&e);
}

int command_progress(const struct command_run *r, const struct progress_arg *arg, bool quiet,
                     double step, const char *image, struct progress_line *line, struct err *e)
{
    bool first = engine_rank(r->engine) == 0;
    progress_line_init(line, arg->line, quiet, step);
    int status = first && !quiet ? progress_line_json(line, arg, image, e) : 0;
    return engine_agree(r->engine, status, e);
}

int args_take_threads(void *field, const char *value, struct err *e)
{
    return size_count(value, "number of threads", 1, THREADS_MAX, field, e);
}

int args_take_memory(void *field, const char *value, struct err *e)
{
    return size_operand(value, "memory size", field, e);
}

int args_take_rate(void *field, const char *value, struct err *e)
{
    return size_operand(value, "rate limit", field, e);
}

int args_take_time(void *field, const char *value, struct err *e)
{
    unsigned hours = 0, minutes = 0, seconds = 0;
    int n = 0;
    struct err ignored = ERR_INIT;
    bool clock = sscanf(value, "%5u:%2u:%2u%n", &hours, &minutes, &seconds, &n) == 3 && !value[n] &&
                 !strpbrk(value, "+- ") && minutes < 60 && seconds < 60;
    uint64_t *out = field;
    if (clock)
        *out = (uint64_t)hours * 3600 + minutes * 60 + seconds;
    if ((clock && *out) ||
        (!clock && !size_count(value, "time limit", 1, TIME_LIMIT_MAX, out, &ignored)))
        return 0;
    return err_set(e, EINVAL, "Invalid time limit '%s': seconds, or HH:MM:SS", value);
}

int args_take_engine(void *field, const char *value, struct err *e)
{
    (void)field;
    if (strcmp(value, "serial") != 0 && strcmp(value, "threads") != 0 && strcmp(value, "mpi") != 0)
        return err_set(e, EINVAL, "--engine expects 'serial', 'threads' or 'mpi', not '%s'", value);
    return 0;
}

int args_check_list(void *field, const char *value, struct err *e)
{
    (void)field;
    if (!options_list_ok(value))
        return err_set(e, EINVAL, "Invalid option list: %s", value);
    return 0;
}

int args_check_snapshot(void *field, const char *value, struct err *e)
{
    (void)field;
    return image_snapshot_check(value, e);
}
