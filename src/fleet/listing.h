/* The files of a folder, and of those below it, as a manifest. */
#ifndef FLEET_LISTING_H
#define FLEET_LISTING_H

#include <stdio.h>

#include "base/err.h"

/* How files of this format are called: "qcow2", "vhd". */
const char *listing_extension(const char *format);

/* Write {"source": from/a/b.vmdk, "target": to/a/b.qcow2} for each regular file whose name (or path
 * below `from`, where the pattern has a '/') matches, in the order of their names. What begins with
 * a dot (unless the pattern names it), what is in `to`, and what a fleet leaves itself
 * (*.mpi-img-part, *.mpi-img-journal, *.results) is left out. */
int listing_write(FILE *out, const char *from, const char *to, const char *pattern,
                  const char *format, struct err *e);

#endif
