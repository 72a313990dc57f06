/* What the commands on one image begin with. */
#ifndef CMD_ONE_IMAGE_H
#define CMD_ONE_IMAGE_H

#include "cli/command.h"
#include "cli/option.h"
#include "image/secret.h"

/* Load what --object gives and take the one operand. -1: go on, with *secrets (the caller's; NULL
 * if there are none) and *name (borrowed); else the exit code, and all is said. */
int one_image_begin(struct command_run *r, const struct text_list *objects,
                    struct secrets **secrets, const char **name);

#endif
