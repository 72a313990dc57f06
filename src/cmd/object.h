/* --object: secrets for encrypted images. */
#ifndef CMD_OBJECT_H
#define CMD_OBJECT_H

#include "base/err.h"
#include "cli/option.h"
#include "image/secret.h"

enum object_outcome { OBJECT_BAD = -1, OBJECT_OK = 0, OBJECT_HELPED = 1 };

/* All --object texts of a command line; *out is NULL if there are none. --object help (or
 * TYPE,help) prints what there is. */
enum object_outcome object_load(const struct text_list *texts, struct secrets **out, struct err *e);

#endif
