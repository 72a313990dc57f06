/* Protocols that reach other machines, by libraries that a build may be without. */
#ifndef IO_REMOTE_H
#define IO_REMOTE_H

#include "io/file_ops.h"

int nbd_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e);
int http_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e);

#endif
