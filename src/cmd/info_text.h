/* The human form of info's report. */
#ifndef CMD_INFO_TEXT_H
#define CMD_INFO_TEXT_H

#include <stdio.h>

#include <jansson.h>

/* `tree` is one image's object, as info prints it as JSON. */
void info_text(FILE *out, const json_t *tree);
/* The table of snapshots alone; `list` is the array of that object. */
void info_text_snapshots(FILE *out, const json_t *list);

#endif
