/* The syntax line of a subcommand, from its table. */
#ifndef CLI_SYNTAX_H
#define CLI_SYNTAX_H

#include <stdio.h>

#include "cli/option.h"

struct command;

/* "info [--object objectdef] [-f fmt] ... filename" */
void syntax_print(FILE *out, const struct command *c);

/* "-f, --format=fmt" of one row. */
void syntax_row(FILE *out, const struct option_row *row);

/* Words of `text` in lines of at most `width` columns, all but the first indented by `indent`; the
 * first begins at column `at`. A newline at the end. */
void syntax_wrap(FILE *out, const char *text, unsigned at, unsigned indent, unsigned width);

#endif
