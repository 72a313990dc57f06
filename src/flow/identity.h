/*
 * What an unfinished output was made of: the options that shape its bytes, and the state of each
 * file that the source is read from. A run that goes on with it must have the same.
 */
#ifndef FLOW_IDENTITY_H
#define FLOW_IDENTITY_H

#include <jansson.h>

#include "flow/convert.h"
#include "flow/source.h"

/* New reference; NULL with the error set. */
json_t *identity_new(const struct convert_options *o, const struct source *s, struct err *e);

/* 0 where both are the same; else the error names the first difference: "it was begun with ...",
 * "source 'x' has changed ...". */
int identity_check(const json_t *was, const json_t *now, struct err *e);

#endif
