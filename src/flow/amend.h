/* amend: options of an image that is there already. */
#ifndef FLOW_AMEND_H
#define FLOW_AMEND_H

#include <stdbool.h>

#include "base/err.h"
#include "flow/progress.h"
#include "formats/format.h"

/* The options that `format` can amend; NULL with the error set if there are none. */
const struct option_def *amend_options(const struct format *format, struct err *e);

/* Parse a -o list against them; NULL with the error set. One that only a new image can have is told
 * from one that nobody knows. */
struct options *amend_parse(const struct format *format, const char *text, struct err *e);

/* `img` is open for writing. Single rank. */
int amend_run(struct image *img, const struct options *o, bool force,
              const struct progress *progress, struct err *e);

#endif
