/* Names with a protocol in front: "nbd://host/export", "nbd:unix:path", "https://...". */
#ifndef IMAGE_URI_H
#define IMAGE_URI_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/err.h"

/* Length of the scheme in front of a ':' that comes before any '/', or 0: then it is a path. */
size_t uri_scheme(const char *name);

/* The protocol node of a name whose scheme has `n` characters, by its form alone: whether this
 * build has the driver is not asked. New reference; NULL with the error set. */
json_t *uri_node(const char *name, size_t n, struct err *e);

/* The name of a protocol node where one says all there is to say, else NULL. free() it. */
char *uri_name(const json_t *node);

#endif
