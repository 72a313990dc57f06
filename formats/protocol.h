/* Create options that the file below an image takes, whatever the format. */
#ifndef FORMATS_PROTOCOL_H
#define FORMATS_PROTOCOL_H

#include "formats/options.h"

/* The table of a protocol ("file", "nbd", ...); NULL where nothing can be created. */
const struct option_def *protocol_create_options(const char *protocol);

#endif
