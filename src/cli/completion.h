#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include <stdio.h>

#include "cli/command.h"

/* A completion script for bash, from the subcommands' tables. */
void completion_print(FILE *out, const struct command *const *all);

#endif
