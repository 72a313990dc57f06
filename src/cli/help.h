#ifndef CLI_HELP_H
#define CLI_HELP_H

#include <stdio.h>

#include "cli/command.h"

/* All of --help: version, usage, syntax lines, words, options of each subcommand, formats. */
void help_print(FILE *out, const struct command *const *all);
/* "CMD --help": its usage, what it does, its options. */
void help_command(FILE *out, const struct command *c);

#endif
