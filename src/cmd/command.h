/* The subcommands, and what they have in common. */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <stdint.h>

#include "base/err.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "mpi/engine.h"

extern const struct command *const command_all[]; /* NULL-terminated, in the order of the help */
const struct command *command_find(const char *name);

extern const struct command command_amend, command_bench, command_bitmap, command_check,
    command_commit, command_compare, command_convert, command_create, command_dd, command_fleet,
    command_hash, command_info, command_map, command_measure, command_rebase, command_report,
    command_resize, command_snapshot;

/* How a parallel subcommand is to use the machine: the first member of its arguments. */
struct engine_args {
    const char *engine; /* --engine */
    uint64_t threads;   /* --threads, 0 = all CPUs */
    uint64_t memory;    /* --memory, 0 = the flow's default */
};

/* ---- common words ---------------------------------------------------------------------------- */

/* Print the error and return 1. */
int command_fail(const struct err *e);
/* The same with the line that follows usage errors. */
int command_misused(const char *text);
int command_unexpected(const char *operand);

/* Begin -p and --progress=json; every rank calls it, and rank 0 writes the lines about `image`. */
int command_progress(const struct command_run *r, const struct progress_arg *arg, bool quiet,
                     double step, const char *image, struct progress_line *line, struct err *e);

int args_take_threads(void *field, const char *value, struct err *e);
int args_take_memory(void *field, const char *value, struct err *e);
int args_take_rate(void *field, const char *value, struct err *e);
/* Seconds, or hours:minutes:seconds. */
int args_take_time(void *field, const char *value, struct err *e);
int args_take_engine(void *field, const char *value, struct err *e);
/* -o: is it a legal list? */
int args_check_list(void *field, const char *value, struct err *e);
/* -l: a snapshot's id or name, or snapshot.id=..,snapshot.name=.. */
int args_check_snapshot(void *field, const char *value, struct err *e);

#define ROWS_ENGINE(type)                                                                          \
    {.name = "engine",                                                                             \
     .metavar = "engine",                                                                          \
     .take = TAKE_TEXT,                                                                            \
     .call = args_take_engine,                                                                     \
     .offset = offsetof(type, engine.engine),                                                      \
     .help = "How to work: serial, threads (default), or mpi (default under an MPI launcher)"},    \
    {                                                                                              \
        .name = "threads", .metavar = "n", .take = TAKE_VALUE, .call = args_take_threads,          \
        .offset = offsetof(type, engine.threads),                                                  \
        .help = "Worker threads of each process (default: the CPUs it may use)"                    \
    }
#define ROW_MEMORY(type, field)                                                                    \
    {                                                                                              \
        .name = "memory", .metavar = "size", .take = TAKE_VALUE, .call = args_take_memory,         \
        .offset = offsetof(type, field),                                                           \
        .help = "Memory that each process may take for its work (default 256M)"                    \
    }
/* -r */
#define ROW_RATE_LIMIT(type, field)                                                                \
    {                                                                                              \
        .letter = 'r', .name = "rate-limit", .metavar = "rate_limit", .take = TAKE_VALUE,          \
        .call = args_take_rate, .offset = offsetof(type, field),                                   \
        .help = "Bytes to write a second at most"                                                  \
    }

#endif
