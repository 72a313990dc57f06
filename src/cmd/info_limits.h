/* info --limits: what requests to an image must keep to. */
#ifndef CMD_INFO_LIMITS_H
#define CMD_INFO_LIMITS_H

#include <stdbool.h>

#include <jansson.h>

#include "image/image.h"

/* Adds "limits" to the report of the image; false when out of memory. */
bool info_add_limits(json_t *tree, struct image *img);

#endif
