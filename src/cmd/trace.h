/* -T: which trace points are on, and where they go. */
#ifndef CMD_TRACE_H
#define CMD_TRACE_H

#include "base/err.h"
#include "cli/option.h"

enum trace_outcome { TRACE_SET, TRACE_HELPED, TRACE_BAD };

/* The values of all -T. `rank`: each rank has a file of its own, those above 0 with ".RANK" behind
 * the name. TRACE_BAD: the error is set, or (without text) it was told. */
enum trace_outcome trace_options(const struct text_list *values, unsigned rank, struct err *e);

#endif
