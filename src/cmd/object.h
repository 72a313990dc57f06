/* --object: secrets for encrypted images. */
#ifndef CMD_OBJECT_H
#define CMD_OBJECT_H

#include "base/err.h"
#include "cli/option.h"
#include "image/secret.h"
#include "mpi/engine.h"

enum object_outcome { OBJECT_BAD = -1, OBJECT_OK = 0, OBJECT_HELPED = 1 };

/* All --object texts of a command line; *out is NULL if there are none. --object help (or
 * TYPE,help) prints what there is. A secret's file may be missing on one rank only: with an engine
 * all ranks get the same answer. */
enum object_outcome object_load(struct engine *g, const struct text_list *texts,
                                struct secrets **out, struct err *e);

#endif
