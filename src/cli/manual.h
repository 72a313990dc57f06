#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include <stdio.h>

#include "cli/command.h"

/* The manual page (roff), from the subcommands' and the formats' tables. */
void manual_print(FILE *out, const struct command *const *all);

#endif
