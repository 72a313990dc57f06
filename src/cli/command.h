/*
 * A subcommand: parse → struct → library call → report.
 *
 * main parses the command line by the subcommand's table, starts the engine that it needs and runs
 * it. What it returns is the program's exit code.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/option.h"

struct engine;

struct command_run {
    struct engine *engine; /* NULL unless the subcommand is parallel */
    void *args;
    struct operands operands;
};

struct exit_status {
    int code;
    const char *meaning;
};

struct command {
    const char *name;
    const char *summary;     /* what it does, in a line */
    const char *operands;    /* as the syntax line shows them */
    const char *description; /* paragraphs for the manual page, an empty line between */
    const struct option_row *rows;
    /* The i-th word of a list of its own (fields of a file that it reads); false: there are no
     * more. NULL: it has none. */
    bool (*word)(size_t i, const char **name, const char **help);
    const char *words;                  /* title of that list */
    const struct exit_status *statuses; /* NULL = 0 and 1 as usual; ends with meaning NULL */
    size_t args_size;
    void (*defaults)(void *args); /* NULL = all zero */
    bool size_last;               /* the last operand is a size, maybe "-1G" */
    bool parallel;                /* args begin with struct engine_args; every rank runs it */
    int (*run)(struct command_run *r);
};

#endif
