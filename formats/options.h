/*
 * Create options: one table per format feeds parsing of -o, "-o help", the Formatting line, the
 * manual page and the writer.
 */
#ifndef FORMATS_OPTIONS_H
#define FORMATS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/size.h"

enum option_type { OPTION_STR, OPTION_SIZE, OPTION_NUM, OPTION_BOOL };

struct option_def {
    const char *name; /* NULL ends a table */
    enum option_type type;
    const char *help;
    const char *def; /* default as the Formatting line shows it; NULL = not shown when not given */
};

/* Values for one table (or for several, joined: the format's, then the protocol's). */
struct options;

/* `tables`: NULL-terminated array of tables; borrowed for the life of the options. */
struct options *options_new(const struct option_def *const *tables, struct err *e);
void options_free(struct options *o); /* NULL is fine */
void options_cleanup(struct options **o);

/* Parse "a=1,b=2" (",," = a comma in a value) into o. Later values override. Errors and warnings
 * as in cli.md, "Option strings"; `warn` (may be NULL) takes "short-form boolean ..." texts. */
int options_parse(struct options *o, const char *text, void (*warn)(const char *text),
                  struct err *e);
/* Does `text` ask for help (help or ?, anywhere in the list)? */
bool options_want_help(const char *text);
/* "..., ends in odd comma": is it a legal list at all? */
bool options_list_ok(const char *text);

int options_set(struct options *o, const char *name, const char *value, struct err *e);
bool options_given(const struct options *o, const char *name); /* set by the user */

/* The value, or the table's default, or `absent`. The types must match the table. */
const char *options_str(const struct options *o, const char *name, const char *absent);
uint64_t options_size(const struct options *o, const char *name, uint64_t absent);
bool options_bool(const struct options *o, const char *name, bool absent);

/* Walk in table order over those with a value or a default; value is the text to show. Returns
 * false at the end. Start with *at = 0. */
bool options_next(const struct options *o, size_t *at, const char **name, const char **value);

#endif
