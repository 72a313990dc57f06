/*
 * What the program says on stderr. Only src/cmd, src/cli and main speak.
 */
#ifndef CLI_MESSAGE_H
#define CLI_MESSAGE_H

#include "base/err.h"

/* Messages begin with the name the program was started as ("qemu-img: ", "mpi-img: "). */
void message_init(const char *argv0);
const char *message_program(void);

/* Warnings are kept back until it is known whether this process may speak. */
void message_hold(void);
void message_go_on(void);

/* Ranks other than 0 say nothing, on stdout neither. */
void message_silence(void);

/* Every line of the text with the program's name before it, then the hint as it is. */
void message_error(const struct err *e);
void message_warning(const char *text);
/* The same about a line of a file, or about a file as a whole. */
void message_warning_at(const char *file, unsigned line, const char *text);
void message_error_at(const char *file, const char *text);
/* A line of a check: no program name. */
void message_line(const char *text);
/* The same behind the program's name. */
void message_error_line(const char *text);

/* The image `name` is opened for writing and its format was guessed to be raw: writing could turn
 * it into another format. */
void message_guessed_raw(const char *name);

/* Add the line that follows every usage error. Returns -1. */
int message_usage(struct err *e);

#endif
