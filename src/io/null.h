/* A file that reads as zeros and takes every write: the measure of all that is not I/O. */
#ifndef IO_NULL_H
#define IO_NULL_H

#include "io/file_ops.h"

/* {"driver":"null-co", "size": bytes or "1G", "read-zeroes": bool}. With read-zeroes it says that
 * it is all hole, else that it is all data. Grows as it is written. */
int null_open(const json_t *spec, const struct file_options *o, struct file **out, struct err *e);

#endif
