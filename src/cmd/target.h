/* The format and the options of an image that is to be made. */
#ifndef CMD_TARGET_H
#define CMD_TARGET_H

#include <jansson.h>

#include "base/err.h"
#include "cli/option.h"
#include "formats/format.h"

/* NULL with the error set: "Unknown file format 'x'". */
const struct format *target_format(const char *name, struct err *e);
/* The same, and it must be one that can be created. */
const struct format *target_format_creatable(const char *name, struct err *e);

/* What the name of a new image means: {"file": protocol node}. New reference; NULL with the error
 * set, also where nothing can be created. */
json_t *target_spec(const char *name, struct err *e);

/* The -o lists, against the tables of the format and of the protocol that `spec` names (NULL: that
 * of files). */
int target_options(const struct format *format, const json_t *spec, const struct text_list *lists,
                   struct options **out, struct err *e);

/* -b/-B and -F become options of the image; either may be NULL. */
int target_backing(const struct format *format, struct options *o, const char *backing,
                   const char *backing_format, struct err *e);

/* The lines of -o help, for one table. */
void target_help_table(const struct option_def *table);

/* Does any list ask for help? Then it is printed for this format; `name`: the target, NULL if none
 * is given, so that its protocol's options count. */
bool target_wants_help(const struct text_list *lists);
int target_help(const char *format_name, const char *name, struct err *e);

#endif
