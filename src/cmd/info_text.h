/* The human form of info's report. */
#ifndef CMD_INFO_TEXT_H
#define CMD_INFO_TEXT_H

#include <stdio.h>

#include <jansson.h>

/* `tree` is one image's object, as info prints it as JSON. */
void info_text(FILE *out, const json_t *tree);

#endif
