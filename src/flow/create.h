/* create: a new image without data (with its preallocation), written as convert writes one. */
#ifndef FLOW_CREATE_H
#define FLOW_CREATE_H

#include <stdint.h>

#include "base/err.h"
#include "formats/format.h"
#include "formats/options.h"

struct create_options {
    const char *path;
    const json_t *spec; /* what the path means: {"file": protocol node}; NULL: a plain path */
    const struct format *format;
    struct options *options;        /* parsed; size is taken from here */
    const char *backing_name;       /* to be stored, or NULL; not opened here */
    const char *backing_format;     /* or NULL */
    const struct secrets *secrets;  /* borrowed; may be NULL */
    void (*warn)(const char *text); /* may be NULL */
};

/* Single rank. The error text has the "FILE: " prefix. */
int create_run(const struct create_options *o, struct err *e);

#endif
