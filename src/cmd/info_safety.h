/* info --safe: the checks that were made, passed or not. */
#ifndef CMD_INFO_SAFETY_H
#define CMD_INFO_SAFETY_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* Add the list of an image's checks to its report as "safety"; false when out of memory. */
bool info_add_safety(json_t *tree, json_t *checks);
/* Has one failed? */
bool info_is_refused(const json_t *checks);
/* The report of the image `name` that was refused: {"filename", "safety"}. New reference; NULL when
 * out of memory. */
json_t *info_refused(const char *name, json_t *checks);
/* For people. */
void info_safety_text(FILE *out, const json_t *tree);

#endif
