/* Create options that the file below an image takes, whatever the format. */
#ifndef FORMATS_PROTOCOL_H
#define FORMATS_PROTOCOL_H

#include "formats/options.h"

/* Of local files. */
extern const struct option_def protocol_create_options[];
/* The table of a protocol ("file", "nbd", ...); NULL where nothing can be created. */
const struct option_def *protocol_options_of(const char *protocol);

#endif
