/* The report: one HTML page that needs nothing but itself. */
#ifndef REPORT_PAGE_H
#define REPORT_PAGE_H

#include <stdio.h>

#include "report/history.h"

/* `h` is settled; `file` are the names of the files it is from. Failures of `out` itself are the
 * caller's to look for. */
int page_write(FILE *out, const struct history *h, const char *const *file, size_t files,
               struct err *e);

#endif
