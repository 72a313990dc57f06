/* The options of an image that is to be made, from several -o; what is to be known of them. */
#ifndef CMD_TARGET_H
#define CMD_TARGET_H

#include <jansson.h>

#include "base/err.h"
#include "cli/option.h"
#include "flow/wanted.h"
#include "formats/format.h"

/* wanted_options of the -o lists. */
int target_options(const struct format *format, const json_t *spec, const struct text_list *lists,
                   struct options **out, struct err *e);

/* The lines of -o help, for one table. */
void target_help_table(const struct option_def *table);

/* Does any list ask for help? Then it is printed for this format; `name`: the target, NULL if none
 * is given, so that its protocol's options count. */
bool target_wants_help(const struct text_list *lists);
int target_help(const char *format_name, const char *name, struct err *e);

#endif
