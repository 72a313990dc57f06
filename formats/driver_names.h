/* The names that a backing file's format may have: of this program's drivers, or of others that
 * will read the image. */
#ifndef FORMATS_DRIVER_NAMES_H
#define FORMATS_DRIVER_NAMES_H

#include <stdbool.h>

bool driver_name_known(const char *name);

#endif
